"""Fetching a batch of messages within POP3 sessions: RETR, or TOP for the header of one that is too large."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from shared.connectors._pop_connection import Refusal
from shared.connectors._pop_session import Listed, Session
from shared.connectors._pop_text import Body
from shared.connectors._text import header_of
from shared.errors import Unreadable
from shared.model import MessageRef, RawMessage
from shared.ports import Fetched

#: One batch has at most this many messages and, unless it is a single one, octets.
_BATCH_COUNT, _BATCH_OCTETS = 100, 10_000_000
#: What a header counts for, when only that is fetched.
_HEADER_OCTETS = 64_000
_DOING = "fetching messages"


@dataclass(slots=True)
class Batch:
    """Messages that are asked for together. What has its answer keeps it, whatever becomes of the session."""

    refs: Sequence[MessageRef]
    max_bytes: int
    answers: dict[MessageRef, Fetched] = field(default_factory=dict)
    refused: dict[MessageRef, Refusal] = field(default_factory=dict)
    #: Too large, and the server gives no header alone: its beginning is kept, the rest read and dropped.
    _without_top: set[MessageRef] = field(default_factory=set)

    @property
    def left(self) -> list[MessageRef]:
        """What nothing is known of yet, in the order in which it is asked for."""
        return [ref for ref in self.refs if ref not in self.answers and ref not in self.refused]

    def ask(self, session: Session, listed: Mapping[MessageRef, Listed]) -> None:
        """Ask for these. Raises `Unavailable` at the first message of `left` that the connection did not survive."""
        asked = [(ref, one, self._as_header(ref, one)) for ref, one in listed.items()]
        connection = session.connection

        def hear(index: int) -> None:
            ref, one, as_header = asked[index]
            try:
                connection.hear(_DOING)
            except Refusal as refusal:
                if as_header:
                    self._without_top.add(ref)
                else:
                    self.refused[ref] = refusal
                return
            if not as_header:
                session.retrieved.add(ref.key.item)
            body = connection.hear_body(keep=self.max_bytes)
            self.answers[ref] = _fetched(ref, one, body, as_header=as_header, max_bytes=self.max_bytes)

        commands = [f"TOP {one.number} 0" if as_header else f"RETR {one.number}" for _, one, as_header in asked]
        connection.ask_many(_DOING, commands, hear)

    def _as_header(self, ref: MessageRef, listed: Listed) -> bool:
        return listed.size is not None and listed.size > self.max_bytes and ref not in self._without_top


def _fetched(ref: MessageRef, listed: Listed, body: Body, *, as_header: bool, max_bytes: int) -> Fetched:
    known = replace(ref, size=listed.size if ref.size is None else ref.size)
    if as_header or body.size > max_bytes:
        size = max(listed.size or 0, body.size) if as_header else body.size
        return Fetched(ref, RawMessage(known, header_of(body.data), size, header_only=True))
    if not body.data and listed.size != 0:
        return Fetched(ref, error=Unreadable(f"The server lists message {ref.key.item} but gives no body."))
    return Fetched(ref, RawMessage(known, body.data, body.size))


def batches(refs: Iterable[tuple[MessageRef, int | None]], max_bytes: int) -> Iterator[Batch]:
    """Cut messages with their sizes into batches within both bounds; one of unknown size has a batch of its own."""
    batch: list[MessageRef] = []
    octets = 0
    for ref, size in refs:
        counts = _BATCH_OCTETS if size is None else min(size, _HEADER_OCTETS) if size > max_bytes else size
        if batch and (len(batch) == _BATCH_COUNT or octets + counts > _BATCH_OCTETS):
            yield Batch(batch, max_bytes)
            batch, octets = [], 0
        batch.append(ref)
        octets += counts
    if batch:
        yield Batch(batch, max_bytes)
