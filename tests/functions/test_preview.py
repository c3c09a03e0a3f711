"""What the preview says is what the host does: the timer's firings, and the runs that come of them."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.functions.timer import TimerRequest

from dev.host.indexing import Function
from dev.host.timers import Timer
from dev.host.worker import Events, Worker
from shared.api.records import check_job, save
from shared.begin import Services
from shared.model import RunReport, Trigger
from shared.ports import OpenRequest
from shared.run import run_job
from shared.schedule.cover import second_for
from shared.schedule.ncrontab import NCrontab
from shared.schedule.preview import Preview, preview
from tests.fakes.mailbox import FakeFolder, FakeMailbox
from tests.fakes.storage import FakeStorage

JOB = "support"


class LeapingClock:
    """Time passes as fast as it is slept away, until ``end``, where it stands still."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self._now = start
        self._end = end
        self.over = asyncio.Event()

    def now(self) -> datetime:
        """See `Clock`."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        self._now += timedelta(seconds=seconds)
        if self._now > self._end:
            self._now = self._end
            self.over.set()
            await asyncio.Event().wait()


@dataclass
class Watched:
    """What was seen of a job while time leapt."""

    previewed: Preview
    fired: list[datetime] = field(default_factory=list)
    runs: list[RunReport] = field(default_factory=list)
    #: What each run stood for.
    occurrences: list[datetime | None] = field(default_factory=list)
    mailbox_opened: int = 0


async def watch(schedule: dict[str, Any], start: datetime, end: datetime) -> Watched:
    """Save a job at ``start``, register its timer as the app does, and let the host drive it until ``end``."""
    clock = LeapingClock(start, end)
    storage = FakeStorage(clock.now)
    folder = FakeFolder(clock.now)

    def open_mailbox(request: OpenRequest) -> FakeMailbox:
        return FakeMailbox(folder, job_id=request.job_id, identity=request.settings.identity())

    services = Services(
        jobs=storage.jobs,
        threads=storage.threads,
        tickets=storage.tickets,
        receipts=storage.receipts,
        outbox=storage.outbox,
        queue=storage.queue,
        secrets=NoSecrets(),
        clock=clock.now,
        budget=timedelta(minutes=5),
        open_mailbox=open_mailbox,
    )
    server = {"type": "imap4", "host": "mail.example", "username": "support", "password_secret": "box"}
    job = check_job({"id": JOB, "server": server, "schedule": schedule})
    record = save(storage.jobs, job, before=None, now=start)
    watched = Watched(preview(job.schedule, now=start, count=500, second=second_for(JOB)))

    async def body(timer: TimerRequest) -> None:
        watched.fired.append(clock.now())
        report = run_job(JOB, Trigger.TIMER, services)
        if report:
            watched.runs.append(report)
            stored = storage.jobs.read(JOB)
            watched.occurrences.append(stored.state.last_occurrence if stored else None)

    function = Function(
        f"job_{JOB}", "timer", body, "timer", wants_context=False, trigger={"schedule": record.ncrontab}
    )
    worker = Worker(clock, Events(None), folder=Path(), timeout=None)
    driving = asyncio.create_task(Timer(function, worker, {}).run())
    await asyncio.wait([driving, asyncio.create_task(clock.over.wait())], return_when=asyncio.FIRST_COMPLETED)
    driving.cancel()
    await worker.drain(1)
    watched.mailbox_opened = folder.count("open")
    return watched


class NoSecrets:
    """See `shared.ports.Secrets`; nobody asks here."""

    def get(self, name: str) -> str:
        """See the port."""
        raise AssertionError(name)


def on(text: str) -> datetime:
    """Midnight UTC of a day."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


