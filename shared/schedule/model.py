"""When a job is due, as an administrator writes it. docs/schedules.md shows every form with examples.

::

    AnySchedule
    ├── Schedule           on which days (pattern), at which times of them (frequency), from when to when, in which zone
    └── NCrontabSchedule   the same as one expression

Every fault is told in one sentence with a remedy. The stored form is the wire form.
"""

import difflib
import re
from calendar import monthrange
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    TypeAdapter,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.ports import Settings
from shared.schedule.clock import Calendar
from shared.schedule.days import (
    FIRST_DAY,
    LAST_DAY,
    Days,
    EveryDays,
    EveryMonths,
    EveryWeeks,
    NumberedDay,
    OrdinalDay,
)
from shared.schedule.ncrontab import NCrontab, parse_strict

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
ORDINALS = ("first", "second", "third", "fourth", "last")

_DAYS_BY_NAME = {
    **{name: frozenset({at}) for at, name in enumerate(WEEKDAYS)},
    "day": frozenset(range(7)),
    "weekday": frozenset(range(5)),
    "weekend day": frozenset({5, 6}),
}
_ORDINAL_DAY = rf"^({'|'.join(ORDINALS)}) ({'|'.join(_DAYS_BY_NAME)})$"
#: What is stored beside the zones on many systems, or depends on the machine, is no zone.
_ZONE = r"(?!posix|right/|localtime|Factory)[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*"
_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


def _fault(sentence: str, **values: object) -> PydanticCustomError:
    """Make the error that pydantic reports as ``sentence`` and no more."""
    return PydanticCustomError("schedule", sentence, values)


def _read_time(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(_TIME, value):
        return value
    raise _fault("Write a time of day as HH:MM, from 00:00 to 23:59.")


def _read_date(value: object) -> date:
    found: date | None = None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            found = date.fromisoformat(value)
        except ValueError as error:
            raise _fault("The calendar has no {day}.", day=value) from error
    elif type(value) is date:
        found = value
    if found is None or not FIRST_DAY <= found <= LAST_DAY:
        raise _fault("Write a date as YYYY-MM-DD, from {first} to {last}.", first=str(FIRST_DAY), last=str(LAST_DAY))
    return found


def _read_day_of_month(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 31:
        return value
    if isinstance(value, str) and re.fullmatch(_ORDINAL_DAY, value):
        return value
    raise _fault(
        "Write a day of the month as a number from 1 to 31, or as 'last friday': first, second, third, fourth or last, "
        "then monday to sunday, day, weekday or weekend day."
    )


def _check_zone(name: str) -> str:
    if re.fullmatch(_ZONE, name):
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            pass
        else:
            return name
    close = difflib.get_close_matches(name[:64], sorted(available_timezones()), n=1, cutoff=0.8)
    raise _fault(
        "'{name}' is no IANA time zone, such as Europe/Berlin, America/New_York or UTC.{hint}",
        name=name,
        hint=f" Did you mean {close[0]}?" if close else "",
    )


def _check_ncrontab(text: str) -> str:
    try:
        parse_strict(text)
    except ValueError as error:
        raise _fault("{fault}", fault=str(error)) from error
    return text


TimeOfDay = Annotated[
    str,
    PlainValidator(_read_time),
    WithJsonSchema({"type": "string", "pattern": _TIME, "examples": ["08:00"]}),
]
Day = Annotated[
    date,
    BeforeValidator(_read_date),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-12-01"]}),
]
DayOfMonth = Annotated[
    int | str,
    PlainValidator(_read_day_of_month),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": 31}, {"type": "string", "pattern": _ORDINAL_DAY}],
            "examples": [15, "last friday", "first weekday"],
        }
    ),
]
TimeZone = Annotated[str, AfterValidator(_check_zone), Field(examples=["Europe/Berlin"])]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Month = Literal[
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
]  # fmt: skip
IfMissing = Annotated[
    Literal["skip", "last_day"],
    Field(description="What a month without day 29, 30 or 31 does: leave it out, or take its last day."),
]


