"""The one NCRONTAB expression that wakes a job for every occurrence of its schedule.

A timer has one expression in UTC; a schedule lives by the wall clock of its zone and knows weeks and intervals that no
expression can say. So the timer fires somewhat more often than the job is due, and the exact schedule decides.

An expression fires at every combination of the values in its fields. To fire at an occurrence it needs the occurrence's
minute, hour, day, month and weekday in UTC, each in its field. A cover holds these values and no others: so every
expression that fires at every occurrence fires wherever the cover does, and none fires less.
"""

from calendar import isleap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from zlib import crc32

from shared.schedule.clock import MINUTES_A_DAY, RELEVANT, Calendar, clock_days, midnight, minutes_of, to_instant
from shared.schedule.days import Kind, kind_of, neighbours
from shared.schedule.model import AnySchedule
from shared.schedule.ncrontab import NCrontab
from shared.schedule.occurrences import Occurrences

#: A schedule that ends within so many days is looked at day by day; a longer one by the kinds of day it can fall on.
_SHORT = 5 * 366
#: Over so many days `Cover.excess` is counted: four years, leap day included.
HORIZON = timedelta(days=4 * 365 + 1)


#: Every kind of 28 February.
_EVES = frozenset((2, 28, weekday) for weekday in range(7))

#: What a day can be that is so many days (-1, 0, 1) from the one in question.
_KindsAt = Callable[[int], Iterable[Kind]]


@dataclass(frozen=True, slots=True)
class Cover:
    """An expression in UTC that fires within the minute of every occurrence, and how much it fires besides.

    The counts are over ``since`` to ``until``: four years from the UTC day of the first occurrence (from 2026 on), or
    to the day of the last one where that is sooner.
    """

    ncrontab: NCrontab
    fires: int
    occurrences: int
    #: UTC days; ``until`` is excluded.
    since: date
    until: date

    @property
    def expression(self) -> str:
        """The six-field text for the timer trigger."""
        return str(self.ncrontab)

    @property
    def excess(self) -> float:
        """Fires for each occurrence: 1.0 is a perfect cover; 3.0 means that two of three wake-ups find nothing due."""
        return self.fires / self.occurrences


def second_for(job_id: str) -> int:
    """Give the second, 1 to 59, at which the timer of this job fires: always the same, spread evenly over jobs.

    Never 0: a timer that fires a few milliseconds early would then find nothing due.
    """
    return 1 + crc32(job_id.encode()) % 59


def cover(schedule: AnySchedule, *, second: int = 0) -> Cover | None:
    """Cover every occurrence from 2026 on, for ever; None when there is none: such a job needs no timer.

    ``second``, 0 to 59, is when in the minute the timer fires. Takes some milliseconds, and some tens the first time
    that a zone is met.
    """
    occurrences = Occurrences(schedule)
    first = occurrences.next_after(to_instant(midnight(RELEVANT[0]) - 1))
    if first is None:
        return None
    calendar = occurrences.calendar
    start = max(calendar.first, first.date() - timedelta(2))
    short = (calendar.last - start).days < _SHORT
    fields = _Fields()
    for minutes, kinds_at in _days_one_by_one(occurrences, first) if short else _days_by_kind(calendar):
        fields.add(minutes, kinds_at)
    return _measured(fields.ncrontab(second), occurrences, first)