#: Europe's clocks go back on 2026-10-25 and forward on 2027-03-28, New York's on 2026-11-01 and 2027-03-14, Lord Howe's by
#: half an hour on 2027-04-04 (back) and 2027-10-03 (forward), Santiago's at midnight on 2027-04-04 (back).
SCHEDULES = {
    "by default": ({}, "2026-11-23", 1),
    "daily": ({"frequency": {"type": "once", "at": "02:30"}, "time_zone": "Europe/Berlin"}, "2027-03-20", 16),
    "daily, back": ({"frequency": {"type": "once", "at": "02:30"}, "time_zone": "Europe/Berlin"}, "2026-10-18", 14),
    "every third day": (
        {
            "pattern": {"type": "daily", "every": 3},
            "frequency": {"type": "once", "at": "23:45"},
            "start_date": "2026-10-20",
            "time_zone": "America/New_York",
        },
        "2026-10-15",
        40,
    ),
    "weekdays": (
        {
            "pattern": {"type": "daily", "weekdays_only": True},
            "frequency": {"type": "once", "at": "00:15"},
            "time_zone": "Asia/Kathmandu",
        },
        "2026-12-25",
        21,
    ),
    "weekly": (
        {
            "pattern": {"type": "weekly", "every": 2, "days": ["monday", "sunday"]},
            "frequency": {"type": "once", "at": "01:30"},
            "start_date": "2026-09-28",
            "time_zone": "America/New_York",
        },
        "2026-10-01",
        60,
    ),
    "monthly, by day": (
        {
            "pattern": {"type": "monthly", "day": 31, "if_missing": "last_day"},
            "frequency": {"type": "once", "at": "00:30"},
            "time_zone": "America/Santiago",
        },
        "2027-01-25",
        100,
    ),
    "monthly, day skipped": (
        {"pattern": {"type": "monthly", "day": 31}, "frequency": {"type": "once", "at": "12:00"}},
        "2027-01-25",
        100,
    ),
    "monthly, ordinal": (
        {
            "pattern": {"type": "monthly", "day": "last sunday"},
            "frequency": {"type": "once", "at": "02:00"},
            "time_zone": "Europe/Berlin",
        },
        "2027-02-20",
        75,
    ),
    "yearly": (
        {
            "pattern": {"type": "yearly", "month": "february", "day": 29, "if_missing": "last_day"},
            "frequency": {"type": "once", "at": "09:00"},
            "time_zone": "Australia/Lord_Howe",
        },
        "2027-02-01",
        40,
    ),
    "yearly, ordinal": (
        {
            "pattern": {"type": "yearly", "month": "april", "day": "first weekend day"},
            "frequency": {"type": "once", "at": "01:45"},
            "time_zone": "Australia/Lord_Howe",
        },
        "2027-03-15",
        40,
    ),
    "interval over the gap": (
        {"frequency": {"type": "interval", "every": 20, "unit": "minutes"}, "time_zone": "Europe/Berlin"},
        "2027-03-27",
        3,
    ),
    "interval over the fold": (
        {"frequency": {"type": "interval", "every": 25, "unit": "minutes"}, "time_zone": "Europe/Berlin"},
        "2026-10-24",
        3,
    ),
    "interval in a window": (
        {
            "pattern": {"type": "weekly", "days": ["monday", "tuesday", "wednesday", "thursday", "friday"]},
            "frequency": {"type": "interval", "every": 3, "unit": "hours", "start": "08:15", "end": "17:15"},
            "start_date": "2026-10-28",
            "end_date": "2026-11-12",
            "time_zone": "America/New_York",
        },
        "2026-10-25",
        24,
    ),
    "half an hour of daylight saving": (
        {"frequency": {"type": "interval", "every": 45, "unit": "minutes"}, "time_zone": "Australia/Lord_Howe"},
        "2027-04-02",
        4,
    ),
    "ncrontab": ({"ncrontab": "*/30 1-3 * * mon-fri,sun", "time_zone": "Europe/Berlin"}, "2027-03-22", 14),
}  # fmt: skip


@pytest.mark.parametrize(("schedule", "start", "days"), SCHEDULES.values(), ids=SCHEDULES)
def test_the_host_runs_a_job_exactly_when_the_preview_says(schedule: dict[str, Any], start: str, days: int) -> None:
    """The timer fires at every instant of the previewed expression; of these, each occurrence runs, in its minute."""
    began, ends = on(start), on(start) + timedelta(days=days)

    watched = asyncio.run(watch(schedule, began, ends))

    expected = [each.utc for each in watched.previewed.occurrences if each.utc < ends]
    assert expected
    assert [run.started.replace(second=0, microsecond=0) for run in watched.runs] == expected
    assert watched.occurrences == expected
    # Whatever the timer fires besides ends before the mailbox is opened.
    assert watched.mailbox_opened == len(expected)
    assert watched.fired == instants(watched.previewed.expression, began, ends)


def instants(expression: str, after: datetime, until: datetime) -> list[datetime]:
    """Those of an NCRONTAB expression."""
    timer = NCrontab.parse(expression)
    found = []
    instant = timer.next_after(after)
    while instant is not None and instant <= until:
        found.append(instant)
        instant = timer.next_after(instant)
    return found
