"""A preview tells in words and instants what a schedule will do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from shared.schedule.describe import sentence
from shared.schedule.model import Schedule, read_schedule
from shared.schedule.occurrences import Occurrences
from shared.schedule.preview import preview
from tests.schedule.strategies import schedules

NOW = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, "Every 5 minutes, every day, UTC"),
        (
            {
                "pattern": {"type": "daily", "weekdays_only": True},
                "frequency": {"type": "interval", "every": 5, "start": "08:00", "end": "18:00"},
                "start_date": "2026-12-01",
                "time_zone": "Europe/Berlin",
            },
            "Every 5 minutes from 08:00 to 18:00, every weekday, Europe/Berlin, from 2026-12-01",
        ),
        (
            {
                "pattern": {"type": "daily", "every": 3},
                "frequency": {"type": "interval", "every": 1, "unit": "hours"},
                "end_date": "2027-01-31",
            },
            "Every hour, every 3 days, UTC, counted from 2001-01-01, until 2027-01-31",
        ),
        (
            {"frequency": {"type": "interval", "every": 2, "unit": "hours", "start": "08:00", "end": "09:00"}},
            "At 08:00, every day, UTC",
        ),
        (
            {
                "pattern": {"type": "weekly", "every": 2, "days": ["sunday", "monday", "friday"]},
                "frequency": {"type": "once", "at": "08:00"},
                "start_date": "2026-12-01",
            },
            "At 08:00, every 2 weeks on Monday, Friday and Sunday, UTC, from 2026-12-01",
        ),
        ({"pattern": {"type": "weekly", "days": ["monday"]}}, "Every 5 minutes, every Monday, UTC"),
        ({"pattern": {"type": "monthly", "day": 15}}, "Every 5 minutes, on day 15 of every month, UTC"),
        (
            {"pattern": {"type": "monthly", "day": 31}},
            "Every 5 minutes, on day 31 of every month, not in shorter ones, UTC",
        ),
        (
            {"pattern": {"type": "monthly", "day": 31, "if_missing": "last_day"}},
            "Every 5 minutes, on day 31 of every month, or the last day of a shorter one, UTC",
        ),
        (
            {"pattern": {"type": "monthly", "day": "last friday", "every": 3}, "start_date": "2027-01-01"},
            "Every 5 minutes, on the last Friday of every 3 months, UTC, from 2027-01-01",
        ),
        (
            {"pattern": {"type": "yearly", "month": "march", "day": "first weekend day"}},
            "Every 5 minutes, every year on the first weekend day of March, UTC",
        ),
        ({"pattern": {"type": "yearly", "month": "july", "day": 4}}, "Every 5 minutes, every year on 4 July, UTC"),
        (
            {"pattern": {"type": "yearly", "month": "february", "day": 29}},
            "Every 5 minutes, on 29 February, in leap years only, UTC",
        ),
        (
            {"pattern": {"type": "yearly", "month": "february", "day": 30, "if_missing": "last_day"}},
            "Every 5 minutes, every year on the last day of February, UTC",
        ),
        ({"ncrontab": "* * * * *"}, "Every minute, every day, UTC"),
        (
            {"ncrontab": "*/10 8-18 * * mon-fri", "time_zone": "Europe/Berlin"},
            "Every 10 minutes of hours 8 to 18, every weekday, Europe/Berlin",
        ),
        ({"ncrontab": "0 8,17 1,15 6 *"}, "At 08:00 and 17:00, on days 1 and 15 of June, UTC"),
        ({"ncrontab": "5 * * * *"}, "At minute 5 of every hour, every day, UTC"),
        (
            {"ncrontab": "0,20,21 2-4,6 * jan,feb mon"},
            "At minutes 0, 20 and 21 of hours 2 to 4 and 6, every Monday in January and February, UTC",
        ),
        (
            {"ncrontab": "0 0 1-7 * mon,tue"},
            "At 00:00, on days 1 to 7 of every month when that is a Monday or Tuesday, UTC",
        ),
    ],
)
def test_sentences(value: Any, expected: str) -> None:
    """Every kind of schedule reads as plain English."""
    assert sentence(read_schedule(value)) == expected


@given(schedules())
@settings(max_examples=50)
def test_every_schedule_has_a_sentence(schedule: Schedule) -> None:
    """A sentence names the zone and the start, and never shows Python's own spelling of things."""
    told = sentence(schedule)
    assert schedule.time_zone in told
    assert schedule.start_date is None or str(schedule.start_date) in told
    assert not set("_[]{}()'") & set(told.replace(schedule.time_zone, ""))


