"""Throttling, outages and silence: the Graph connector waits as it is told, within the run's time, and no longer."""

import time
from datetime import timedelta
from email.utils import format_datetime
from typing import Literal

import pytest

from shared.errors import AuthFailed, Unavailable
from shared.model import Disposition
from tests.connectors.graph_jobs import ADDRESS, UNREAD, Pauses, open_graph
from tests.servers.graph import Fault, Graph, graph
from tests.servers.graph_store import Store

__all__ = ["graph"]

LIST, BATCH, VALUE = "GET .*/messages\\?", r"POST /\$batch", r"GET .*/\$value"
READ = Disposition(read=True)


@pytest.fixture
def store(graph: Graph) -> Store:
    """A mailbox with five messages."""
    store = graph.new_mailbox(ADDRESS)
    for _ in range(5):
        store.deliver(None)
    return store


@pytest.mark.parametrize("status", [429, 503, 504])
def test_retry_after_is_waited_for(graph: Graph, store: Store, status: int) -> None:
    """As long as Graph says, then the work goes on."""
    pauses = Pauses()
    with open_graph(graph, pauses=pauses) as mailbox:
        graph.script(Fault(LIST, status=status, retry_after="7"))
        assert len(mailbox.candidates(UNREAD).refs) == 5
    assert pauses.seconds == [7]


def test_retry_after_may_be_a_date(graph: Graph, store: Store) -> None:
    """Counted from the run's own clock."""
    pauses = Pauses()
    with open_graph(graph, pauses=pauses) as mailbox:
        until = format_datetime(pauses.now() + timedelta(seconds=30), usegmt=True)
        graph.script(Fault(LIST, status=429, retry_after=until))
        assert len(mailbox.candidates(UNREAD).refs) == 5
    assert 25 < pauses.seconds[0] <= 30


def test_without_retry_after_the_pauses_grow(graph: Graph, store: Store) -> None:
    """And end after a few tries, so that the job's own back-off takes over."""
    pauses = Pauses()
    with open_graph(graph, pauses=pauses) as mailbox:
        graph.script(Fault(LIST, status=429, code="ApplicationThrottled", times=99))
        with pytest.raises(Unavailable, match="is throttling this app") as caught:
            mailbox.candidates(UNREAD)
    assert pauses.seconds == [1, 2, 4]
    assert caught.value.retry_after is None
    assert "429 ApplicationThrottled" in str(caught.value)


@pytest.mark.parametrize("asked", ["50", "600"])
def test_what_is_longer_than_the_run_ends_it_at_once(graph: Graph, store: Store, asked: str) -> None:
    """The pause that Graph asked for goes to whoever plans the next run."""
    pauses = Pauses()
    with open_graph(graph, pauses=pauses, seconds=40) as mailbox:
        graph.script(Fault(LIST, status=429, retry_after=asked))
        with pytest.raises(Unavailable) as caught:
            mailbox.candidates(UNREAD)
    assert pauses.seconds == []
    assert caught.value.retry_after == timedelta(seconds=int(asked))


def test_no_run_sits_and_waits_for_long(graph: Graph, store: Store) -> None:
    """However much time is left: a worker that waits costs as much as one that works."""
    with open_graph(graph, seconds=3_000) as mailbox:
        graph.script(Fault(LIST, status=429, retry_after="300"))
        with pytest.raises(Unavailable) as caught:
            mailbox.candidates(UNREAD)
    assert caught.value.retry_after == timedelta(seconds=300)


def test_throttling_within_a_batch_is_judged_answer_by_answer(graph: Graph, store: Store) -> None:
    """Only the refused ones are asked again, after the longest pause that was asked for."""
    pauses = Pauses()
    with open_graph(graph, pauses=pauses) as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        graph.script(
            Fault(VALUE, status=429, retry_after="3", inside=True),
            Fault(VALUE, status=503, retry_after="9", inside=True),
            Fault(VALUE, status=429, inside=True),
        )
        assert [one.error for one in mailbox.fetch(refs, max_bytes=10_000)] == [None] * 5
    assert pauses.seconds == [9]
    assert graph.count(VALUE) == 5 + 3
    assert graph.count(BATCH) == 2


