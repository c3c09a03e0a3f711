"""What a schedule will do, shown before it is saved."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from shared.schedule.clock import MINUTES_A_DAY, Calendar, day_of, midnight, offset_at, to_minute
from shared.schedule.cover import cover
from shared.schedule.describe import sentence
from shared.schedule.model import AnySchedule
from shared.schedule.occurrences import Occurrences


@dataclass(frozen=True, slots=True)
class PreviewedOccurrence:
    """One occurrence: the same instant in UTC and by the schedule's own clock."""

    utc: datetime
    local: datetime
    #: What daylight saving does to it, in a sentence; mostly empty.
    note: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What `preview` tells."""

    sentence: str
    #: The six-field UTC expression of the timer, with second ``second``; empty when no timer can ever fire.
    expression: str
    #: Fires of the timer for each occurrence (see `Cover`); None when there is no timer.
    excess: float | None
    #: The next ones, ascending: fewer than asked for when the schedule ends.
    occurrences: tuple[PreviewedOccurrence, ...]


def preview(schedule: AnySchedule, *, now: datetime, count: int = 50, second: int = 0) -> Preview:
    """Show the next ``count`` occurrences after ``now`` (aware), the timer's expression and its excess."""
    occurrences = Occurrences(schedule)
    calendar = occurrences.calendar
    covering = cover(schedule, second=second)
    upcoming = islice(occurrences.after(now), count)
    return Preview(
        sentence=sentence(schedule),
        expression=covering.expression if covering else "",
        excess=covering.excess if covering else None,
        occurrences=tuple(
            PreviewedOccurrence(utc, utc.astimezone(calendar.zone), _note(calendar, utc)) for utc in upcoming
        ),
    )


def _note(calendar: Calendar, utc: datetime) -> str:
    minute = to_minute(utc)
    before, after = offset_at(calendar.zone, minute - 1), offset_at(calendar.zone, minute)
    if before < after:
        skipped = [wall for wall in range(minute + before, minute + after) if _names(calendar, wall)]
        if skipped:
            stands = f"{_clock(skipped[0])}, which does not exist"
            if len(skipped) > 1:
                stands = f"{_clock(skipped[0])} to {_clock(skipped[-1])}, which do not exist"
            return f"The clocks go forward: stands for {stands} on this day."
    local = utc.astimezone(calendar.zone)
    if local.fold:
        return f"The clocks go back: {local:%H:%M} for the second time."
    if local.utcoffset() != local.replace(fold=1).utcoffset():
        other = "and again when it comes for the second time" if calendar.repeats else "not when it comes again"
        return f"The clocks go back: {local:%H:%M} for the first time, {other}."
    return ""


def _names(calendar: Calendar, wall: int) -> bool:
    """Whether the calendar names this local time, counted in minutes as if it were UTC."""
    day = day_of(wall)
    return wall - midnight(day) in calendar.times and calendar.first_from(day) == day


def _clock(wall: int) -> str:
    minute = wall % MINUTES_A_DAY
    return f"{minute // 60:02}:{minute % 60:02}"
