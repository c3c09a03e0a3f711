"""Removes what has been kept long enough: once a day, by one of all instances, a bounded time at a stretch."""

import logging
from datetime import datetime, timedelta

from shared.model import Clock
from shared.ports import Deadline, Tidied
from shared.storage.blobs import Container
from shared.storage.keys import BUCKETS, prefix_end, write_time
from shared.storage.limits import TRANSACTION_ENTITIES
from shared.storage.originals import Originals, expired
from shared.storage.parked import TableParkedMessages
from shared.storage.rows import copy_path, ledger_of_left, read_entry, run_key
from shared.storage.table import Row, RowConflict, Table, Write
from shared.storage.why import why_before
from shared.why import WHY_DAYS

_log = logging.getLogger(__name__)

#: How long run records are kept.
RUN_RECORDS = timedelta(days=90)

#: How long the ledger of a mailbox is kept that a job has left, by its deletion or for another mailbox.
LEFT_LEDGERS = timedelta(days=180)

#: What no parked message and no copy that is kept hangs on. A message that was parked once may be so again.
_FREE = "( kept eq false or stage eq 'done' ) and ( kept_until eq '' or kept_until le @now )"

#: So long nobody else begins while one is at it; a stretch is much shorter.
_HELD = timedelta(minutes=10)

_KEYS: Row = {"PartitionKey": "housekeeping", "RowKey": "daily"}


class TableHousekeeping:
    """See `shared.ports.Housekeeping`.

    The row of the housekeeping says on which day it was last done, by when whoever is at it must have finished, and how
    many partitions are done: a stretch that runs out of time goes on there.
    """

    def __init__(self, table: Table, copies: Container, originals: Originals, clock: Clock) -> None:
        self._table = table
        self._copies = copies
        self._originals = originals
        self._clock = clock
        #: The last day that this process knows to be done: the rest of that day costs no request.
        self._done = ""

    def tidy(self, deadline: Deadline) -> Tidied | None:
        """See the port."""
        now = self._clock()
        today = f"{now:%Y-%m-%d}"
        if self._done == today:
            return None
        row = self._table.get(_KEYS["PartitionKey"], _KEYS["RowKey"])
        if row and row["day"] >= today:
            self._done = today
        if row and (row["day"] >= today or row["held_until"] > write_time(now)):
            return None
        # Half a day's work counts only on that day.
        done = row["buckets"] if row and row["begun"] == today else 0
        held: Row = {
            **_KEYS,
            "day": row["day"] if row else "",
            "begun": today,
            "buckets": done,
            "held_until": write_time(now + _HELD),
        }
        claim = Write("merge", held, row["etag"]) if row else Write("insert", held)
        try:
            etag = self._table.write(claim)[0]
        except RowConflict:
            return None
        stretch = _Stretch(self._table, self._copies, self._originals, deadline)
        done += stretch.rows(BUCKETS[done:])
        complete = done == len(BUCKETS) and stretch.blobs()
        released: Row = {**held, "buckets": done, "held_until": "", "day": today if complete else held["day"]}
        try:
            self._table.write(Write("merge", released, etag))
        except RowConflict:
            # We were so slow that another took over: it finds less to do.
            return None
        return Tidied(
            stretch.messages,
            stretch.files,
            stretch.records,
            complete=complete,
            parked_messages=stretch.parked,
            ledger_entries=stretch.entries,
            why_pages=stretch.pages,
        )


