"""When a job is due, and what a run takes on.

::

    created, enabled or changed at ──┐
                                     ▼
    ──o────────o────────o────────o───┼────o────────o────────o──┼─────o──▶   o  occurrence
                                          │                 │  │     │
                      the first next_due ─┘                 │  now   └ next_due after it
                                     last_occurrence after it ┘

A job looks forward only: what was due before it was created, enabled or changed is not caught up on. A run stands for
every occurrence up to now, however many were missed.
"""

from dataclasses import dataclass
from datetime import datetime

from shared.schedule.model import AnySchedule
from shared.schedule.occurrences import Occurrences


@dataclass(frozen=True, slots=True)
class Taken:
    """What a run writes when it claims: the newest occurrence it stands for, and when the job is due next."""

    last_occurrence: datetime
    #: None when the schedule has ended.
    next_due: datetime | None


def first_due(schedule: AnySchedule, *, enabled: bool, now: datetime) -> datetime | None:
    """When a job that was created, enabled or changed at ``now`` is due; None when disabled or ended. Aware, UTC."""
    return Occurrences(schedule).next_after(now) if enabled else None


def take(schedule: AnySchedule, *, next_due: datetime | None, now: datetime) -> Taken | None:
    """What a run that starts at ``now`` takes on, given the job's stored ``next_due``; None when nothing is due.

    Should the stored instant be no occurrence any more (new time zone rules came in between), the run stands for it
    all the same: better one look too many at a mailbox than one too few.
    """
    if next_due is None or next_due > now:
        return None
    occurrences = Occurrences(schedule)
    latest = occurrences.latest_at_or_before(now)
    return Taken(
        last_occurrence=next_due if latest is None else max(latest, next_due),
        next_due=occurrences.next_after(now),
    )
