"""NCRONTAB: the schedule expressions of the timer trigger, as .NET NCrontab 3.3 reads them.

Six fields, ``second minute hour day month weekday``, or five without the second, which then is 0. An element is ``*``,
``V``, ``V-V``, ``*/N``, ``V/N`` (from V to the end of the field) or ``V-V/N``; a field is a comma list of elements.
Months and weekdays may be named, by any prefix of the English name in any case. Sunday is 0; 7 is an error. Day and
weekday must BOTH match. A reversed range is swapped, and a step below 1 counts as 1: `NCrontab.parse` does the same, as
it must agree with the platform; `parse_strict` refuses both, for text that a person typed.

Free of pydantic and quick to import: the registration of timers needs this module.
See https://github.com/atifaziz/NCrontab and
https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

from shared.schedule.days import MatchingDays

_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 6, _WEEKDAYS),
)

#: No more digits than mean something here; longer numbers overflow on the platform.
_VALUE = re.compile(r"0*[0-9]{1,2}")
_STEP = re.compile(r"[+-]?0*[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class NCrontab:
    """An expression as the values that each field allows, ascending. Equal when they fire at the same instants' fields.

    The constructor raises ValueError for a field that is empty, not ascending, or out of range.
    """

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    #: 0 is Sunday.
    weekdays: tuple[int, ...]

    def __post_init__(self) -> None:
        for field, values in zip(_FIELDS, self._values(), strict=True):
            if not values or list(values) != sorted(set(values)) or values[0] < field.low or values[-1] > field.high:
                raise ValueError(f"The {field.name} field takes ascending values from {field.low} to {field.high}.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``text`` as the platform does. Raises ValueError that names the field and the offending text."""
        return cls(*_read(text, lambda _fault: None))

    def next_after(self, instant: datetime) -> datetime | None:
        """The first instant, aware and in UTC, strictly after ``instant`` (aware); None when there is none any more."""
        if instant.tzinfo is None:
            raise ValueError("An instant needs a time zone.")
        now = instant.astimezone(UTC)
        day = self.dates.first_from(now.date())
        if day == now.date():
            later = self._time_after(now.hour, now.minute, now.second)
            if later is not None:
                return datetime.combine(day, later, UTC)
            day = self.dates.first_from(day + timedelta(1)) if day < date.max else None
        if day is None:
            return None
        return datetime.combine(day, time(self.hours[0], self.minutes[0], self.seconds[0]), UTC)

    @property
    def dates(self) -> MatchingDays:
        """The days on which this expression fires."""
        return MatchingDays(self.days, self.months, tuple((weekday - 1) % 7 for weekday in self.weekdays))

    def __str__(self) -> str:
        return " ".join(_write(field, values) for field, values in zip(_FIELDS, self._values(), strict=True))

    def _values(self) -> tuple[tuple[int, ...], ...]:
        return self.seconds, self.minutes, self.hours, self.days, self.months, self.weekdays

    def _time_after(self, hour: int, minute: int, second: int) -> time | None:
        if hour in self.hours:
            if minute in self.minutes:
                at = bisect_right(self.seconds, second)
                if at < len(self.seconds):
                    return time(hour, minute, self.seconds[at])
            at = bisect_right(self.minutes, minute)
            if at < len(self.minutes):
                return time(hour, self.minutes[at], self.seconds[0])
        at = bisect_left(self.hours, hour + 1)
        if at < len(self.hours):
            return time(self.hours[at], self.minutes[0], self.seconds[0])
        return None


def parse_strict(text: str) -> NCrontab:
    """Read ``text`` as a person meant it: refuse what the platform would take silently but nobody can have wanted.

    That is: a reversed range, a step below 1 or too long for its range, a weekday or month named by one or two letters,
    a day that no month has, and seconds other than 0 (each job has a second of its own). Raises ValueError with a
    remedy.
    """

    def refuse(fault: str) -> None:
        raise ValueError(fault)

    found = NCrontab(*_read(text, refuse))
    if found.seconds != (0,):
        raise ValueError("The second field must be 0: the product chooses the second at which each job wakes up.")
    if not found.dates.possible():
        day, month = text.split()[-3:-1]
        raise ValueError(f"No month of '{month}' has a day of '{day}': this expression would never fire.")
    return found


