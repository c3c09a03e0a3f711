"""The few columns that function_app needs while it is imported, read within a hard time budget and never raising."""

import logging
import threading
from collections.abc import Iterator

from shared.events import Event, tell
from shared.model import TimerColumns
from shared.storage.keys import BUCKETS
from shared.storage.open import Account
from shared.storage.table import Row, Table

_log = logging.getLogger(__name__)

_COLUMNS = ("RowKey", "ncrontab", "enabled")


def read_timers(account: Account, prefix: str, *, seconds: float) -> list[TimerColumns]:
    """What every job's timer needs, or as much of it as storage told in time.

    The import of function_app stands still meanwhile, and an import that fails leaves the app without any function. So
    whatever storage does (refuse, hang, answer nonsense), this returns, and the sweep carries the jobs left out.
    """
    found: list[TimerColumns] = []
    done = threading.Event()

    def read() -> None:
        try:
            for row in _rows(account, prefix, seconds):
                found.append(  # noqa: PERF401 (what was read counts even if the rest never comes)
                    TimerColumns(
                        job_id=str(row["RowKey"]).removeprefix("job:"),
                        ncrontab=str(row.get("ncrontab") or ""),
                        enabled=row.get("enabled") is True,
                    )
                )
        except Exception as fault:  # noqa: BLE001 (see the docstring)
            tell(_log, Event.TIMERS_UNREAD, f"the job table could not be read, so the sweep runs the jobs: {fault}")
        finally:
            done.set()

    threading.Thread(target=read, name="timer index", daemon=True).start()
    if not done.wait(seconds):
        tell(_log, Event.TIMERS_UNREAD, f"the job table did not answer within {seconds} s, so the sweep runs the jobs.")
    return list(found)


def _rows(account: Account, prefix: str, seconds: float) -> Iterator[Row]:
    tables = account.tables(retry_total=0, connection_timeout=seconds, read_timeout=seconds)
    table = Table(tables.get_table_client(f"{prefix}jobs"))
    for part in BUCKETS:
        yield from table.rows(part, "job:", "job;", select=_COLUMNS)
