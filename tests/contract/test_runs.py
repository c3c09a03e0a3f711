"""The contract of the run records in `shared.ports.JobStore`."""

from datetime import timedelta

from shared.model import RunOutcome, Trigger
from tests.builders import NOW, make_ending, make_record, make_report, make_run_id
from tests.contract.storage import Runs, Storage, pages
from tests.contract.test_jobs import PREFIX_IDS
from tests.fakes.clock import FakeClock


class TestRunRecords:
    """`note`, `run` and `runs`."""

    def test_keeps_every_column(self, storage: Storage, runs: Runs) -> None:
        """The record of a run that ended comes back as it was written, comments and all."""
        report = make_report(
            outcome=RunOutcome.FAILED,
            trigger=Trigger.MANUAL,
            job_name='Ünïcode "quoted" 😀',
            started=NOW.replace(microsecond=123456),
            ended=NOW + timedelta(minutes=1, microseconds=654321),
            created=1,
            updated=2,
            received=3,
            in_box=4,
            rejected=5,
            parked=6,
            purged=7,
            errors=8,
            comments=("First.", "Second: 'x' \\ 😀", "", "a,b;c"),
        )
        runs.begin().finish(make_ending(report=report))
        assert storage.jobs.run("support", "run-1") == report
        assert storage.jobs.runs("support", limit=10) == ([report], None)

    def test_keeps_long_comments(self, storage: Storage, runs: Runs) -> None:
        """A run that met much trouble is stored, and still says how it began."""
        comments = tuple(f"Message {number} could not be read: {'é' * 400}." for number in range(200))
        runs.begin().finish(make_ending(report=make_report(comments=comments, errors=200)))
        stored = storage.jobs.run("support", "run-1")
        assert stored
        assert (stored.errors, stored.outcome) == (200, RunOutcome.COMPLETED)
        assert stored.comments[0] == comments[0]

    def test_what_came_lately_is_kept_for_the_next_run(self, runs: Runs) -> None:
        """A run reads what the last one left of the job's traffic; one that failed early leaves it as it was."""
        said = []
        for number, traffic in enumerate(('{"a":[1,2,"T-é"]}', None, "x" * 20_000, "", None)):
            lease = runs.begin(run_id=f"run-{number}")
            said.append(lease.record.state.traffic)
            lease.finish(make_ending(f"run-{number}", traffic=traffic))
        assert said == ["", '{"a":[1,2,"T-é"]}', '{"a":[1,2,"T-é"]}', "x" * 20_000, ""]

    def test_unknown_run_is_none(self, storage: Storage) -> None:
        """A run that is not there is no error, with or without a job."""
        storage.jobs.create(make_record())
        assert storage.jobs.run("support", "run-1") is None
        assert storage.jobs.run("nobody", "run-1") is None
        assert storage.jobs.runs("nobody", limit=10) == ([], None)

    def test_running_run_can_be_seen(self, storage: Storage, runs: Runs) -> None:
        """A run is there from the moment it holds the mailbox."""
        runs.begin(trigger=Trigger.SWEEP)
        running = storage.jobs.run("support", "run-1")
        assert running
        assert (running.outcome, running.trigger, running.started) == (RunOutcome.RUNNING, Trigger.SWEEP, NOW)
        assert (running.ended, running.run_id, running.job_id) == (None, "run-1", "support")
        assert running.job_name == "Mail Connector"

    def test_waiting_run_can_be_seen(self, storage: Storage) -> None:
        """A run that waits on the queue is shown by itself and in the list."""
        storage.jobs.create(make_record())
        waiting = make_report(trigger=Trigger.MANUAL, outcome=RunOutcome.QUEUED, ended=None)
        storage.jobs.note(waiting)
        assert storage.jobs.run("support", "run-1") == waiting
        assert storage.jobs.runs("support", limit=10) == ([waiting], None)

    def test_waits_then_runs_then_ends_as_one_run(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """A queued run stays one record on its way."""
        run_id = make_run_id(NOW)
        storage.jobs.create(make_record())
        storage.jobs.note(make_report(run_id, trigger=Trigger.MANUAL, outcome=RunOutcome.QUEUED, ended=None))
        clock.advance(timedelta(seconds=3))
        lease = runs.begin(run_id=run_id, trigger=Trigger.MANUAL)
        running = storage.jobs.run("support", run_id)
        assert running
        assert running.outcome is RunOutcome.RUNNING
        report = make_report(run_id, trigger=Trigger.MANUAL, started=clock(), ended=clock())
        lease.finish(make_ending(report=report))
        assert storage.jobs.runs("support", limit=10) == ([report], None)

    def test_skipped_run_can_be_seen(self, storage: Storage) -> None:
        """A run that waited and was then skipped says so, in the place of the one that waits."""
        storage.jobs.create(make_record())
        storage.jobs.note(make_report(outcome=RunOutcome.QUEUED, ended=None))
        skipped = make_report(comments=("Another run holds the mailbox.",))
        storage.jobs.note(skipped)
        assert storage.jobs.run("support", "run-1") == skipped
        assert storage.jobs.runs("support", limit=10) == ([skipped], None)

    def test_newest_first_page_by_page(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """Runs come newest first, each once, whatever the size of a page."""
        ids = [finish_run(storage, runs, clock) for _ in range(9)]
        for limit in (1, 4, 9, 100):
            found = pages(
                lambda *, limit, cursor=None: storage.jobs.runs("support", limit=limit, cursor=cursor), limit=limit
            )
            assert [report.run_id for report in found] == ids[::-1]

    def test_page_goes_on_where_it_stopped(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """A run that ends between two pages makes no other run appear twice."""
        ids = [finish_run(storage, runs, clock) for _ in range(4)]
        _, cursor = storage.jobs.runs("support", limit=2)
        finish_run(storage, runs, clock)
        page, cursor = storage.jobs.runs("support", limit=10, cursor=cursor)
        assert [report.run_id for report in page] == [ids[1], ids[0]]
        assert cursor is None

    def test_jobs_do_not_see_each_others_runs(self, storage: Storage, runs: Runs) -> None:
        """Jobs whose ids begin with each other keep their runs apart, also under the same run id."""
        for job_id in PREFIX_IDS:
            runs.begin(job_id, last_occurrence=None).finish(make_ending(report=make_report(job_id=job_id)))
        for job_id in PREFIX_IDS:
            found, cursor = storage.jobs.runs(job_id, limit=10)
            assert [report.job_id for report in found] == [job_id]
            assert cursor is None

    def test_stay_when_the_job_is_deleted(self, storage: Storage, runs: Runs) -> None:
        """Run records outlive their job."""
        runs.begin().finish(make_ending())
        storage.jobs.delete("support")
        assert storage.jobs.run("support", "run-1") == make_report()
        assert storage.jobs.runs("support", limit=10) == ([make_report()], None)


def finish_run(storage: Storage, runs: Runs, clock: FakeClock) -> str:
    """One more run from start to end, a second after the one before; returns its id."""
    started = clock.advance(timedelta(seconds=1))
    run_id = make_run_id(started)
    report = make_report(run_id, started=started, ended=started)
    runs.begin(run_id=run_id, last_occurrence=None).finish(make_ending(report=report))
    return run_id
