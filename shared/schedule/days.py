"""On which local days a schedule falls. Plain calendar arithmetic: no clock, no zone, no pydantic.

Weekdays count from Monday = 0, as `datetime.date.weekday` does.
"""

from calendar import monthrange
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Protocol

#: The first day that any schedule can fall on, and the day from which "every N" counts when there is no start date.
#: A Monday, and the first of a January, so that days, weeks and months all count from the same place.
FIRST_DAY = date(2001, 1, 1)
#: The last day that any schedule can fall on.
LAST_DAY = date(2999, 12, 31)

#: What can be said of a day without its year: (month, day, weekday).
Kind = tuple[int, int, int]


class Days(Protocol):
    """A set of days."""

    def first_from(self, day: date) -> date | None:
        """The earliest of them on or after ``day``, or None."""
        ...

    def last_until(self, day: date) -> date | None:
        """The latest of them on or before ``day``, or None."""
        ...

    def kinds(self) -> frozenset[Kind]:
        """Every kind of day that they can ever be, and no more than can be said without their years."""
        ...


@dataclass(frozen=True, slots=True)
class EveryDays:
    """Every ``every`` days, counted from ``anchor`` in both directions."""

    anchor: date
    every: int

    def first_from(self, day: date) -> date | None:
        """See `Days`."""
        return day + timedelta((self.anchor - day).days % self.every)

    def last_until(self, day: date) -> date | None:
        """See `Days`."""
        return day - timedelta((day - self.anchor).days % self.every)

    def kinds(self) -> frozenset[Kind]:
        """See `Days`."""
        if self.every % 7:
            return all_kinds()
        return frozenset(kind for kind in all_kinds() if kind[2] == self.anchor.weekday())


@dataclass(frozen=True, slots=True)
class EveryWeeks:
    """Some weekdays of every ``every`` weeks. Weeks begin on Monday; the one that holds ``anchor`` counts first."""

    anchor: date
    every: int
    #: Ascending, at least one.
    weekdays: tuple[int, ...]

    def first_from(self, day: date) -> date | None:
        """See `Days`."""
        monday = day - timedelta(day.weekday())
        ahead = self._weeks_since_anchor(monday)
        if ahead % self.every == 0:
            for weekday in self.weekdays:
                if weekday >= day.weekday():
                    return monday + timedelta(weekday)
        return monday + timedelta(weeks=self.every - ahead % self.every, days=self.weekdays[0])

    def last_until(self, day: date) -> date | None:
        """See `Days`."""
        monday = day - timedelta(day.weekday())
        behind = self._weeks_since_anchor(monday) % self.every
        if behind == 0:
            for weekday in reversed(self.weekdays):
                if weekday <= day.weekday():
                    return monday + timedelta(weekday)
        return monday + timedelta(weeks=-(behind or self.every), days=self.weekdays[-1])

    def kinds(self) -> frozenset[Kind]:
        """See `Days`."""
        return frozenset(kind for kind in all_kinds() if kind[2] in self.weekdays)

    def _weeks_since_anchor(self, monday: date) -> int:
        return (monday - self.anchor + timedelta(self.anchor.weekday())).days // 7


class DayOfMonth(Protocol):
    """A way to choose one day of a month."""

    def of(self, year: int, month: int) -> date | None:
        """The chosen day, or None when that month has none."""
        ...


@dataclass(frozen=True, slots=True)
class NumberedDay:
    """Day ``number``; where a month is too short, its last day if ``or_last``, else none."""

    number: int
    or_last: bool

    def of(self, year: int, month: int) -> date | None:
        """See `DayOfMonth`."""
        length = monthrange(year, month)[1]
        if self.number > length and not self.or_last:
            return None
        return date(year, month, min(self.number, length))


@dataclass(frozen=True, slots=True)
class OrdinalDay:
    """The first (0) to fourth (3), or last (-1), of the days of a month that are one of ``weekdays``."""

    ordinal: int
    weekdays: frozenset[int]

    def of(self, year: int, month: int) -> date | None:
        """See `DayOfMonth`."""
        opening, length = monthrange(year, month)
        fitting = [day for day in range(1, length + 1) if (opening + day - 1) % 7 in self.weekdays]
        return date(year, month, fitting[self.ordinal])


