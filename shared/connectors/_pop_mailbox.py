"""The POP3 form of the `Mailbox` port (RFC 1939).

Messages are named by UIDL; their numbers are looked up anew in each session. DELE marks within a session, and only
QUIT removes. So QUIT is said at one point alone, at the end of `PopMailbox.purge`, and only in a session that has
retrieved and marked nothing but what is to go: a server may remove what was retrieved, too (section 8).
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from shared.connectors._pop_connection import Connection, Refusal
from shared.connectors._pop_fetch import Batch, batches
from shared.connectors._pop_session import NO_UIDL, Listed, Session, begin
from shared.connectors._pop_text import handle_of, may_be
from shared.errors import JobError, MessageError, MessageGone, Unavailable, Unreadable
from shared.model import Disposition, Listing, MessageKey, MessageRef, Picking
from shared.ports import Disposed, Fetched, Hindrance

#: How often one mailbox replaces a lost connection, or looks from a second session what became of a message.
_REOPENINGS = 12

_log = logging.getLogger(__name__)


class PopMailbox:
    """See `shared.ports.Mailbox`. Connects at once; ``dial`` gives a signed-in connection."""

    def __init__(self, dial: Callable[[], Connection], *, job_id: str, identity: str) -> None:
        self._dial = dial
        self._job_id = job_id
        self.identity = identity
        self._reopenings = 0
        self._open: Session | None = begin(dial())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def candidates(self, picking: Picking) -> Listing:  # noqa: ARG002 - the protocol knows neither read marks nor dates
        """See `Mailbox.candidates`: every message that the session lists."""
        session = self._session
        refs = (
            MessageRef(MessageKey(self._job_id, self.identity, uidl), handle_of(uidl, listed.size), listed.size)
            for uidl, listed in session.listed.items()
        )
        return Listing(tuple(refs), session.in_box)

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:
        """See `Mailbox.fetch`."""
        for batch in batches(((ref, self._size(ref)) for ref in refs), max_bytes):
            self._fetch(batch)
            for ref in batch.refs:
                yield batch.answers[ref]
                # The answer is the caller's now; what is in hand here shrinks with each.
                batch.answers[ref] = Fetched(ref)

    def dispose(self, refs: Sequence[MessageRef], disposition: Disposition) -> Sequence[Disposed]:
        """See `Mailbox.dispose`. There are no read marks; ``deleted`` is a DELE in this session."""
        if not disposition.deleted:
            return [Disposed(ref) for ref in refs]
        errors = self._mark(refs)
        return [Disposed(ref, errors.get(ref)) for ref in refs]

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        """See `Mailbox.purge`. The marks of earlier sessions ended with them, so all are set again; QUIT commits.

        A lost QUIT raises `Unavailable`: whether it took effect, the next session's listing tells. When something is
        asked for after a QUIT, a new session begins.
        """
        if not refs:
            return []
        ours = {ref.key.item for ref in self._find(refs, same=True)[0]}
        if (self._session.retrieved | self._session.marked) - ours:
            self._leave()
        errors = self._mark(refs)
        if self._session.marked:
            errors = {**self._commit(refs), **errors}
        # Gone, be it before or in between, is what was wanted.
        return [Disposed(ref, None if isinstance(error := errors.get(ref), MessageGone) else error) for ref in refs]

    def still_there(self, refs: Sequence[MessageRef]) -> frozenset[MessageKey]:
        """See `Mailbox.still_there`. The session has listed every message; one without UIDL may be any of ``refs``."""
        listed = self._session.listed
        return frozenset(
            ref.key for ref in refs if NO_UIDL in listed or ref.key.item in listed or ref.key.mailbox != self.identity
        )

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:  # noqa: ARG002 - the protocol has no rights
        """See `Mailbox.hindrances`: whoever may sign in may delete."""
        return ()

    def _mark(self, refs: Sequence[MessageRef]) -> Mapping[MessageRef, MessageError]:
        """DELE for those of ``refs`` that this session has not marked yet; the errors of those that it could not."""
        session = self._session
        found, errors = self._find(refs, same=True)
        todo = [(ref, listed) for ref, listed in found.items() if ref.key.item not in session.marked]
        refused: dict[MessageRef, Refusal] = {}
        doing = "marking messages as deleted"

        def hear(index: int) -> None:
            ref, _ = todo[index]
            try:
                session.connection.hear(doing)
                session.marked.add(ref.key.item)
            except Refusal as refusal:
                refused[ref] = refusal

        session.connection.ask_many(doing, [f"DELE {listed.number}" for _, listed in todo], hear)
        return {**errors, **self._explain(refused)}

    def _commit(self, refs: Sequence[MessageRef]) -> Mapping[MessageRef, MessageError]:
        """QUIT. Where the server says that it did not remove everything, all of ``refs`` are asked for again later."""
        try:
            self._session.connection.quit()
        except Refusal as refusal:
            _log.warning("The deletions in %s were not all committed: %s", self.identity, refusal.said)
            return {ref: MessageError(f"Message {ref.key.item} may be there still: {refusal.what}") for ref in refs}
        finally:
            self._leave()
        return {}

    def _fetch(self, batch: Batch) -> None:
        """Answer every message of the batch.

        One over which the connection is lost twice, the second time alone, is answered with `Unreadable`.
        """
        suspect: MessageRef | None = None
        while left := batch.left:
            found, errors = self._find([suspect] if suspect else left)
            batch.answers.update({ref: Fetched(ref, error=error) for ref, error in errors.items()})
            try:
                batch.ask(self._session, found)
            except Unavailable as lost:
                culprit = batch.left[0]
                self._reopen(lost)
                if culprit == suspect:
                    reason = f"Message {culprit.key.item} cannot be fetched: {lost.what}"
                    batch.answers[culprit] = Fetched(culprit, error=Unreadable(reason))
                suspect = None if culprit == suspect else culprit
            else:
                suspect = None
        for ref, error in self._explain(batch.refused).items():
            batch.answers[ref] = Fetched(ref, error=error)

    def _explain(self, refused: Mapping[MessageRef, Refusal]) -> Mapping[MessageRef, MessageError]:
        """What it means that the server said no for these, which it lists: gone by now, or another reason.

        Words differ from server to server, so it is asked, in a second session: the first goes on with what it lists
        and has marked. Where the server locks the mailbox there is none, but then nothing can have gone either.
        """
        for refusal in refused.values():
            if refusal.temporary:
                raise refusal
        there = self._look() if refused else None

        def error(ref: MessageRef, refusal: Refusal) -> MessageError:
            if there is not None and ref.key.item not in there:
                return _gone(ref)
            return Unreadable(f"The server refuses message {ref.key.item}: {refusal.what}")

        return {ref: error(ref, refusal) for ref, refusal in refused.items()}

    def _look(self) -> frozenset[str] | None:
        """The UIDLs that a session sees which begins now; None where there can be none."""
        if self._reopenings == _REOPENINGS:
            return None
        self._reopenings += 1
        try:
            second = begin(self._dial())
        except JobError as exc:
            _log.info("No second session on %s: %s", self.identity, exc)
            return None
        second.leave()
        return frozenset(second.listed)

    def _find(
        self, refs: Sequence[MessageRef], *, same: bool = False
    ) -> tuple[Mapping[MessageRef, Listed], Mapping[MessageRef, MessageError]]:
        """Each of ``refs`` as this session lists it, or why not.

        ``same``: it must be the very message that was listed when its ref was made. The flow never deletes one that
        has only the UIDL in common with what was delivered.
        """
        found: dict[MessageRef, Listed] = {}
        errors: dict[MessageRef, MessageError] = {}
        for ref in refs:
            listed = self._listed(ref)
            if listed is None or (same and not may_be(ref.handle, listed.size)):
                errors[ref] = _gone(ref)
            elif listed.fault:
                errors[ref] = Unreadable(f"Message {ref.key.item} is left alone: {listed.fault}.")
            else:
                found[ref] = listed
        return found, errors

    def _listed(self, ref: MessageRef) -> Listed | None:
        return self._session.listed.get(ref.key.item) if ref.key.mailbox == self.identity else None

    def _size(self, ref: MessageRef) -> int | None:
        listed = self._listed(ref)
        return listed.size if listed else 0

    @property
    def _session(self) -> Session:
        if self._open is None:
            self._open = begin(self._dial())
        return self._open

    def _leave(self) -> None:
        session, self._open = self._open, None
        if session:
            session.leave()

    def _reopen(self, lost: Unavailable) -> None:
        if self._reopenings == _REOPENINGS:
            raise lost
        self._reopenings += 1
        self._leave()
        try:
            self._open = begin(self._dial())
        except Unavailable as exc:
            raise lost from exc


def _gone(ref: MessageRef) -> MessageGone:
    return MessageGone(f"Message {ref.key.item} is no longer in the mailbox.")
