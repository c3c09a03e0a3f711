"""Purged messages and the housekeeping in memory."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from shared.ledger import LedgerEntry, Stage
from shared.model import ParkedMessage, PurgedMessage
from shared.ports import Deadline, Tidied
from shared.why import WHY_DAYS
from tests.fakes.parked import FakeParkedMessages, chunks
from tests.fakes.rows import Place, Rows, page_of

RUN_RECORDS = timedelta(days=90)
LEFT = timedelta(days=180)


class FakePurgedMessages:
    """See `shared.ports.PurgedMessages`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def page(self, job_id: str, *, limit: int, cursor: str | None = None) -> tuple[list[PurgedMessage], str | None]:
        """See the port."""
        with self._rows.lock:
            there = [one for one in self._rows.purged.get(job_id, {}).values() if self._lasts(one)]
            return page_of((([-one.purged_at.timestamp(), one.purged_id], one) for one in there), limit, cursor)

    def get(self, job_id: str, purged_id: str) -> PurgedMessage | None:
        """See the port."""
        one = self._rows.purged.get(job_id, {}).get(purged_id)
        return one if one and self._lasts(one) else None

    def raw(self, job_id: str, purged_id: str) -> Iterator[bytes] | None:
        """See the port."""
        with self._rows.lock:
            one = self.get(job_id, purged_id)
            blob = self._rows.originals.get(one.blob) if one else None
        return None if one is None or blob is None else chunks(blob[one.offset : one.offset + one.size])

    def reprocess(self, job_id: str, purged_id: str) -> bool:
        """See the port."""
        rows = self._rows
        with rows.writing("purged.reprocess"):
            one, job = self.get(job_id, purged_id), rows.jobs.get(job_id)
            if one is None or job is None or job.mailbox != one.key.mailbox:
                return False
            entry = rows.ledger.get(job_id, {}).get(place(one))
            if entry and entry.undelivered and entry.copy == purged_id:
                return True
            if entry is None or entry.stage is not Stage.DONE:
                return False
            rows.ledger[job_id][place(one)] = entry.reprocess(purged_id)
            rows.store(replace(job, state=replace(job.state, unfinished=True, reopened=str(next(rows.numbers)))))
            return True

    def discard(self, job_id: str, purged_id: str) -> bool:
        """See the port."""
        with self._rows.writing("purged.discard"):
            one = self.get(job_id, purged_id)
            if one is None:
                return False
            del self._rows.purged[job_id][purged_id]
            blob = bytearray(self._rows.originals[one.blob])
            blob[one.offset : one.offset + one.size] = bytes(one.size)
            self._rows.originals[one.blob] = bytes(blob)
            return True

    def _lasts(self, one: PurgedMessage) -> bool:
        return one.expires_at > self._rows.clock()


class FakeHousekeeping:
    """See `shared.ports.Housekeeping`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._done = ""

    def tidy(self, deadline: Deadline) -> Tidied | None:
        """See the port. It takes no time, so it is either not begun or complete."""
        rows = self._rows
        with rows.writing("housekeeping.tidy"):
            now = rows.clock()
            today = f"{now:%Y-%m-%d}"
            if self._done == today:
                return None
            if deadline.passed:
                return Tidied(0, 0, 0, complete=False)
            self._done = today
            purged = [
                of_job.pop(one.purged_id)
                for of_job in rows.purged.values()
                for one in list(of_job.values())
                if one.expires_at <= now
            ]
            records = [
                of_job.pop(one.run_id)
                for of_job in rows.runs.values()
                for one in list(of_job.values())
                if one.started < now - RUN_RECORDS
            ]
            blobs = [rows.originals.pop(path) for path in list(rows.originals) if path.split("/")[0] <= today]
            forgotten = sum(self._forget_left(*left) for left, since in list(rows.left.items()) if since <= now - LEFT)
            oldest = f"{now - timedelta(days=WHY_DAYS):%Y%m%dT%H%M%S}"
            whys = [rows.whys.pop(place) for place in list(rows.whys) if place[0] <= oldest]
            return Tidied(
                len(purged),
                len(blobs),
                len(records),
                complete=True,
                parked_messages=sum(self._discard(one) for one in list(self._parked()) if _over(one, now)),
                ledger_entries=forgotten,
                why_pages=len({why.run_id for why in whys}),
            )

    def _parked(self) -> Iterator[ParkedMessage]:
        return (one for of_job in self._rows.parked.values() for one in of_job.values())

    def _discard(self, one: ParkedMessage) -> bool:
        return FakeParkedMessages(self._rows).discard(one.job_id, one.parked_id)

    def _forget_left(self, job_id: str, mailbox: str) -> int:
        rows = self._rows
        entries = rows.ledger.get(job_id, {})
        mine = [where for where in entries if where[0] == mailbox]
        free = [where for where in mine if self._is_free(entries[where])]
        for where in free:
            del entries[where]
            rows.copies.pop((job_id, where), None)
        if len(free) == len(mine):
            del rows.left[job_id, mailbox]
        return len(free)

    def _is_free(self, entry: LedgerEntry) -> bool:
        copy_kept = entry.kept_until is not None and entry.kept_until > self._rows.clock()
        return not copy_kept and (not entry.kept or entry.stage is Stage.DONE)


def _over(one: ParkedMessage, now: datetime) -> bool:
    return one.expires_at is not None and one.expires_at <= now


def place(one: PurgedMessage) -> Place:
    """Where the ledger has it."""
    return one.key.mailbox, one.key.item
