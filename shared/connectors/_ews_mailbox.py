"""The EWS form of the `Mailbox` port.

EWS ids name a message in its folder: a move gives it another (learn.microsoft.com/exchange/client-developer/
exchange-web-services/ews-identifiers-in-exchange). So the key of a message is made from the first id under which it
was listed, and is written onto the message, as a named property, before it is marked or moved. That mark moves with
it: by it we know a message again that a person has put back, and find one that was moved by a run which then died.
``handle`` is the id that it has now.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from types import TracebackType
from typing import Any, Self

from shared.connectors import _ews_calls as calls
from shared.connectors._ews_calls import Item
from shared.connectors._ews_faults import is_denial, job_fault, message_fault
from shared.connectors._ews_folder import mail_folders, open_folder, well_known
from shared.connectors._ews_network import Lost
from shared.connectors._ews_rights import hindrances
from shared.connectors._ews_text import cursor_of, header_bytes, header_of, is_mail, item_of
from shared.connectors._ews_wire import Wire
from shared.errors import ConfigInvalid, MessageError, MessageGone, Unreadable
from shared.model import Disposition, Listing, MessageKey, MessageRef, Pick, Picking, RawMessage
from shared.ports import Disposed, Fetched, Hindrance

#: One GetItem asks for at most this many whole messages and, unless it is a single one, octets.
_BATCH_COUNT, _BATCH_OCTETS = 50, 10_000_000
#: What a header counts for, when only that is fetched.
_HEADER_OCTETS = 64_000
#: How many messages one request for facts, marks, moves or deletions is about.
_CHUNK = 100
#: Items in a page of a listing; and pages, so that a server that goes on for ever is not followed.
_PAGE, _PAGES = 1_000, 200
#: How many messages are looked for by their marks in one request: each is a condition to the server.
_STAMPS = 20
#: And in how many folders.
_FOLDERS = 50
#: How often one session asks again after a lost connection, to find the message that kills it.
_RETRIES = 12

_log = logging.getLogger(__name__)

#: What came of something for each message, by its item.
_Answers = dict[MessageKey, MessageError | None]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One message to fetch: as it was asked for, and with what the server says of it."""

    asked: MessageRef
    known: MessageRef
    header_only: bool
    error: MessageError | None = None

    @property
    def octets(self) -> int:
        """What it counts for in a batch; an unknown size fills one."""
        size = _BATCH_OCTETS if self.known.size is None else self.known.size
        return min(size, _HEADER_OCTETS) if self.header_only else size


