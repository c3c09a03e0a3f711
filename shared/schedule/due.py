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

    #: None where none lies in the past.
    last_occurrence: datetime | None
    #: None when the job is disabled, or its schedule has ended.
    next_due: datetime | None


def first_due(schedule: AnySchedule, *, enabled: bool, now: datetime) -> datetime | None:
    """When a job that was created, enabled or changed at ``now`` is due; None when disabled or ended. Aware, UTC."""
    return Occurrences(schedule).next_after(now) if enabled else None


def take(schedule: AnySchedule, *, enabled: bool, now: datetime) -> Taken:
    """What a run that starts at ``now`` takes on, whether it was due or started by hand."""
    occurrences = Occurrences(schedule)
    return Taken(
        last_occurrence=occurrences.latest_at_or_before(now),
        next_due=occurrences.next_after(now) if enabled else None,
    )
