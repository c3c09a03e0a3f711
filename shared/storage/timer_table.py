"""The jobs' timers as the table has them, and one row on which all instances agree about registering them anew."""

from dataclasses import dataclass
from datetime import datetime

from shared.model import Clock, TimerColumns
from shared.storage.keys import BUCKETS, read_time, write_time
from shared.storage.open import Account, utc_now
from shared.storage.table import Row, RowConflict, Table, Write

_KEYS: Row = {"PartitionKey": "timers", "RowKey": "registered"}
_COLUMNS = ("RowKey", "ncrontab", "enabled", "lease_run", "lease_expires")


@dataclass(frozen=True, slots=True)
class TimerNote:
    """What instances tell each other; ``wanted`` and ``synced`` are digests of timers."""

    #: The timers that the table asked for when somebody last looked, and since when it does.
    wanted: str = ""
    since: datetime | None = None
    #: Nobody asks the platform again before.
    not_before: datetime | None = None
    #: The timers that the platform was last told of.
    synced: str = ""
    #: The version of the row; empty where there is none yet.
    etag: str = ""


class TimerTable:
    """Reads the job table for its timers, and keeps the note. Safe to share between threads."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def read(self) -> tuple[list[TimerColumns], int]:
        """What every job's timer needs, and how many runs go on. Sixteen requests, more above 16,000 jobs."""
        now = write_time(self._clock())
        rows = [row for part in BUCKETS for row in self._table.rows(part, "job:", "job;", select=_COLUMNS)]
        running = sum(bool(row.get("lease_run")) and row.get("lease_expires", "") > now for row in rows)
        return [
            TimerColumns(row["RowKey"].removeprefix("job:"), row["ncrontab"], row["enabled"]) for row in rows
        ], running

    def note(self) -> TimerNote:
        """The note as it stands. One request."""
        row = self._table.get(_KEYS["PartitionKey"], _KEYS["RowKey"])
        if row is None:
            return TimerNote()
        return TimerNote(
            row["wanted"], read_time(row["since"]), read_time(row["not_before"]), row["synced"], etag=row["etag"]
        )

    def write(self, note: TimerNote) -> TimerNote | None:
        """Keep ``note`` if the row is still the version it was read from; None where somebody was first."""
        row: Row = {
            **_KEYS,
            "wanted": note.wanted,
            "since": write_time(note.since),
            "not_before": write_time(note.not_before),
            "synced": note.synced,
        }
        try:
            etag = self._table.write(Write("merge", row, note.etag) if note.etag else Write("insert", row))[0]
        except RowConflict:
            return None
        return TimerNote(note.wanted, note.since, note.not_before, note.synced, etag=etag)


def open_timer_table(account: Account, prefix: str, clock: Clock = utc_now) -> TimerTable:
    """Sends no request."""
    return TimerTable(Table(account.tables().get_table_client(f"{prefix}jobs")), clock)
