"""Runs during which storage fails: a small form of ``make faults``, which does it at each request and for each connector."""

from collections.abc import Iterator

import pytest

from dev.azurite import Azurite
from tests.run.storage_faults import TROUBLES, WAYS, Result, Trouble, Troubled, strike_some
from tests.servers.counterparts import Counterparts


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterparts]:
    """The mail servers."""
    with Counterparts(tmp_path_factory.mktemp("keys")) as running:
        yield running


@pytest.fixture(scope="module")
def cells(azurite: Azurite, servers: Counterparts) -> Iterator[Troubled]:
    """POP3, whose runs need blobs besides tables."""
    with Troubled(azurite, servers, WAYS["pop3"], prefix="storagefaults") as running:
        yield running


def test_a_fault_of_storage_loses_and_doubles_nothing(cells: Troubled) -> None:
    """One request of a run, which the seed draws for each fault: then each message has what is due to it, once."""
    for result in strike_some(cells, [one for one in TROUBLES if not one.lasting], seed=11, of_each=1).values():
        assert result.bad == []
        assert result.runs <= 1


def test_a_write_that_happened_is_recognised(cells: Troubled) -> None:
    """Its answer is lost, and the very next try comes upon what it wrote itself: the run goes on and comes through."""
    (result,) = strike_some(cells, [Trouble("lost 500")], seed=3, of_each=2).values()
    assert (result.bad, result.failed) == ([], 0)


def test_a_target_whose_answer_is_lost_has_the_ticket_once(azurite: Azurite, servers: Counterparts) -> None:
    """The queue took the event, and the run does not hear of it: whoever reads the queue finds one event."""
    with Troubled(azurite, servers, WAYS["imap4 to queue"], prefix="queuefaults") as cells:
        (nth, *_) = (number for number, request in enumerate(cells.requests(), 1) if request == "POST queue")
        result = Result()
        cells.strike(nth, Trouble("lost", lasting=True), result)
        assert (result.bad, result.failed) == ([], 1)