def test_preview_of_the_default() -> None:
    """The default schedule: fifty occurrences, five minutes apart, a perfect cover, nothing odd."""
    shown = preview(Schedule(), now=NOW, second=7)
    assert shown.sentence == "Every 5 minutes, every day, UTC"
    assert shown.expression == "7 */5 * * * *"
    assert shown.excess == 1
    assert len(shown.occurrences) == 50
    assert shown.occurrences[0].utc == datetime(2026, 11, 23, 12, 5, tzinfo=UTC)
    assert shown.occurrences[-1].utc - shown.occurrences[0].utc == timedelta(minutes=5 * 49)
    assert not any(occurrence.note for occurrence in shown.occurrences)


def test_preview_of_an_ended_schedule() -> None:
    """A schedule that has ended shows no occurrence; one that ended before 2026 has no timer either."""
    assert preview(Schedule.model_validate({"end_date": "2026-11-22"}), now=NOW).occurrences == ()
    ended = preview(Schedule.model_validate({"end_date": "2025-11-22"}), now=NOW)
    assert (ended.expression, ended.excess, ended.occurrences) == ("", None, ())


def shown_notes(value: Any, now: datetime, count: int) -> list[tuple[str, str]]:
    """Local times and notes."""
    return [
        (f"{occurrence.local:%d %H:%M%z}", occurrence.note)
        for occurrence in preview(read_schedule(value), now=now, count=count).occurrences
    ]


def test_notes_on_the_gap() -> None:
    """A time that was shifted out of the gap says so, with the time that it stands for."""
    once = {"frequency": {"type": "once", "at": "02:30"}, "time_zone": "Europe/Berlin"}
    assert shown_notes(once, datetime(2027, 3, 27, tzinfo=UTC), 3) == [
        ("27 02:30+0100", ""),
        ("28 03:00+0200", "The clocks go forward: stands for 02:30, which does not exist on this day."),
        ("29 02:30+0200", ""),
    ]
    many = {"frequency": {"type": "interval", "every": 30}, "time_zone": "Europe/Berlin"}
    assert shown_notes(many, datetime(2027, 3, 28, 0, 30, tzinfo=UTC), 2) == [
        ("28 03:00+0200", "The clocks go forward: stands for 02:00 to 02:30, which do not exist on this day."),
        ("28 03:30+0200", ""),
    ]


def test_no_note_where_nothing_is_shifted() -> None:
    """A time that happens to be the first after the gap is nothing special."""
    once = {"frequency": {"type": "once", "at": "03:00"}, "time_zone": "Europe/Berlin"}
    assert shown_notes(once, datetime(2027, 3, 28, tzinfo=UTC), 1) == [("28 03:00+0200", "")]


def test_notes_on_the_fold() -> None:
    """A time that comes twice says which of them it is, and whether the other counts."""
    once = {"frequency": {"type": "once", "at": "02:30"}, "time_zone": "Europe/Berlin"}
    assert shown_notes(once, datetime(2027, 10, 30, 12, tzinfo=UTC), 2) == [
        ("31 02:30+0200", "The clocks go back: 02:30 for the first time, not when it comes again."),
        ("01 02:30+0100", ""),
    ]
    many = {"frequency": {"type": "interval", "every": 1, "unit": "hours"}, "time_zone": "Europe/Berlin"}
    assert shown_notes(many, datetime(2027, 10, 30, 23, 30, tzinfo=UTC), 3) == [
        ("31 02:00+0200", "The clocks go back: 02:00 for the first time, and again when it comes for the second time."),
        ("31 02:00+0100", "The clocks go back: 02:00 for the second time."),
        ("31 03:00+0100", ""),
    ]


@given(schedules())
@settings(max_examples=40, deadline=None)
def test_preview_agrees_with_the_occurrences(schedule: Schedule) -> None:
    """What is shown is what will be due, with local times that are the same instants."""
    shown = preview(schedule, now=NOW, count=5).occurrences
    instant = NOW
    for occurrence in shown:
        following = Occurrences(schedule).next_after(instant)
        assert occurrence.utc == occurrence.local == following
        instant = occurrence.utc
