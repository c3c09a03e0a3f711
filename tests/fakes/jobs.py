"""The job store in memory."""

from dataclasses import replace
from datetime import datetime

from shared.errors import LeaseHeld, MailboxTaken, Stale
from shared.model import CanaryState, DueJob, JobRecord, JobState, RunOutcome, RunReport, Trigger
from shared.ports import Claim, RunLease
from tests.fakes.lease import FakeLease
from tests.fakes.rows import Rows, page_of


def held(state: JobState, now: datetime) -> bool:
    """Whether a live run holds the mailbox."""
    return bool(state.lease_run) and state.lease_expires is not None and state.lease_expires > now


class FakeJobs:
    """See `shared.ports.JobStore`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def read(self, job_id: str) -> JobRecord | None:
        """See the port."""
        return self._rows.jobs.get(job_id)

    def create(self, record: JobRecord) -> JobRecord:
        """See the port."""
        rows = self._rows
        with rows.writing("jobs.create"):
            if record.job_id in rows.jobs:
                raise Stale(f"There is a job {record.job_id!r} already.")
            self._refuse_taken(record)
            rows.left.pop((record.job_id, record.mailbox), None)
            state = replace(
                record.state,
                fence=rows.fences[record.job_id],
                unfinished=record.state.unfinished or rows.any_open(record.job_id),
            )
            return rows.store(replace(record, state=state))

    def replace(self, record: JobRecord, *, revision: str, rescheduled: bool) -> JobRecord:
        """See the port."""
        with self._rows.writing("jobs.replace"):
            stored = self._unchanged(record.job_id, revision)
            if stored is None:
                raise Stale(f"There is no job {record.job_id!r}.")
            self._refuse_taken(record)
            state = replace(stored.state, next_due=(record if rescheduled else stored).state.next_due)
            if record.mailbox != stored.mailbox:
                # The cursor was the old mailbox's; and the new one may have been this job's before, with work left.
                state = replace(state, cursor=None, canary=CanaryState(), unfinished=True)
                self._rows.left[record.job_id, stored.mailbox] = self._rows.clock()
                self._rows.left.pop((record.job_id, record.mailbox), None)
            return self._rows.store(replace(record, state=state))

    def delete(self, job_id: str, *, revision: str | None = None) -> None:
        """See the port."""
        with self._rows.writing("jobs.delete"):
            if stored := self._unchanged(job_id, revision):
                del self._rows.jobs[job_id]
                self._rows.left[job_id, stored.mailbox] = self._rows.clock()

    def page(self, *, limit: int, cursor: str | None = None) -> tuple[list[JobRecord], str | None]:
        """See the port."""
        with self._rows.lock:
            return page_of((([record.job_id], record) for record in self._rows.jobs.values()), limit, cursor)

    def overdue(self, before: datetime) -> list[DueJob]:
        """See the port."""
        now = self._rows.clock()
        with self._rows.lock:
            due = [
                DueJob(record.job_id, record.ncrontab, since)
                for record in self._rows.jobs.values()
                if record.enabled and not held(record.state, now)
                for since in [_due_since(record.state)]
                if since is not None and since <= before
            ]
        return sorted(due, key=lambda job: job.next_due)

    def begin(self, record: JobRecord, claim: Claim) -> RunLease:
        """See the port."""
        rows = self._rows
        with rows.writing("jobs.begin"):
            now = rows.clock()
            if held(record.state, now):
                raise LeaseHeld(f"Run {record.state.lease_run!r} of job {record.job_id!r} holds the mailbox.")
            stored = rows.jobs.get(record.job_id)
            if stored is None or stored.etag != record.etag:
                raise Stale(f"Job {record.job_id!r} was claimed or changed by somebody else.")
            self._bury_predecessor(stored, claim.run_id, now)
            rows.runs.setdefault(stored.job_id, {})[claim.run_id] = RunReport(
                run_id=claim.run_id,
                job_id=stored.job_id,
                job_name=stored.name,
                trigger=Trigger(claim.trigger),
                outcome=RunOutcome.RUNNING,
                started=now,
            )
            rows.fences[record.job_id] += 1
            state = replace(
                stored.state,
                last_occurrence=claim.last_occurrence or stored.state.last_occurrence,
                next_due=claim.next_due,
                lease_run=claim.run_id,
                lease_trigger=claim.trigger,
                lease_started=now,
                lease_expires=now + rows.lease,
                fence=rows.fences[record.job_id],
            )
            return FakeLease(rows, rows.store(replace(stored, state=state)))

    def note(self, report: RunReport) -> None:
        """See the port."""
        with self._rows.writing("jobs.note"):
            self._rows.runs.setdefault(report.job_id, {})[report.run_id] = report

    def run(self, job_id: str, run_id: str) -> RunReport | None:
        """See the port."""
        return self._rows.runs.get(job_id, {}).get(run_id)

    def runs(self, job_id: str, *, limit: int, cursor: str | None = None) -> tuple[list[RunReport], str | None]:
        """See the port."""
        with self._rows.lock:
            reports = self._rows.runs.get(job_id, {}).values()
            return page_of(
                (([-report.started.timestamp(), report.run_id], report) for report in reports), limit, cursor
            )

    def _unchanged(self, job_id: str, revision: str | None) -> JobRecord | None:
        stored = self._rows.jobs.get(job_id)
        if stored and revision is not None and stored.revision != revision:
            raise Stale(f"Job {job_id!r} was changed by somebody else.")
        return stored

    def _refuse_taken(self, record: JobRecord) -> None:
        for other in self._rows.jobs.values():
            if other.mailbox == record.mailbox and other.job_id != record.job_id:
                raise MailboxTaken(other.job_id)

    def _bury_predecessor(self, stored: JobRecord, run_id: str, now: datetime) -> None:
        dead = stored.state.lease_run
        report = self.run(stored.job_id, dead)
        if report and dead != run_id:
            self._rows.runs[stored.job_id][dead] = replace(
                report, outcome=RunOutcome.DIED, ended=now, comments=(f"Run {run_id!r} found it dead and took over.",)
            )


def _due_since(state: JobState) -> datetime | None:
    died = state.lease_expires if state.lease_run else None
    return min((instant for instant in (state.next_due, died) if instant), default=None)
