"""Canaries by APPEND, on Dovecot and Azurite: into the job's own folder, found there by its next run."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dev.azurite import Azurite
from shared.model import RunOutcome
from tests.run.real import OneSecret, Real
from tests.run.world import mail
from tests.servers.dovecot import Dovecot

KEY = "a key that nobody could guess"
CANARY = {"key_secret": "canary", "send": {"by": "append"}}


class TwoSecrets(OneSecret):
    """The password, and the key of the canaries."""

    def get(self, name: str) -> str:
        """See the port."""
        return KEY if name == "canary" else super().get(name)


@pytest.fixture
def real(dovecot: Dovecot, azurite: Azurite, prefix: str) -> Real:
    """A mailbox and empty storage."""
    real = Real(dovecot, azurite, prefix)
    real.services = replace(real.services, secrets=TwoSecrets(real.user.password))
    return real


@pytest.mark.parametrize("folder", ["INBOX", "Team/Süd"])
def test_it_comes_back(real: Real, folder: str) -> None:
    """Unread in the folder until the next run, then read; no ticket; sent, seen and delay in the job's row; one request more."""
    if folder != "INBOX":
        real.dovecot.create_folder(real.user, "Team/S&APw-d")
    real.job(canary=CANARY, server={"folder": folder})
    assert real.run().outcome is RunOutcome.COMPLETED
    stored = "INBOX" if folder == "INBOX" else "Team/S&APw-d"
    (message,) = real.dovecot.messages(real.user, stored)
    assert (message.flags, b"X-Mail-Connector-Canary: t=" in message.data) == (frozenset(), True)
    known = real.record().state.canary
    assert (known.posted, known.fault, bool(known.out)) == (True, "", True)
    real.clock.advance(timedelta(minutes=5))
    report = real.run()
    assert (report.received, report.created, report.errors) == (1, 0, 0)
    known = real.record().state.canary
    assert known.delay is not None
    assert known.delay >= timedelta(minutes=5)
    assert (known.out, known.missing_since, real.storage.tickets.page(limit=9)[0]) == ("", None, [])
    assert [one.flags for one in real.dovecot.messages(real.user, stored)] == [frozenset({r"\Seen"})]


def test_a_poll_costs_three_requests_unless_one_is_sent(real: Real) -> None:
    """Sending costs one more: it is noted first."""
    real.job(canary=CANARY)
    real.run()
    real.later()
    real.clock.advance(timedelta(minutes=5))
    real.run()
    counts: list[dict[str, Any]] = []
    for minutes in (5, 60):
        real.requests.clear()
        real.clock.advance(timedelta(minutes=minutes))
        assert real.run().received == 0
        counts.append(dict(real.requests.kinds))
    assert counts == [{"GET jobs": 1, "write jobs": 2}, {"GET jobs": 1, "write jobs": 3}]


def test_a_folder_that_takes_nothing_harms_no_run(real: Real) -> None:
    """The account may read but not write: the run goes on without, and says what the server said."""
    real.job(canary=CANARY, on_success={}, pick="new")
    real.deliver(mail("Printer"))
    real.dovecot.make_read_only(real.user)
    report = real.run()
    assert (report.outcome, report.created, report.errors) == (RunOutcome.COMPLETED, 1, 0)
    (comment,) = report.comments
    assert comment.startswith("The canary could not be sent: ")
    assert "Permission denied" in comment
    assert len(real.dovecot.messages(real.user)) == 1
