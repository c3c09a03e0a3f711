"""Whole runs of an Exchange job, from the simulator to tickets in memory."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.begin import Services
from shared.jobs import Job, new_state
from shared.model import Health, JobRecord, RunOutcome, RunReport, Trigger
from shared.run import run_job
from tests.connectors.ews_jobs import OneSecret
from tests.contract.mailbox import mail
from tests.fakes.storage import FakeStorage
from tests.servers.ews import Busy, CutOff, Exchange
from tests.servers.ews_fixture import MAILBOX, OWNER, exchange, exchange_authority
from tests.servers.ews_store import Mailbox as Stored
from tests.servers.tls import Authority

__all__ = ["exchange", "exchange_authority"]

_EVERYTHING = {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True}


class World:
    """One job on the simulator, with storage in memory; the clock can be moved on, never back."""

    def __init__(self, server: Exchange, authority: Authority) -> None:
        self.server = server
        self.box: Stored = server.mailboxes[MAILBOX]
        self._authority = authority
        self._ahead = timedelta(0)
        self.storage = FakeStorage(self.now)
        self.services = Services(
            jobs=self.storage.jobs,
            threads=self.storage.threads,
            tickets=self.storage.tickets,
            receipts=self.storage.receipts,
            outbox=self.storage.outbox,
            queue=self.storage.queue,
            secrets=OneSecret(),
            clock=self.now,
            budget=timedelta(minutes=2),
        )

    def now(self) -> datetime:
        """The real time, plus what was skipped."""
        return datetime.now(UTC) + self._ahead

    def add_job(self, **fields: Any) -> None:
        """The job ``job`` on the mailbox."""
        server = {
            "type": "exchange",
            "service_url": self.server.url,
            "mailbox": MAILBOX,
            "username": OWNER,
            "password_secret": "mailbox",
            "authentication": "basic",
            "ca_file": str(self._authority.ca_file),
        }
        job = Job.model_validate({"id": "job", "server": server, **fields})
        created = self.now() - timedelta(days=1)
        self.storage.jobs.create(
            JobRecord("job", job.model_dump_json(), "1", "", True, job.server.identity(), new_state(created))
        )

    def run(self) -> RunReport:
        """One run, a day after the last, so that no pause is left."""
        self._ahead += timedelta(days=1)
        report = run_job("job", Trigger.MANUAL, self.services)
        assert report
        return report

    def subjects(self) -> list[str]:
        """The subjects of all tickets, in alphabetical order."""
        tickets, _ = self.storage.tickets.page(limit=1_000)
        return sorted(ticket.subject for ticket in tickets)


@pytest.fixture
def world(exchange: Exchange, exchange_authority: Authority) -> World:
    """The job does not exist yet."""
    return World(exchange, exchange_authority)


@pytest.mark.parametrize("pick", ["unread", "new"])
def test_every_message_becomes_a_ticket_once(world: World, pick: str) -> None:
    """And is removed for good, and others' mail is not; the next run finds nothing to do."""
    world.add_job(on_success=_EVERYTHING, pick=pick)
    world.box.deliver(mail("theirs"), folder=world.box.trash)
    for number in range(30):
        world.box.deliver(mail(f"m{number:02d}"))
    report = world.run()
    assert (report.outcome, report.created, report.in_box, report.purged) == (RunOutcome.COMPLETED, 30, 30, 30)
    assert world.subjects() == [f"m{number:02d}" for number in range(30)]
    assert [item.subject for item in world.box.items.values()] == ["theirs"]
    assert world.run().received == 0


@pytest.mark.parametrize("operation", ["GetFolder", "FindItem", "GetItem", "UpdateItem", "MoveItem", "DeleteItem"])
@pytest.mark.parametrize("done", [False, True])
def test_a_run_that_breaks_anywhere_is_finished_by_the_next(world: World, operation: str, *, done: bool) -> None:
    """Before or after the server did it: five tickets, five messages gone, nobody else's."""
    world.add_job(on_success=_EVERYTHING)
    world.box.deliver(mail("theirs"), folder=world.box.trash)
    for number in range(5):
        world.box.deliver(mail(f"m{number}"))
    world.server.script(operation, *[CutOff(done=done)] * (20 if operation == "GetItem" else 1))
    first = world.run()
    assert first.outcome is RunOutcome.FAILED or operation == "GetItem"
    world.server.clear_script()
    for _ in range(2):
        assert world.run().outcome is RunOutcome.COMPLETED
    assert world.subjects() == [f"m{number}" for number in range(5)]
    assert [item.subject for item in world.box.items.values()] == ["theirs"]


def test_a_message_that_was_put_back_makes_no_second_ticket(world: World) -> None:
    """A person takes it out of Deleted Items, unread: it is the same message, under its third id."""
    world.add_job(on_success={"mark_as_deleted": True})
    world.box.deliver(mail("one"))
    world.run()
    world.box.move(world.box.find("one"), world.box.inbox)
    report = world.run()
    assert (report.created, report.received) == (0, 0)
    assert world.subjects() == ["one"]
    assert world.box.find("one").folder is world.box.inbox


def test_a_message_without_its_content_is_tried_again_and_then_parked(world: World) -> None:
    """It is never deleted, and never lost; the others are tickets at once."""
    world.add_job(on_success=_EVERYTHING, max_attempts=2)
    world.box.deliver(mail("one"))
    world.box.deliver(mail("empty")).mime = "missing"
    assert [(one.created, one.parked) for one in (world.run(), world.run(), world.run())] == [(1, 0), (0, 1), (0, 0)]
    assert [item.subject for item in world.box.items.values()] == ["empty"]
    assert not world.box.find("empty").read
    parked, _ = world.storage.parked.page("job", limit=10)
    assert ["gives no body" in one.reason for one in parked] == [True]


def test_a_busy_server_is_left_alone_for_as_long_as_it_says(world: World) -> None:
    """The run ends at once, and the job is due again after that time."""
    world.add_job()
    world.server.script("FindItem", Busy(600_000))
    report = world.run()
    assert report.outcome is RunOutcome.FAILED
    assert "busy" in " ".join(report.comments)
    record = world.storage.jobs.read("job")
    assert record
    assert record.state.next_due
    assert record.state.next_due >= world.now() + timedelta(seconds=590)
    assert record.state.health is Health.DELAYED


def test_a_message_over_the_limit_becomes_a_ticket_of_its_header(world: World) -> None:
    """What is in no ticket as a whole is marked as read, and never deleted."""
    world.add_job(on_success=_EVERYTHING, max_message_mb=1)
    world.box.deliver(mail("huge", size=3_000_000))
    report = world.run()
    assert (report.created, report.purged) == (1, 0)
    assert world.subjects() == ["huge"]
