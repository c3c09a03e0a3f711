"""Occurrences are exact, in every zone and through every change of the clocks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.schedule.model import Interval, NCrontabSchedule, Schedule, read_schedule
from shared.schedule.ncrontab import NCrontab
from shared.schedule.occurrences import Occurrences
from tests.schedule.strategies import ZONES, crontab_schedule, dates, expressions, schedules
from tests.schedule.test_days import falls

MINUTE = timedelta(minutes=1)
BERLIN = ZoneInfo("Europe/Berlin")


def due_wall(schedule: Schedule | NCrontabSchedule, wall: datetime) -> bool:
    """Whether the schedule names this local time."""
    at = wall.hour * 60 + wall.minute
    if isinstance(schedule, NCrontabSchedule):
        expression = schedule.expression()
        return (
            wall.minute in expression.minutes
            and wall.hour in expression.hours
            and wall.day in expression.days
            and wall.month in expression.months
            and wall.isoweekday() % 7 in expression.weekdays
        )
    if not falls(schedule, wall.date()):
        return False
    frequency = schedule.frequency
    if not isinstance(frequency, Interval):
        return f"{wall:%H:%M}" == frequency.at
    start, end = (int(text[:2]) * 60 + int(text[3:]) for text in (frequency.start, frequency.end))
    return start <= at <= end and (at - start) % (frequency.every * (60 if frequency.unit == "hours" else 1)) == 0


def brute_force(schedule: Schedule | NCrontabSchedule, start: datetime, end: datetime) -> list[datetime]:
    """The definition, minute by minute: what the wall clock shows, what it leaves out, what it shows again."""
    zone = ZoneInfo(schedule.time_zone)
    if isinstance(schedule, NCrontabSchedule):
        expression = schedule.expression()
        repeats = len(expression.hours) * len(expression.minutes) > 1
    else:
        repeats = isinstance(schedule.frequency, Interval)
    found = []
    instant = start
    while instant <= end:
        wall = instant.astimezone(zone)
        shown = wall.replace(tzinfo=None)
        before = (instant - MINUTE).astimezone(zone).replace(tzinfo=None)
        left_out = []
        while before + MINUTE < shown:
            before += MINUTE
            left_out.append(before)
        if (due_wall(schedule, shown) and (repeats or not wall.fold)) or any(due_wall(schedule, at) for at in left_out):
            found.append(instant)
        instant += MINUTE
    return found


def changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The hours of a year before which the clocks changed."""
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=ahead) for ahead in range(365 * 24)]
    offsets = [hour.astimezone(zone).utcoffset() for hour in hours]
    return [hour for hour, before, after in zip(hours[1:], offsets, offsets[1:], strict=False) if before != after]


CHANGES = {name: [at for year in (2026, 2027) for at in changes(ZoneInfo(name), year)] for name in ZONES}


def check(schedule: Schedule | NCrontabSchedule, start: datetime, end: datetime) -> None:
    """All three questions give the answers of the definition."""
    expected = brute_force(schedule, start, end)
    occurrences = Occurrences(schedule)
    assert list(occurrences.between(start - MINUTE, end)) == expected
    assert occurrences.count(start - MINUTE, end) == len(expected)
    for at in (start, start + (end - start) / 2, end - MINUTE):
        following = occurrences.next_after(at)
        known = next((instant for instant in expected if instant > at), None)
        assert following == known or (known is None and (following is None or following > end))
        latest = occurrences.latest_at_or_before(at)
        known = next((instant for instant in reversed(expected) if instant <= at), None)
        assert latest == known or (known is None and (latest is None or latest < start))