@dataclass(frozen=True, slots=True)
class EveryMonths:
    """One day of every ``every`` months, counted from the month of ``anchor``."""

    anchor: date
    every: int
    day: DayOfMonth

    def first_from(self, day: date) -> date | None:
        """See `Days`."""
        month = _month_number(day)
        month += (_month_number(self.anchor) - month) % self.every
        while month <= _month_number(LAST_DAY):
            found = self.day.of(month // 12, month % 12 + 1)
            if found is not None and found >= day:
                return found
            month += self.every
        return None

    def last_until(self, day: date) -> date | None:
        """See `Days`."""
        month = _month_number(day)
        month -= (month - _month_number(self.anchor)) % self.every
        while month >= _month_number(FIRST_DAY):
            found = self.day.of(month // 12, month % 12 + 1)
            if found is not None and found <= day:
                return found
            month -= self.every
        return None

    def kinds(self) -> frozenset[Kind]:
        """See `Days`."""
        months = {(self.anchor.month - 1 + self.every * turn) % 12 + 1 for turn in range(12)}
        found = (self.day.of(year, month) for year in _EVERY_KIND_OF_YEAR for month in months)
        return frozenset(kind_of(day) for day in found if day is not None)


@dataclass(frozen=True, slots=True)
class MatchingDays:
    """Days whose number, month AND weekday are each among those given: how NCRONTAB reads its three day fields."""

    numbers: Collection[int]
    months: Collection[int]
    weekdays: Collection[int]

    def first_from(self, day: date) -> date | None:
        """See `Days`."""
        return next((found for found in self._around(day, 1) if found >= day), None)

    def last_until(self, day: date) -> date | None:
        """See `Days`."""
        return next((found for found in self._around(day, -1) if found <= day), None)

    def kinds(self) -> frozenset[Kind]:
        """See `Days`."""
        return frozenset(
            (month, number, weekday)
            for month, number, weekday in all_kinds()
            if month in self.months and number in self.numbers and weekday in self.weekdays
        )

    def possible(self) -> bool:
        """Whether there is any such day. Every day that a month can have falls on every weekday some time."""
        return any(min(self.numbers) <= monthrange(2000, month)[1] for month in self.months)

    def _around(self, day: date, step: int) -> Iterator[date]:
        """Give these days month by month, away from ``day``: 29 February, a Monday, comes at least every 40 years."""
        if not self.possible():
            return
        start = _month_number(day)
        for month_number in range(start, start + step * 12 * 41, step):
            year, month = month_number // 12, month_number % 12 + 1
            if month not in self.months or not date.min.year <= year <= date.max.year:
                continue
            opening, length = monthrange(year, month)
            for number in sorted(self.numbers, reverse=step < 0):
                if number <= length and (opening + number - 1) % 7 in self.weekdays:
                    yield date(year, month, number)


#: Any 28 years without a century's missing leap day have every kind of year: both lengths, each first weekday.
_EVERY_KIND_OF_YEAR = range(2001, 2029)


def kind_of(day: date) -> Kind:
    """Forget the year of ``day``."""
    return day.month, day.day, day.weekday()


@lru_cache(maxsize=1)
def all_kinds() -> frozenset[Kind]:
    """Every kind of day there is: 366 days on seven weekdays."""
    return frozenset((month, day, weekday) for month, day in _year() for weekday in range(7))


@lru_cache(maxsize=1)
def _year() -> tuple[tuple[int, int], ...]:
    return tuple((month, day) for month in range(1, 13) for day in range(1, monthrange(2000, month)[1] + 1))


@lru_cache(maxsize=8192)
def neighbours(kind: Kind, shift: int) -> tuple[Kind, ...]:
    """What the day ``shift`` days (-1, 0, 1) from a day of this kind can be: two answers around the end of February."""
    month, day, weekday = kind
    found = []
    for year in (2000, 2001):
        if day <= monthrange(year, month)[1]:
            other = date(year, month, day) + timedelta(shift)
            found.append((other.month, other.day, (weekday + shift) % 7))
    return tuple(dict.fromkeys(found))


def _month_number(day: date) -> int:
    return day.year * 12 + day.month - 1
