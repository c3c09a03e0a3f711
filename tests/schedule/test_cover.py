"""A cover misses no occurrence, holds nothing that none needs, and says what it costs."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.schedule.cover import HORIZON, cover, second_for
from shared.schedule.model import Daily, Monthly, Schedule, Weekly, Yearly, read_schedule
from shared.schedule.ncrontab import NCrontab
from shared.schedule.occurrences import Occurrences
from tests.schedule.strategies import ZONES, crontab_schedule, dates, expressions, once, patterns, schedules, zones

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def utc(day: date) -> datetime:
    """The first instant of a day in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def assert_fires_in_the_minute_of(ncrontab: NCrontab, occurrence: datetime) -> None:
    """The next fire from the occurrence on comes before its minute is over."""
    fire = ncrontab.next_after(occurrence - SECOND)
    assert fire is not None
    assert occurrence <= fire < occurrence + timedelta(minutes=1)


@given(schedules(), dates, st.integers(0, 59))
@settings(max_examples=100, deadline=None)
def test_fires_within_the_minute_of_every_occurrence(schedule: Schedule, day: date, second: int) -> None:
    """From any day on, every occurrence has its fire, at the second that was asked for."""
    covering = cover(schedule, second=second)
    assert covering is not None
    assert NCrontab.parse(covering.expression) == covering.ncrontab
    assert len(covering.expression.split()) == 6
    assert covering.ncrontab.seconds == (second,)
    for occurrence in islice(Occurrences(schedule).after(utc(day)), 80):
        assert_fires_in_the_minute_of(covering.ncrontab, occurrence)


@given(schedules(pattern=st.just({"type": "daily"})), st.integers(2026, 2085))
@settings(max_examples=40, deadline=None)
def test_fires_through_every_change_of_the_clocks(schedule: Schedule, year: int) -> None:
    """Around the changes of any year, every occurrence has its fire."""
    covering = cover(schedule)
    assert covering is not None
    occurrences = Occurrences(schedule)
    zone = ZoneInfo(schedule.time_zone)
    for ahead in range(365):
        day = utc(date(year, 1, 1)) + timedelta(days=ahead)
        if day.astimezone(zone).utcoffset() != (day + timedelta(days=1)).astimezone(zone).utcoffset():
            for occurrence in islice(occurrences.between(day - timedelta(1), day + timedelta(2)), 0, None, 3):
                assert_fires_in_the_minute_of(covering.ncrontab, occurrence)


@pytest.mark.parametrize("zone", ZONES)
def test_fires_for_thirty_years(zone: str) -> None:
    """Over thirty years, a time that often does not exist and one at midnight never lack their fire."""
    for at in ("02:30", "00:00"):
        schedule = read_schedule({"frequency": {"type": "once", "at": at}, "time_zone": zone})
        covering = cover(schedule)
        assert covering is not None
        fields = covering.ncrontab
        for occurrence in Occurrences(schedule).between(EPOCH, EPOCH.replace(year=2056)):
            assert occurrence.hour in fields.hours
            assert occurrence.minute in fields.minutes


@given(schedules(), dates, st.integers(0, 700), zones)
@example(read_schedule({"frequency": {"type": "once", "at": "00:00"}}), date(2026, 3, 1), 0, "Europe/Berlin")
@settings(max_examples=50, deadline=None)
def test_an_ending_schedule_is_covered_to_its_end(schedule: Schedule, day: date, length: int, zone: str) -> None:
    """With an end date, the cover holds exactly the values that the occurrences have: none can be left out."""
    try:
        schedule = Schedule.model_validate(
            schedule.model_dump(mode="json")
            | {"start_date": str(day), "end_date": str(day + timedelta(length)), "time_zone": zone}
        )
    except ValueError:
        return
    covering = cover(schedule)
    every = list(Occurrences(schedule).after(EPOCH - SECOND))
    if covering is None:
        assert not every
        return
    fields = covering.ncrontab
    assert set(fields.minutes) == {instant.minute for instant in every}
    assert set(fields.hours) == {instant.hour for instant in every}
    assert set(fields.days) == {instant.day for instant in every}
    assert set(fields.months) == {instant.month for instant in every}
    assert set(fields.weekdays) == {instant.isoweekday() % 7 for instant in every}
    assert covering.until == every[-1].date() + timedelta(1) or covering.until == covering.since + HORIZON


