"""Whole runs of a job on the Graph simulator: the flow, the ledger and the mailbox together."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from shared.begin import Services
from shared.connectors.graph import open_mailbox
from shared.errors import Unavailable
from shared.jobs import Job
from shared.model import JobRecord, JobState, RunOutcome, RunReport, Trigger
from shared.run import run_job
from tests.connectors.graph_jobs import ADDRESS, OneSecret, Pauses, settings_of
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage
from tests.servers.graph import Fault, Graph, graph
from tests.servers.graph_store import Store

__all__ = ["graph"]

PURGE = {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True}


class _Jobs:
    """A job on the simulator, with storage in memory."""

    def __init__(self, graph: Graph, store: Store) -> None:
        self.graph, self.store = graph, store
        self.clock = FakeClock(datetime.now(UTC))
        self.storage = FakeStorage(self.clock)
        self.services = Services(
            jobs=self.storage.jobs,
            threads=self.storage.threads,
            tickets=self.storage.tickets,
            receipts=self.storage.receipts,
            outbox=self.storage.outbox,
            queue=self.storage.queue,
            secrets=OneSecret(),
            clock=self.clock,
            budget=timedelta(minutes=1),
            # Tokens of the simulator's tenant, and pauses that take no time.
            open_mailbox=partial(open_mailbox, credential=lambda *_: graph.credential(), pause=Pauses()),
        )

    def create(self, **fields: Any) -> None:
        """Store the job ``support``."""
        server = settings_of(endpoint=self.graph.root)
        job = Job.model_validate({"id": "support", "server": server.model_dump(), **fields})
        state = JobState(created=self.clock() - timedelta(hours=1))
        record = JobRecord(
            "support", job.model_dump_json(), "1", "0 */5 * * * *", True, server.identity(), state, job.name
        )
        self.storage.jobs.create(record)

    def run(self) -> RunReport:
        """One run by hand."""
        report = run_job("support", Trigger.MANUAL, self.services)
        assert report
        return report

    def subjects(self) -> list[str]:
        """What tickets there are."""
        tickets, _ = self.storage.tickets.page(limit=1_000)
        return sorted(ticket.subject for ticket in tickets)


@pytest.fixture
def jobs(graph: Graph) -> _Jobs:
    """Jobs on one mailbox of the simulator."""
    return _Jobs(graph, graph.new_mailbox(ADDRESS))


def _mails(store: Store, count: int) -> list[str]:
    return sorted(f"m{store.deliver(None).number}" for _ in range(count))


def test_every_message_becomes_one_ticket_and_is_marked_as_read(jobs: _Jobs) -> None:
    """More than a few batches; a second run finds nothing left to do."""
    jobs.create()
    subjects = _mails(jobs.store, 130)
    report = jobs.run()
    assert (report.outcome, report.created, report.errors, report.in_box) == (RunOutcome.COMPLETED, 130, 0, 130)
    assert all(item.seen for item in jobs.store.items.values())
    assert jobs.run().received == 0
    assert jobs.subjects() == subjects


def test_new_messages_are_taken_once_though_they_are_listed_again(jobs: _Jobs) -> None:
    """With delta, our own mark as read is a change: the next run sees the message again, and the ledger knows it."""
    jobs.create(pick="new")
    subjects = _mails(jobs.store, 30)
    assert jobs.run().created == 30
    subjects += _mails(jobs.store, 5)
    assert jobs.run().created == 5
    assert jobs.run().received == 0
    jobs.graph.service.forget_states()
    subjects += _mails(jobs.store, 1)
    assert jobs.run().created == 1
    assert jobs.subjects() == sorted(subjects)


def test_what_is_deleted_is_purged_at_the_end_and_nothing_else(jobs: _Jobs) -> None:
    """A message that a person deleted stays beside ours."""
    jobs.create(on_success=PURGE)
    _mails(jobs.store, 25)
    theirs = jobs.store.deliver(None)
    jobs.store.move(theirs, "deleteditems")
    report = jobs.run()
    assert (report.created, report.purged) == (25, 25)
    assert list(jobs.store.items.values()) == [theirs]
    assert len(jobs.store.purged) == 25


@pytest.mark.parametrize(
    "match",
    ["PATCH", "POST .*/move", "POST .*/permanentDelete", "GET .*parentFolderId", r"GET .*/\$value"],
)
def test_a_run_that_is_throttled_away_at_any_step_is_finished_by_the_next(jobs: _Jobs, match: str) -> None:
    """No second ticket, no message left behind, whichever request was the last."""
    jobs.create(on_success=PURGE)
    subjects = _mails(jobs.store, 25)
    fault = Fault(match, status=429, retry_after="30", inside=True, times=10**6)
    jobs.graph.script(fault)
    report = jobs.run()
    assert report.outcome is RunOutcome.FAILED
    assert "throttling" in " ".join(report.comments)
    fault.times = 0
    assert jobs.run().outcome is RunOutcome.COMPLETED
    assert jobs.subjects() == subjects
    assert jobs.store.items == {}
    assert len(jobs.store.purged) == 25


@pytest.mark.parametrize("nth", range(1, 12))
def test_storage_that_fails_after_any_write_makes_no_second_ticket(jobs: _Jobs, nth: int) -> None:
    """The mailbox may be ahead of the ledger by what was just done there; the next runs come to the same end."""
    jobs.create(on_success=PURGE)
    subjects = _mails(jobs.store, 120)
    jobs.storage.fail_next(nth, Unavailable("Storage is away."), after=True, lasting=True)
    with suppress(Unavailable):
        jobs.run()
    jobs.storage.recover()
    # The lease of the run that died has to expire first.
    jobs.clock.advance(timedelta(hours=2))
    assert jobs.run().outcome is RunOutcome.COMPLETED
    assert jobs.subjects() == subjects
    assert jobs.store.items == {}


def test_a_wrong_folder_is_a_failed_run_that_names_the_right_ones(jobs: _Jobs) -> None:
    """A broken mailbox never looks like a quiet one."""
    server = settings_of(endpoint=jobs.graph.root, folder="Inbox/Suport").model_dump()
    jobs.create(server=server)
    report = jobs.run()
    assert report.outcome is RunOutcome.FAILED
    assert "Choose one of its folders: " in " ".join(report.comments)
