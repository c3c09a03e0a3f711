"""Parked messages: their list lies beside the ledger, their raw copies in a container."""

from collections.abc import Iterator
from dataclasses import replace

from shared.errors import Unavailable
from shared.model import Clock, MessageKey, ParkedMessage
from shared.storage.blobs import Container
from shared.storage.keys import BUCKETS, bucket, prefix_end, write_time
from shared.storage.rows import (
    copy_path,
    job_key,
    keys,
    ledger_key,
    parked_key,
    read_entry,
    read_parked,
    write_entry,
)
from shared.storage.table import Row, RowConflict, Table, Write

_TRIES = 20


class TableParkedMessages:
    """See `shared.ports.ParkedMessages`."""

    def __init__(self, table: Table, copies: Container, clock: Clock) -> None:
        self._table = table
        self._copies = copies
        self._clock = clock

    def page(self, job_id: str, *, limit: int, cursor: str | None = None) -> tuple[list[ParkedMessage], str | None]:
        """See the port."""
        prefix = f"parked:{job_id}:"
        low = f"{parked_key(job_id, cursor)}\x20" if cursor else prefix
        rows, more = self._table.page(bucket(job_id), low, prefix_end(prefix), limit=limit)
        found = [read_parked(row, job_id) for row in rows]
        return found, found[-1].parked_id if more else None

    def everywhere(self, *, limit: int, cursor: str | None = None) -> tuple[list[ParkedMessage], str | None]:
        """See the port. Jobs lie in sixteen partitions: the page is merged from the head of each."""
        low = f"{_after(cursor)}\x20" if cursor else "parked:"
        heads = [self._table.page(part, low, "parked;", limit=limit) for part in BUCKETS]
        rows = sorted((row for rows, _ in heads for row in rows), key=lambda row: row["RowKey"])
        more = len(rows) > limit or any(more for _, more in heads)
        found = [read_parked(row, row["RowKey"].split(":")[1]) for row in rows[:limit]]
        return found, f"{found[-1].job_id}/{found[-1].parked_id}" if more else None

    def get(self, job_id: str, parked_id: str) -> ParkedMessage | None:
        """See the port."""
        row = self._table.get(bucket(job_id), parked_key(job_id, parked_id))
        return read_parked(row, job_id) if row else None

    def raw(self, job_id: str, parked_id: str) -> Iterator[bytes] | None:
        """See the port."""
        parked = self.get(job_id, parked_id)
        entry = self._entry_row(parked) if parked else None
        return self._copies.stream(copy_path(_key(parked, entry))) if parked and entry else None

    def retry(self, job_id: str, parked_id: str) -> bool:
        """See the port. The listing goes, the raw copy stays for the run that takes the message up."""
        for _ in range(_TRIES):
            parked = self.get(job_id, parked_id)
            if parked is None:
                return False
            listing = Write("delete", keys(job_id, parked_key(job_id, parked_id)))
            reopened = {"unfinished": True, "reopened": f"{parked_id}@{write_time(self._clock())}"}
            job = self._table.get(bucket(job_id), job_key(job_id))
            entry = self._entry_row(parked)
            if job is None or entry is None or job["mailbox"] != parked.mailbox:
                return False
            known = read_entry(entry, job_id, parked.mailbox)
            if known.undisposed:
                return False
            try:
                self._table.write(
                    Write("put", write_entry(known.retry(), self._clock())),
                    listing,
                    Write("merge", {**keys(job_id, job_key(job_id)), **reopened}, job["etag"]),
                )
            except RowConflict:
                continue
            return True
        raise Unavailable(f"The row of job {job_id!r} keeps changing.")

    def discard(self, job_id: str, parked_id: str) -> bool:
        """See the port."""
        parked = self.get(job_id, parked_id)
        if parked is None:
            return False
        entry = self._entry_row(parked)
        writes = [Write("delete", keys(job_id, parked_key(job_id, parked_id)))]
        if entry:
            known = read_entry(entry, job_id, parked.mailbox)
            self._copies.remove(copy_path(known.key))
            writes.append(Write("put", write_entry(replace(known, kept=False), self._clock())))
        try:
            self._table.write(*writes)
        except RowConflict:
            return False
        return True

    def _entry_row(self, parked: ParkedMessage) -> Row | None:
        key = MessageKey(parked.job_id, parked.mailbox, parked.item)
        return self._table.get(bucket(parked.job_id), ledger_key(key))


def _after(cursor: str) -> str:
    job_id, slash, parked_id = cursor.partition("/")
    if not (job_id and slash and parked_id):
        raise ValueError(f"{cursor!r} is no cursor of ours.")
    return parked_key(job_id, parked_id)


def _key(parked: ParkedMessage, entry: Row) -> MessageKey:
    return MessageKey(parked.job_id, parked.mailbox, parked.item, entry["generation"])
