"""The hold of one run on one mailbox, and the fence that every ledger write passes.

::

    begin      merge job row  If-Match etag0   lease_run=R lease_token=T  -> etag1
    ledger     [rows..., merge job row If-Match etag1 lease_expires+]  -> etag2    all of it or nothing
    heartbeat  merge job row  If-Match etag2   lease_expires+             -> etag3
    finish     [run record, merge job row If-Match etag3 lease_run=""]

Whoever changes the row in between (the API a config, a person a retry) makes our ETag stale. Then we read the row
again: if it still bears our token, we go on with the new ETag; if not, another run has taken over, and `LeaseLost` ends
this one before it wrote anything. A write whose answer was lost looks the same, and ends the same: it is sent
again, and writing the same rows twice changes nothing.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.errors import LeaseLost, MailConnectorError, Unavailable
from shared.ledger import LedgerEntry
from shared.model import CanaryState, Clock, JobRecord, MessageKey, MessageRef, ParkedMessage, PurgedMessage
from shared.ports import RunEnding
from shared.storage.blobs import Container
from shared.storage.keys import bucket, prefix_end, write_time
from shared.storage.limits import TRANSACTION_ENTITIES, wire_bytes
from shared.storage.originals import Originals
from shared.storage.rows import (
    copy_path,
    ending_columns,
    job_key,
    key_ranges,
    keys,
    ledger_key,
    ledger_prefix,
    purged_key,
    read_entry,
    read_purged,
    write_canary,
    write_entry,
    write_parked,
    write_purged,
    write_run,
)
from shared.storage.table import Row, RowConflict, Table, Write
from shared.storage.why import write_page
from shared.why import Why

_log = logging.getLogger(__name__)

#: A transaction takes 4 MiB; a page of why-records at most half a MiB of it.
_BESIDE_A_PAGE = 3_200_000

#: How often a row that others keep changing is read again before we call storage unavailable.
_TRIES = 20
_NOT_FOUND = 404

#: What nothing but the ledger itself hangs on.
_OUTDATED = (
    "open eq false and changed le @before and not ( stage eq 'parked' and kept eq true ) "
    "and ( kept_until eq '' or kept_until le @now )"
)


class TableRunLease:
    """See `shared.ports.RunLease`. Its ledger and its heartbeat share the lock, hence one ETag."""

    def __init__(
        self,
        table: Table,
        copies: Container,
        originals: Originals,
        clock: Clock,
        record: JobRecord,
        *,
        token: str,
        lasts: timedelta,
    ) -> None:
        self._table = table
        self._clock = clock
        self._record = record
        self._run_id = record.state.lease_run
        self._token = token
        self._lasts = lasts
        self._etag = record.etag
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._unfinished = record.state.unfinished
        #: What others did to the job while we run: had parked messages taken up again, moved it to another mailbox.
        self._reopened = False
        self._moved = False
        #: The answer to our last write never came, so it may yet take effect.
        self._in_doubt = False
        self._ledger = TableLedger(self, table, copies, clock, record, originals=originals)
        threading.Thread(target=self._renew, name=f"lease of {record.job_id}", daemon=True).start()

    @property
    def record(self) -> JobRecord:
        """See the port."""
        return self._record

    @property
    def ledger(self) -> "TableLedger":
        """See the port."""
        return self._ledger

    def note_canary(self, canary: CanaryState) -> None:
        """See the port."""
        self.write([], {"canary": write_canary(canary)})

    def finish(self, ending: RunEnding) -> None:
        """See the port."""
        columns = ending_columns(ending, self._clock(), health_before=self._record.state.health)
        with self._lock:
            self._refuse_after_end()
            self._ended.set()
            self._write([Write("put", write_run(ending.report))], columns)

    def abandon(self) -> None:
        """See the port."""
        self._ended.set()

    def write(self, writes: Sequence[Write], columns: Row | None = None) -> None:
        """Write rows and renew the lease, in one transaction that takes effect only while we hold the lease."""
        with self._lock:
            self._refuse_after_end()
            self._write(writes, columns)

    def _write(self, writes: Sequence[Write], columns: Row | None) -> None:
        self._in_doubt = True
        for _ in range(_TRIES):
            try:
                self._etag = self._table.write(*writes, self._fence(columns))[-1]
            except RowConflict as conflict:
                # Of a transaction with deletions, 404 says that its rows are gone: an earlier try did happen.
                if not self._read_again(columns) and conflict.status != _NOT_FOUND:
                    continue
            self._in_doubt = False
            return
        raise Unavailable(f"The row of job {self._record.job_id!r} keeps changing under its run.")

    def settle(self) -> None:
        """After this no earlier write can take effect any more: it depends on a version of the row that is gone."""
        if self._in_doubt:
            self.write([])

    def _refuse_after_end(self) -> None:
        if self._ended.is_set():
            raise LeaseLost(f"Run {self._run_id} of job {self._record.job_id!r} has ended or lost its lease.")

    @property
    def unfinished(self) -> bool:
        """Whether the ledger may have open entries."""
        return self._unfinished

    def mark_unfinished(self) -> Row:
        """What the job's row must say from now on, because the ledger has open entries."""
        if self._unfinished:
            return {}
        self._unfinished = True
        return {"unfinished": True}

    def _fence(self, columns: Row | None) -> Write:
        renewed: Row = {"lease_expires": write_time(self._clock() + self._lasts), **(columns or {})}
        if (self._reopened or self._moved) and "unfinished" in renewed:
            renewed["unfinished"] = True
        for column in ("cursor", "canary"):
            # What is known of the mailbox that the job had before means nothing for the one that it has now.
            if self._moved and column in renewed:
                renewed[column] = ""
        return Write("merge", {**keys(self._record.job_id, job_key(self._record.job_id)), **renewed}, self._etag)

    def _read_again(self, columns: Row | None) -> bool:
        """Learn the row's new ETag if we still hold it. True when it turns out that our last write did happen."""
        row = self._table.get(bucket(self._record.job_id), job_key(self._record.job_id))
        if row is None or row.get("lease_token") != self._token:
            self._ended.set()
            raise LeaseLost(f"Another run has taken over job {self._record.job_id!r}, or the job was deleted.")
        self._etag = row["etag"]
        self._moved = row["mailbox"] != self._record.mailbox
        self._reopened = self._reopened or row.get("reopened", "") != self._record.state.reopened
        if row["lease_run"] == self._run_id:
            return False
        if columns and columns.get("lease_run") == "":
            return True
        raise LeaseLost(f"The lease of job {self._record.job_id!r} was released.")

    def _renew(self) -> None:
        while not self._ended.wait(self._lasts.total_seconds() / 3):
            try:
                self.write([])
            except LeaseLost:
                return
            except MailConnectorError as fault:
                # The run itself meets the same fault and reports it; the lease may yet be renewed in time.
                _log.warning("Lease of job %s not renewed: %s", self._record.job_id, fault)


