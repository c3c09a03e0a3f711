"""Why-records on the jobs table: a page for each transaction of the ledger, so that they cost no request of their own.

::

    why:{newest run first}:{job}:{page}     the records of up to 98 messages, compressed

Who asks by Message-ID or by ticket is led by the ledger's rows, which name the run; who asks by day reads the pages of
that day. Asking costs some requests to each partition; writing, which is done far more often, none.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any

from shared.model import Clock
from shared.storage.keys import BUCKETS, bucket, escape, newest_first, prefix_end
from shared.storage.rows import keys, ledger_prefix, read_entry
from shared.storage.table import Row, Table
from shared.why import Why, read_why, why_of, write_why

#: Octets of one binary property; Table Storage takes 64 KiB.
_CHUNK = 60_000
_AT_A_TIME = 8


def why_key(run_id: str, job_id: str, page: int) -> str:
    """RowKey of a page: a run id begins with its time, so the newest comes first."""
    return f"why:{newest_first(escape(run_id))}:{job_id}:{page:05}"


def why_before(instant: datetime) -> str:
    """RowKey before that of every page of a run that began at ``instant`` or earlier."""
    return f"why:{newest_first(f'{instant:%Y%m%dT%H%M%S}')}"


def write_page(whys: Sequence[Why], run_id: str, job_id: str, page: int) -> Row:
    """The records of one transaction as a row."""
    text = json.dumps([write_why(why) for why in whys], ensure_ascii=False, separators=(",", ":"))
    data = zlib.compress(text.encode("utf-8", "replace"), 6)
    chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    return {
        **keys(job_id, why_key(run_id, job_id, page)),
        "messages": len(whys),
        "chunks": len(chunks),
        **{f"data{number}": chunk for number, chunk in enumerate(chunks)},
    }


def read_page(row: Mapping[str, Any]) -> list[Why]:
    """The reverse."""
    data = b"".join(bytes(row[f"data{number}"]) for number in range(row["chunks"]))
    return [read_why(written) for written in json.loads(zlib.decompress(data))]


class TableWhyRecords:
    """See `shared.ports.WhyRecords`."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def find(
        self, *, message_id: str = "", ticket_id: str = "", job_id: str | None = None, limit: int = 50
    ) -> Sequence[Why]:
        """See the port."""
        column, value = ("message_id", message_id) if message_id else ("ticket_id", ticket_id)

        def look(part: str) -> list[Why]:
            low = ledger_prefix(job_id) if job_id else "msg:"
            rows = self._table.rows(part, low, prefix_end(low), where=f"{column} eq @value", values={"value": value})
            return [self._of(row) for _, row in zip(range(limit), rows, strict=False)]

        return self._everywhere(look, job_id, limit)

    def of_day(self, day: date, *, sender: str = "", job_id: str | None = None, limit: int = 50) -> Sequence[Why]:
        """See the port."""
        low = f"why:{newest_first(f'{day:%Y%m%d}T')}"

        def look(part: str) -> list[Why]:
            return list(self._of_day(part, low, sender.lower(), job_id, limit))

        return self._everywhere(look, job_id, limit)

    def _of_day(self, part: str, low: str, sender: str, job_id: str | None, limit: int) -> Iterator[Why]:
        found = 0
        for row in self._table.rows(part, low, f"{low}~"):
            for why in read_page(row):
                if (sender and why.sender != sender) or (job_id and why.key.job_id != job_id):
                    continue
                yield why
                found += 1
                if found == limit:
                    return

    def _everywhere(self, look: Any, job_id: str | None, limit: int) -> list[Why]:
        parts = [bucket(job_id)] if job_id else list(BUCKETS)
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            found = [why for whys in pool.map(look, parts) for why in whys]
        return sorted(found, key=lambda why: why.decided, reverse=True)[:limit]

    def _of(self, row: Row) -> Why:
        """The record of a ledger row's message; what the row itself says, where there is none any more."""
        job_id = str(row["RowKey"]).split(":")[1]
        entry = read_entry(row, job_id, "")
        if entry.run_id:
            low = f"why:{newest_first(escape(entry.run_id))}:{job_id}:"
            for page in self._table.rows(row["PartitionKey"], low, prefix_end(low)):
                for why in read_page(page):
                    if (why.key.item, why.key.generation) == (entry.key.item, entry.key.generation):
                        return why
        return why_of(entry, datetime.fromisoformat(row["changed"]))
