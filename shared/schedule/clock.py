"""What the wall clock of a zone makes of local times. Instants are whole minutes since 1970 in UTC.

::

    clocks go forward            clocks go back
    01:59 │ 03:00                02:59 │ 02:00
    ──────┼──────▶ wall          ──────┼──────▶ wall
          └ 02:00 to 02:59 do          └ 02:00 to 02:59 come
            not exist: each runs         twice: each runs at the first
            at 03:00                     copy, or at both (``repeats``)
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from shared.schedule.days import FIRST_DAY, LAST_DAY, Days, Kind, all_kinds, kind_of

MINUTES_A_DAY = 24 * 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()

#: Which years a zone's rules are read for. Before 2026 this product did not exist. Rules repeat within 28 years, and
#: no zone lists exceptions (Ramadan in Morocco and Gaza) beyond 2087, so that nothing new comes after the century.
RELEVANT = date(2026, 1, 1), date(2126, 1, 1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """A schedule as the wall clock of its zone sees it: some times of day, on some days, from a first to a last day."""

    days: Days
    #: Minutes after midnight, ascending, at least one.
    times: Sequence[int]
    #: Whether a time that the clock shows twice (the end of daylight saving) counts twice.
    repeats: bool
    zone: ZoneInfo
    first: date = FIRST_DAY
    last: date = LAST_DAY

    def first_from(self, day: date) -> date | None:
        """The earliest day on or after ``day`` that is within the schedule's duration, or None."""
        found = self.days.first_from(max(day, self.first))
        return found if found is not None and found <= self.last else None

    def last_until(self, day: date) -> date | None:
        """The latest day on or before ``day`` that is within the schedule's duration, or None."""
        found = self.days.last_until(min(day, self.last))
        return found if found is not None and found >= self.first else None


def midnight(day: date) -> int:
    """Give the minute at which ``day`` begins in UTC."""
    return (day.toordinal() - _EPOCH_DAY) * MINUTES_A_DAY


def day_of(minute: int) -> date:
    """Give the UTC day that holds ``minute``."""
    return date.fromordinal(minute // MINUTES_A_DAY + _EPOCH_DAY)


def to_minute(instant: datetime) -> int:
    """Give the minute that holds ``instant``. Raises ValueError when it has no time zone."""
    if instant.tzinfo is None:
        raise ValueError("An instant needs a time zone.")
    return (instant - _EPOCH) // timedelta(minutes=1)


def to_instant(minute: int) -> datetime:
    """Give ``minute`` as an aware UTC instant."""
    return _EPOCH + timedelta(minutes=minute)


def minutes_of(zone: ZoneInfo, day: date, times: Sequence[int], *, repeats: bool) -> Sequence[int]:
    """Give the minutes, ascending, at which the clock of ``zone`` shows ``times`` on ``day``. See the picture above.

    A range comes back as a range wherever the clock runs evenly.
    """
    start = midnight(day)
    before, after = _offsets(zone, day, times[0])
    if before == after and (before, after) == _offsets(zone, day, times[-1]):
        shift = start - before
        if isinstance(times, range):
            return range(times.start + shift, times.stop + shift, times.step)
        return [shift + time for time in times]
    found: set[int] = set()
    for time in times:
        before, after = _offsets(zone, day, time)
        wall = start + time
        if before < after:
            found.add(_change_between(zone, wall - after, wall - before))
        else:
            found.add(wall - before)
            if repeats:
                found.add(wall - after)
    return sorted(found)


def offset_at(zone: ZoneInfo, minute: int) -> int:
    """Give the minutes by which the clock of ``zone`` is ahead of UTC at ``minute``."""
    return _whole_minutes(to_instant(minute).astimezone(zone).utcoffset())


@lru_cache(maxsize=16)
def clock_days(zone: ZoneInfo) -> tuple[tuple[date, Collection[Kind]], ...]:
    """Sort the days of the relevant years by how the clock of ``zone`` runs on them.

    Each answer is one such day, and every kind of day on which the clock runs like that in some year.
    """
    since, until = (midnight(day) for day in RELEVANT)
    changes = _changes(zone, since, until)
    offset = offset_at(zone, since)
    if not changes:
        return ((RELEVANT[0], all_kinds()),)
    uneven: dict[date, tuple[int, int, int]] = {}
    for change in changes:
        earlier, later = offset_at(zone, change - 1), offset_at(zone, change)
        for wall in (change + earlier, change + later):
            day = day_of(wall)
            uneven[day] = change - midnight(day), earlier, later
    samples: dict[tuple[int, ...], date] = {}
    kinds: defaultdict[tuple[int, ...], set[Kind]] = defaultdict(set)
    offsets = [offset, *(offset_at(zone, change) for change in changes)]
    for ordinal in range(RELEVANT[0].toordinal(), RELEVANT[1].toordinal()):
        day = date.fromordinal(ordinal)
        noon = midnight(day) + MINUTES_A_DAY // 2
        course = uneven.get(day) or (offsets[bisect_right(changes, noon - offset)],)
        samples.setdefault(course, day)
        kinds[course].add(kind_of(day))
    return tuple((day, frozenset(kinds[course])) for course, day in samples.items())


def _changes(zone: ZoneInfo, since: int, until: int) -> list[int]:
    """Find the minutes at which ``zone`` changes its offset. None changes it back within three days."""
    marks = range(since, until, 3 * MINUTES_A_DAY)
    offsets = [offset_at(zone, mark) for mark in marks]
    return [
        _change_between(zone, low, high)
        for (low, before), (high, after) in pairwise(zip(marks, offsets, strict=True))
        if before != after
    ]


def _change_between(zone: ZoneInfo, low: int, high: int) -> int:
    """Give the first minute after ``low`` at which the offset is no longer what it is at ``low``."""
    earlier = offset_at(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(zone, middle) == earlier:
            low = middle
        else:
            high = middle
    return high


def _offsets(zone: ZoneInfo, day: date, time: int) -> tuple[int, int]:
    """Give the offsets of a local time by the clock before and after a change that concerns it; mostly the same."""
    wall = datetime(day.year, day.month, day.day, time // 60, time % 60, tzinfo=zone)
    return _whole_minutes(wall.utcoffset()), _whole_minutes(wall.replace(fold=1).utcoffset())


def _whole_minutes(offset: timedelta | None) -> int:
    if offset is None:
        raise ValueError("A zone without an offset is no zone.")
    return offset // timedelta(minutes=1)
