"""The exact instants at which a schedule is due, daylight saving included."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import takewhile

from shared.schedule.clock import Calendar, day_of, minutes_of, to_instant, to_minute
from shared.schedule.model import AnySchedule

#: A minute of one local day lies on the UTC day of the same date, or at most this far from it: 14 hours of offset, and
#: the one whole day that Samoa's calendar left out in 2011.
_REACH = timedelta(days=2)


class Occurrences:
    """Every instant at which ``schedule`` is due: aware, in UTC, on whole minutes, each once, ascending.

    A local time that does not exist counts at the first instant after the gap. A local time that comes twice counts at
    its first copy when the schedule runs once a day, and at both copies when it runs at an interval. An instant that
    several local times lead to counts once. A day belongs to the duration by its local date.

    Arguments must be aware, else ValueError. Takes microseconds, at whatever distance the next occurrence is.
    """

    def __init__(self, schedule: AnySchedule) -> None:
        self.calendar: Calendar = schedule.calendar()
        self._minutes = lru_cache(maxsize=8)(self._read_minutes)

    def next_after(self, instant: datetime) -> datetime | None:
        """The first occurrence strictly after ``instant``, or None when there is none any more."""
        after = to_minute(instant)
        for minutes in self._batches(after):
            return to_instant(minutes[0])
        return None

    def latest_at_or_before(self, instant: datetime) -> datetime | None:
        """The last occurrence at or before ``instant``, or None when there was none yet."""
        until = to_minute(instant)
        day = self.calendar.last_until(day_of(until) + _REACH)
        while day is not None:
            at = bisect_right(self._minutes(day), until)
            earlier = self.calendar.last_until(day - timedelta(1))
            if at:
                latest = self._minutes(day)[at - 1]
                if earlier is not None:
                    # The evening before may have come again after the first minutes of this day.
                    behind = bisect_right(self._minutes(earlier), until)
                    latest = max(latest, *self._minutes(earlier)[max(behind - 1, 0) : behind])
                return to_instant(latest)
            day = earlier
        return None

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the occurrences strictly after ``after``, up to and including ``until``."""
        return takewhile(lambda instant: instant <= until, self.after(after))

    def after(self, instant: datetime) -> Iterator[datetime]:
        """Yield the occurrences strictly after ``instant``, without end where the schedule has none."""
        return (to_instant(minute) for minutes in self._batches(to_minute(instant)) for minute in minutes)

    def count(self, after: datetime, until: datetime) -> int:
        """How many occurrences `between` would yield, without making them."""
        end = to_minute(until)
        total = 0
        for minutes in self._batches(to_minute(after)):
            within = bisect_right(minutes, end)
            total += within
            if within < len(minutes):
                break
        return total

    def minutes_on(self, day: date) -> Sequence[int]:
        """The minutes since 1970 of the occurrences that belong to the local ``day``, a day of the calendar."""
        return self._minutes(day)

    def _batches(self, after: int) -> Iterator[Sequence[int]]:
        """Yield the minutes after ``after``, a day or so at a time, none of them empty, none of them overlapping."""
        held: Sequence[int] = ()
        day = self.calendar.first_from(day_of(after) - _REACH)
        while day is not None:
            minutes = self._minutes(day)
            minutes = minutes[bisect_right(minutes, after) :]
            if held and minutes and held[-1] >= minutes[0]:
                minutes = sorted({*held, *minutes})
            elif held:
                yield held
            held = minutes
            day = self.calendar.first_from(day + timedelta(1))
        if held:
            yield held

    def _read_minutes(self, day: date) -> Sequence[int]:
        calendar = self.calendar
        return minutes_of(calendar.zone, day, calendar.times, repeats=calendar.repeats)