class _Stretch:
    """As much as can be done until the deadline, and what it came to."""

    def __init__(self, table: Table, copies: Container, originals: Originals, deadline: Deadline) -> None:
        self._table = table
        self._copies = copies
        self._originals = originals
        self._deadline = deadline
        self._now = deadline.clock()
        self.messages = self.parked = self.records = self.files = self.entries = self.pages = 0

    def rows(self, parts: str | tuple[str, ...]) -> int:
        """Remove expired rows from these partitions; how many of the partitions are done."""
        for number, part in enumerate(parts):
            kinds = (self._parked, self._purged, self._runs, self._whys, self._left)
            if not all(tidied(part) for tidied in kinds):
                return number
        return len(parts)

    def blobs(self) -> bool:
        """Remove the bytes of every day that has expired; whether all are done."""
        for day in self._originals.days():
            if not expired(day, self._now.date()):
                continue
            for names in self._originals.of_day(day):
                if self._deadline.passed:
                    return False
                self._originals.remove(names)
                self.files += len(names)
        return True

    def _purged(self, part: str) -> bool:
        removed, complete = self._remove(part, "purged:", "purged;", "expires le @limit", self._now)
        self.messages += removed
        return complete

    def _runs(self, part: str) -> bool:
        """Run records lie newest first, job by job: what is older than a run of that instant would be."""
        instant = self._now - RUN_RECORDS
        low = "run:"
        while True:
            found, _ = self._table.page(part, low, "run;", limit=1)
            if not found:
                return True
            job_id = found[0]["RowKey"].split(":")[1]
            end = prefix_end(f"run:{job_id}:")
            oldest = run_key(job_id, f"{instant:%Y%m%dT%H%M%S}")
            removed, complete = self._remove(part, oldest, end, "started le @limit", instant)
            self.records += removed
            if not complete:
                return False
            low = end

    def _whys(self, part: str) -> bool:
        """Pages of why-records lie newest run first, over all jobs."""
        oldest = self._now - timedelta(days=WHY_DAYS)
        removed, complete = self._remove(part, why_before(oldest), "why;", "", oldest)
        self.pages += removed
        return complete

    def _parked(self, part: str) -> bool:
        """Parked messages whose job says that they do not stand for ever. Each is said: none goes silently."""
        parked = TableParkedMessages(self._table, self._copies, self._deadline.clock)
        now = {"now": write_time(self._now)}
        for row in self._table.rows(part, "parked:", "parked;", where="expires gt '' and expires le @now", values=now):
            if self._deadline.passed:
                return False
            job_id = row["RowKey"].split(":")[1]
            if parked.discard(job_id, row["parked_id"]):
                self.parked += 1
                _log.warning(
                    "Job %s: message %s, parked on %s, was discarded: its parked_days are over.",
                    job_id, row["item"], row["parked_at"][:10],
                )  # fmt: skip
        return True

    def _left(self, part: str) -> bool:
        """Ledgers that no job needs any more, mailbox by mailbox."""
        limit = write_time(self._now - LEFT_LEDGERS)
        found = self._table.rows(
            part, "left:", "left;", where="since gt '' and since le @limit", values={"limit": limit}
        )
        return all(self._forget_left(note) for note in found)

    def _forget_left(self, note: Row) -> bool:
        """Forget the ledger of one mailbox, but for what a parked message hangs on; False where the time was up.

        Every transaction renews the note: a job that comes back to the mailbox writes it too, and then we are too late.
        """
        part, low = note["PartitionKey"], ledger_of_left(note["RowKey"])
        own: Row = {"PartitionKey": part, "RowKey": note["RowKey"]}
        etag = note["etag"]
        while not self._deadline.passed:
            values = {"now": write_time(self._now)}
            high = prefix_end(low)
            rows, _ = self._table.page(part, low, high, limit=TRANSACTION_ENTITIES - 1, where=_FREE, values=values)
            held_back = not rows and self._table.page(part, low, high, limit=1)[0]
            if held_back:
                return True
            for entry in (read_entry(row, note["job_id"], note["mailbox"]) for row in rows):
                if entry.kept:
                    self._copies.remove(copy_path(entry.key))
            deletions = [Write("delete", {"PartitionKey": part, "RowKey": row["RowKey"]}) for row in rows]
            try:
                etag = self._table.write(*deletions, Write("merge" if rows else "delete", own, etag))[-1]
            except RowConflict:
                return True
            if not rows:
                return True
            self.entries += len(rows)
        return False

    def _remove(self, part: str, low: str, high: str, where: str, limit: datetime) -> tuple[int, bool]:
        """Remove those rows of a range that meet a condition; how many, and whether that is all."""
        found = self._table.rows(
            part,
            low,
            high,
            where=where,
            values={"limit": write_time(limit)},
            select=["PartitionKey", "RowKey"],
        )
        removed = 0
        page: list[Write] = []
        for row in found:
            page.append(Write("delete", {"PartitionKey": part, "RowKey": row["RowKey"]}))
            if len(page) == TRANSACTION_ENTITIES:
                removed += self._delete(page)
                page = []
            if self._deadline.passed:
                return removed + self._delete(page), False
        return removed + self._delete(page), not self._deadline.passed

    def _delete(self, writes: list[Write]) -> int:
        if not writes:
            return 0
        try:
            self._table.write(*writes)
        except RowConflict:
            # A person discarded one of them just now.
            return 0 if len(writes) == 1 else sum(self._delete([write]) for write in writes)
        return len(writes)
