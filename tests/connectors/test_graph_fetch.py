"""Fetching messages by Microsoft Graph: batches, streams, and messages that will not come."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.errors import MessageGone, Unavailable, Unreadable
from shared.model import MessageKey, MessageRef
from shared.ports import Fetched, Mailbox
from tests.connectors.graph_jobs import ADDRESS, UNREAD, open_graph
from tests.servers.graph import Fault, Graph, graph
from tests.servers.graph_store import Store

__all__ = ["graph"]

LIMIT = 1_000_000
BATCH, VALUE = r"POST /\$batch", r"GET .*/\$value"


@pytest.fixture
def store(graph: Graph) -> Store:
    """An empty mailbox."""
    return graph.new_mailbox(ADDRESS)


@pytest.fixture
def mailbox(graph: Graph, store: Store) -> Iterator[Mailbox]:
    """A session with it."""
    with open_graph(graph) as opened:
        yield opened


def _mail(size: int) -> bytes:
    return b"Subject: s\r\n\r\n" + b"0123456789abcd\r\n" * (size // 16)


def _kinds(answers: list[Fetched]) -> list[type]:
    return [type(one.error) if one.error else bytes for one in answers]


def _fetch(mailbox: Mailbox, *, max_bytes: int = LIMIT) -> list[Fetched]:
    return list(mailbox.fetch(mailbox.candidates(UNREAD).refs, max_bytes=max_bytes))


def test_small_messages_come_twenty_at_a_time(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """Their sizes are known from the listing, so nothing but their content is asked for."""
    for _ in range(45):
        store.deliver(None)
    answers = _fetch(mailbox)
    assert [one.raw.data for one in answers if one.raw] == [item.mime for item in store.items.values()]
    assert graph.count(BATCH) == 3
    assert graph.count(VALUE) == 45
    assert graph.most_at_once == 4


def test_large_messages_come_alone(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """Between small ones, in the order asked for, and never more at once than the service allows."""
    for size in (10, 2_000_000, 10, 3_000_000, 10):
        store.deliver(_mail(size))
    answers = _fetch(mailbox, max_bytes=5_000_000)
    assert [one.raw.data for one in answers if one.raw] == [item.mime for item in store.items.values()]
    assert graph.count(BATCH) == 3
    assert graph.most_at_once <= 4


def test_a_batch_is_bounded_by_octets_too(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """Of messages of nearly 1 MB it takes four: memory is that of some MB, however many there are."""
    for _ in range(12):
        store.deliver(_mail(900_000))
    assert _kinds(_fetch(mailbox)) == [bytes] * 12
    assert graph.count(BATCH) == 3


def test_nothing_is_fetched_ahead_of_the_caller(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """The batch in hand, and no other."""
    for _ in range(60):
        store.deliver(None)
    answers = mailbox.fetch(mailbox.candidates(UNREAD).refs, max_bytes=LIMIT)
    next(iter(answers))
    assert graph.count(VALUE) == 20


def test_what_is_far_over_the_limit_is_not_fetched_at_all(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """Its header comes from what Graph knows of it."""
    store.deliver(_mail(90_000))
    (answer,) = _fetch(mailbox, max_bytes=10_000)
    assert answer.raw
    assert (answer.raw.header_only, answer.raw.size > 90_000) == (True, True)
    assert b"Subject: s\r\n" in answer.raw.data
    assert graph.count(VALUE) == 0


@pytest.mark.parametrize("size", [15_000, 1_500_000])
def test_what_may_be_over_the_limit_is_fetched_up_to_it(
    graph: Graph, store: Store, mailbox: Mailbox, size: int
) -> None:
    """The size in the store says little of the MIME's: what proves to be too large keeps its own header."""
    store.deliver(_mail(size))
    (answer,) = _fetch(mailbox, max_bytes=size - 5_000)
    assert answer.raw
    assert answer.raw.header_only
    assert answer.raw.size > size - 5_000
    assert answer.raw.data == next(iter(store.items.values())).mime.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def test_a_message_that_vanished_is_gone_and_harms_no_other(store: Store, mailbox: Mailbox) -> None:
    """In a batch, alone, and when even its size is asked for."""
    items = [store.deliver(_mail(size)) for size in (10, 10, 2_000_000, 10)]
    refs = mailbox.candidates(UNREAD).refs
    for item in (items[1], items[2]):
        store.remove(item)
    kinds = [bytes, MessageGone, MessageGone, bytes]
    assert _kinds(list(mailbox.fetch(refs, max_bytes=5_000_000))) == kinds
    assert _kinds(list(mailbox.fetch([MessageRef(ref.key, ref.handle) for ref in refs], max_bytes=LIMIT))) == kinds


