"""The IMAP4 form of the `Mailbox` port (RFC 3501, RFC 4315, RFC 9051).

Messages are named by UID under their UIDVALIDITY and read with PEEK. The folder is opened with EXAMINE; the first
marking opens it again with SELECT. It is never closed with CLOSE, which would expunge.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from shared.connectors._imap_connection import Connection, Refusal
from shared.connectors._imap_folder import open_folder
from shared.connectors._imap_marks import flags_of, is_kept, search_of, target_of
from shared.connectors._imap_rights import hindrances
from shared.connectors._imap_text import cursor_of, item_of, uid_after, uid_of, uid_sets
from shared.connectors._text import header_of
from shared.errors import ConfigInvalid, MessageError, MessageGone, Unavailable, Unreadable
from shared.model import Disposition, Listing, MessageKey, MessageRef, Pick, Picking, RawMessage
from shared.ports import Disposed, Fetched, Hindrance

#: One FETCH asks for at most this many messages and, unless it is a single one, octets.
_BATCH_COUNT, _BATCH_OCTETS = 100, 10_000_000
#: What a header counts for, when only that is fetched.
_HEADER_OCTETS = 64_000
#: How many messages one question for sizes and dates is about.
_FACTS_COUNT = 500
#: How often one session replaces a lost connection to find the message that kills it.
_REOPENINGS = 12

_WHOLE, _HEADER = ("BODY.PEEK[]", b"BODY[]"), ("BODY.PEEK[HEADER]", b"BODY[HEADER]")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Facts:
    size: int | None = None
    received: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One message to fetch: as it was asked for, and with what the server says of it.

    ``uid`` is None where the folder has no such message any more.
    """

    asked: MessageRef
    known: MessageRef
    uid: int | None
    header_only: bool

    @property
    def octets(self) -> int:
        """What it counts for in a batch; an unknown size fills one."""
        size = _BATCH_OCTETS if self.known.size is None else self.known.size
        return min(size, _HEADER_OCTETS) if self.header_only else size


