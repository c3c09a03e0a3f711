"""Fetching messages from Microsoft Graph as MIME: small ones by the batch, large ones alone and as a stream."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from shared.connectors._graph_answers import Answer
from shared.connectors._graph_client import Call, Client, Lost
from shared.connectors._graph_folder import Folder, user_path
from shared.connectors._graph_text import (
    envelope_query,
    facts_query,
    header_from,
    header_of,
    mime_in,
    query,
    received_in,
    size_in,
)
from shared.errors import MessageError, MessageGone, Unreadable
from shared.model import MessageRef, RawMessage
from shared.ports import Fetched

#: One batch asks for at most this many messages and octets; an answer takes a third more of both on its way (base64).
_BATCH_COUNT, _BATCH_OCTETS = 20, 4_000_000
#: Larger ones are fetched alone.
_SMALL = 1_000_000
#: The store's size is no limit on that of the MIME: attachments grow by a third, but text is stored twice or more. So
#: only what is surely too large is not fetched at all; of the rest the fetch itself ends at the limit.
_SURELY = 2
#: How many messages are asked for their sizes before any of them is fetched.
_FACTS_COUNT = 100


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One message to fetch: as it was asked for, and with what the server says of it."""

    asked: MessageRef
    known: MessageRef
    gone: bool
    #: Its size is so far over the limit that only a header is wanted.
    over: bool

    @property
    def alone(self) -> bool:
        """Whether it is too large, or may be, to share a batch."""
        return not self.gone and not self.over and (self.known.size is None or self.known.size > _SMALL)

    @property
    def octets(self) -> int:
        """What it counts for in a batch."""
        return 0 if self.gone or self.over else self.known.size or 0


def message_path(client: Client, ref: MessageRef) -> str:
    """The address of a message, wherever in the mailbox it is."""
    return f"{user_path(client.place.mailbox)}/messages/{quote(ref.handle, safe='=')}"


def gone(ref: MessageRef) -> MessageGone:
    """The answer for a message that is not there."""
    return MessageGone(f"Message {ref.key.item} is no longer in the mailbox.")


class Fetch:
    """One call of `Mailbox.fetch`. ``identity`` is the mailbox whose keys are meant."""

    def __init__(self, client: Client, folder: Folder, *, identity: str, max_bytes: int) -> None:
        self._client = client
        self._folder = folder
        self._identity = identity
        self._max_bytes = max_bytes

    def answers(self, refs: Sequence[MessageRef]) -> Iterator[Fetched]:
        """One answer for each, in their order."""
        for start in range(0, len(refs), _FACTS_COUNT):
            for batch in _batches(self._wanted(refs[start : start + _FACTS_COUNT])):
                if batch[0].alone:
                    yield self._alone(batch[0])
                else:
                    yield from self._together(batch)

    def _wanted(self, refs: Sequence[MessageRef]) -> list[_Wanted]:
        """With sizes, which refs of an earlier run do not have."""
        asked = [ref for ref in refs if ref.size is None and ref.key.mailbox == self._identity]
        calls = [Call(message_path(self._client, ref) + facts_query()) for ref in asked]
        found = dict(zip(asked, self._client.batch(calls, "asking for sizes"), strict=True))

        def wanted(ref: MessageRef) -> _Wanted:
            answer = found.get(ref, Answer(200))
            facts = answer.body if answer.ok and isinstance(answer.body, dict) else {}
            size = size_in(facts) if ref.size is None else ref.size
            known = replace(ref, size=size, received=ref.received or received_in(facts))
            over = size is not None and size > _SURELY * self._max_bytes
            return _Wanted(ref, known, gone=answer.gone or ref.key.mailbox != self._identity, over=over)

        return [wanted(ref) for ref in refs]

    def _together(self, batch: Sequence[_Wanted]) -> list[Fetched]:
        there = [want for want in batch if not want.gone]
        calls = [
            Call(message_path(self._client, want.known) + (envelope_query() if want.over else "/$value"))
            for want in there
        ]
        try:
            found = dict(zip(there, self._client.batch(calls, "fetching messages"), strict=True))
        except Lost:
            # One of them may be what the connection does not survive: each by itself, it harms no other.
            return [self._alone(want) for want in batch]
        return [self._judge(want, found[want]) if want in found else _missing(want) for want in batch]

    def _judge(self, want: _Wanted, answer: Answer) -> Fetched:
        if answer.gone:
            return _missing(want)
        if want.over:
            if not answer.ok or not isinstance(answer.body, dict):
                return self._unreadable(want, f"Microsoft Graph answers {answer}")
            size = max(want.known.size or 0, self._max_bytes + 1)
            return Fetched(want.asked, RawMessage(want.known, header_from(answer.body), size, header_only=True))
        data = mime_in(answer.body) if answer.ok else None
        # Not understood within a batch does not mean that it cannot be read.
        return self._alone(want) if data is None else self._read(want, data)

    def _alone(self, want: _Wanted) -> Fetched:
        if want.gone:
            return _missing(want)
        if want.over:
            answer = self._client.ask(Call(message_path(self._client, want.known) + envelope_query()), "fetching")
            return self._judge(want, answer)
        path = message_path(self._client, want.known) + "/$value"
        try:
            answer = self._client.read(path, "fetching a message", most=self._max_bytes)
        except Lost as lost:
            # Raises where Graph is away altogether; else it is this message.
            self._client.get(self._folder.path + query(select="id"), "looking whether Graph answers")
            return self._unreadable(want, lost.what.rstrip("."))
        if answer.gone:
            return _missing(want)
        if not answer.ok:
            return self._unreadable(want, f"Microsoft Graph answers {answer}")
        return self._read(want, answer.body if isinstance(answer.body, bytes) else b"")

    def _read(self, want: _Wanted, data: bytes) -> Fetched:
        if not data.strip():
            return self._unreadable(want, "Microsoft Graph lists it but gives no content")
        if len(data) <= self._max_bytes:
            return Fetched(want.asked, RawMessage(want.known, data, len(data)))
        size = max(want.known.size or 0, len(data))
        return Fetched(want.asked, RawMessage(want.known, header_of(data), size, header_only=True))

    def _unreadable(self, want: _Wanted, why: str) -> Fetched:
        error: MessageError = Unreadable(f"Message {want.asked.key.item} cannot be fetched: {why}.")
        return Fetched(want.asked, error=error)


def _missing(want: _Wanted) -> Fetched:
    return Fetched(want.asked, error=gone(want.asked))


def _batches(wanted: Iterable[_Wanted]) -> Iterator[list[_Wanted]]:
    """Cut into batches within both bounds; one that goes alone is a batch of its own."""
    batch: list[_Wanted] = []
    octets = 0
    for want in wanted:
        full = len(batch) == _BATCH_COUNT or octets + want.octets > _BATCH_OCTETS
        if batch and (full or want.alone or batch[0].alone):
            yield batch
            batch, octets = [], 0
        batch.append(want)
        octets += want.octets
    if batch:
        yield batch