class TableLedger:
    """See `shared.ports.Ledger`."""

    def __init__(
        self,
        lease: TableRunLease,
        table: Table,
        copies: Container,
        clock: Clock,
        record: JobRecord,
        *,
        originals: Originals,
    ) -> None:
        self._lease = lease
        self._table = table
        self._copies = copies
        self._originals = originals
        self._clock = clock
        self._job = record
        self._pages = 0

    def unfinished(self) -> Sequence[LedgerEntry]:
        """See the port."""
        if not self._lease.unfinished:
            return []
        low = ledger_prefix(self._job.job_id, self._job.mailbox)
        rows = self._table.rows(bucket(self._job.job_id), low, prefix_end(low), where="open eq true")
        return [self._read(row) for row in rows]

    def look_up(self, refs: Sequence[MessageRef]) -> Mapping[MessageKey, LedgerEntry]:
        """See the port. A request for each thousand neighbours, and one before them where a write was in doubt."""
        self._lease.settle()
        wanted = {ref.key for ref in refs}
        found: dict[MessageKey, LedgerEntry] = {}
        for low, high in key_ranges(refs):
            for row in self._table.rows(bucket(self._job.job_id), low, high + "\x20"):
                entry = self._read(row)
                key = replace(entry.key, generation=0)
                if key in wanted:
                    found[key] = entry
        return found

    def record(
        self, entries: Sequence[LedgerEntry], kept: Sequence[PurgedMessage] = (), whys: Sequence[Why] = ()
    ) -> None:
        """See the port. A request for each 99 rows: the hundredth is the fence."""
        now = self._clock()
        listed = {one.key: one for one in kept}
        explained = {one.key: one for one in whys}
        writes: list[Write] = []
        page: list[Why] = []
        opens, weight = False, 0
        for entry in entries:
            listing, why = listed.get(entry.key), explained.get(entry.key)
            rows = [write_entry(entry, now), *([write_purged(listing)] if listing else [])]
            heavy = sum(map(wire_bytes, rows)) if why else 0
            full = len(writes) + len(rows) + bool(page or why) >= TRANSACTION_ENTITIES
            if full or weight + heavy > _BESIDE_A_PAGE:
                self._write(writes, page, opens=opens)
                writes, page, opens, weight = [], [], False, 0
            writes += [Write("put", row) for row in rows]
            page += [why] if why else []
            opens |= entry.open
            weight += heavy
        if writes:
            self._write(writes, page, opens=opens)

    def _write(self, writes: Sequence[Write], page: Sequence[Why] = (), *, opens: bool) -> None:
        columns = self._lease.mark_unfinished() if opens else {}
        self._lease.write([*writes, *self._page(page)], columns)

    def _page(self, whys: Sequence[Why]) -> list[Write]:
        if not whys:
            return []
        self._pages += 1
        return [Write("put", write_page(whys, self._job.state.lease_run, self._job.job_id, self._pages))]

    def outdated(self, before: datetime, *, limit: int) -> Sequence[LedgerEntry]:
        """See the port. One request; more where the service reads long to find them."""
        low = ledger_prefix(self._job.job_id, self._job.mailbox)
        values = {"before": write_time(before), "now": write_time(self._clock())}
        part = bucket(self._job.job_id)
        rows, _ = self._table.page(part, low, prefix_end(low), limit=limit, where=_OUTDATED, values=values)
        return [self._read(row) for row in rows]

    def forget(self, entries: Sequence[LedgerEntry]) -> None:
        """See the port. Copies first, so that none is left that nobody knows of."""
        for entry in entries:
            if entry.kept:
                self._copies.remove(copy_path(entry.key))
        for start in range(0, len(entries), TRANSACTION_ENTITIES - 1):
            part = entries[start : start + TRANSACTION_ENTITIES - 1]
            self._lease.write([Write("delete", keys(entry.key.job_id, ledger_key(entry.key))) for entry in part])

    def keep(self, originals: Sequence[tuple[PurgedMessage, bytes]]) -> Sequence[PurgedMessage]:
        """See the port."""
        return self._originals.keep(originals)

    def kept_copy(self, entry: LedgerEntry) -> bytes | None:
        """See the port."""
        job_id = entry.key.job_id
        row = self._table.get(bucket(job_id), purged_key(job_id, entry.copy)) if entry.copy else None
        data = self._originals.read(read_purged(row, job_id)) if row else None
        return self._copies.read(copy_path(entry.key)) if data is None and entry.kept else data

    def park(self, entry: LedgerEntry, parked: ParkedMessage, raw: bytes | None, why: Why | None = None) -> None:
        """See the port."""
        if raw is not None:
            self._copies.put(copy_path(entry.key), raw)
        now = self._clock()
        columns = self._lease.mark_unfinished() if entry.open else {}
        writes = [Write("put", write_entry(entry, now)), Write("put", write_parked(parked))]
        self._lease.write([*writes, *self._page([why] if why else [])], columns)

    def _read(self, row: Row) -> LedgerEntry:
        return read_entry(row, self._job.job_id, self._job.mailbox)