@given(schedules(), dates, st.integers(0, 24 * 60))
@settings(max_examples=60, deadline=None)
def test_against_the_definition_on_any_day(schedule: Schedule, day: date, minute: int) -> None:
    """Within a day and a half anywhere, occurrences are those of the definition."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minute)
    check(schedule, start, start + timedelta(hours=36))


@given(st.data(), schedules(pattern=st.just({"type": "daily"}), start=False))
@settings(max_examples=120, deadline=None)
def test_against_the_definition_when_clocks_change(data: st.DataObject, schedule: Schedule) -> None:
    """Around every change of the clocks, occurrences are those of the definition."""
    if CHANGES[schedule.time_zone]:
        change = data.draw(st.sampled_from(CHANGES[schedule.time_zone]))
        check(schedule, change - timedelta(hours=15), change + timedelta(hours=15))


@given(st.data(), schedules(start=False), st.integers(-2, 1))
@settings(max_examples=60, deadline=None)
def test_against_the_definition_at_the_ends(data: st.DataObject, schedule: Schedule, back: int) -> None:
    """Where the first or last day of the duration meets a change of the clocks, both days count whole."""
    if not CHANGES[schedule.time_zone]:
        return
    change = data.draw(st.sampled_from(CHANGES[schedule.time_zone]))
    day = change.astimezone(ZoneInfo(schedule.time_zone)).date() + timedelta(back)
    bounded = schedule.model_copy(
        update={"pattern": Schedule().pattern, "start_date": day, "end_date": day + timedelta(1)}
    )
    check(bounded, change - timedelta(hours=30), change + timedelta(hours=30))


@given(st.data(), expressions(second=False), st.sampled_from(ZONES))
@settings(max_examples=30, deadline=None)
def test_expressions_against_the_definition(data: st.DataObject, text: str, zone: str) -> None:
    """A schedule by expression follows the same rules."""
    try:
        schedule = crontab_schedule(str(NCrontab.parse(text)), zone)
    except ValueError:
        return
    change = data.draw(st.sampled_from(CHANGES[zone] or [datetime(2026, 11, 23, tzinfo=UTC)]))
    check(schedule, change - timedelta(hours=6), change + timedelta(hours=6))


@pytest.mark.parametrize("frequency", [{"type": "once", "at": "08:00"}, {"type": "interval", "every": 15}])
def test_the_day_that_samoa_left_out(frequency: dict[str, object]) -> None:
    """A whole day that a zone leaves out is one gap: its times run at the first instant after it, with the next day's."""
    schedule = read_schedule({"frequency": frequency, "time_zone": "Pacific/Apia"})
    check(schedule, datetime(2011, 12, 28, tzinfo=UTC), datetime(2012, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("frequency", [{"type": "once", "at": "23:30"}, {"type": "interval", "every": 1}])
def test_an_evening_that_comes_again_after_midnight(frequency: dict[str, object]) -> None:
    """Newfoundland's clocks went back at 00:01: the minutes of two days came in turns, and each is asked for."""
    schedule = read_schedule({"frequency": frequency, "time_zone": "America/St_Johns"})
    change = datetime(2010, 11, 7, 2, 31, tzinfo=UTC)
    check(schedule, change - timedelta(hours=4), change + timedelta(hours=4))
    every = brute_force(schedule, change - timedelta(hours=30), change + timedelta(hours=30))
    for minutes in (-90, -61, -60, -2, -1, 0, 1, 29, 58, 59, 60, 61, 90):
        at = change + timedelta(minutes=minutes)
        assert Occurrences(schedule).next_after(at) == next(instant for instant in every if instant > at)
        assert Occurrences(schedule).latest_at_or_before(at) == max(instant for instant in every if instant <= at)


def at_berlin(schedule: Schedule | NCrontabSchedule, day: date) -> list[str]:
    """The occurrences of one local day, as its clock shows them."""
    start = datetime(day.year, day.month, day.day, tzinfo=BERLIN)
    end = start + timedelta(days=1)
    found = Occurrences(schedule).between(start - MINUTE, end - MINUTE)
    return [f"{instant.astimezone(BERLIN):%H:%M%z}" for instant in found]


SPRING, AUTUMN = date(2027, 3, 28), date(2027, 10, 31)


def test_a_time_that_does_not_exist() -> None:
    """02:30 on the day the clocks go forward runs at 03:00."""
    schedule = read_schedule({"frequency": {"type": "once", "at": "02:30"}, "time_zone": "Europe/Berlin"})
    assert at_berlin(schedule, SPRING) == ["03:00+0200"]


def test_a_time_that_comes_twice() -> None:
    """02:30 on the day the clocks go back runs once, at its first copy."""
    schedule = read_schedule({"frequency": {"type": "once", "at": "02:30"}, "time_zone": "Europe/Berlin"})
    assert at_berlin(schedule, AUTUMN) == ["02:30+0200"]


def test_an_interval_runs_through_both_copies() -> None:
    """Every half hour in a window goes on through the hour that comes twice, and over the one that is missing."""
    window = {"type": "interval", "every": 30, "start": "01:30", "end": "03:30"}
    schedule = read_schedule({"frequency": window, "time_zone": "Europe/Berlin"})
    assert at_berlin(schedule, SPRING) == ["01:30+0100", "03:00+0200", "03:30+0200"]
    both = ["02:00+0200", "02:30+0200", "02:00+0100", "02:30+0100"]
    assert at_berlin(schedule, AUTUMN) == ["01:30+0200", *both, "03:00+0100", "03:30+0100"]


def test_a_window_that_is_wholly_missing_runs_once() -> None:
    """An interval whose window does not exist on a day still runs on it."""
    window = {"type": "interval", "every": 15, "start": "02:00", "end": "02:45"}
    schedule = read_schedule({"frequency": window, "time_zone": "Europe/Berlin"})
    assert at_berlin(schedule, SPRING) == ["03:00+0200"]


def test_both_ends_are_included() -> None:
    """The window's last time and the duration's last day belong to the schedule."""
    schedule = read_schedule(
        {
            "frequency": {"type": "interval", "every": 4, "unit": "hours", "start": "08:00", "end": "16:00"},
            "start_date": "2026-12-01",
            "end_date": "2026-12-01",
        }
    )
    every = Occurrences(schedule).between(datetime(2001, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    assert [f"{instant:%d %H:%M}" for instant in every] == ["01 08:00", "01 12:00", "01 16:00"]


def test_before_the_start_and_after_the_end() -> None:
    """There is nothing before the first occurrence and nothing after the last."""
    schedule = Schedule.model_validate({"start_date": "2026-12-01", "end_date": "2026-12-02"})
    occurrences = Occurrences(schedule)
    first, last = datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, 23, 55, tzinfo=UTC)
    assert occurrences.next_after(datetime(1990, 1, 1, tzinfo=UTC)) == first
    assert occurrences.latest_at_or_before(first - MINUTE) is None
    assert occurrences.latest_at_or_before(datetime(2100, 1, 1, tzinfo=UTC)) == last
    assert occurrences.next_after(last) is None
    assert occurrences.next_after(last - timedelta(microseconds=1)) == last


def test_an_instant_needs_a_zone() -> None:
    """A naive instant is refused, not guessed at."""
    with pytest.raises(ValueError, match="time zone"):
        Occurrences(Schedule()).next_after(datetime(2026, 1, 1))  # noqa: DTZ001  that is the point
