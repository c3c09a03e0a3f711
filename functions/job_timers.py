"""One timer-triggered function per job, registered while function_app is imported."""

import logging
from collections.abc import Callable, Mapping

import azure.functions as func

from functions.wiring import account, services, settings
from shared.events import Event, tell
from shared.model import TimerColumns, Trigger
from shared.reindex import timers_for
from shared.storage.timer_index import read_timers

_log = logging.getLogger(__name__)

#: The import may take 30 s in all on the tightest plan; this leaves room for the interpreter and the SDKs.
_SECONDS = 4.0


def register(app: func.FunctionApp) -> Mapping[str, str]:
    """Give each enabled job its timer, as many as the settings allow. Returns ``{job id: expression}`` of those."""
    timers = timers_for(_jobs(), settings().max_timers, lambda why: tell(_log, Event.TIMER_UNUSABLE, why))
    for job_id, ncrontab in timers.items():
        timer = app.timer_trigger(schedule=ncrontab, arg_name="timer", run_on_startup=False)
        app.function_name(f"job_{job_id}")(timer(_body(job_id)))
    return timers


def _jobs() -> list[TimerColumns]:
    try:
        storage = account()
    except Exception as fault:  # noqa: BLE001 (an identity that cannot be had must not cost the app its functions)
        tell(_log, Event.TIMERS_UNREAD, f"there is no way to sign in to storage, so the sweep runs the jobs: {fault}")
        return []
    return read_timers(storage, settings().prefix, seconds=_SECONDS)


def _body(job_id: str) -> Callable[[func.TimerRequest], None]:
    def run(timer: func.TimerRequest) -> None:  # noqa: ARG001 (the stored schedule decides what is due, not the timer)
        from functions.running import run_and_log

        run_and_log(job_id, Trigger.TIMER, services())

    return run
