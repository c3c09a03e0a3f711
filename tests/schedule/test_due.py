"""A job looks forward only, and one run stands for everything that was missed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from shared.schedule.due import Taken, first_due, take
from shared.schedule.model import Schedule
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
    assert take(ended, enabled=True, now=NOW).next_due is None
    assert take(Schedule(), enabled=False, now=NOW).next_due is None


def test_a_run_stands_for_the_newest_occurrence() -> None:
    """From its instant on, an occurrence is the newest one, until the next comes."""
    before = Taken(last_occurrence=NEXT - timedelta(minutes=5), next_due=NEXT)
    assert take(Schedule(), enabled=True, now=NEXT - timedelta(microseconds=1)) == before
    taken = Taken(last_occurrence=NEXT, next_due=NEXT + timedelta(minutes=5))
    assert take(Schedule(), enabled=True, now=NEXT) == taken
    assert take(Schedule(), enabled=True, now=NEXT + timedelta(seconds=59)) == taken


def test_the_last_occurrence_is_taken_after_the_end() -> None:
    """A missed last occurrence is still taken; after it the job is never due again."""
    ending = Schedule.model_validate({"end_date": "2026-11-23"})
    last = datetime(2026, 11, 23, 23, 55, tzinfo=UTC)
    assert take(ending, enabled=True, now=last + timedelta(days=9)) == Taken(last_occurrence=last, next_due=None)


def test_before_the_first_occurrence_there_is_nothing_to_stand_for() -> None:
    """A run by hand before the start date claims no occurrence."""
    early = Schedule.model_validate({"start_date": "2027-01-01"})
    assert take(early, enabled=True, now=NOW) == Taken(last_occurrence=None, next_due=datetime(2027, 1, 1, tzinfo=UTC))


@given(schedules(), st.lists(st.integers(0, 60 * 24 * 40), min_size=1, max_size=8))
def test_every_occurrence_is_stood_for_once(schedule: Schedule, pauses: list[int]) -> None:
    """Whenever runs come, each claims later occurrences than the one before, and together they leave none out."""
    now = datetime(2027, 3, 1, 0, 0, 30, tzinfo=ZoneInfo("UTC"))
    next_due = first_due(schedule, enabled=True, now=now)
    last = now
    occurrences = Occurrences(schedule)
    for pause in pauses:
        now += timedelta(minutes=pause)
        if next_due is None or next_due > now:
            assert occurrences.next_after(last) == next_due
            continue
        taken = take(schedule, enabled=True, now=now)
        assert taken.last_occurrence is not None
        assert last < taken.last_occurrence <= now
        assert occurrences.next_after(taken.last_occurrence) == taken.next_due
        assert taken.next_due is None or taken.next_due > now
        last, next_due = taken.last_occurrence, taken.next_due
