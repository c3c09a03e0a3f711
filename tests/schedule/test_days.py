"""The days of each pattern are those that its own words name."""

from calendar import monthrange
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schedule.days import FIRST_DAY, LAST_DAY, EveryMonths, MatchingDays, NumberedDay, kind_of, neighbours
from shared.schedule.model import MONTHS, ORDINALS, WEEKDAYS, Daily, Monthly, Schedule, Weekly, Yearly
from tests.schedule.strategies import dates, once, schedules

NAMED = {"day": range(7), "weekday": range(5), "weekend day": (5, 6)} | {
    name: (at,) for at, name in enumerate(WEEKDAYS)
}


def chosen(pattern: Monthly | Yearly, day: date) -> bool:
    """The definition of a day of the month, told by looking at the days around it."""
    length = monthrange(day.year, day.month)[1]
    if isinstance(pattern.day, int):
        return day.day == (min(pattern.day, length) if pattern.if_missing == "last_day" else pattern.day)
    ordinal, kind = pattern.day.split(" ", 1)
    fitting = [at for at in range(1, length + 1) if day.replace(day=at).weekday() in NAMED[kind]]
    return day.day == (fitting[-1] if ordinal == "last" else fitting[ORDINALS.index(ordinal)])


def falls(schedule: Schedule, day: date) -> bool:
    """The definition of a pattern, without any arithmetic that could be wrong in the same way."""
    pattern, anchor = schedule.pattern, schedule.start_date or date(2001, 1, 1)
    if day < anchor or (schedule.end_date is not None and day > schedule.end_date):
        return False
    if isinstance(pattern, Daily):
        return day.weekday() < 5 if pattern.weekdays_only else (day - anchor).days % pattern.every == 0
    if isinstance(pattern, Weekly):
        monday = anchor - timedelta(anchor.weekday())
        return WEEKDAYS[day.weekday()] in pattern.days and (day - monday).days // 7 % pattern.every == 0
    if isinstance(pattern, Monthly):
        months = (day.year - anchor.year) * 12 + day.month - anchor.month
        return months % pattern.every == 0 and chosen(pattern, day)
    return MONTHS[day.month - 1] == pattern.month and chosen(pattern, day)


@given(schedules(frequency=once), dates, st.integers(0, 800))
def test_first_and_last_days(schedule: Schedule, day: date, length: int) -> None:
    """From any day on, the first day of the calendar is the first one that fits, and until it the last one."""
    calendar = schedule.calendar()
    probes = [day + timedelta(ahead) for ahead in range(length)]
    fitting = [probe for probe in probes if falls(schedule, probe)]
    first = calendar.first_from(day)
    assert first is None or falls(schedule, first)
    assert (first if first in probes else None) == (fitting[0] if fitting else None)
    if probes:
        last = calendar.last_until(probes[-1])
        assert last is None or falls(schedule, last)
        assert (last if last in probes else None) == (fitting[-1] if fitting else None)


@given(schedules(frequency=once))
def test_every_day_is_of_a_kind_that_was_told(schedule: Schedule) -> None:
    """The kinds of a pattern hold every day it falls on."""
    calendar = schedule.calendar()
    kinds = calendar.days.kinds()
    day = calendar.first_from(calendar.first)
    for _ in range(60):
        if day is None:
            return
        assert kind_of(day) in kinds
        day = calendar.first_from(day + timedelta(1))


@given(dates, st.sampled_from([-1, 0, 1]))
def test_neighbours_of_a_kind(day: date, shift: int) -> None:
    """The kind of the day before or after is among the neighbours, of which only the turn of February has two."""
    found = neighbours(kind_of(day), shift)
    assert kind_of(day + timedelta(shift)) in found
    assert len(found) == 1 or (day.month, day.day) in {(2, 28), (3, 1)}


def test_a_day_that_no_counted_month_has() -> None:
    """A pattern whose months all lack the day has no day in either direction, and says so."""
    never = EveryMonths(date(2026, 2, 1), 12, NumberedDay(30, or_last=False))
    assert never.first_from(FIRST_DAY) is None
    assert never.last_until(LAST_DAY) is None
    assert never.kinds() == frozenset()


@pytest.mark.parametrize(
    ("number", "month", "possible"), [(30, 2, False), (29, 2, True), (31, 4, False), (31, 5, True)]
)
def test_impossible_dates(number: int, month: int, *, possible: bool) -> None:
    """A date that no year has is known as such, and looked for in vain."""
    days = MatchingDays((number,), (month,), range(7))
    assert days.possible() is possible
    assert (days.first_from(date(2026, 1, 1)) is not None) is possible
    assert (days.last_until(date(2026, 1, 1)) is not None) is possible
