"""Job configs, their state and their run records on Azure Table Storage."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from shared.errors import LeaseHeld, MailboxTaken, Stale, Unavailable
from shared.model import Clock, DueJob, JobRecord, RunOutcome, RunReport, Trigger
from shared.ports import Claim
from shared.storage.blobs import Container
from shared.storage.keys import BUCKETS, bucket, digest, prefix_end, read_time, write_time
from shared.storage.lease import TableRunLease
from shared.storage.originals import Originals
from shared.storage.rows import (
    config_columns,
    job_key,
    keys,
    lease_columns,
    ledger_prefix,
    read_job,
    read_run,
    run_key,
    write_due,
    write_left,
    write_run,
)
from shared.storage.table import Row, RowConflict, Table, Write

_MAILBOXES = "mailbox"
_TRIES = 20

#: How long a note of a mailbox's owner counts although there is no such job (yet).
_NOTE_COUNTS = timedelta(minutes=1)


class TableJobStore:
    """See `shared.ports.JobStore`."""

    def __init__(self, table: Table, copies: Container, originals: Originals, clock: Clock, lease: timedelta) -> None:
        self._table = table
        self._copies = copies
        self._originals = originals
        self._clock = clock
        self._lease = lease

    def read(self, job_id: str) -> JobRecord | None:
        """See the port."""
        row = self._row(job_id)
        return read_job(row) if row else None

    def create(self, record: JobRecord) -> JobRecord:
        """See the port."""
        self._take_mailbox(record)
        row = {
            **keys(record.job_id, job_key(record.job_id)),
            **config_columns(record),
            "next_due": write_due(record.state.next_due),
            "created": write_time(record.state.created),
            "last_occurrence": write_time(record.state.last_occurrence),
            "fence": 0,
            "lease_run": "",
            "unfinished": self._left_open(record),
        }
        try:
            here = Write("put", write_left(record.job_id, record.mailbox, None))
            etag = self._table.write(Write("insert", row), here)[0]
        except RowConflict as conflict:
            owner = self._row(record.job_id)
            if owner is None or owner["mailbox"] != record.mailbox:
                self._free_mailbox(record.job_id, record.mailbox)
            raise Stale(f"There is a job {record.job_id!r} already.") from conflict
        return replace(record, state=replace(record.state, unfinished=row["unfinished"]), etag=etag)

    def replace(self, record: JobRecord, *, revision: str, rescheduled: bool) -> JobRecord:
        """See the port."""
        before = self._expect(record.job_id, revision)
        columns = config_columns(record)
        if rescheduled:
            columns["next_due"] = write_due(record.state.next_due)
        moved = before["mailbox"] != record.mailbox
        if moved:
            self._take_mailbox(record)
            columns |= {"cursor": "", "canary": "", "unfinished": True}
        notes = {before["mailbox"]: self._clock(), record.mailbox: None} if moved else {}
        more = [Write("put", write_left(record.job_id, mailbox, since)) for mailbox, since in notes.items()]
        try:
            self._change(record.job_id, columns, *more, revision=revision)
        except Stale:
            if moved:
                self._free_mailbox(record.job_id, record.mailbox)
            raise
        if moved:
            self._free_mailbox(record.job_id, before["mailbox"])
        return read_job(self._expect(record.job_id, record.revision))

    def delete(self, job_id: str, *, revision: str | None = None) -> None:
        """See the port."""
        for _ in range(_TRIES):
            row = self._row(job_id)
            if row is None:
                return
            if revision is not None and row["revision"] != revision:
                raise Stale(f"Job {job_id!r} has been changed since it was read.")
            try:
                left = Write("put", write_left(job_id, row["mailbox"], self._clock()))
                self._table.write(Write("delete", keys(job_id, job_key(job_id)), row["etag"]), left)
            except RowConflict:
                continue
            self._free_mailbox(job_id, row["mailbox"])
            return
        raise Unavailable(f"The row of job {job_id!r} keeps changing.")

    def page(self, *, limit: int, cursor: str | None = None) -> tuple[list[JobRecord], str | None]:
        """See the port. Jobs lie in sixteen partitions, each in order: the page is merged from the head of each."""
        low = f"{job_key(cursor)}\x20" if cursor else "job:"
        heads = [self._table.page(part, low, "job;", limit=limit) for part in BUCKETS]
        jobs = sorted((read_job(row) for rows, _ in heads for row in rows), key=lambda job: job.job_id)
        more = len(jobs) > limit or any(more for _, more in heads)
        return jobs[:limit], jobs[limit - 1].job_id if more else None

    def overdue(self, before: datetime) -> list[DueJob]:
        """See the port. Sixteen requests, however many jobs there are; more only where many are overdue."""
        now = self._clock()
        found = [
            DueJob(row["RowKey"].removeprefix("job:"), row["ncrontab"], datetime.fromisoformat(since))
            for part in BUCKETS
            for row in self._table.rows(
                part,
                "job:",
                "job;",
                where="enabled eq true and ( next_due le @before or ( lease_run ne '' and lease_expires le @before ) )",
                values={"before": write_time(before)},
                select=["RowKey", "ncrontab", "next_due", "lease_run", "lease_expires"],
            )
            if not _held(row, now)
            for since in [min(filter(None, (row["next_due"], row.get("lease_run") and row["lease_expires"])))]
        ]
        return sorted(found, key=lambda job: job.next_due)

    def begin(self, record: JobRecord, claim: Claim) -> TableRunLease:
        """See the port."""
        now = self._clock()
        token = uuid4().hex
        row = self._claim_row(record, claim, now, token)
        died = self._died(record, claim)
        writes = [Write("merge", row, record.etag), *([Write("put", write_run(died))] if died else [])]
        try:
            etag = self._table.write(*writes)[0]
        except RowConflict as conflict:
            # Either somebody was first, or this very write did happen and its answer was lost.
            after = self._row(record.job_id)
            if after is None or after.get("lease_token") != token:
                raise Stale(f"Job {record.job_id!r} was claimed or changed by somebody else just now.") from conflict
            etag = after["etag"]
        state = replace(
            record.state,
            last_occurrence=claim.last_occurrence or record.state.last_occurrence,
            next_due=claim.next_due,
            lease_run=claim.run_id,
            lease_trigger=claim.trigger,
            lease_started=now,
            lease_expires=now + self._lease,
            fence=record.state.fence + 1,
            unfinished=record.state.unfinished or bool(record.state.lease_run),
        )
        held = replace(record, state=state, etag=etag)
        return TableRunLease(
            self._table, self._copies, self._originals, self._clock, held, token=token, lasts=self._lease
        )

    def note(self, report: RunReport) -> None:
        """See the port."""
        self._table.write(Write("put", write_run(report)))

    def run(self, job_id: str, run_id: str) -> RunReport | None:
        """See the port."""
        row = self._table.get(bucket(job_id), run_key(job_id, run_id))
        report = read_run(row, job_id) if row else None
        if report and report.outcome is not RunOutcome.QUEUED:
            return report
        running = self._running(job_id)
        return running if running and running.run_id == run_id else report

    def runs(self, job_id: str, *, limit: int, cursor: str | None = None) -> tuple[list[RunReport], str | None]:
        """See the port."""
        low = f"{run_key(job_id, cursor)}\x20" if cursor else f"run:{job_id}:"
        rows, more = self._table.page(bucket(job_id), low, prefix_end(f"run:{job_id}:"), limit=limit)
        reports = [read_run(row, job_id) for row in rows]
        next_cursor = reports[-1].run_id if more else None
        if cursor is None:
            running = self._running(job_id)
            if running:
                reports = [running, *(report for report in reports if report.run_id != running.run_id)]
        return reports, next_cursor

    def _running(self, job_id: str) -> RunReport | None:
        record = self.read(job_id)
        return _lease_report(record, RunOutcome.RUNNING) if record else None

    def _left_open(self, record: JobRecord) -> bool:
        """Whether a job that was deleted under the same id left something for the one that is made again."""
        low = ledger_prefix(record.job_id, record.mailbox)
        rows, _ = self._table.page(bucket(record.job_id), low, prefix_end(low), limit=1, where="open eq true")
        return bool(rows)

    # --- one job's row ------------------------------------------------------------------------------------------------

    def _row(self, job_id: str) -> Row | None:
        return self._table.get(bucket(job_id), job_key(job_id))

    def _expect(self, job_id: str, revision: str) -> Row:
        row = self._row(job_id)
        if row is None or row["revision"] != revision:
            raise Stale(f"Job {job_id!r} has been changed or deleted since it was read.")
        return row

    def _change(self, job_id: str, columns: Row, *more: Write, revision: str) -> None:
        """Write ``columns`` and ``more`` if the config is still ``revision``, however often runs change the row."""
        for _ in range(_TRIES):
            row = self._expect(job_id, revision)
            try:
                self._table.write(Write("merge", {**keys(job_id, job_key(job_id)), **columns}, row["etag"]), *more)
            except RowConflict:
                continue
            return
        raise Unavailable(f"The row of job {job_id!r} keeps changing.")

    def _claim_row(self, record: JobRecord, claim: Claim, now: datetime, token: str) -> Row:
        state = record.state
        if state.lease_run and state.lease_expires and state.lease_expires > now:
            raise LeaseHeld(f"Run {state.lease_run} holds the mailbox of job {record.job_id!r} now.")
        row = {
            **keys(record.job_id, job_key(record.job_id)),
            **lease_columns(
                claim.run_id, claim.trigger, token=token, fence=state.fence + 1, now=now, lasts=self._lease
            ),
            "next_due": write_due(claim.next_due),
        }
        if claim.last_occurrence:
            row["last_occurrence"] = write_time(claim.last_occurrence)
        if state.lease_run:
            row["unfinished"] = True
        return row

    def _died(self, record: JobRecord, claim: Claim) -> RunReport | None:
        """The record of the run that held the lease until it expired, unless it is the same run delivered again."""
        if record.state.lease_run == claim.run_id:
            return None
        report = _lease_report(record, RunOutcome.DIED)
        return report and replace(
            report,
            ended=record.state.lease_expires,
            errors=1,
            comments=(
                (
                    "The worker that ran this was stopped before it could finish. The next run went on where it "
                    "stopped: nothing is lost, and no ticket is made twice."
                ),
            ),
        )

    # --- one mailbox, one job -----------------------------------------------------------------------------------------

    def _take_mailbox(self, record: JobRecord) -> None:
        """Write down that the mailbox is this job's, unless it is another's.

        The note is written before the job is, so a crash in between may leave one behind. It counts while the job that
        it names has that mailbox, and for a minute besides: in that time the job is about to be stored.
        """
        now = self._clock()
        note: Row = {
            "PartitionKey": _MAILBOXES,
            "RowKey": digest(record.mailbox),
            "job_id": record.job_id,
            "since": write_time(now),
        }
        for _ in range(_TRIES):
            found = self._table.get(_MAILBOXES, note["RowKey"])
            if found and found["job_id"] != record.job_id:
                owner = self._row(found["job_id"])
                young = datetime.fromisoformat(found["since"]) > now - _NOTE_COUNTS
                if young or (owner and owner["mailbox"] == record.mailbox):
                    raise MailboxTaken(found["job_id"])
            try:
                self._table.write(Write("merge", note, found["etag"]) if found else Write("insert", note))
            except RowConflict:
                continue
            return
        raise Unavailable("The note of the mailbox's owner keeps changing.")

    def _free_mailbox(self, job_id: str, mailbox: str) -> None:
        found = self._table.get(_MAILBOXES, digest(mailbox))
        if found and found["job_id"] == job_id:
            row = {"PartitionKey": _MAILBOXES, "RowKey": digest(mailbox)}
            try:
                self._table.write(Write("delete", row, found["etag"]))
            except RowConflict:
                return


def _lease_report(record: JobRecord, outcome: RunOutcome) -> RunReport | None:
    """What is known of the run that holds the lease, or None when none does."""
    state = record.state
    if not state.lease_run or not state.lease_started:
        return None
    return RunReport(
        run_id=state.lease_run,
        job_id=record.job_id,
        job_name=record.name,
        trigger=Trigger(state.lease_trigger),
        outcome=outcome,
        started=state.lease_started,
    )


def _held(row: Row, now: datetime) -> bool:
    expires = read_time(row.get("lease_expires", ""))
    return bool(row.get("lease_run")) and expires is not None and expires > now