@given(schedules(pattern=patterns(st.just(1)), frequency=once, start=False))
@settings(max_examples=10, deadline=None)
def test_no_fire_that_no_occurrence_needs(schedule: Schedule) -> None:
    """Without an end, too, every value in every field is some occurrence's within the zone's listed years."""
    covering = cover(schedule)
    assert covering is not None
    needed: list[set[int]] = [set(), set(), set(), set(), set()]
    for instant in Occurrences(schedule).between(EPOCH, EPOCH.replace(year=2110)):
        parts = (instant.minute, instant.hour, instant.day, instant.month, instant.isoweekday() % 7)
        for values, part in zip(needed, parts, strict=True):
            values.add(part)
    fields = covering.ncrontab
    held = [set(values) for values in (fields.minutes, fields.hours, fields.days, fields.months, fields.weekdays)]
    assert held == needed


def test_the_last_day_of_february_is_followed_by_the_first_of_march_alone() -> None:
    """In New York it ends on the next day in UTC: never the 29th, which follows the 28th only where it is the last."""
    last_day = {"type": "monthly", "day": "last day"}
    schedule = Schedule.model_validate(
        {"pattern": last_day, "frequency": {"type": "once", "at": "23:30"}, "time_zone": "America/New_York"}
    )
    covering = cover(schedule)
    assert covering is not None
    assert covering.ncrontab.days == (1,)


@given(expressions(second=False), zones, dates)
@settings(max_examples=40, deadline=None)
def test_covers_a_schedule_by_expression(text: str, zone: str, day: date) -> None:
    """An expression in a zone is covered like any schedule; in UTC the cover fires where it does and nowhere else."""
    expression = NCrontab.parse(text)
    if expression.next_after(EPOCH) is None:
        return
    schedule = crontab_schedule(str(expression), zone)
    covering = cover(schedule)
    assert covering is not None
    for occurrence in islice(Occurrences(schedule).after(utc(day)), 40):
        assert_fires_in_the_minute_of(covering.ncrontab, occurrence)
    plain = cover(crontab_schedule(str(expression), "UTC"))
    assert plain is not None
    fires = Occurrences(crontab_schedule(str(expression), "UTC")).after(utc(day))
    instant = utc(day)
    for occurrence in islice(fires, 40):
        fire = plain.ncrontab.next_after(instant)
        assert fire == occurrence
        instant = fire


