"""Schedules in plain English."""

from collections.abc import Sequence

from shared.schedule.days import FIRST_DAY
from shared.schedule.model import (
    MONTHS,
    WEEKDAYS,
    AnySchedule,
    Daily,
    Interval,
    Monthly,
    NCrontabSchedule,
    Once,
    Weekly,
    Yearly,
)


def sentence(schedule: AnySchedule) -> str:
    """Say when the schedule is due: ``Every 5 minutes from 08:00 to 18:00, every weekday, Europe/Berlin``."""
    if isinstance(schedule, NCrontabSchedule):
        return ", ".join([_crontab_times(schedule), _crontab_days(schedule), schedule.time_zone])
    parts = [_times(schedule.frequency), _days(schedule.pattern), schedule.time_zone]
    if schedule.start_date is not None:
        parts.append(f"from {schedule.start_date}")
    elif not isinstance(schedule.pattern, Yearly) and schedule.pattern.every > 1:
        parts.append(f"counted from {FIRST_DAY}")
    if schedule.end_date is not None:
        parts.append(f"until {schedule.end_date}")
    return ", ".join(parts)


def _times(frequency: Once | Interval) -> str:
    if isinstance(frequency, Once):
        return f"At {frequency.at}"
    if len(frequency.times()) == 1:
        return f"At {frequency.start}"
    text = f"Every {_count(frequency.every, frequency.unit)}"
    if frequency.times() == Interval(every=frequency.every, unit=frequency.unit).times():
        return text
    return f"{text} from {frequency.start} to {frequency.end}"


def _days(pattern: Daily | Weekly | Monthly | Yearly) -> str:
    if isinstance(pattern, Daily):
        return "every weekday" if pattern.weekdays_only else f"every {_count(pattern.every, 'days')}"
    if isinstance(pattern, Weekly):
        names = _list([day.capitalize() for day in pattern.days])
        return f"every {names}" if pattern.every == 1 else f"every {pattern.every} weeks on {names}"
    return _monthly(pattern) if isinstance(pattern, Monthly) else _yearly(pattern)


def _monthly(pattern: Monthly) -> str:
    months = f"every {_count(pattern.every, 'months')}"
    if isinstance(pattern.day, str):
        return f"on the {_ordinal(pattern.day)} of {months}"
    missing = ""
    if pattern.day > 28:
        missing = ", or the last day of a shorter one" if pattern.if_missing == "last_day" else ", not in shorter ones"
    return f"on day {pattern.day} of {months}{missing}"


def _yearly(pattern: Yearly) -> str:
    month = pattern.month.capitalize()
    if isinstance(pattern.day, str):
        return f"every year on the {_ordinal(pattern.day)} of {month}"
    if pattern.day <= pattern.shortest:
        return f"every year on {pattern.day} {month}"
    if pattern.if_missing == "last_day":
        return f"every year on the last day of {month}"
    return f"on {pattern.day} {month}, in leap years only"


def _ordinal(day: str) -> str:
    ordinal, kind = day.split(" ", 1)
    return f"{ordinal} {kind.capitalize() if kind in WEEKDAYS else kind}"


def _crontab_times(schedule: NCrontabSchedule) -> str:
    expression = schedule.expression()
    times = schedule.calendar().times
    minutes, hours = expression.minutes, expression.hours
    if len(times) <= 4:
        return "At " + _list([f"{at // 60:02}:{at % 60:02}" for at in times])
    step = 60 // len(minutes)
    if minutes == tuple(range(0, 60, step)) and 60 % step == 0 and len(minutes) > 1:
        text = f"Every {_count(step, 'minutes')}"
        if len(hours) == 24:
            return text
    elif len(hours) == 24:
        return f"At {_numbers('minute', minutes)} of every hour"
    else:
        text = f"At {_numbers('minute', minutes)}"
    return f"{text} of {_numbers('hour', hours)}"


def _crontab_days(schedule: NCrontabSchedule) -> str:
    expression = schedule.expression()
    weekdays = sorted((day - 1) % 7 for day in expression.weekdays)
    names = _list([WEEKDAYS[day].capitalize() for day in weekdays])
    months = "" if len(expression.months) == 12 else _list([MONTHS[at - 1].capitalize() for at in expression.months])
    if len(expression.days) == 31:
        if len(weekdays) == 7:
            text = "every day"
        else:
            text = "every weekday" if weekdays == [0, 1, 2, 3, 4] else f"every {names}"
        return f"{text} in {months}" if months else text
    text = f"on {_numbers('day', expression.days)} of {months or 'every month'}"
    return text if len(weekdays) == 7 else f"{text} when that is a {names.replace(' and ', ' or ')}"


def _numbers(noun: str, values: Sequence[int]) -> str:
    spans: list[list[int]] = []
    for value in values:
        if spans and spans[-1][1] == value - 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    texts: list[str] = []
    for first, last in spans:
        texts.extend([f"{first} to {last}"] if last - first > 1 else map(str, dict.fromkeys((first, last))))
    return f"{noun}{'s' if len(values) > 1 else ''} {_list(texts)}"


def _count(number: int, unit: str) -> str:
    return unit.removesuffix("s") if number == 1 else f"{number} {unit}"


def _list(texts: Sequence[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else texts[0]