def test_a_message_that_a_person_moved_is_still_fetched(store: Store, mailbox: Mailbox) -> None:
    """Its immutable id is good in the whole mailbox."""
    item = store.deliver(None)
    refs = mailbox.candidates(UNREAD).refs
    store.move(item, "archive")
    assert _kinds(list(mailbox.fetch(refs, max_bytes=LIMIT))) == [bytes]


def test_what_was_never_an_id_of_graph_is_gone(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """An id of EWS that the ledger still holds, or of another folder of the job, names nobody here."""
    store.deliver(None)
    (ref,) = mailbox.candidates(UNREAD).refs
    ews = replace(ref, handle="AAMkAGI/ews+id", size=None)
    foreign = replace(ref, key=MessageKey("job", ref.key.mailbox + "/old", ref.key.item))
    assert _kinds(list(mailbox.fetch([ews, foreign, ref], max_bytes=LIMIT))) == [MessageGone, MessageGone, bytes]
    assert graph.count(VALUE) == 1


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_an_empty_body_is_unreadable_not_gone(store: Store, mailbox: Mailbox, size: int) -> None:
    """It is announced but not given: tried again, never deleted."""
    store.deliver(_mail(size)).twisted = b"\r\n"
    store.deliver(None)
    answers = _fetch(mailbox, max_bytes=5_000_000)
    assert _kinds(answers) == [Unreadable, bytes]
    assert "gives no content" in str(answers[0].error)


@pytest.mark.parametrize("octets", [b"Subject: a\r\n\r\n\xff\xfe\x00bad\r\n", b"Subject: plain\r\n\r\ntext\r\n"])
def test_text_within_a_batch_is_as_good_as_base64(graph: Graph, store: Store, mailbox: Mailbox, octets: bytes) -> None:
    """Where the octets cannot be told from the text, the message is fetched by itself: never a changed byte."""
    graph.service.batch_text = True
    store.deliver(octets)
    (answer,) = _fetch(mailbox)
    assert answer.raw
    assert answer.raw.data.endswith(octets)
    assert graph.count(VALUE) == (1 if octets.isascii() else 2)


@pytest.mark.parametrize(
    ("status", "code"), [(500, "ErrorInternalServerError"), (400, "ErrorMimeContentConversionFailed")]
)
def test_a_message_that_graph_cannot_convert_stops_nobody_else(
    graph: Graph, store: Store, mailbox: Mailbox, status: int, code: str
) -> None:
    """Tried again within the batch and alone, then it is unreadable, with what Graph said."""
    bad, *_ = [store.deliver(None) for _ in range(3)]
    match = f"GET .*{bad.immutable}/\\$value"
    graph.script(
        Fault(match, status=status, code=code, times=99, inside=True), Fault(match, status=status, code=code, times=99)
    )
    answers = _fetch(mailbox)
    assert _kinds(answers) == [Unreadable, bytes, bytes]
    assert code in str(answers[0].error)


def test_a_message_over_which_the_connection_dies_stops_nobody_else(
    graph: Graph, store: Store, mailbox: Mailbox
) -> None:
    """Graph answers otherwise, so it is this message: unreadable, and the rest comes."""
    store.deliver(_mail(2_000_000))
    store.deliver(None)
    graph.script(Fault(VALUE, how="cut", times=4))
    assert _kinds(_fetch(mailbox, max_bytes=5_000_000)) == [Unreadable, bytes]


def test_a_batch_over_which_the_connection_dies_is_taken_apart(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """Each of its messages comes alone, the header of one that is too large as well."""
    for size in (10, 90_000, 10):
        store.deliver(_mail(size))
    vanished = store.deliver(None)
    refs = mailbox.candidates(UNREAD).refs
    store.remove(vanished)
    graph.script(Fault(BATCH, how="cut", times=4))
    answers = list(mailbox.fetch(refs, max_bytes=10_000))
    assert _kinds(answers) == [bytes, bytes, bytes, MessageGone]
    assert [one.raw.header_only for one in answers if one.raw] == [False, True, False]
    assert graph.count(VALUE) == 4 * 3 + 3


def test_when_graph_is_away_no_message_is_blamed(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """Nothing answers at all: the run ends, and each message keeps its attempts."""
    store.deliver(_mail(2_000_000))
    refs = mailbox.candidates(UNREAD).refs
    graph.script(Fault(".*", how="drop", times=99))
    with pytest.raises(Unavailable, match="was lost"):
        list(mailbox.fetch(refs, max_bytes=5_000_000))


def test_a_cut_is_mended_by_asking_again(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """Once is no reason to give up on anything."""
    store.deliver(_mail(2_000_000))
    store.deliver(None)
    graph.script(Fault(VALUE, how="cut"), Fault(BATCH, how="drop"))
    assert _kinds(_fetch(mailbox, max_bytes=5_000_000)) == [bytes] * 2
