"""The whole way of messages from a POP3 mailbox on Dovecot to their tickets, with every line cut that can be."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dev.azurite import Azurite
from shared.model import Action, RunOutcome
from shared.storage import open_storage
from tests.connectors.pop_runs import JOB, plain, record_of, run
from tests.contract.mailbox import mail
from tests.contract.storage import Storage
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage
from tests.servers.dovecot import Dovecot
from tests.servers.imap_host import User
from tests.servers.pop3_relay import Break, Pop3Relay

COUNT = 25
SUBJECTS = [f"m{number}" for number in range(COUNT)]
OWN = b"From: a@example.com\r\nSubject: ours\r\nX-Mail-Connector: ticket\r\n\r\nCame back.\r\n"


@pytest.fixture
def clock() -> FakeClock:
    """The time of the test; a run takes none of it."""
    return FakeClock(datetime.now(UTC))


@pytest.fixture
def storage(clock: FakeClock) -> FakeStorage:
    """Empty storage."""
    return FakeStorage(clock)


@pytest.fixture
def user(dovecot: Dovecot) -> User:
    """A mailbox with some messages."""
    user = dovecot.new_mailbox()
    dovecot.append(user, "INBOX", [mail(subject) for subject in SUBJECTS])
    return user


def tickets(storage: Storage) -> list[str]:
    """The subjects of all tickets, oldest first; each has one entry."""
    page, cursor = storage.tickets.page(limit=100)
    assert cursor is None
    for ticket in page:
        whole = storage.tickets.ticket(ticket.ticket_id)
        assert whole
        assert [entry.action for entry in whole.entries] == [Action.CREATED]
    return sorted((ticket.subject for ticket in page), key=lambda subject: (len(subject), subject))


def test_messages_become_tickets_and_are_deleted(
    dovecot: Dovecot, user: User, storage: FakeStorage, clock: FakeClock
) -> None:
    """Over TLS, as by default; the next run finds nothing to do."""
    server = {"host": dovecot.host, "port": dovecot.pop3s_port, "username": user.name, "ca_file": str(dovecot.ca_file)}
    storage.jobs.create(record_of(server))
    report = run(storage, user.password, clock)
    assert (report.outcome, report.created, report.purged, report.in_box) == (RunOutcome.COMPLETED, COUNT, COUNT, COUNT)
    assert report.comments == ()
    assert tickets(storage) == SUBJECTS
    assert dovecot.messages(user) == []
    again = run(storage, user.password, clock)
    assert (again.outcome, again.received, again.in_box) == (RunOutcome.COMPLETED, 0, 0)


def test_what_is_rejected_stays_and_what_has_its_ticket_goes(
    dovecot: Dovecot, user: User, storage: FakeStorage, clock: FakeClock
) -> None:
    """Mail of our own that came back makes no ticket: it is left in the mailbox, and not judged again."""
    dovecot.append(user, "INBOX", OWN)
    storage.jobs.create(record_of(plain(dovecot.pop3_port, user.name)))
    report = run(storage, user.password, clock)
    assert (report.created, report.rejected, report.purged) == (COUNT, 1, COUNT)
    assert [one.data for one in dovecot.messages(user)] == [OWN]
    again = run(storage, user.password, clock)
    assert (again.received, again.in_box) == (0, 1)
    assert [one.data for one in dovecot.messages(user)] == [OWN]


@pytest.mark.parametrize("then", ["answer lost", "lost"])
def test_a_lost_quit_is_finished_by_the_next_run(
    dovecot: Dovecot, user: User, storage: FakeStorage, clock: FakeClock, then: Break
) -> None:
    """Whether the server has deleted or not: no second ticket, and in the end no message."""
    with Pop3Relay(dovecot.pop3_port, at="QUIT", then=then) as relay:
        storage.jobs.create(record_of(plain(relay.port, user.name)))
        first = run(storage, user.password, clock)
        assert (first.outcome, first.created, first.purged) == (RunOutcome.FAILED, COUNT, 0)
        assert "committing the deletions" in first.comments[0]
        assert len(dovecot.messages(user)) == (COUNT if then == "lost" else 0)
        clock.advance(timedelta(hours=1))
        second = run(storage, user.password, clock)
    assert (second.outcome, second.received, second.purged) == (RunOutcome.COMPLETED, 0, COUNT)
    assert tickets(storage) == SUBJECTS
    assert dovecot.messages(user) == []


def test_a_cut_within_a_pipelined_batch_costs_nothing(
    dovecot: Dovecot, user: User, storage: FakeStorage, clock: FakeClock
) -> None:
    """The run goes on over a new connection and commits what the old one had fetched as well."""
    with Pop3Relay(dovecot.pop3_port, at="RETR 7", then="lost") as relay:
        storage.jobs.create(record_of(plain(relay.port, user.name)))
        report = run(storage, user.password, clock)
    assert (report.outcome, report.created, report.purged) == (RunOutcome.COMPLETED, COUNT, COUNT)
    assert tickets(storage) == SUBJECTS
    assert dovecot.messages(user) == []


@pytest.mark.parametrize("then", ["answer lost", "lost"])
def test_a_cut_while_marking_is_finished_by_the_next_run(
    dovecot: Dovecot, user: User, storage: FakeStorage, clock: FakeClock, then: Break
) -> None:
    """All tickets are made, nothing is deleted; the next run deletes, and makes no second ticket."""
    with Pop3Relay(dovecot.pop3_port, at="DELE 5", then=then) as relay:
        storage.jobs.create(record_of(plain(relay.port, user.name)))
        assert run(storage, user.password, clock).outcome is RunOutcome.FAILED
        assert len(dovecot.messages(user)) == COUNT
        clock.advance(timedelta(hours=1))
        second = run(storage, user.password, clock)
    assert (second.outcome, second.received, second.purged) == (RunOutcome.COMPLETED, 0, COUNT)
    assert tickets(storage) == SUBJECTS
    assert dovecot.messages(user) == []


@pytest.mark.parametrize("at", ["RETR 9", "DELE 1$", "DELE 9", "QUIT"])
def test_a_run_that_is_killed_is_finished_by_the_next(
    dovecot: Dovecot, user: User, azurite: Azurite, prefix: str, at: str
) -> None:
    """SIGKILL while it fetches, marks, or has marked all and not committed: nothing lost, nothing doubled."""
    clock = FakeClock(datetime.now(UTC) + timedelta(hours=1))
    storage = open_storage(connection_string=azurite.connection_string, prefix=prefix, clock=clock)
    with Pop3Relay(dovecot.pop3_port, at=at, then="held") as relay:
        storage.jobs.create(record_of(plain(relay.port, user.name)))
        told = {"connection": azurite.connection_string, "prefix": prefix, "password": user.password}
        command = [sys.executable, "-m", "tests.connectors.pop_runs", json.dumps(told)]
        with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as child:
            assert relay.reached.wait(60)
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        assert len(dovecot.messages(user)) == COUNT
        assert storage.jobs.read(JOB)
        second = run(storage, user.password, clock)
    assert (second.outcome, second.purged) == (RunOutcome.COMPLETED, COUNT)
    assert tickets(storage) == SUBJECTS
    assert dovecot.messages(user) == []
