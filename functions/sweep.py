"""The safety net: every minute, whatever is due and unclaimed goes onto the run queue. Once a day it tidies up.

Every few hours it looks whether secrets end soon. The first one of a process makes the jobs that the deployment brings.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import azure.functions as func

from functions.wiring import audit, expiry, reindexing, seeds, services, settings, storage

if TYPE_CHECKING:
    from shared.model import DueJob
    from shared.ports import JobStore, RunQueue

_log = logging.getLogger(__name__)

#: Every minute, a little after the full one, at which occurrences lie.
_SCHEDULE = "5 * * * * *"

#: A job's own timer fires within the minute of its occurrence; before that, it is not late.
_GRACE = timedelta(seconds=60)

#: How long the housekeeping may take at a stretch; the next sweep goes on with it.
_TIDYING = timedelta(seconds=30)


def register(app: func.FunctionApp, timers: Mapping[str, str]) -> None:
    """``timers``: the expressions that this process registered, by job id."""
    registering = cache(lambda: reindexing(timers))

    @app.function_name("sweep")
    @app.timer_trigger(schedule=_SCHEDULE, arg_name="timer", run_on_startup=False)
    def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 (what is due is read from the table)
        from shared.begin import Services

        parts: Services = services()
        _plant_seeds()
        if registering().step():
            # What is due now would be killed in its beginning; the process that starts next queues it.
            return
        queue_due(parts.jobs, parts.queue, parts.clock(), timers, notice=registering().notice)
        _tidy()
        expiry().step()


@cache
def _plant_seeds() -> None:
    """Once; where storage is away it raises, and the next sweep tries again."""
    if text := settings().seed_jobs:
        from shared.api.seeds import plant
        from shared.storage.open import utc_now

        plant(text, services().jobs, seeds(), utc_now)


def _ignore(_: "DueJob") -> None:
    """Nobody wants to know."""


def queue_due(
    jobs: "JobStore",
    queue: "RunQueue",
    now: datetime,
    timers: Mapping[str, str],
    *,
    notice: "Callable[[DueJob], None]" = _ignore,
) -> None:
    """Put every job that is due onto the run queue, but one whose own ``timers`` entry may be about to fire.

    ``notice`` sees each that is queued.
    """
    from shared.begin import new_run_id
    from shared.events import Event, tell
    from shared.model import RunRequest, Trigger
    from shared.standing import OVERDUE

    for job in jobs.overdue(now):
        late = now - job.next_due
        if timers.get(job.job_id) == job.ncrontab and late < _GRACE:
            continue
        if late > OVERDUE:
            tell(
                _log, Event.JOB_OVERDUE, f"it has been due for {late // timedelta(minutes=1)} minutes.", job=job.job_id
            )
        notice(job)
        queue.put(RunRequest(job.job_id, new_run_id(now), Trigger.SWEEP))


def _tidy() -> None:
    """Once a day, remove what has expired. What goes wrong there is said, and disturbs nobody."""
    from shared.events import Event, tell
    from shared.ports import Deadline
    from shared.storage.open import utc_now

    try:
        deadline = Deadline(utc_now() + _TIDYING, utc_now)
        tidied = storage().housekeeping.tidy(deadline)
        changes = audit().expire(utc_now(), deadline) if tidied and tidied.complete else 0
    except Exception:  # noqa: BLE001 (whatever it is, the jobs are queued already, and tomorrow is another day)
        tell(_log, Event.HOUSEKEEPING_FAILED, "what has expired could not be removed; it is tried again.", trace=True)
        return
    if tidied:
        more = "" if tidied.complete else "; the next sweep goes on"
        removed = f"{tidied.purged_messages} copies of purged messages ({tidied.blobs} blobs)"
        parked = f"{tidied.parked_messages} parked messages"
        left = f"{tidied.ledger_entries} ledger entries of jobs that are gone"
        records = f"{tidied.run_records} run records, {changes} audit records"
        tell(_log, Event.HOUSEKEEPING, f"{removed}, {parked}, {records} and {left} were removed{more}.")