class EwsMailbox:
    """See `shared.ports.Mailbox`. Connects at once."""

    def __init__(self, wire: Wire, *, folder: str, job_id: str, identity: str) -> None:
        self._wire = wire
        self._job_id = job_id
        self.identity = identity
        self._retries = 0
        #: Folders that messages are moved to, by the paths that people gave them.
        self._targets: dict[str, calls.Folder] = {}
        try:
            self._folder = open_folder(wire, folder)
        except BaseException:
            wire.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.close()

    # --- listing -----------------------------------------------------------------------------------------------------

    def candidates(self, picking: Picking) -> Listing:
        """See `Mailbox.candidates`. ``in_box`` is what the folder held when this session opened it."""
        if picking.pick is Pick.UNREAD:
            return Listing(self._refs(self._unread()), self._folder.total)
        changed, state = self._changed(picking.cursor or "")
        since = picking.since.replace(microsecond=0)
        arrived = [item for item in changed if item.received is None or item.received >= since]
        arrived.sort(key=lambda item: (item.received or since, item.id))
        return Listing(self._refs(arrived), self._folder.total, cursor_of(state))

    def _unread(self) -> Iterator[Item]:
        """All pages before anything is done: what is marked as read leaves the view, and the rest moves up.

        What others mark meanwhile can hide a message from this listing; it is unread still, and in the next.
        """
        offset = 0
        for _ in range(_PAGES):
            payload = calls.find_unread(calls.folder_id(self._folder.id), offset, _PAGE)
            answer = self._one("listing unread messages", "FindItem", payload)
            yield from map(calls.read_item, calls.children(answer, "t:Items"))
            last, following = calls.page_end(answer)
            if last or following <= offset:
                break
            offset = following

    def _changed(self, state: str) -> tuple[list[Item], str]:
        """What came into the folder, or was changed in it, since ``state``. The ledger knows what was listed before."""
        items: dict[str, Item] = {}
        last = False
        while not last:
            payload = calls.sync_items(calls.folder_id(self._folder.id), state)
            (answer,) = self._wire.ask("listing new messages", "SyncFolderItems", payload)
            if state and type(answer).__name__ == "ErrorInvalidSyncStateData":
                _log.warning("%s does not know its own list any more; it is read from the start.", self.identity)
                items, state = {}, ""
                continue
            self._raise_fault(answer, "listing new messages")
            found, following, last = calls.changed_items(answer)
            items.update((item.id, item) for item in found)
            # A server that says "there is more" and never goes on is not followed.
            last = last or following == state
            state = following
        return list(items.values()), state

    def _refs(self, items: Iterable[Item]) -> tuple[MessageRef, ...]:
        """A message that was copied after it had our mark is the same message to us: it is listed once."""
        found: dict[MessageKey, MessageRef] = {}
        for item in items:
            if item.id and is_mail(item.item_class):
                ref = self._ref(item)
                found.setdefault(ref.key, ref)
        return tuple(found.values())

    def _ref(self, item: Item) -> MessageRef:
        key = MessageKey(self._job_id, self.identity, item.stamp or item_of(item.id, item.received))
        return MessageRef(key, item.id, item.size, item.received)

    # --- fetching ----------------------------------------------------------------------------------------------------

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:
        """See `Mailbox.fetch`."""
        for part in _chunks(refs):
            facts = self._facts([ref for ref in part if ref.size is None])
            for batch in _batches(self._wanted(ref, facts, max_bytes) for ref in part):
                yield from self._fetch(batch, max_bytes)

    def _wanted(self, ref: MessageRef, facts: Mapping[MessageKey, Item | MessageError], max_bytes: int) -> _Wanted:
        fact = facts.get(ref.key)
        if isinstance(fact, MessageError) or not self._is_here(ref):
            return _Wanted(ref, ref, header_only=False, error=fact if isinstance(fact, MessageError) else _gone(ref))
        known = replace(ref, size=fact.size, received=ref.received or fact.received) if fact else ref
        # The size is that of the item in the store, which is only near to that of the MIME made from it.
        return _Wanted(ref, known, header_only=(known.size or 0) > max_bytes + max_bytes // 4 + 16_384)

    def _fetch(self, batch: Sequence[_Wanted], max_bytes: int) -> list[Fetched]:
        wholes = self._parts(
            [want.known.handle for want in batch if not want.error and not want.header_only], whole=True
        )
        headers = self._parts([want.known.handle for want in batch if not want.error and want.header_only], whole=False)

        def answer(want: _Wanted) -> Fetched:
            asked, known = want.asked, want.known
            part = want.error or (headers if want.header_only else wholes).get(known.handle)
            if isinstance(part, Exception):
                fault = part if isinstance(part, MessageError) else message_fault(part, asked.key.item)
                return Fetched(asked, error=fault)
            if not part:
                return Fetched(asked, error=Unreadable(f"The server lists message {asked.key.item} but gives no body."))
            if want.header_only:
                return Fetched(asked, RawMessage(known, part, max(known.size or 0, len(part)), header_only=True))
            if len(part) > max_bytes:
                return Fetched(asked, RawMessage(known, header_of(part), len(part), header_only=True))
            return Fetched(asked, RawMessage(known, part, len(part)))

        return [answer(want) for want in batch]

    def _parts(self, ids: Sequence[str], *, whole: bool, lost: bool = False) -> Mapping[str, bytes | Exception]:
        """The messages, or their headers. One over which the connection is lost twice is answered with `Unreadable`.

        It is searched out by halves, so that it stops nobody else.
        """
        if not ids:
            return {}
        payload, read = (calls.get_mime, calls.read_mime) if whole else (calls.get_headers, _read_header)
        try:
            answers = self._wire.ask("fetching messages", "GetItem", payload(ids))
            return dict(zip(ids, [_part(answer, read) for answer in answers], strict=True))
        except Lost as fault:
            if self._retries == _RETRIES:
                raise
            self._retries += 1
            if len(ids) == 1 and lost:
                return {ids[0]: Unreadable(f"The message cannot be fetched: {fault.what}")}
        if len(ids) == 1:
            return self._parts(ids, whole=whole, lost=True)
        middle = len(ids) // 2
        return {
            **self._parts(ids[:middle], whole=whole, lost=True),
            **self._parts(ids[middle:], whole=whole, lost=True),
        }

    # --- disposing ---------------------------------------------------------------------------------------------------

    def dispose(self, refs: Sequence[MessageRef], disposition: Disposition) -> Sequence[Disposed]:
        """See `Mailbox.dispose`. A deleted message lies in Deleted Items, under the handle in the answer."""
        if not disposition.marks:
            return [Disposed(ref) for ref in refs]
        facts: dict[MessageKey, Item | MessageError] = {}
        target = self._trash if disposition.deleted else self._target(disposition.move_to)
        for part in _chunks(refs):
            facts |= self._facts(part)
            gone = [ref for ref in part if isinstance(facts.get(ref.key), MessageGone)]
            self._find_marked(gone, facts, [self._folder, target or self._trash])
            self._mark(part, facts, disposition)
            if target:
                self._move(part, facts, target)

        def answer(ref: MessageRef) -> Disposed:
            fact = facts.get(ref.key)
            if isinstance(fact, Item):
                return Disposed(replace(ref, handle=fact.id))
            return Disposed(ref, fact or _gone(ref))

        return [answer(ref) for ref in refs]

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        """See `Mailbox.purge`. Single messages, by their ids in Deleted Items: the folder is never emptied."""
        answers: _Answers = {}
        for part in _chunks(refs):
            facts = self._facts(part)
            ours = {
                key: fact for key, fact in facts.items() if isinstance(fact, Item) and fact.folder_id == self._trash.id
            }
            answers |= {key: fact for key, fact in facts.items() if isinstance(fact, MessageError)}
            payload = calls.delete_items(
                [item.id for item in ours.values()], suppress_receipts=self._wire.suppresses_receipts
            )
            answers |= self._each("purging", "DeleteItem", payload, list(ours))

        def answer(ref: MessageRef) -> Disposed:
            error = answers.get(ref.key)
            return Disposed(ref, None if isinstance(error, MessageGone) else error)

        return [answer(ref) for ref in refs]

    def still_there(self, refs: Sequence[MessageRef]) -> frozenset[MessageKey]:
        """See `Mailbox.still_there`. One that a person has moved has another id, and still our mark."""
        gone: list[MessageRef] = []
        for part in _chunks([ref for ref in refs if self._is_here(ref)]):
            facts = self._facts(part)
            gone += [ref for ref in part if isinstance(facts[ref.key], MessageGone)]
        found: dict[MessageKey, Item | MessageError] = {}
        if gone:
            self._find_marked(gone, found, mail_folders(self._wire))
        return frozenset(ref.key for ref in refs) - ({ref.key for ref in gone} - found.keys())

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:
        """See `Mailbox.hindrances`."""
        try:
            target = self._trash if disposition.deleted else self._target(disposition.move_to)
        except ConfigInvalid as fault:
            left = replace(disposition, move_to="")
            return [Hindrance(fault.what, fault.remedy), *self.hindrances(left)]
        return list(hindrances(self._wire, self._folder, target, disposition))

    @cached_property
    def _trash(self) -> calls.Folder:
        return well_known(self._wire, "deleteditems")

    def _facts(self, refs: Sequence[MessageRef]) -> dict[MessageKey, Item | MessageError]:
        """What the server says of each message under the id that we have; `MessageGone` where it has none there."""
        asked = [ref for ref in refs if self._is_here(ref)]
        found: dict[MessageKey, Item | MessageError] = {ref.key: _gone(ref) for ref in refs if not self._is_here(ref)}
        if asked:
            answers = self._wire.ask("looking at messages", "GetItem", calls.get_items([ref.handle for ref in asked]))
            for ref, answer in zip(asked, answers, strict=True):
                items = [] if isinstance(answer, Exception) else calls.children(answer, "m:Items")
                fault = message_fault(answer, ref.key.item) if isinstance(answer, Exception) else _gone(ref)
                found[ref.key] = calls.read_item(items[0]) if items else fault
        return found

    def _target(self, path: str) -> calls.Folder | None:
        """The folder that messages are moved to; None for none. Raises `ConfigInvalid` with those that there are."""
        if path and path not in self._targets:
            self._targets[path] = open_folder(self._wire, path)
        return self._targets[path] if path else None

    def _find_marked(
        self,
        refs: Sequence[MessageRef],
        facts: dict[MessageKey, Item | MessageError],
        folders: Sequence[calls.Folder],
    ) -> None:
        """Find messages by our mark: moved by a person, or by a run that died before it could write down the new id."""
        here = [ref for ref in refs if self._is_here(ref)]
        for start, first in product(range(0, len(here), _STAMPS), range(0, len(folders), _FOLDERS)):
            part, places = here[start : start + _STAMPS], folders[first : first + _FOLDERS]
            ids = [calls.folder_id(folder.id) for folder in places]
            payload = calls.find_stamped(ids, [ref.key.item for ref in part])
            found: dict[str, Item] = {}
            for answer, folder in zip(
                self._wire.ask("looking for moved messages", "FindItem", payload), places, strict=True
            ):
                self._raise_fault(answer, "looking for moved messages")
                items = map(calls.read_item, calls.children(answer, "t:Items"))
                found.update((item.stamp, replace(item, folder_id=folder.id)) for item in items)
            facts.update((ref.key, found[ref.key.item]) for ref in part if ref.key.item in found)

    def _mark(
        self, refs: Sequence[MessageRef], facts: dict[MessageKey, Item | MessageError], disposition: Disposition
    ) -> None:
        """Set our mark, and what else is asked for, where it is not set yet."""

        def lacks(ref: MessageRef, fact: Item) -> bool:
            unread = disposition.read and not fact.read
            bare = bool(disposition.category) and disposition.category not in fact.categories
            return fact.stamp != ref.key.item or unread or bare or disposition.flag

        todo = {ref.key: fact for ref in refs if isinstance(fact := facts.get(ref.key), Item) and lacks(ref, fact)}
        payload = calls.mark_items(
            [(item, key.item) for key, item in todo.items()],
            disposition,
            suppress_receipts=self._wire.suppresses_receipts,
        )
        faults = self._each("marking messages", "UpdateItem", payload, list(todo))
        facts.update((key, fault) for key, fault in faults.items() if fault)

    def _move(
        self, refs: Sequence[MessageRef], facts: dict[MessageKey, Item | MessageError], target: calls.Folder
    ) -> None:
        todo = {
            ref.key: fact
            for ref in refs
            if isinstance(fact := facts.get(ref.key), Item) and fact.folder_id != target.id
        }
        if not todo:
            return
        payload = calls.move_items([item.id for item in todo.values()], calls.folder_id(target.id))
        answers = self._write(f"moving messages to {target.name}", "MoveItem", payload)
        for (key, item), answer in zip(todo.items(), answers, strict=True):
            if isinstance(answer, Exception):
                facts[key] = _not_done(answer, key.item)
            elif moved := calls.children(answer, "m:Items"):
                facts[key] = replace(item, id=calls.read_item(moved[0]).id, folder_id=target.id)
            else:
                # It was moved all the same: the next run finds it by its mark.
                facts[key] = MessageError(f"Message {key.item} was moved, but the server does not say where it is now.")

    def _each(self, doing: str, operation: str, payload: Any, keys: Sequence[MessageKey]) -> _Answers:
        """What came of an operation for each of ``keys``, which are the payload's in their order."""
        if not keys:
            return {}
        answers = self._write(doing, operation, payload)
        return {
            key: _not_done(answer, key.item) if isinstance(answer, Exception) else None
            for key, answer in zip(keys, answers, strict=True)
        }

    def _write(self, doing: str, operation: str, payload: Any) -> list[Any]:
        """A message that we may not touch is its own matter; a folder in which we may touch none is the job's."""
        answers = self._wire.ask(doing, operation, payload)
        if all(is_denial(answer) for answer in answers):
            rights = calls.get_rights(calls.folder_id(self._folder.id))
            if not calls.may_modify(self._one("asking for our rights", "GetFolder", rights)):
                self._raise_fault(answers[0], doing)
        return answers

    def _one(self, doing: str, operation: str, payload: Any) -> Any:
        (answer,) = self._wire.ask(doing, operation, payload)
        self._raise_fault(answer, doing)
        return answer

    def _raise_fault(self, answer: Any, doing: str) -> None:
        if isinstance(answer, Exception):
            raise job_fault(answer, self._wire.account, doing, signed_in=True) from answer

    def _is_here(self, ref: MessageRef) -> bool:
        """False for a message of another mailbox or folder, which the job had before."""
        return ref.key.mailbox == self.identity


def _gone(ref: MessageRef) -> MessageGone:
    return MessageGone(f"Message {ref.key.item} is no longer in the folder.")


def _not_done(answer: Exception, item: str) -> MessageError:
    fault = message_fault(answer, item)
    return fault if isinstance(fault, MessageGone) else MessageError(fault.what, remedy=fault.remedy)


def _part(answer: Any, read: Callable[[Any], bytes]) -> bytes | Exception:
    if isinstance(answer, Exception):
        return answer
    items = calls.children(answer, "m:Items")
    return read(items[0]) if items else b""


def _read_header(item: Any) -> bytes:
    return header_bytes(calls.read_headers(item))


def _chunks(refs: Sequence[MessageRef]) -> Iterator[Sequence[MessageRef]]:
    return (refs[start : start + _CHUNK] for start in range(0, len(refs), _CHUNK))


def _batches(wanted: Iterable[_Wanted]) -> Iterator[list[_Wanted]]:
    """Cut into batches within both bounds; a message that is over the octets by itself has a batch of its own."""
    batch: list[_Wanted] = []
    octets = 0
    for want in wanted:
        if batch and (len(batch) == _BATCH_COUNT or octets + want.octets > _BATCH_OCTETS):
            yield batch
            batch, octets = [], 0
        batch.append(want)
        octets += want.octets
    if batch:
        yield batch