def test_throttling_of_a_batch_as_a_whole_is_waited_for_too(graph: Graph, store: Store) -> None:
    """The outer answer counts as well."""
    pauses = Pauses()
    with open_graph(graph, pauses=pauses) as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        graph.script(Fault(BATCH, status=429, retry_after="5"))
        assert [one.error for one in mailbox.dispose(refs, READ)] == [None] * 5
    assert pauses.seconds == [5]


def test_throttling_that_lasts_ends_the_run_and_blames_no_message(graph: Graph, store: Store) -> None:
    """What was marked stays marked, and the next run marks the rest."""
    with open_graph(graph) as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        graph.script(Fault(f"PATCH .*{refs[2].handle}", status=429, retry_after="2", inside=True, times=99))
        with pytest.raises(Unavailable) as caught:
            mailbox.dispose(refs, READ)
    assert caught.value.retry_after == timedelta(seconds=2)
    assert [item.seen for item in store.items.values()] == [True, True, False, True, True]


def test_being_over_the_limit_of_requests_at_once_is_throttling(graph: Graph, store: Store) -> None:
    """Two sessions on one mailbox share four places; each waits for the other."""
    with open_graph(graph) as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        graph.script(Fault(BATCH, status=429, code="ApplicationThrottled", times=2))
        assert [one.error for one in mailbox.fetch(refs, max_bytes=10_000)] == [None] * 5


@pytest.mark.parametrize("how", ["drop", "cut"])
def test_a_lost_connection_is_replaced(graph: Graph, store: Store, how: Literal["drop", "cut"]) -> None:
    """Before an answer or in the middle of it."""
    with open_graph(graph) as mailbox:
        graph.script(Fault(LIST, how=how, times=2))
        assert len(mailbox.candidates(UNREAD).refs) == 5


def test_a_connection_that_is_lost_for_good_ends_the_run(graph: Graph, store: Store) -> None:
    """With the host, what was going on, and no token."""
    with open_graph(graph) as mailbox:
        graph.script(Fault(LIST, how="drop", times=99))
        with pytest.raises(Unavailable, match="lost while listing messages") as caught:
            mailbox.candidates(UNREAD)
    assert graph.root in str(caught.value)


def test_nobody_answers() -> None:
    """Graph cannot be reached: that is temporary."""
    with Graph() as graph:
        graph.new_mailbox(ADDRESS)
    with pytest.raises(Unavailable, match="was lost"):
        open_graph(graph)


@pytest.mark.parametrize("match", [LIST, BATCH, VALUE])
def test_an_answer_that_never_ends_meets_the_time_of_the_run(graph: Graph, store: Store, match: str) -> None:
    """One octet after another keeps every socket awake; the run's deadline holds all the same."""
    store.deliver(b"Subject: big\r\n\r\n" + b"x" * 2_000_000)
    began = time.monotonic()
    with open_graph(graph, seconds=1.5) as mailbox:
        refs = () if match == LIST else mailbox.candidates(UNREAD).refs
        graph.script(Fault(match, how="drip", times=99))
        with pytest.raises(Unavailable):
            list(mailbox.fetch(refs or mailbox.candidates(UNREAD).refs, max_bytes=5_000_000))
    assert time.monotonic() - began < 10


def test_nothing_is_asked_once_the_time_is_up(graph: Graph, store: Store) -> None:
    """Not even the first request."""
    with pytest.raises(Unavailable, match="time of the run was up"):
        open_graph(graph, seconds=0)
    assert graph.heard == []


def test_a_token_that_expires_during_the_run_is_replaced(graph: Graph, store: Store) -> None:
    """The credential is asked for each request; one that gives nothing better ends the run as a failed sign-in."""
    credential = graph.credential()
    with open_graph(graph, credential=credential) as mailbox:
        before = len(credential.asked)
        refs = mailbox.candidates(UNREAD).refs
        assert len(credential.asked) > before
        credential.claims["exp"] = 1
        with pytest.raises(AuthFailed):
            mailbox.dispose(refs, READ)
