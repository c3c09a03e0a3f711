"""Purged messages: their list lies beside the ledger, their bytes in a container."""

from collections.abc import Iterator

from shared.errors import Unavailable
from shared.ledger import Stage
from shared.model import Clock, PurgedMessage
from shared.storage.keys import bucket, prefix_end, write_time
from shared.storage.originals import Originals
from shared.storage.rows import job_key, keys, ledger_key, purged_key, read_entry, read_purged, write_entry
from shared.storage.table import RowConflict, Table, Write

_TRIES = 20


class TablePurgedMessages:
    """See `shared.ports.PurgedMessages`."""

    def __init__(self, table: Table, originals: Originals, clock: Clock) -> None:
        self._table = table
        self._originals = originals
        self._clock = clock

    def page(self, job_id: str, *, limit: int, cursor: str | None = None) -> tuple[list[PurgedMessage], str | None]:
        """See the port."""
        prefix = f"purged:{job_id}:"
        rows, more = self._table.page(
            bucket(job_id),
            f"{purged_key(job_id, cursor)}\x20" if cursor else prefix,
            prefix_end(prefix),
            limit=limit,
            where="expires gt @now",
            values={"now": write_time(self._clock())},
        )
        found = [read_purged(row, job_id) for row in rows]
        return found, found[-1].purged_id if more else None

    def get(self, job_id: str, purged_id: str) -> PurgedMessage | None:
        """See the port."""
        row = self._table.get(bucket(job_id), purged_key(job_id, purged_id))
        purged = read_purged(row, job_id) if row else None
        return purged if purged and purged.expires_at > self._clock() else None

    def raw(self, job_id: str, purged_id: str) -> Iterator[bytes] | None:
        """See the port."""
        purged = self.get(job_id, purged_id)
        return self._originals.stream(purged) if purged else None

    def reprocess(self, job_id: str, purged_id: str) -> bool:
        """See the port. The job's row is read first: a run that writes an entry after that makes our write fail."""
        for _ in range(_TRIES):
            job = self._table.get(bucket(job_id), job_key(job_id))
            purged = self.get(job_id, purged_id)
            if job is None or purged is None or job["mailbox"] != purged.key.mailbox:
                return False
            row = self._table.get(bucket(job_id), ledger_key(purged.key))
            entry = read_entry(row, job_id, purged.key.mailbox) if row else None
            if entry and entry.undelivered and entry.copy == purged_id:
                return True
            if entry is None or entry.stage is not Stage.DONE:
                return False
            now = self._clock()
            reopened = {"unfinished": True, "reopened": f"{purged_id}@{write_time(now)}"}
            try:
                self._table.write(
                    Write("put", write_entry(entry.reprocess(purged_id), now)),
                    Write("merge", {**keys(job_id, job_key(job_id)), **reopened}, job["etag"]),
                )
            except RowConflict:
                continue
            return True
        raise Unavailable(f"The row of job {job_id!r} keeps changing.")

    def discard(self, job_id: str, purged_id: str) -> bool:
        """See the port. The bytes go first, so that whoever is told that it is done can rely on it."""
        purged = self.get(job_id, purged_id)
        if purged is None:
            return False
        self._originals.erase(purged)
        try:
            self._table.write(Write("delete", keys(job_id, purged_key(job_id, purged_id))))
        except RowConflict:
            return False
        return True
