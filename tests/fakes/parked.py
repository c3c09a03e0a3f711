"""Parked messages in memory."""

from collections.abc import Iterator
from dataclasses import replace

from shared.ledger import Stage
from shared.model import ParkedMessage
from tests.fakes.rows import Place, Rows, page_of

#: Small enough that a test message comes in more than one piece.
CHUNK = 1024


class FakeParkedMessages:
    """See `shared.ports.ParkedMessages`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def page(self, job_id: str, *, limit: int, cursor: str | None = None) -> tuple[list[ParkedMessage], str | None]:
        """See the port."""
        with self._rows.lock:
            found = self._rows.parked.get(job_id, {}).values()
            return page_of((([-one.parked_at.timestamp(), one.parked_id], one) for one in found), limit, cursor)

    def everywhere(self, *, limit: int, cursor: str | None = None) -> tuple[list[ParkedMessage], str | None]:
        """See the port."""
        with self._rows.lock:
            found = [one for of_job in self._rows.parked.values() for one in of_job.values()]
            keys: list[list[float | str]] = [
                [f"{one.job_id}:", -one.parked_at.timestamp(), one.parked_id] for one in found
            ]
            return page_of(zip(keys, found, strict=True), limit, cursor)

    def get(self, job_id: str, parked_id: str) -> ParkedMessage | None:
        """See the port."""
        return self._rows.parked.get(job_id, {}).get(parked_id)

    def raw(self, job_id: str, parked_id: str) -> Iterator[bytes] | None:
        """See the port."""
        with self._rows.lock:
            one = self.get(job_id, parked_id)
            data = self._rows.copies.get((job_id, place(one))) if one else None
        return None if data is None else chunks(data)

    def retry(self, job_id: str, parked_id: str) -> bool:
        """See the port."""
        rows = self._rows
        with rows.writing("parked.retry"):
            one, job = self.get(job_id, parked_id), rows.jobs.get(job_id)
            if one is None or job is None or job.mailbox != one.mailbox:
                return False
            entry = rows.ledger[job_id][place(one)]
            if entry.undisposed:
                return False
            del rows.parked[job_id][parked_id]
            if entry.stage is Stage.PARKED:
                rows.ledger[job_id][place(one)] = entry.retry()
            rows.store(replace(job, state=replace(job.state, unfinished=True, reopened=str(next(rows.numbers)))))
            return True

    def discard(self, job_id: str, parked_id: str) -> bool:
        """See the port."""
        with self._rows.writing("parked.discard"):
            one = self._rows.parked.get(job_id, {}).pop(parked_id, None)
            if one is None:
                return False
            self._rows.copies.pop((job_id, place(one)), None)
            entries = self._rows.ledger[job_id]
            entries[place(one)] = replace(entries[place(one)], kept=False)
            self._rows.changed[job_id, place(one)] = self._rows.clock()
            return True


def place(one: ParkedMessage) -> Place:
    """Where the ledger has it."""
    return one.mailbox, one.item


def chunks(data: bytes) -> Iterator[bytes]:
    """The bytes in pieces."""
    return (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))
