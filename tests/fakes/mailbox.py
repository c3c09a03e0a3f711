"""A mailbox in memory that keeps the contract, for tests of the flow: faults are scripted, and every call is on record."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self

from shared.errors import ConfigInvalid, MessageGone, Unreadable
from shared.model import Clock, Disposition, Listing, MessageKey, MessageRef, Pick, Picking, RawMessage
from shared.ports import Connector, Disposed, Fetched, Hindrance, OpenRequest, ServerSettings

#: The calls that `FakeFolder.fail` knows. ``message`` is one message within a fetch.
Call = Literal["open", "candidates", "fetch", "message", "dispose", "purge"]


@dataclass(slots=True)
class Stored:
    """One message as it lies in the folder."""

    uid: int
    data: bytes
    received: datetime
    seen: bool = False
    deleted: bool = False
    flagged: bool = False
    categories: set[str] = field(default_factory=set)


@dataclass(slots=True)
class FakeFolder:
    """What outlives the sessions: the messages, the faults to come, and what was asked so far."""

    clock: Clock = lambda: datetime.now(UTC)
    messages: dict[int, Stored] = field(default_factory=dict)
    #: Other folders of the mailbox, by name.
    others: dict[str, list[Stored]] = field(default_factory=dict)
    #: UIDs whose body cannot be had.
    unreadable: set[int] = field(default_factory=set)
    #: The account may look but not touch. Told by `FakeMailbox.hindrances` alone: `fail` makes a `dispose` fail.
    read_only: bool = False
    #: Calls in their order, with the UIDs that they were about.
    calls: list[tuple[Call, tuple[int, ...]]] = field(default_factory=list)
    _next: int = 1
    _faults: dict[Call, dict[int, Exception]] = field(default_factory=dict)

    def deliver(
        self, data: bytes, *, seen: bool = False, deleted: bool = False, received: datetime | None = None
    ) -> int:
        """Put a message there; its UID."""
        uid, self._next = self._next, self._next + 1
        self.messages[uid] = Stored(uid, data, received or self.clock(), seen, deleted)
        return uid

    def renumber(self) -> None:
        """As under a new UIDVALIDITY: every message gets another UID, in the same order, and no old one comes back."""
        for uid in sorted(self.messages):
            stored = self.messages.pop(uid)
            stored.uid, self._next = self._next, self._next + 1
            self.messages[stored.uid] = stored

    def fail(self, call: Call, error: Exception, *, nth: int = 1) -> None:
        """Have the ``nth`` such call from now on raise ``error``, before it does anything."""
        self._faults.setdefault(call, {})[self.count(call) + nth] = error

    def count(self, call: Call) -> int:
        """How many such calls there were."""
        return sum(name == call for name, _ in self.calls)

    def note(self, call: Call, uids: Sequence[int] = ()) -> None:
        """Record a call, and raise the fault that is due now."""
        self.calls.append((call, tuple(uids)))
        if error := self._faults.get(call, {}).pop(self.count(call), None):
            raise error


class FakeSettings(ServerSettings):
    """The ``server`` block of a job on a `FakeFolder`."""

    type: Literal["fake"] = "fake"
    name: str = "fake"

    def identity(self) -> str:
        """See `ServerSettings.identity`."""
        return f"fake:{self.name}"

    def secret_names(self) -> frozenset[str]:
        """No secrets."""
        return frozenset()


class FakeMailbox:
    """See `shared.ports.Mailbox`."""

    def __init__(self, folder: FakeFolder, *, job_id: str = "job", identity: str = "fake:fake") -> None:
        self._folder = folder
        self._job_id = job_id
        self._identity = identity
        folder.note("open")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def candidates(self, picking: Picking) -> Listing:
        """See `Mailbox.candidates`."""
        self._folder.note("candidates")
        there = sorted(self._folder.messages.values(), key=lambda stored: stored.uid)
        if picking.pick is Pick.UNREAD:
            chosen = [stored for stored in there if not stored.seen and not stored.deleted]
            return Listing(tuple(map(self._ref, chosen)), in_box=len(there))
        after = int(picking.cursor or 0)
        chosen = [one for one in there if one.uid > after and one.received >= picking.since and not one.deleted]
        cursor = max([after, *self._folder.messages])
        return Listing(tuple(map(self._ref, chosen)), in_box=len(there), cursor=str(cursor))

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:
        """See `Mailbox.fetch`."""
        self._folder.note("fetch", _uids(refs))
        for ref in refs:
            self._folder.note("message", _uids([ref]))
            stored = self._folder.messages.get(int(ref.handle))
            if stored is None:
                yield Fetched(ref, error=MessageGone(f"Message {ref.handle} is gone."))
            elif stored.uid in self._folder.unreadable:
                yield Fetched(ref, error=Unreadable(f"Message {ref.handle} cannot be read."))
            elif len(stored.data) > max_bytes:
                header = stored.data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                yield Fetched(ref, RawMessage(self._ref(stored), header, len(stored.data), header_only=True))
            else:
                yield Fetched(ref, RawMessage(self._ref(stored), stored.data, len(stored.data)))

    def dispose(self, refs: Sequence[MessageRef], disposition: Disposition) -> Sequence[Disposed]:
        """See `Mailbox.dispose`."""
        self._folder.note("dispose", _uids(refs))
        self._demand(disposition.move_to)
        return [self._dispose(ref, disposition) for ref in refs]

    def _dispose(self, ref: MessageRef, disposition: Disposition) -> Disposed:
        stored = self._folder.messages.get(int(ref.handle))
        if stored is None:
            return Disposed(ref, MessageGone(f"Message {ref.handle} is gone."))
        stored.seen |= disposition.read
        stored.deleted |= disposition.deleted
        stored.flagged |= disposition.flag
        stored.categories |= {disposition.category} - {""}
        if disposition.move_to:
            self._folder.others[disposition.move_to].append(self._folder.messages.pop(stored.uid))
        return Disposed(ref)

    def _demand(self, name: str) -> None:
        if name and name not in self._folder.others:
            raise ConfigInvalid(f"There is no folder {name!r}.", remedy=f"Choose of: {', '.join(self._folder.others)}.")

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        """See `Mailbox.purge`."""
        self._folder.note("purge", _uids(refs))
        for uid in _uids(refs):
            if uid in self._folder.messages and self._folder.messages[uid].deleted:
                del self._folder.messages[uid]
        return [Disposed(ref) for ref in refs]

    def still_there(self, refs: Sequence[MessageRef]) -> frozenset[MessageKey]:
        """See `Mailbox.still_there`."""
        moved = {stored.uid for folder in self._folder.others.values() for stored in folder}
        there = {*self._folder.messages, *moved}
        return frozenset(ref.key for ref in refs if int(ref.handle) in there or ref.key.mailbox != self._identity)

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:
        """See `Mailbox.hindrances`."""
        try:
            self._demand(disposition.move_to)
        except ConfigInvalid as fault:
            return [Hindrance(fault.what, fault.remedy)]
        refused = self._folder.read_only and disposition.marks
        return [Hindrance("The folder can only be read.", "Have it made writable.")] if refused else []

    def _ref(self, stored: Stored) -> MessageRef:
        key = MessageKey(self._job_id, self._identity, f"{stored.uid:010d}")
        return MessageRef(key, str(stored.uid), len(stored.data), stored.received)


def fake_connector(folders: Mapping[str, FakeFolder]) -> Connector:
    """A connector whose mailboxes are these, by the ``name`` in their settings."""

    def open_fake(request: OpenRequest) -> FakeMailbox:
        settings: FakeSettings = request.settings
        return FakeMailbox(folders[settings.name], job_id=request.job_id, identity=settings.identity())

    return Connector(kind="fake", settings=FakeSettings, open=open_fake)


def _uids(refs: Sequence[MessageRef]) -> list[int]:
    return [int(ref.handle) for ref in refs]
