"""One mailbox of the Graph simulator: folders, messages, their two kinds of ids, and the record of what changed."""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

#: Standard folders and their English names: https://learn.microsoft.com/graph/api/resources/mailfolder
_STANDARD = {
    "archive": "Archive",
    "deleteditems": "Deleted Items",
    "drafts": "Drafts",
    "inbox": "Inbox",
    "junkemail": "Junk Email",
    "outbox": "Outbox",
    "sentitems": "Sent Items",
}
_ROOT = "msgfolderroot"
#: The store keeps more than the text of a message: its size is not that of the MIME.
_OVERHEAD = 1_500


def _new_id(kind: str) -> str:
    """Ids are opaque, differ in capitals, and do not sort as messages arrive."""
    return f"{kind}{uuid.uuid4().hex}{uuid.uuid4().hex.upper()}AAA="


@dataclass(slots=True)
class Folder:
    """A folder. Its id never changes."""

    name: str
    parent: str
    well_known: str = ""
    hidden: bool = False
    id: str = field(default_factory=lambda: _new_id("AAMkAF"))


@dataclass(slots=True)
class Item:
    """A message. ``regular`` is the id that changes with every move, ``immutable`` the one that stays.

    https://learn.microsoft.com/graph/outlook-immutable-id
    """

    number: int
    folder: str
    received: datetime
    seen: bool = False
    flagged: bool = False
    categories: list[str] = field(default_factory=list)
    #: As it was delivered; None: made from its number, so that very many cost nothing.
    source: bytes | None = None
    #: What $value gives in place of the real thing.
    twisted: bytes | None = None
    immutable: str = field(default_factory=lambda: _new_id("AAkALg"))
    regular: str = field(default_factory=lambda: _new_id("AAMkAM"))

    @property
    def data(self) -> bytes:
        """As it was delivered."""
        if self.source is not None:
            return self.source
        return b"From: a@example.com\r\nSubject: m%d\r\nMessage-ID: <m%d@example.com>\r\n\r\nHello.\r\n" % (
            self.number,
            self.number,
        )

    @property
    def mime(self) -> bytes:
        """Made anew, so not what was delivered: https://learn.microsoft.com/graph/outlook-get-mime-message."""
        if self.twisted is not None:
            return self.twisted
        return b"X-MS-Exchange-Organization-Network-Message-Id: %032x\r\n" % self.number + self.data

    @property
    def size(self) -> int:
        """PidTagMessageSize: octets in the store."""
        return len(self.data) + _OVERHEAD

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The fields of its header."""
        text = self.data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        fields = (line.partition(":") for line in text.split("\r\n") if ":" in line)
        return [(name, value.strip()) for name, _, value in fields]


class Store:
    """A mailbox as its owner and the server see it. Safe to share between threads."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.lock = threading.RLock()
        root = Folder("Top of Information Store", "", _ROOT)
        self.folders = {root.id: root}
        self._root = root.id
        for well_known, name in _STANDARD.items():
            self.add_folder(name, well_known=well_known)
        self.items: dict[str, Item] = {}
        self._by_regular: dict[str, str] = {}
        #: (folder, message) for everything that came, changed or left, in order.
        self.log: list[tuple[str, str]] = []
        #: What went for good, and what an administrator can still recover.
        self.purged: list[Item] = []
        self.recoverable: list[Item] = []
        self._count = 0

    # --- what people do ----------------------------------------------------------------------------------------------

    def add_folder(self, name: str, *, under: str = "", well_known: str = "", hidden: bool = False) -> Folder:
        """A folder below ``under`` (an id; the root by itself)."""
        folder = Folder(name, under or self._root, well_known, hidden)
        self.folders[folder.id] = folder
        return folder

    def deliver(
        self, data: bytes | None, *, seen: bool = False, received: datetime | None = None, folder: str = "inbox"
    ) -> Item:
        """A message arrives. ``folder`` is an id or a well-known name."""
        with self.lock:
            self._count += 1
            moment = (received or datetime.now(UTC)).replace(microsecond=0)
            item = Item(self._count, self.folder(folder).id, moment, seen, source=data)
            self.items[item.immutable] = item
            self._by_regular[item.regular] = item.immutable
            self.note(item)
            return item

    def find(self, subject: str) -> Item:
        """The message with that subject."""
        return next(item for item in self.items.values() if ("Subject", subject) in item.headers)

    def mark(self, item: Item, *, seen: bool) -> None:
        """Somebody reads it, or takes that back."""
        with self.lock:
            item.seen = seen
            self.note(item)

    def move(self, item: Item, folder: str) -> None:
        """Somebody puts it elsewhere: its regular id becomes another."""
        with self.lock:
            self.note(item)
            del self._by_regular[item.regular]
            item.folder, item.regular = self.folder(folder).id, _new_id("AAMkAM")
            self._by_regular[item.regular] = item.immutable
            self.note(item)

    def remove(self, item: Item, *, recoverable: bool = False) -> None:
        """It leaves the folders that people see."""
        with self.lock:
            self.note(item)
            del self.items[item.immutable], self._by_regular[item.regular]
            (self.recoverable if recoverable else self.purged).append(item)

    # --- what the server asks ----------------------------------------------------------------------------------------

    def folder(self, name: str) -> Folder:
        """By id, or by well-known name whatever its capitals. Raises KeyError."""
        if name in self.folders:
            return self.folders[name]
        found = next((one for one in self.folders.values() if one.well_known == name.lower()), None)
        if found is None:
            raise KeyError(name)
        return found

    def children(self, folder: str = "") -> list[Folder]:
        """The folders right below, by name."""
        below = [one for one in self.folders.values() if one.parent == (folder or self._root)]
        return sorted(below, key=lambda one: one.name)

    def item(self, name: str) -> Item | None:
        """By immutable id, or by the regular id that it has just now. Ids are case-sensitive."""
        return self.items.get(self._by_regular.get(name, name))

    def within(self, folder: str) -> Iterator[Item]:
        """The messages of a folder."""
        return (item for item in list(self.items.values()) if item.folder == folder)

    def note(self, item: Item) -> None:
        """Something happened to it where it is now."""
        self.log.append((item.folder, item.immutable))