class ImapMailbox:
    """See `shared.ports.Mailbox`. Connects at once; ``dial`` gives a signed-in connection."""

    def __init__(self, dial: Callable[[], Connection], *, folder: str, job_id: str, identity: str) -> None:
        self._dial = dial
        self._job_id = job_id
        self.identity = identity
        self._reopenings = 0
        self._writable = False
        #: Folders that messages are moved to, by the names that people gave them.
        self._targets: dict[str, str] = {}
        self._connection = dial()
        try:
            self._folder = open_folder(self._connection, folder, writable=False)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def candidates(self, picking: Picking) -> Listing:
        """See `Mailbox.candidates`. ``in_box`` is what the folder held when this session opened it."""
        if picking.pick is Pick.UNREAD:
            return Listing(tuple(map(self._ref, sorted(self._search("UNSEEN UNDELETED")))), self._folder.exists)
        era = self._folder.uidvalidity
        after = uid_after(picking.cursor, era)
        # The server compares dates alone, in a time zone of its own choice; the exact instant is ours to compare.
        day = (picking.since - timedelta(days=1)).date()
        found = self._search(["UNDELETED", "SINCE", day, "UID", f"{after + 1}:*"])
        # n:* names the last message even when its UID is below n (RFC 3501 section 6.4.8).
        uids = sorted(uid for uid in found if uid > after)
        facts = self._facts(uids)
        since = picking.since.replace(microsecond=0)
        refs = [
            replace(self._ref(uid), size=fact.size, received=fact.received)
            for uid in uids
            if (fact := facts.get(uid, _Facts())).received is None or fact.received >= since
        ]
        newest = max(after, (self._folder.uidnext or 1) - 1, *uids[-1:])
        return Listing(tuple(refs), self._folder.exists, cursor_of(era, newest))

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:
        """See `Mailbox.fetch`."""
        for start in range(0, len(refs), _FACTS_COUNT):
            part = refs[start : start + _FACTS_COUNT]
            facts = self._facts([uid for ref in part if ref.size is None and (uid := self._uid(ref))])
            for batch in _batches(self._wanted(ref, facts, max_bytes) for ref in part):
                yield from self._fetch(batch, max_bytes)

    def dispose(self, refs: Sequence[MessageRef], disposition: Disposition) -> Sequence[Disposed]:
        """See `Mailbox.dispose`. One SEARCH after each STORE tells which messages are there and bear the marks."""
        flags = flags_of(disposition)
        if not disposition.marks:
            return [Disposed(ref) for ref in refs]
        self._open_for_writing(flags)
        target = self._target(disposition.move_to) if disposition.move_to else ""
        uids = {ref: self._uid(ref) for ref in refs}
        done: set[int] = set()
        reason = "the mark did not stay"
        for chosen in uid_sets(filter(None, uids.values())):
            refusal = self._try("marking messages", self._client.add_flags, chosen, flags, silent=True) if flags else ""
            marked = self._search(f"UID {chosen} {search_of(flags)}".strip())
            for part in uid_sets(marked) if target else ():
                refusal = self._try("moving messages", self._client.move, part, target) or refusal
            done |= marked - self._present(marked) if target else marked
            reason = refusal or reason
        present = self._present(uid for uid in uids.values() if uid and uid not in done)

        def answer(ref: MessageRef) -> Disposed:
            uid = uids[ref]
            if uid in done:
                return Disposed(ref)
            if uid not in present:
                return Disposed(ref, _gone(ref))
            return Disposed(ref, MessageError(f"Message {ref.key.item} could not be marked: {reason}."))

        return [answer(ref) for ref in refs]

    def _try(self, doing: str, call: Callable[..., Any], *args: Any, **options: Any) -> str:
        """Do it; an empty text, or why the server refused. Messages that it is done to all the same are found after."""
        try:
            self._ask(doing, call, *args, **options)
        except Refusal as refusal:
            if refusal.temporary:
                raise
            return refusal.what.rstrip(".")
        return ""

    def _target(self, name: str) -> str:
        if name not in self._targets:
            self._targets[name] = target_of(self._connection, name)
        return self._targets[name]

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        r"""See `Mailbox.purge`. Without UIDPLUS, EXPUNGE takes every ``\Deleted`` message: so only if all are ours."""
        self._open_for_writing(["\\Deleted"])
        uids = {ref: self._uid(ref) for ref in refs}
        ours: set[int] = set()
        for chosen in uid_sets(filter(None, uids.values())):
            ours |= self._search(f"UID {chosen} DELETED")
        reason = self._expunge(ours) if ours else ""
        if not reason:
            return [Disposed(ref) for ref in refs]
        _log.warning("%d purged messages were left in %s: %s", len(ours), self.identity, reason)
        return [
            Disposed(ref, MessageError(f"Message {ref.key.item} was left: {reason}") if uids[ref] in ours else None)
            for ref in refs
        ]

    def still_there(self, refs: Sequence[MessageRef]) -> frozenset[MessageKey]:
        """See `Mailbox.still_there`. A UID never comes back (RFC 9051 section 2.3.1.1); an earlier UIDVALIDITY may.

        It does where a folder that was renamed away gets its name back.
        """
        uids = {ref.key: self._uid(ref) for ref in refs}
        present = self._present(uids.values())
        return frozenset(key for key, uid in uids.items() if uid is None or uid in present)

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:
        """See `Mailbox.hindrances`."""
        self._writable = False
        return list(hindrances(self._connection, self._folder.name, disposition))

    def _expunge(self, uids: set[int]) -> str:
        """Remove these, all of them marked; an empty text, or why not."""
        try:
            if self._ask("asking for capabilities", self._client.has_capability, "UIDPLUS"):
                for chosen in uid_sets(uids):
                    self._ask("purging", self._client.uid_expunge, chosen)
                return ""
            others = len(self._search("DELETED") - uids)
            if others:
                return (
                    f"the server cannot expunge single messages (no UIDPLUS), and {others} that this job did not "
                    "mark are marked as deleted too. Expunge or restore those by hand."
                )
            self._ask("purging", self._client.expunge)
        except Refusal as refusal:
            if refusal.temporary:
                raise
            return refusal.what
        return ""

    def _fetch(self, batch: Sequence[_Wanted], max_bytes: int) -> list[Fetched]:
        wholes = self._parts([want.uid for want in batch if want.uid and not want.header_only], _WHOLE)
        headers = self._parts([want.uid for want in batch if want.uid and want.header_only], _HEADER)
        parts = {**wholes, **headers}
        # Left out of the answer means gone, or that the server cannot read it: a search tells which.
        present = self._present(want.uid for want in batch if want.uid and want.uid not in parts)

        def answer(want: _Wanted) -> Fetched:
            asked, known = want.asked, want.known
            part = parts.get(want.uid) if want.uid else None
            if want.uid not in parts and want.uid not in present:
                return Fetched(asked, error=_gone(asked))
            if isinstance(part, MessageError):
                return Fetched(asked, error=part)
            if not isinstance(part, bytes) or (not part and not want.header_only and known.size != 0):
                return Fetched(asked, error=Unreadable(f"The server lists message {asked.key.item} but gives no body."))
            if want.header_only:
                raw = RawMessage(known, part, max(known.size or 0, len(part)), header_only=True)
            elif len(part) > max_bytes:
                raw = RawMessage(known, header_of(part), len(part), header_only=True)
            else:
                raw = RawMessage(known, part, len(part))
            return Fetched(asked, raw)

        return [answer(want) for want in batch]

    def _parts(
        self, uids: Sequence[int], part: tuple[str, bytes], *, lost: bool = False
    ) -> Mapping[int, bytes | MessageError | None]:
        """One part of each message; a message without an answer is left out. A bad one is searched out by halves.

        A message over which the connection is lost twice is answered with `Unreadable`, so that it stops nobody else.
        """
        if not uids:
            return {}
        asked, key = part
        fault: Unavailable
        try:
            answers = self._ask("fetching messages", self._client.fetch, uids, [asked])
            return {uid: answer[key] for uid, answer in answers.items() if key in answer}
        except Refusal as refusal:
            if refusal.temporary:
                raise
            fault = refusal
        except Unavailable as exc:
            self._reopen(exc)
            if len(uids) == 1 and not lost:
                return self._parts(uids, part, lost=True)
            fault, lost = exc, True
        if len(uids) == 1:
            return {uids[0]: Unreadable(f"UID {uids[0]} cannot be fetched: {fault.what}")}
        middle = len(uids) // 2
        return {**self._parts(uids[:middle], part, lost=lost), **self._parts(uids[middle:], part, lost=lost)}

    def _reopen(self, lost: Unavailable) -> None:
        if self._reopenings == _REOPENINGS:
            raise lost
        self._reopenings += 1
        self._connection.close()
        try:
            self._connection = self._dial()
        except Unavailable as exc:
            raise lost from exc
        self._select()

    def _select(self) -> None:
        """Open the folder once more: what is in hand must still mean the same messages."""
        folder = open_folder(self._connection, self._folder.name, writable=self._writable)
        if folder.uidvalidity != self._folder.uidvalidity:
            raise Unavailable(f"The folder {folder.name!r} was replaced by another one during the run.")
        self._folder = folder

    def _open_for_writing(self, flags: Sequence[str]) -> None:
        if not self._writable:
            self._writable = True
            self._select()
        for flag in flags:
            if not is_kept(self._folder, flag):
                mark = flag.removeprefix("\\")
                raise ConfigInvalid(
                    f"The server lets nobody mark messages as {mark} in the folder {self._folder.name!r}, or not us.",
                    remedy="Give the account the right to do so, or have the job leave messages as they are.",
                )

    def _facts(self, uids: Sequence[int]) -> Mapping[int, _Facts]:
        """Size and date of each message, as far as the server tells."""
        found: dict[int, _Facts] = {}
        for start in range(0, len(uids), _FACTS_COUNT):
            part = uids[start : start + _FACTS_COUNT]
            try:
                answers = self._ask("asking for sizes", self._client.fetch, part, ["RFC822.SIZE", "INTERNALDATE"])
            except Refusal as refusal:
                if refusal.temporary:
                    raise
                continue
            found |= {uid: _facts_in(answer) for uid, answer in answers.items()}
        return found

    def _wanted(self, ref: MessageRef, facts: Mapping[int, _Facts], max_bytes: int) -> _Wanted:
        uid = self._uid(ref)
        fact = facts.get(uid, _Facts()) if uid else _Facts()
        known = replace(ref, size=fact.size if ref.size is None else ref.size, received=ref.received or fact.received)
        return _Wanted(ref, known, uid, header_only=known.size is not None and known.size > max_bytes)

    def _present(self, uids: Iterable[int | None]) -> set[int]:
        present: set[int] = set()
        for chosen in uid_sets(filter(None, uids)):
            present |= self._search(f"UID {chosen}")
        return present

    def _search(self, criteria: str | list[str | date]) -> set[int]:
        return set(self._ask("searching", self._client.search, criteria))

    def _ask(self, doing: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return self._connection.ask(doing, call, *args, **options)

    @property
    def _client(self) -> Any:
        return self._connection.client

    def _uid(self, ref: MessageRef) -> int | None:
        """None for a message of another folder or UIDVALIDITY: its UID would name a stranger here."""
        return uid_of(ref.handle, self._folder.uidvalidity) if ref.key.mailbox == self.identity else None

    def _ref(self, uid: int) -> MessageRef:
        item = item_of(self._folder.uidvalidity, uid)
        return MessageRef(MessageKey(self._job_id, self.identity, item), handle=item)


def _gone(ref: MessageRef) -> MessageGone:
    return MessageGone(f"Message {ref.key.item} is no longer in the folder.")


def _facts_in(answer: Mapping[bytes, Any]) -> _Facts:
    size, received = answer.get(b"RFC822.SIZE"), answer.get(b"INTERNALDATE")
    try:
        moment = received.astimezone(UTC) if isinstance(received, datetime) and received.tzinfo else None
    except OverflowError:
        moment = None
    return _Facts(size if isinstance(size, int) else None, moment)


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