class Daily(Settings):
    """Every day, every N days, or every day from Monday to Friday."""

    type: Literal["daily"] = "daily"
    every: int = Field(default=1, ge=1, le=999, description="Every so many days.")
    weekdays_only: bool = Field(default=False, description="Monday to Friday. Not together with every N days.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.weekdays_only and self.every != 1:
            raise _fault("Choose either every {every} days or weekdays_only, not both.", every=self.every)
        return self

    def falls(self, anchor: date) -> Days:
        """The days on which it falls, counted from ``anchor``."""
        return EveryWeeks(anchor, 1, (0, 1, 2, 3, 4)) if self.weekdays_only else EveryDays(anchor, self.every)


class Weekly(Settings):
    """On some days of every week, or of every N weeks."""

    type: Literal["weekly"]
    every: int = Field(default=1, ge=1, le=99, description="Every so many weeks. A week begins on Monday.")
    days: tuple[Weekday, ...] = Field(min_length=1, json_schema_extra={"uniqueItems": True})

    @field_validator("days")
    @classmethod
    def _in_the_order_of_the_week(cls, days: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
        if len(set(days)) < len(days):
            raise _fault("Name each day of the week once.")
        return tuple(sorted(days, key=WEEKDAYS.index))

    def falls(self, anchor: date) -> Days:
        """The days on which it falls; the week of ``anchor`` counts first."""
        return EveryWeeks(anchor, self.every, tuple(WEEKDAYS.index(day) for day in self.days))


class _InMonth(Settings):
    """One day of a month: by its number, or as the first to fourth or last of a kind of day."""

    day: DayOfMonth
    if_missing: IfMissing = "skip"

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        if isinstance(self.day, str) and self.if_missing == "last_day":
            raise _fault("Every month has a {day}: leave out if_missing, which is for days 29 to 31.", day=self.day)
        return self

    def chosen(self) -> NumberedDay | OrdinalDay:
        """The day as calendar arithmetic takes it."""
        if isinstance(self.day, int):
            return NumberedDay(self.day, or_last=self.if_missing == "last_day")
        ordinal, kind = self.day.split(" ", 1)
        return OrdinalDay(-1 if ordinal == "last" else ORDINALS.index(ordinal), _DAYS_BY_NAME[kind])


class Monthly(_InMonth):
    """On one day of every month, or of every N months."""

    type: Literal["monthly"]
    every: int = Field(default=1, ge=1, le=99, description="Every so many months.")

    def falls(self, anchor: date) -> Days:
        """The days on which it falls; the month of ``anchor`` counts first."""
        return EveryMonths(anchor, self.every, self.chosen())


class Yearly(_InMonth):
    """On one day of one month of every year."""

    type: Literal["yearly"]
    month: Month

    @model_validator(mode="after")
    def _exists(self) -> Self:
        if self.chosen().of(2000, self._month) is None:
            raise _fault(
                "There is no day {day} in {month}: choose another day, or set if_missing to last_day.",
                day=self.day,
                month=self.month.capitalize(),
            )
        return self

    @property
    def shortest(self) -> int:
        """How many days the month always has."""
        return monthrange(2001, self._month)[1]

    @property
    def _month(self) -> int:
        return MONTHS.index(self.month) + 1

    def falls(self, anchor: date) -> Days:
        """The days on which it falls."""
        return EveryMonths(date(anchor.year, self._month, 1), 12, self.chosen())


class Once(Settings):
    """Once on each of the days."""

    type: Literal["once"]
    at: TimeOfDay

    def times(self) -> range:
        """Minutes after midnight."""
        return range(_minute(self.at), _minute(self.at) + 1)


class Interval(Settings):
    """Every N minutes or hours from ``start`` to ``end``, both included. Counts anew each day."""

    type: Literal["interval"] = "interval"
    every: int = Field(default=5, ge=1, le=1439)
    unit: Literal["minutes", "hours"] = "minutes"
    start: TimeOfDay = "00:00"
    end: TimeOfDay = "23:59"

    @model_validator(mode="after")
    def _within_a_day(self) -> Self:
        if self.step > 1439:
            raise _fault("Every {every} hours is more than a day: choose 1 to 23 hours.", every=self.every)
        if self.start > self.end:
            raise _fault(
                "The window from {start} to {end} crosses midnight, which it may not. Choose a window within one day, "
                "or write the schedule as an ncrontab, such as '*/5 0-5,22-23 * * *'.",
                start=self.start,
                end=self.end,
            )
        return self

    @property
    def step(self) -> int:
        """The interval in minutes."""
        return self.every * (60 if self.unit == "hours" else 1)

    def times(self) -> range:
        """Minutes after midnight."""
        return range(_minute(self.start), _minute(self.end) + 1, self.step)


def _type_of(value: Any) -> Any:
    return value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)


Pattern = Annotated[
    Annotated[Daily, Tag("daily")]
    | Annotated[Weekly, Tag("weekly")]
    | Annotated[Monthly, Tag("monthly")]
    | Annotated[Yearly, Tag("yearly")],
    Discriminator(
        _type_of,
        custom_error_type="schedule",
        custom_error_message="A pattern is an object whose type is daily, weekly, monthly or yearly.",
    ),
]
Frequency = Annotated[
    Annotated[Once, Tag("once")] | Annotated[Interval, Tag("interval")],
    Discriminator(
        _type_of,
        custom_error_type="schedule",
        custom_error_message="A frequency is an object whose type is once or interval.",
    ),
]


class Schedule(Settings):
    """Some times of day on some days, by the wall clock of a time zone. As it stands: every 5 minutes, for ever.

    "Every N" days, weeks or months counts from ``start_date``; without one, from Monday 2001-01-01.
    """

    pattern: Pattern = Daily()
    frequency: Frequency = Interval()
    start_date: Day | None = Field(default=None, description="The first day; null: from the beginning.")
    end_date: Day | None = Field(default=None, description="The last day, included; null: no end.")
    time_zone: TimeZone = "UTC"

    @model_validator(mode="after")
    def _comes_due(self) -> Self:
        calendar = self.calendar()
        if calendar.first > calendar.last:
            raise _fault("The end date {last} is before the start date {first}.", **_duration(calendar))
        if calendar.first_from(calendar.first) is None:
            raise _fault("The pattern has no day from {first} to {last}: it would never run.", **_duration(calendar))
        return self

    def calendar(self) -> Calendar:
        """The schedule as arithmetic takes it."""
        first = self.start_date or FIRST_DAY
        return Calendar(
            days=self.pattern.falls(first),
            times=self.frequency.times(),
            repeats=self.frequency.type == "interval",
            zone=ZoneInfo(self.time_zone),
            first=first,
            last=self.end_date or LAST_DAY,
        )


class NCrontabSchedule(Settings):
    """An NCRONTAB expression of five fields, or six with second 0, by the wall clock of a time zone."""

    ncrontab: Annotated[str, Field(max_length=500, examples=["*/10 8-18 * * mon-fri"]), AfterValidator(_check_ncrontab)]
    time_zone: TimeZone = "UTC"

    def expression(self) -> NCrontab:
        """The expression, read. Its time zone is ``time_zone``, not UTC."""
        return NCrontab.parse(self.ncrontab)

    def calendar(self) -> Calendar:
        """The schedule as arithmetic takes it."""
        expression = self.expression()
        times = [hour * 60 + minute for hour in expression.hours for minute in expression.minutes]
        return Calendar(
            days=expression.dates,
            times=times,
            repeats=len(times) > 1,
            zone=ZoneInfo(self.time_zone),
        )


def _form(value: object) -> str:
    given = value if isinstance(value, Mapping) else vars(value) if isinstance(value, Settings) else {}
    return "ncrontab" if "ncrontab" in given else "calendar"


#: What a job's ``schedule`` field takes.
AnySchedule = Annotated[
    Annotated[Schedule, Tag("calendar")] | Annotated[NCrontabSchedule, Tag("ncrontab")], Discriminator(_form)
]
_ANY: TypeAdapter[Schedule | NCrontabSchedule] = TypeAdapter(AnySchedule)


def read_schedule(value: Any) -> Schedule | NCrontabSchedule:
    """Read a schedule from its JSON value. Raises pydantic.ValidationError with every fault."""
    return _ANY.validate_python(value)


def _minute(at: str) -> int:
    return int(at[:2]) * 60 + int(at[3:])


def _duration(calendar: Calendar) -> dict[str, str]:
    return {"first": str(calendar.first), "last": str(calendar.last)}
