"""A job looks forward only, and one run stands for everything that was missed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from shared.schedule.due import Taken, first_due, take
from shared.schedule.model import Schedule, read_schedule
from shared.schedule.occurrences import Occurrences
from tests.schedule.strategies import schedules

NOW = datetime(2026, 11, 23, 12, 2, 30, tzinfo=UTC)
NEXT = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)


def test_a_new_job_is_due_at_the_next_occurrence() -> None:
    """What lies before the creation is not caught up on, not even the occurrence of this very instant."""
    assert first_due(Schedule(), enabled=True, now=NOW) == NEXT
    assert first_due(Schedule(), enabled=True, now=NEXT) == NEXT + timedelta(minutes=5)


def test_a_disabled_or_ended_job_is_never_due() -> None:
    """Neither has a next occurrence."""
    assert first_due(Schedule(), enabled=False, now=NOW) is None
    ended = Schedule.model_validate({"end_date": "2026-11-22"})
    assert first_due(ended, enabled=True, now=NOW) is None
    assert take(Schedule(), next_due=None, now=NOW) is None


def test_a_run_takes_what_is_due() -> None:
    """From the occurrence on there is something to take, and just before it there is not."""
    assert take(Schedule(), next_due=NEXT, now=NEXT - timedelta(microseconds=1)) is None
    taken = Taken(last_occurrence=NEXT, next_due=NEXT + timedelta(minutes=5))
    assert take(Schedule(), next_due=NEXT, now=NEXT) == taken
    assert take(Schedule(), next_due=NEXT, now=NEXT + timedelta(seconds=59)) == taken


def test_missed_occurrences_collapse() -> None:
    """After a day without a run, one run stands for all of it."""
    later = NEXT + timedelta(days=1, seconds=30)
    assert take(Schedule(), next_due=NEXT, now=later) == Taken(
        last_occurrence=NEXT + timedelta(days=1), next_due=NEXT + timedelta(days=1, minutes=5)
    )


def test_the_last_occurrence_is_taken_after_the_end() -> None:
    """A missed last occurrence is still taken; after it the job is never due again."""
    ending = Schedule.model_validate({"end_date": "2026-11-23"})
    last = datetime(2026, 11, 23, 23, 55, tzinfo=UTC)
    assert take(ending, next_due=last, now=last + timedelta(days=9)) == Taken(last_occurrence=last, next_due=None)


def test_an_instant_that_is_no_occurrence_any_more_is_taken() -> None:
    """When the rules of a zone changed after the instant was stored, the run goes ahead and the new rules hold on."""
    schedule = read_schedule({"frequency": {"type": "once", "at": "08:00"}, "time_zone": "Europe/Berlin"})
    stored = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
    taken = take(schedule, next_due=stored, now=stored + timedelta(seconds=5))
    assert taken == Taken(last_occurrence=stored, next_due=datetime(2026, 11, 24, 7, 0, tzinfo=UTC))
    early = Schedule.model_validate({"start_date": "2027-01-01"})
    taken = take(early, next_due=stored, now=stored)
    assert taken == Taken(last_occurrence=stored, next_due=datetime(2027, 1, 1, tzinfo=UTC))


@given(schedules(), st.lists(st.integers(0, 60 * 24 * 40), min_size=1, max_size=8))
def test_every_occurrence_is_stood_for_once(schedule: Schedule, pauses: list[int]) -> None:
    """Whenever runs come, each claims later occurrences than the one before, and together they leave none out."""
    now = datetime(2027, 3, 1, 0, 0, 30, tzinfo=ZoneInfo("UTC"))
    next_due = first_due(schedule, enabled=True, now=now)
    last = now
    occurrences = Occurrences(schedule)
    for pause in pauses:
        now += timedelta(minutes=pause)
        taken = take(schedule, next_due=next_due, now=now)
        if taken is None:
            assert occurrences.next_after(last) == next_due
            assert next_due is None or next_due > now
            continue
        assert last < taken.last_occurrence <= now
        assert occurrences.next_after(taken.last_occurrence) == taken.next_due
        assert taken.next_due is None or taken.next_due > now
        last, next_due = taken.last_occurrence, taken.next_due
