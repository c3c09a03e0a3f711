"""How a job stands after a run, and which events that is worth. Pure.

::

    healthy    its runs end well, and no message waits longer than the job allows
    delayed    a fault that mostly passes by itself, mail that waits too long, or a canary that does not come back
    failing    the third such fault in a row, or a defect of ours: somebody should look
    paused     sign-in refused or config wrong: tried seldom, and nothing goes on until a person acts
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.canary import missing_sentence
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.events import Event
from shared.model import Health, JobRecord, JobState

#: Failed runs in a row after which a passing fault is none any more.
_TOO_MANY = 3

#: What a job is in after a change, and the event that tells of it.
_TOLD = {Health.FAILING: Event.JOB_FAILING, Health.PAUSED: Event.JOB_PAUSED}


#: A job that is due for longer than this is late, whatever its last run said.
OVERDUE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands now, since when, and why; ``why`` is empty when it is healthy."""

    health: Health
    since: datetime | None
    why: str


def standing(record: JobRecord, now: datetime) -> Standing:
    """How a job stands at ``now``: as its last run left it, or late because no run or no canary came since."""
    state = record.state
    held = bool(state.lease_run) and state.lease_expires is not None and state.lease_expires > now
    due = state.next_due
    if state.health is Health.HEALTHY and record.enabled and due and now - due > OVERDUE and not held:
        why = "No run has taken the job up since it was due. Check that the functions 'sweep' and 'run_queue' run."
        return Standing(Health.DELAYED, due, why)
    if state.health is Health.HEALTHY and record.enabled and (missing := missing_sentence(state.canary, now)):
        return Standing(Health.DELAYED, state.canary.lacking_since(now), missing)
    return Standing(state.health, state.health_since, state.last_error)


def health_after(fault: JobError | None, failures: int, *, waits: bool = False) -> Health:
    """``failures``: in a row, this one included. ``waits``: mail waits too long, or a canary is missing."""
    if fault is None:
        return Health.DELAYED if waits else Health.HEALTHY
    if isinstance(fault, AuthFailed | ConfigInvalid):
        return Health.PAUSED
    return Health.DELAYED if isinstance(fault, Unavailable) and failures < _TOO_MANY else Health.FAILING


def events_after(
    before: JobState, after: Health, fault: JobError | None, waits: str, missing: str = ""
) -> Iterator[tuple[Event, str]]:
    """What a run's end is worth telling, each with its sentence. A change is told once; what goes on, by each run."""
    if fault:
        yield Event.JOB_FAILED, str(fault)
        if after is not before.health and after in _TOLD:
            yield _TOLD[after], str(fault)
    elif before.failures:
        runs = "run" if before.failures == 1 else "runs"
        yield Event.JOB_RECOVERED, f"it went well again after {before.failures} failed {runs}."
    if waits:
        yield Event.MAIL_WAITING, waits
    if missing and not fault:
        yield Event.CANARY_MISSING, missing


def waiting_sentence(since: datetime | None, now: datetime, allowed: timedelta | None) -> str:
    """Why a job is delayed though its runs end well; empty where no message has waited longer than ``allowed``."""
    if since is None or allowed is None or now - since <= allowed:
        return ""
    minutes = (now - since) // timedelta(minutes=1)
    return f"A message has waited for its ticket since {since:%Y-%m-%d %H:%M} UTC ({minutes} minutes)."
