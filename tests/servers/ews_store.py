"""The mailboxes behind the EWS simulator: folders, items, ids that change with a move, and a log of what changed."""

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

#: The element that EWS uses for an item of this class, where it is not Message ("ItemClass", types.xsd).
_KINDS = {
    "ipm.appointment": "CalendarItem",
    "ipm.contact": "Contact",
    "ipm.post": "PostItem",
    "ipm.schedule.meeting.request": "MeetingRequest",
    "ipm.schedule.meeting.canceled": "MeetingCancellation",
    "ipm.schedule.meeting.resp.pos": "MeetingResponse",
    "ipm.sharing": "Item",
    "ipm.task": "Task",
}
WELL_KNOWN = {
    "msgfolderroot": "Top of Information Store",
    "inbox": "Inbox",
    "deleteditems": "Deleted Items",
    "drafts": "Drafts",
    "junkemail": "Junk Email",
    "sentitems": "Sent Items",
    "calendar": "Calendar",
}
#: What an item weighs in the store besides what was delivered.
_OVERHEAD = 700

_serial = count(1)


def _new_id(kind: str) -> str:
    """Looks like the real ones: base64, told apart by case, with ``/`` and ``+`` in it."""
    number = next(_serial)
    return base64.b64encode(f"{kind}\xfb\xff\xbf:{number:06d}:{number * 7919 % 99991}".encode("latin-1")).decode()


@dataclass
class Folder:
    """A folder below ``parent``; ``kind`` is its element."""

    name: str
    parent: "Folder | None" = None
    kind: str = "Folder"
    well_known: str = ""
    id: str = field(default_factory=lambda: _new_id("folder"))

    @property
    def above(self) -> "list[Folder]":
        """Its parent, the parent of that, and so on."""
        return [self.parent, *self.parent.above] if self.parent else []


#: Where PidTagFlagStatus ([MS-OXOFLAG]) is among the properties of an item.
FLAG_STATUS = ("", "0x1090")


@dataclass
class Item:
    """One item. ``id`` holds as long as it stays in its folder; ``change_key`` until it changes."""

    folder: Folder
    subject: str
    #: As it was delivered; what GetItem gives is made anew from it.
    delivered: bytes
    read: bool
    received: datetime
    item_class: str = "IPM.Note"
    #: Named properties, by (property set, name).
    properties: dict[tuple[str, str], str] = field(default_factory=dict)
    categories: list[str] = field(default_factory=list)
    wants_receipt: bool = False
    #: GetItem gives no MIME, an error code instead of the item, or never ends its answer.
    mime: str = "fine"
    #: The error code that every write to it gets.
    refuses: str = ""
    id: str = field(default_factory=lambda: _new_id("item"))
    change_key: str = field(default_factory=lambda: _new_id("change"))
    changed: int = 0
    created: int = 0

    @property
    def flagged(self) -> bool:
        """PidTagFlagStatus is followupFlagged."""
        return self.properties.get(FLAG_STATUS) == "2"

    @property
    def kind(self) -> str:
        """The name of its element."""
        return _KINDS.get(self.item_class.lower(), "Message")

    @property
    def size(self) -> int:
        """What it takes in the store, which is not the length of any MIME."""
        return len(self.delivered) + _OVERHEAD

    @property
    def made_anew(self) -> bytes:
        """Exchange keeps properties, not MIME: each time it is asked for, the MIME is made from them."""
        return b"X-MS-Exchange-MessageSentRepresentingType: 1\r\n" + self.delivered


class Mailbox:
    """One mailbox. The methods are what another client, or the transport, does to it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.lock = threading.RLock()
        root = Folder(WELL_KNOWN["msgfolderroot"], well_known="msgfolderroot")
        self.folders = {"msgfolderroot": root}
        for name, shown in list(WELL_KNOWN.items())[1:]:
            kind = "CalendarFolder" if name == "calendar" else "Folder"
            self.folders[name] = Folder(shown, root, kind, name)
        self.items: dict[str, Item] = {}
        #: Folder and id of every item that left a folder, with the moment of that in ``clock``.
        self.departed: list[tuple[int, Folder, str]] = []
        #: To whom a read receipt was sent.
        self.receipts: list[str] = []
        self._clock = count(1)
        # Mail comes in one message a second, as the real DateTimeReceived has no finer grain in EWS.
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
        self._arrivals: Iterator[datetime] = (start + timedelta(seconds=number) for number in count())

    @property
    def inbox(self) -> Folder:
        """The Inbox."""
        return self.folders["inbox"]

    @property
    def trash(self) -> Folder:
        """Deleted Items."""
        return self.folders["deleteditems"]

    def add_folder(self, name: str, parent: Folder | None = None, kind: str = "Folder") -> Folder:
        """A folder of a user's own."""
        with self.lock:
            folder = Folder(name, parent or self.folders["msgfolderroot"], kind)
            self.folders[folder.id] = folder
            return folder

    def deliver(
        self,
        data: bytes,
        *,
        folder: Folder | None = None,
        read: bool = False,
        received: datetime | None = None,
        item_class: str = "IPM.Note",
    ) -> Item:
        """One more item, in the Inbox unless told otherwise."""
        subject = next(
            (line[9:].decode() for line in data.splitlines() if line.lower().startswith(b"subject: ")), "(none)"
        )
        with self.lock:
            moment = (received or next(self._arrivals)).replace(microsecond=0)
            item = Item(folder or self.inbox, subject, data, read, moment, item_class)
            item.created = item.changed = next(self._clock)
            self.items[item.id] = item
            return item

    def find(self, subject: str) -> Item:
        """The item with that subject."""
        with self.lock:
            return next(item for item in self.items.values() if item.subject == subject)

    def touch(self, item: Item) -> None:
        """Something about the item has changed."""
        with self.lock:
            item.change_key = _new_id("change")
            item.changed = next(self._clock)

    def move(self, item: Item, folder: Folder) -> None:
        """To another folder, under another id (EWS identifiers in Exchange: an id holds within its folder)."""
        with self.lock:
            self.departed.append((next(self._clock), item.folder, item.id))
            # Its place in the order of arrival stays.
            keys = list(self.items)
            old = item.id
            item.id, item.folder = _new_id("item"), folder
            self.touch(item)
            item.created = item.changed
            self.items = {(item.id if key == old else key): self.items[key] for key in keys}

    def copy(self, item: Item, folder: Folder) -> Item:
        """Another item with the same content and the same properties."""
        with self.lock:
            twin = self.deliver(item.delivered, folder=folder, read=item.read, received=item.received)
            twin.properties = dict(item.properties)
            return twin

    def remove(self, item: Item) -> None:
        """For good."""
        with self.lock:
            self.departed.append((next(self._clock), item.folder, item.id))
            del self.items[item.id]

    def now(self) -> int:
        """The present moment of the change log."""
        with self.lock:
            return next(self._clock)
