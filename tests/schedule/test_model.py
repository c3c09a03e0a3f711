"""What administrators type is read as they mean it, or refused with a sentence that helps."""

import json
from typing import Any

import pytest
from hypothesis import given
from pydantic import TypeAdapter, ValidationError

from shared.schedule.model import AnySchedule, NCrontabSchedule, Schedule, read_schedule
from tests.schedule.strategies import schedules

ANY: TypeAdapter[Schedule | NCrontabSchedule] = TypeAdapter(AnySchedule)


def complaints(value: Any) -> list[str]:
    """Every fault, as pydantic tells it."""
    with pytest.raises(ValidationError) as fault:
        read_schedule(value)
    return [error["msg"] for error in fault.value.errors()]


def test_default_is_every_five_minutes() -> None:
    """Nothing said means every 5 minutes, every day, without end, in UTC."""
    assert read_schedule({}) == Schedule()
    assert Schedule().model_dump(mode="json") == {
        "pattern": {"type": "daily", "every": 1, "weekdays_only": False},
        "frequency": {"type": "interval", "every": 5, "unit": "minutes", "start": "00:00", "end": "23:59"},
        "start_date": None,
        "end_date": None,
        "time_zone": "UTC",
    }


@given(schedules())
def test_stored_form_reads_back(schedule: Schedule) -> None:
    """The stored form of a schedule reads back as the same schedule."""
    assert ANY.validate_json(ANY.dump_json(schedule)) == schedule


def test_expression_reads_back() -> None:
    """So does that of a schedule by expression, with the text as it was typed."""
    schedule = read_schedule({"ncrontab": "0 */10 8-18 * * mon-FRI", "time_zone": "Europe/Berlin"})
    assert isinstance(schedule, NCrontabSchedule)
    assert schedule.ncrontab == "0 */10 8-18 * * mon-FRI"
    assert ANY.validate_json(ANY.dump_json(schedule)) == schedule


def test_days_of_the_week_are_put_in_order() -> None:
    """Two spellings of the same days are the same schedule."""
    one, other = (
        read_schedule({"pattern": {"type": "weekly", "days": days}})
        for days in (["friday", "monday"], ["monday", "friday"])
    )
    assert one == other


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"pattern": {"type": "hourly"}}, "type is daily, weekly, monthly or yearly"),
        ({"pattern": {}}, "type is daily, weekly, monthly or yearly"),
        ({"pattern": "daily"}, "type is daily, weekly, monthly or yearly"),
        ({"frequency": {"every": 5}}, "type is once or interval"),
        ({"pattern": {"type": "daily", "every": 2, "weekdays_only": True}}, "either every 2 days or weekdays_only"),
        ({"pattern": {"type": "daily", "every": 0}}, "greater than or equal to 1"),
        ({"pattern": {"type": "weekly"}}, "required"),
        ({"pattern": {"type": "weekly", "days": []}}, "at least 1 item"),
        ({"pattern": {"type": "weekly", "days": ["monday", "monday"]}}, "each day of the week once"),
        ({"pattern": {"type": "weekly", "days": ["mon"]}}, "'monday'"),
        ({"pattern": {"type": "monthly", "day": 32}}, "number from 1 to 31"),
        ({"pattern": {"type": "monthly", "day": 0}}, "number from 1 to 31"),
        ({"pattern": {"type": "monthly", "day": True}}, "number from 1 to 31"),
        ({"pattern": {"type": "monthly", "day": "fifth monday"}}, "as 'last friday'"),
        ({"pattern": {"type": "monthly", "day": "last friday", "if_missing": "last_day"}}, "leave out if_missing"),
        ({"pattern": {"type": "yearly", "month": "february", "day": 30}}, "no day 30 in February"),
        ({"pattern": {"type": "yearly", "month": "april", "day": 31}}, "no day 31 in April"),
        ({"pattern": {"type": "yearly", "month": 2, "day": 3}}, "'january'"),
        ({"frequency": {"type": "once", "at": "8:00"}}, "HH:MM"),
        ({"frequency": {"type": "once", "at": "24:00"}}, "HH:MM"),
        ({"frequency": {"type": "once", "at": "08:00:00"}}, "HH:MM"),
        ({"frequency": {"type": "once", "at": 480}}, "HH:MM"),
        ({"frequency": {"type": "interval", "start": "22:00", "end": "06:00"}}, "crosses midnight"),
        ({"frequency": {"type": "interval", "every": 24, "unit": "hours"}}, "1 to 23 hours"),
        ({"frequency": {"type": "interval", "every": 5, "unit": "seconds"}}, "'minutes' or 'hours'"),
        ({"start_date": "2026-02-30"}, "no 2026-02-30"),
        ({"start_date": "01.12.2026"}, "YYYY-MM-DD"),
        ({"start_date": 1764547200}, "YYYY-MM-DD"),
        ({"start_date": "1999-12-31"}, "from 2001-01-01 to 2999-12-31"),
        ({"start_date": "2026-12-02", "end_date": "2026-12-01"}, "before the start date"),
        (
            {
                "pattern": {"type": "weekly", "days": ["monday"]},
                "start_date": "2026-12-01",
                "end_date": "2026-12-05",
            },
            "no day from 2026-12-01 to 2026-12-05",
        ),
        (
            {"pattern": {"type": "monthly", "every": 12, "day": 31}, "start_date": "2026-04-01"},
            "it would never run",
        ),
        ({"time_zone": "Europe/Belin"}, "Did you mean Europe/Berlin?"),
        ({"time_zone": "W. Europe Standard Time"}, "no IANA time zone"),
        ({"time_zone": "localtime"}, "no IANA time zone"),
        ({"time_zone": "posix/Europe/Berlin"}, "no IANA time zone"),
        ({"time_zone": "Europe"}, "no IANA time zone"),
        ({"time_zone": "../etc/passwd"}, "no IANA time zone"),
        ({"time_zone": ""}, "no IANA time zone"),
        ({"every": 5}, "Extra inputs"),
        ({"ncrontab": "0 22-2 * * *"}, "The hour field has the range '22-2' backwards"),
        ({"ncrontab": "*/5 * * * * *"}, "second field must be 0"),
        ({"ncrontab": "* * * *"}, "has 4"),
        ({"ncrontab": "* * * * *", "start_date": "2026-01-01"}, "Extra inputs"),
        ({"ncrontab": "1," * 300 + "1 * * * *"}, "at most 500 characters"),
        ("*/5 * * * *", "dictionary"),
    ],
)
def test_faults_are_told(value: Any, complaint: str) -> None:
    """Each fault is one sentence, with a remedy where there is a choice."""
    assert any(complaint in told for told in complaints(value)), complaints(value)


def test_all_faults_are_told_at_once() -> None:
    """Faults in different fields are reported together."""
    told = complaints({"pattern": {"type": "daily", "every": 0}, "start_date": "x", "time_zone": "Mars/Base", "z": 1})
    assert len(told) == 4


def test_schema_is_strict_and_honest() -> None:
    """In the JSON Schema every object is closed, and every default is one that the schema itself accepts."""
    schema = ANY.json_schema()
    for name, definition in schema["$defs"].items():
        assert definition["additionalProperties"] is False, name
    start = schema["$defs"]["Interval"]["properties"]["start"]
    assert start["default"] == "00:00"
    assert json.dumps(schema).count('"pattern":') > 2