class _Fields:
    """The values that occurrences need, gathered."""

    def __init__(self) -> None:
        self.minutes: set[int] = set()
        self.hours: set[int] = set()
        self.days: set[int] = set()
        self.months: set[int] = set()
        self.weekdays: set[int] = set()
        self._clock: dict[tuple[int, ...], frozenset[int]] = {}

    def add(self, minutes: Sequence[int], kinds_at: _KindsAt) -> None:
        """Add occurrences at ``minutes`` from the UTC midnight of a day whose neighbours ``kinds_at`` tells."""
        for shift in self._add_clock(minutes):
            for month, day, weekday in kinds_at(shift):
                self.months.add(month)
                self.days.add(day)
                self.weekdays.add((weekday + 1) % 7)

    def ncrontab(self, second: int) -> NCrontab:
        gathered = (self.minutes, self.hours, self.days, self.months, self.weekdays)
        return NCrontab((second,), *(tuple(sorted(values)) for values in gathered))

    def _add_clock(self, minutes: Sequence[int]) -> frozenset[int]:
        """Add minutes and hours; give by how many days they miss the day they belong to."""
        known = (minutes.start, minutes.stop, minutes.step) if isinstance(minutes, range) else tuple(minutes)
        if known not in self._clock:
            self.minutes.update(minute % 60 for minute in minutes)
            self.hours.update(minute // 60 % 24 for minute in minutes)
            self._clock[known] = frozenset(minute // MINUTES_A_DAY for minute in minutes)
        return self._clock[known]


def _days_one_by_one(occurrences: Occurrences, first: datetime) -> Iterator[tuple[Sequence[int], _KindsAt]]:
    """Every day of a schedule that ends soon."""
    calendar = occurrences.calendar
    day = calendar.first_from(first.date() - timedelta(2))
    relevant = midnight(RELEVANT[0])
    while day is not None:
        minutes = [minute for minute in occurrences.minutes_on(day) if minute >= relevant]
        if minutes:
            yield [minute - midnight(day) for minute in minutes], partial(_kind_beside, day)
        day = calendar.first_from(day + timedelta(1))


def _days_by_kind(calendar: Calendar) -> Iterator[tuple[Sequence[int], _KindsAt]]:
    """Every kind of day of a schedule without an end in sight, with every way the clock can run on it."""
    falls = calendar.days.kinds()
    before_leap_days = _before_leap_days(calendar, falls)
    for day, like in clock_days(calendar.zone):
        kinds = falls.intersection(like)
        if kinds:
            minutes = minutes_of(calendar.zone, day, calendar.times, repeats=calendar.repeats)
            yield [minute - midnight(day) for minute in minutes], partial(_kinds_beside, kinds, before_leap_days)


def _kind_beside(day: date, shift: int) -> Iterable[Kind]:
    return (kind_of(day + timedelta(shift)),)


def _before_leap_days(calendar: Calendar, falls: frozenset[Kind]) -> frozenset[Kind]:
    """The kinds of 28 February on which it falls in leap years: the last day of the month, for one, never does."""
    eves = [date(year, 2, 28) for year in range(2004, 2400, 4) if isleap(year)] if falls & _EVES else []
    return frozenset(kind_of(eve) for eve in eves if calendar.days.first_from(eve) == eve)


def _kinds_beside(kinds: frozenset[Kind], before_leap_days: frozenset[Kind], shift: int) -> Iterable[Kind]:
    beside = {(kind, other) for kind in kinds for other in neighbours(kind, shift)}
    return {other for kind, other in beside if kind not in _EVES or other[:2] != (2, 29) or kind in before_leap_days}


def _measured(ncrontab: NCrontab, occurrences: Occurrences, first: datetime) -> Cover:
    since = first.date()
    until = since + HORIZON
    last = occurrences.latest_at_or_before(datetime.combine(until, datetime.min.time(), UTC) - timedelta(minutes=1))
    if last is not None and occurrences.next_after(last) is None:
        until = last.date() + timedelta(1)
    opening, closing = (to_instant(midnight(day) - 1) for day in (since, until))
    kinds = ncrontab.dates.kinds()
    days = sum(kind_of(since + timedelta(ahead)) in kinds for ahead in range((until - since).days))
    return Cover(
        ncrontab=ncrontab,
        fires=days * len(ncrontab.hours) * len(ncrontab.minutes),
        occurrences=occurrences.count(opening, closing),
        since=since,
        until=until,
    )