@lru_cache
def clock_facts(zone: str) -> tuple[list[int], list[int], int]:
    """The offsets of a zone until 2090; the minutes and the hours in UTC at which its clocks change, counted."""
    known = ZoneInfo(zone)
    offsets, ends = set(), set()
    instant, before = EPOCH, None
    while instant.year < 2090:
        offset = instant.astimezone(known).utcoffset()
        assert offset is not None
        if before is not None and offset > before:
            probe = instant - timedelta(hours=24)
            while probe.astimezone(known).utcoffset() == before:
                probe += timedelta(minutes=30)
            ends.add((probe.hour, probe.minute))
        offsets.add(int(offset.total_seconds()) // 60)
        before = offset
        instant += timedelta(hours=24)
    return sorted(offsets), sorted({minute for _, minute in ends}), len({hour for hour, _ in ends})


def bound(schedule: Schedule) -> float:
    """The bound that docs/schedules.md states."""
    offsets, change_minutes, change_hours = clock_facts(schedule.time_zone)
    times = schedule.calendar().times
    local_minutes, local_hours = {at % 60 for at in times}, {at // 60 for at in times}
    minutes = len(local_minutes) * len({offset % 60 for offset in offsets}) + len(change_minutes)
    hours = len(local_hours) * sum(1 if offset % 60 == 0 else 2 for offset in offsets) + change_hours
    days = {Daily: 2, Weekly: 2, Monthly: 8, Yearly: 16}[type(schedule.pattern)]
    every = 1 if isinstance(schedule.pattern, Yearly) else schedule.pattern.every
    return days * every * min(60, minutes) * min(24, hours) / len(times)


@given(schedules())
@settings(max_examples=100, deadline=None)
def test_excess_is_bounded(schedule: Schedule) -> None:
    """A cover fires at least once and at most so often for each occurrence, and never more than once a minute."""
    covering = cover(schedule)
    assert covering is not None
    assert 1 <= covering.excess <= bound(schedule)
    assert covering.fires <= (covering.until - covering.since).days * 1440


@pytest.mark.parametrize(
    ("value", "expression", "excess"),
    [
        ({}, "0 */5 * * * *", 1),
        ({"time_zone": "Asia/Kathmandu"}, "0 */5 * * * *", 1),
        ({"frequency": {"type": "once", "at": "08:00"}}, "0 0 8 * * *", 1),
        ({"frequency": {"type": "once", "at": "08:00"}, "time_zone": "Asia/Kathmandu"}, "0 15 2 * * *", 1),
        ({"frequency": {"type": "once", "at": "08:00"}, "time_zone": "Europe/Berlin"}, "0 0 6,7 * * *", 2),
        ({"frequency": {"type": "once", "at": "08:00"}, "time_zone": "Australia/Lord_Howe"}, "0 0,30 21 * * *", 2),
        (
            {
                "pattern": {"type": "yearly", "month": "july", "day": "first monday"},
                "frequency": {"type": "once", "at": "08:00"},
                "time_zone": "Europe/Berlin",
            },
            "0 0 6 1-7 7 1",
            1,
        ),
        ({"frequency": {"type": "interval", "every": 7}}, "0 * * * * *", 1440 / 206),
        ({"pattern": {"type": "daily", "every": 3}, "frequency": {"type": "once", "at": "08:00"}}, "0 0 8 * * *", 3),
    ],
)
def test_known_covers(value: dict[str, object], expression: str, excess: float) -> None:
    """Some covers, worked out by hand."""
    covering = cover(read_schedule(value))
    assert covering is not None
    assert covering.expression == expression
    assert covering.excess == pytest.approx(excess, rel=0.01)


@given(schedules(), st.integers(1, 100))
@settings(max_examples=20, deadline=None)
def test_the_counts_are_true(schedule: Schedule, length: int) -> None:
    """Fires and occurrences are those that one counts by walking through the days from since to until."""
    first = next(Occurrences(schedule).after(EPOCH - SECOND))
    ending = schedule.model_copy(update={"end_date": first.date() + timedelta(length)})
    covering = cover(ending)
    assert covering is not None
    start, end = utc(covering.since) - SECOND, utc(covering.until) - SECOND
    assert covering.occurrences == len(list(Occurrences(ending).between(start, end)))
    fires, fire = 0, covering.ncrontab.next_after(start)
    while fire is not None and fire <= end:
        fires += 1
        fire = covering.ncrontab.next_after(fire)
    assert covering.fires == fires


def test_no_occurrence_no_cover() -> None:
    """A schedule that ended before the product began needs no timer."""
    assert cover(Schedule.model_validate({"end_date": "2025-12-31"})) is None
    assert cover(Schedule.model_validate({"end_date": "2026-01-01"})) is not None


def test_seconds_are_spread() -> None:
    """A job's second is always the same, and a thousand jobs leave no second much fuller than the others."""
    seconds = [second_for(f"job-{number}") for number in range(1000)]
    assert seconds == [second_for(f"job-{number}") for number in range(1000)]
    counted = Counter(seconds)
    assert set(counted) == set(range(1, 60))
    assert max(counted.values()) < 40
