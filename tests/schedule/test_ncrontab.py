"""NCRONTAB text is read as the platform reads it, and fires when the platform would."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schedule.ncrontab import NCrontab, parse_strict
from tests.schedule.strategies import expressions

instants = st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1)).map(lambda found: found.replace(tzinfo=UTC))  # noqa: DTZ001  hypothesis wants naive bounds


def fires_at(expression: NCrontab, instant: datetime) -> bool:
    """The definition: every field holds its part of the instant; day AND weekday."""
    return (
        instant.second in expression.seconds
        and instant.minute in expression.minutes
        and instant.hour in expression.hours
        and instant.day in expression.days
        and instant.month in expression.months
        and instant.isoweekday() % 7 in expression.weekdays
    )


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("*/5 * * * *", "0 */5 * * * *"),
        ("  7   0/15 8  * * mon-fri ", "7 */15 8 * * 1-5"),
        ("0 0 9-17/2 * * *", "0 0 9-17/2 * * *"),
        ("0 0 9-18/2 * * *", "0 0 9-17/2 * * *"),
        ("0 5/20 * * * *", "0 5-45/20 * * * *"),
        ("0 0 0 1,2,3,5 * *", "0 0 0 1-3,5 * *"),
        ("0 0 0 1,2 * *", "0 0 0 1,2 * *"),
        ("0 0 22-2 * * *", "0 0 2-22 * * *"),
        ("0 */0 * * * *", "0 * * * * *"),
        ("0 */-3 * * * *", "0 * * * * *"),
        ("0 0 0 * * S", "0 0 0 * * 0"),
        ("0 0 0 * * wEdNes", "0 0 0 * * 3"),
        ("0 0 0 * j *", "0 0 0 * 1 *"),
        ("0 0 0 * ju-DECEMBER *", "0 0 0 * 6-12 *"),
        ("0 0 0 * * fri/2", "0 0 0 * * 5"),
        ("0 50-40/5 * * * *", "0 40-50/5 * * * *"),
        ("00 007 * * * *", "0 7 * * * *"),
        ("0 0 0 * * 0-6", "0 0 0 * * *"),
        ("0 59/999 * * * *", "0 59 * * * *"),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    """Each element form of the dialect means what the platform makes of it."""
    assert str(NCrontab.parse(text)) == normal


@pytest.mark.parametrize(
    ("text", "field", "offending"),
    [
        ("60 * * * * *", "second", "60"),
        ("0 1,x * * * *", "minute", "x"),
        ("0 * 24 * * *", "hour", "24"),
        ("0 * * 0 * *", "day", "0"),
        ("0 * * L * *", "day", "L"),
        ("0 * * ? * *", "day", "?"),
        ("0 * * 15W * *", "day", "15W"),
        ("0 * * * 13 *", "month", "13"),
        ("0 * * * foo *", "month", "foo"),
        ("0 * * * * 7", "weekday", "7"),
        ("0 * * * * mon#1", "weekday", "mon#1"),
        ("0 * * * * mondays", "weekday", "mondays"),
        ("0 */x * * * *", "minute", "x"),
        ("0 */ * * * *", "minute", "*/"),
        ("0 1/2/3 * * * *", "minute", "2/3"),
        ("0 1- * * * *", "minute", "1-"),
        ("0 -1 * * * *", "minute", "-1"),
        ("0 1-2-3 * * * *", "minute", "2-3"),
        ("0 1,,2 * * * *", "minute", "nothing"),
        ("0 /5 * * * *", "minute", "/5"),
        ("0 ** * * * *", "minute", "**"),
        ("0 100000000000000000005 * * * *", "minute", "100000000000000000005"),
        ("0 */99999999999 * * * *", "minute", "99999999999"),
        ("0 ٣ * * * *", "minute", "٣"),
        ("*\t* * * * *", "minute", "*\t*"),
        ("* * * *", "fields", "4"),
        ("", "fields", "0"),
        ("@daily", "fields", "1"),
    ],
)
def test_faults_are_named(text: str, field: str, offending: str) -> None:
    """A fault is a ValueError that names the field and the offending text."""
    with pytest.raises(ValueError) as fault:  # noqa: PT011  its text is looked at below
        NCrontab.parse(text)
    assert field in str(fault.value)
    assert offending in str(fault.value)


@given(st.text(alphabet="0123456789*/-, abcmonfri?LW#", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes anything but an expression that reads back as itself, or a ValueError."""
    try:
        found = NCrontab.parse(text)
    except ValueError:
        return
    assert NCrontab.parse(str(found)) == found


@given(expressions())
def test_round_trip(text: str) -> None:
    """The normal form reads back as the same expression, and is its own normal form."""
    found = NCrontab.parse(text)
    assert NCrontab.parse(str(found)) == found
    assert str(NCrontab.parse(str(found))) == str(found)


