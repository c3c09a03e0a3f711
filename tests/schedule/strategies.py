"""Random schedules of every kind, in the zones whose clocks do the oddest things."""

from datetime import date
from typing import Any

from hypothesis import strategies as st

from shared.schedule.model import MONTHS, ORDINALS, WEEKDAYS, NCrontabSchedule, Schedule, read_schedule

ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",  # standard time is the summer's
    "America/New_York",
    "America/St_Johns",  # -3:30
    "America/Havana",  # changes at midnight
    "America/Santiago",  # changes at 24:00, in southern summer
    "America/Nuuk",  # changes on a Saturday evening
    "Africa/Casablanca",  # back for Ramadan, in dates that are listed
    "Africa/Cairo",  # the gap is the first hour of a day
    "Asia/Beirut",
    "Asia/Gaza",  # changes for Ramadan too, once within a week of its other change
    "Asia/Kathmandu",  # +5:45
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Antarctica/Troll",  # two hours of it
    "Pacific/Apia",  # left out a whole day in 2011
    "Pacific/Auckland",
    "Pacific/Chatham",  # +12:45
    "Pacific/Kiritimati",  # +14
    "Etc/GMT+12",
)

zones = st.sampled_from(ZONES)
dates = st.dates(date(2026, 1, 1), date(2060, 12, 31))
_clock = st.one_of(
    st.sampled_from(["00:00", "00:30", "02:00", "02:30", "12:00", "23:30", "23:59"]),
    st.times().map(lambda at: f"{at:%H:%M}"),
)
_every = st.sampled_from([1, 1, 1, 2, 3, 5, 12])
_ordinal_days = st.builds(
    "{} {}".format, st.sampled_from(ORDINALS), st.sampled_from([*WEEKDAYS, "day", "weekday", "weekend day"])
)
_in_month = st.one_of(
    st.fixed_dictionaries({"day": st.integers(1, 31), "if_missing": st.sampled_from(["skip", "last_day"])}),
    st.fixed_dictionaries({"day": _ordinal_days}),
)


def _merged(kind: str, *parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda found: {"type": kind} | {k: v for part in found for k, v in part.items()})


def patterns(every: st.SearchStrategy[int] = _every) -> st.SearchStrategy[dict[str, Any]]:
    """Every kind of pattern; some yearly ones do not exist and must be filtered."""
    counted = st.fixed_dictionaries({"every": every})
    week = st.fixed_dictionaries({"days": st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True)})
    month = st.fixed_dictionaries({"month": st.sampled_from(MONTHS)})
    return st.one_of(
        _merged("daily", counted),
        st.just({"type": "daily", "weekdays_only": True}),
        _merged("weekly", counted, week),
        _merged("monthly", counted, _in_month),
        _merged("yearly", month, _in_month).filter(
            lambda found: isinstance(found["day"], str) or found["day"] <= (29 if found["month"] == "february" else 30)
        ),
    )


once = st.fixed_dictionaries({"type": st.just("once"), "at": _clock})
intervals = st.tuples(_clock, _clock, st.sampled_from([1, 5, 7, 10, 15, 30, 45, 60, 61, 90, 240, 1439])).map(
    lambda found: {"type": "interval", "start": min(found[:2]), "end": max(found[:2]), "every": found[2]}
)


@st.composite
def schedules(
    draw: st.DrawFn,
    *,
    pattern: st.SearchStrategy[dict[str, Any]] | None = None,
    frequency: st.SearchStrategy[dict[str, Any]] | None = None,
    start: bool = True,
) -> Schedule:
    """A schedule without an end date, mostly with a start date."""
    chosen = draw(patterns() if pattern is None else pattern)
    begins = draw(st.one_of(st.none(), dates)) if start else None
    return Schedule.model_validate(
        {
            "pattern": chosen,
            "frequency": draw(st.one_of(once, intervals) if frequency is None else frequency),
            "start_date": begins.replace(day=1).isoformat() if begins else None,
            "time_zone": draw(zones),
        }
    )


@st.composite
def expressions(draw: st.DrawFn, *, second: bool = True) -> str:
    """NCRONTAB text in which each element form comes up, and names, and reversed ranges."""

    def element(low: int, high: int, names: tuple[str, ...]) -> str:
        def value() -> str:
            number = draw(st.integers(low, high))
            if draw(st.booleans()) and names:
                name = names[number - low]
                return draw(st.sampled_from([name, name[:3].upper(), name.capitalize()]))
            return str(number)

        form = draw(st.sampled_from(["*", "V", "V-V", "*/N", "V/N", "V-V/N"]))
        text = "".join(value() if part == "V" else part for part in form.replace("N", "").partition("/")[0])
        return f"{text}/{draw(st.integers(-1, high))}" if "N" in form else text

    sunday_first = (WEEKDAYS[-1], *WEEKDAYS[:-1])
    ranges = [(0, 59, ()), (0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, MONTHS), (0, 6, sunday_first)]
    fields = [",".join(element(*bounds) for _ in range(draw(st.integers(1, 2)))) for bounds in ranges]
    return " ".join(fields if second else ["0", *fields[1:]])


def crontab_schedule(text: str, zone: str) -> NCrontabSchedule:
    """A schedule by expression."""
    found = read_schedule({"ncrontab": text, "time_zone": zone})
    assert isinstance(found, NCrontabSchedule)
    return found
