"""What a run costs in requests to storage, everything counted, retries included."""

from datetime import timedelta

import pytest

from dev.azurite import Azurite
from shared.model import Trigger
from shared.run import run_job
from tests.run.real import Real
from tests.run.world import mail
from tests.servers.dovecot import Dovecot

MESSAGES = 1_000


@pytest.fixture
def real(dovecot: Dovecot, azurite: Azurite, prefix: str) -> Real:
    """A job whose tables exist: it has handled one message before."""
    real = Real(dovecot, azurite, prefix)
    real.job(on_success={"mark_as_read": True})
    real.deliver(mail("First"))
    assert real.run().created == 1
    real.clock.advance(timedelta(minutes=5))
    real.requests.clear()
    return real


def test_a_thousand_messages_cost_a_tenth_of_a_request_each(real: Real) -> None:
    """From the claim to the release: less than 0.1 for each message that becomes a ticket."""
    real.deliver(*(mail(f"m{number}") for number in range(MESSAGES)))
    report = real.run()
    assert (report.created, report.errors) == (MESSAGES, 0)
    assert len(real.tables.rows("tickets", "ticket:")) == MESSAGES + 1
    # Measured: 89. Of them 2 reads and 35 writes of the jobs table (claim, ledger, release), 41 of tickets, 11 of threads.
    assert real.requests.kinds.total() <= MESSAGES / 10, real.requests.kinds


def test_a_poll_that_finds_nothing_costs_three_requests(real: Real) -> None:
    """Config and state read together; claimed and leased; recorded and released."""
    assert real.run().received == 0
    assert real.requests.kinds == {"GET jobs": 1, "write jobs": 2}


def test_a_day_on_which_nothing_may_be_forgotten_costs_one_request_more(real: Real) -> None:
    """Once a day the ledger is asked; a poll later on that day costs what it always does."""
    real.clock.advance(timedelta(days=1))
    real.run()
    assert real.requests.kinds == {"GET jobs": 2, "write jobs": 2}
    real.requests.clear()
    real.clock.advance(timedelta(hours=23))
    real.run()
    assert real.requests.kinds == {"GET jobs": 1, "write jobs": 2}


def test_a_hundred_entries_are_forgotten_in_one_request(real: Real) -> None:
    """Those of messages that a person removed, noted when they are missed first, and forgotten 90 days later."""
    real.deliver(*(mail(f"m{number}") for number in range(98)))
    real.run()
    for stored in real.dovecot.messages(real.user):
        real.dovecot.flag(real.user, stored.uid, "+FLAGS", r"\Deleted")
    with real.dovecot.session(real.user) as client:
        client.select("INBOX")
        client.expunge()
    for left in (99, 0):
        real.clock.advance(timedelta(days=91))
        real.requests.clear()
        real.run()
        assert real.requests.kinds == {"GET jobs": 2, "write jobs": 3}
        assert len(real.tables.rows("jobs", "msg:")) == left


def test_a_timer_that_fires_for_nothing_costs_one_request(real: Real) -> None:
    """An instant at which nothing is due ends there."""
    real.run()
    real.requests.clear()
    assert run_job("support", Trigger.TIMER, real.services) is None
    assert real.requests.kinds == {"GET jobs": 1}