@given(expressions(), instants)
def test_next_is_a_fire_and_the_first_one(text: str, instant: datetime) -> None:
    """The next fire matches every field; in the two hours after the given instant, or before the answer, none does."""
    expression = NCrontab.parse(text)
    found = expression.next_after(instant)
    if found is not None:
        assert found > instant
        assert found.tzinfo is UTC
        assert fires_at(expression, found)
    second = timedelta(seconds=1)
    for start in (instant, max(instant, (found or instant) - timedelta(hours=1))):
        probe = start.replace(microsecond=0) + second
        for _ in range(3600):
            if probe == found:
                break
            assert not fires_at(expression, probe)
            probe += second


@given(expressions(), instants)
def test_next_against_brute_force_by_day(text: str, instant: datetime) -> None:
    """No day between the given instant and the answer is one on which the expression fires."""
    expression = NCrontab.parse(text)
    found = expression.next_after(instant)
    end = found.date() if found else instant.date() + timedelta(days=366 * 28)
    day = instant.date() + timedelta(1)
    while day < end:
        assert not (
            day.day in expression.days
            and day.month in expression.months
            and day.isoweekday() % 7 in expression.weekdays
        )
        day += timedelta(1)


@given(expressions(), instants)
def test_fires_follow_each_other(text: str, instant: datetime) -> None:
    """Walking from fire to fire never stands still and never goes back."""
    expression = NCrontab.parse(text)
    for _ in range(20):
        following = expression.next_after(instant)
        if following is None:
            return
        assert following > instant
        instant = following


def test_strictly_after() -> None:
    """An instant at which the expression fires is not its own next; a fraction of a second before it is."""
    expression = NCrontab.parse("7 30 8 * * *")
    fire = datetime(2026, 11, 23, 8, 30, 7, tzinfo=UTC)
    assert expression.next_after(fire) == fire + timedelta(days=1)
    assert expression.next_after(fire - timedelta(microseconds=1)) == fire
    assert expression.next_after(fire + timedelta(microseconds=1)) == fire + timedelta(days=1)


def test_other_zones_are_converted() -> None:
    """An instant in another zone counts as what it is in UTC; one without a zone is refused."""
    expression = NCrontab.parse("0 0 0 * * *")
    east = timezone(timedelta(hours=5))
    assert expression.next_after(datetime(2026, 1, 2, 3, tzinfo=east)) == datetime(2026, 1, 2, tzinfo=UTC)
    with pytest.raises(ValueError, match="time zone"):
        expression.next_after(datetime(2026, 1, 2))  # noqa: DTZ001  that is the point


def test_never_is_found() -> None:
    """A day that no month has gives None; a day that comes once in 40 years is found."""
    now = datetime(2072, 3, 1, tzinfo=UTC)
    assert NCrontab.parse("0 0 0 30 2 *").next_after(now) is None
    assert NCrontab.parse("0 0 0 31 4,6,9,11 *").next_after(now) is None
    assert NCrontab.parse("0 0 0 29 2 mon").next_after(now) == datetime(2112, 2, 29, tzinfo=UTC)


def test_the_end_of_time() -> None:
    """After the last fire that a datetime can hold there is none."""
    expression = NCrontab.parse("0 0 0 * * *")
    assert expression.next_after(datetime(9999, 12, 31, tzinfo=UTC)) is None
    assert NCrontab.parse("0 0 0 1 1 *").next_after(datetime(9999, 6, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0 22-2 * * *", "0-2,22,23"),
        ("*/0 * * * *", "at least 1"),
        ("*/-5 * * * *", "at least 1"),
        ("*/60 * * * *", "write 0 instead"),
        ("50/30 * * * *", "write 50 instead"),
        ("* 8-10/5 * * *", "write 8 instead"),
        ("0 0 * * m", "three letters"),
        ("0 0 * ju *", "three letters"),
        ("0 0 30 feb *", "never fire"),
        ("0 0 31 4,6 *", "never fire"),
        ("*/5 * * * * *", "second field must be 0"),
        ("30 0 8 * * *", "second field must be 0"),
    ],
)
def test_strict_refuses_slips(text: str, complaint: str) -> None:
    """What the platform takes in silence, but nobody can have meant, is refused with a remedy."""
    NCrontab.parse(text)
    with pytest.raises(ValueError, match=complaint.replace("*", r"\*")):
        parse_strict(text)


@pytest.mark.parametrize(
    "text", ["*/5 * * * *", "0 */5 8-18 * * mon-FRI", "0 0 29 2 *", "0 0 1-7 * mon", "5/10 * * * *"]
)
def test_strict_accepts_plain_text(text: str) -> None:
    """What is fine is read as the lax reading reads it."""
    assert parse_strict(text) == NCrontab.parse(text)


@pytest.mark.parametrize("minutes", [(), (5, 3), (3, 3), (60,), (-1,)])
def test_values_are_checked(minutes: tuple[int, ...]) -> None:
    """An expression cannot be built from values that it could not say."""
    with pytest.raises(ValueError, match="minute"):
        NCrontab((0,), minutes, (0,), (1,), (1,), (0,))


def test_import_is_light() -> None:
    """A timer's registration needs this module: it brings in neither pydantic nor any other package."""
    script = (
        "import sys; before = set(sys.modules); import shared.schedule.ncrontab;"
        "roots = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(roots - set(sys.stdlib_module_names) - {'shared'}))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