def _read(text: str, lax: Callable[[str], None]) -> list[tuple[int, ...]]:
    """Give the values of the six fields. Calls ``lax`` with each thing that only a lax reading accepts."""
    parts = [part for part in text.split(" ") if part]
    if len(parts) not in (5, 6):
        raise ValueError(
            f"An NCRONTAB expression has five fields (minute hour day month weekday) or six (second first), "
            f"'{text}' has {len(parts)}."
        )
    if len(parts) == 5:
        parts.insert(0, "0")
    return [_read_field(field, part, lax) for field, part in zip(_FIELDS, parts, strict=True)]


def _read_field(field: _Field, text: str, lax: Callable[[str], None]) -> tuple[int, ...]:
    values: set[int] = set()
    for element in text.split(","):
        values.update(_read_element(field, element, lax))
    return tuple(sorted(values))


def _read_element(field: _Field, element: str, lax: Callable[[str], None]) -> range:
    span, slash, step_text = element.partition("/")
    if slash and not _STEP.fullmatch(step_text):
        raise ValueError(f"The {field.name} field has the step '{step_text}' in '{element}': it must be a number.")
    step = int(step_text) if slash else 1
    first_text, dash, last_text = span.partition("-")
    if span == "*":
        first, last = field.low, field.high
    else:
        first = _read_value(field, first_text, element, lax)
        last = first
        if dash:
            last = _read_value(field, last_text, element, lax)
        elif slash:
            last = field.high
    if first > last:
        lax(
            f"The {field.name} field has the range '{element}' backwards: the platform would swap its ends, not go "
            f"past the end of the field. Write the parts as a list, such as "
            f"{_write_span(field.low, last)},{_write_span(first, field.high)}."
        )
        first, last = last, first
    if step < 1:
        lax(f"The {field.name} field has the step '{step_text}' in '{element}': a step is at least 1.")
    elif slash and step > last - first:
        lax(f"The {field.name} field has '{element}', whose step leaves only one value: write {first} instead.")
    return range(first, last + 1, max(step, 1))


def _read_value(field: _Field, text: str, element: str, lax: Callable[[str], None]) -> int:
    where = f"'{text}'" if text else "nothing"
    if text != element:
        where += f" in '{element}'"
    wanted = f"{field.low} to {field.high}" + (" or an English name" if field.names else "")
    if text[:1].isascii() and text[:1].isdigit():
        value = int(text) if _VALUE.fullmatch(text) else -1
        if not field.low <= value <= field.high:
            hint = " Sunday is 0." if field.names is _WEEKDAYS and value == 7 else ""
            raise ValueError(f"The {field.name} field has {where}: it takes {wanted}.{hint}")
        return value
    if text and text.isascii():
        for at, name in enumerate(field.names):
            if name.startswith(text.lower()):
                if len(text) < 3:
                    lax(f"The {field.name} field has {where}: write at least three letters of the name.")
                return at + field.low
    hint = " The signs ? L W # @ are not known here." if re.search(r"[?LW#@]", text) else ""
    raise ValueError(f"The {field.name} field has {where}: it takes {wanted}, or *.{hint}")


def _write(field: _Field, values: tuple[int, ...]) -> str:
    """Give the shortest plain text for these values: ``*``, ``*/N``, ``V-V/N``, or a list of values and ranges."""
    if len(values) == field.high - field.low + 1:
        return "*"
    step = values[1] - values[0] if len(values) > 1 else 0
    if len(values) > 2 and step > 1 and values == tuple(range(values[0], values[-1] + 1, step)):
        whole = values[0] == field.low and values[-1] + step > field.high
        return f"*/{step}" if whole else f"{values[0]}-{values[-1]}/{step}"
    spans: list[list[int]] = []
    for value in values:
        if spans and spans[-1][1] == value - 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    return ",".join(_write_span(first, last) for first, last in spans)


def _write_span(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first}-{last}" if last - first > 1 else f"{first},{last}"
