"""Instances whose clocks differ, clocks that are set, nights on which clocks change: each occurrence is run once."""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.sweep import queue_due
from shared.api.records import check_job, record_of
from shared.begin import Services
from shared.jobs import new_state
from shared.model import JobRecord, RunRequest, Trigger
from shared.ports import Claim, OpenRequest, RunLease
from shared.run import run_job
from shared.schedule.due import first_due
from shared.schedule.ncrontab import NCrontab
from tests.fakes.mailbox import FakeFolder, FakeMailbox
from tests.fakes.storage import FakeStorage
from tests.run.world import NoSecrets

MINUTE = timedelta(minutes=1)
BEGIN = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Watched:
    """A job store whose claims are on record."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.claims: list[Claim] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def begin(self, record: JobRecord, claim: Claim) -> RunLease:
        """See `shared.ports.JobStore`."""
        lease: RunLease = self._inner.begin(record, claim)
        self.claims.append(claim)
        return lease


@dataclass
class Instances:
    """Two instances on one storage, one job, and the true time. ``ahead``: what each instance's clock adds to it."""

    window: dict[str, Any]
    now: datetime = BEGIN
    ahead: list[timedelta] = field(default_factory=lambda: [timedelta(0), timedelta(0)])
    #: Which of them acts.
    acting: int = 0
    #: The true times at which runs began.
    began: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        storage = FakeStorage(self.clock)
        self.jobs: Any = Watched(storage.jobs)
        self.queue: deque[RunRequest] = deque()
        folder = FakeFolder(self.clock)

        def open_mailbox(request: OpenRequest) -> FakeMailbox:
            return FakeMailbox(folder, job_id=request.job_id, identity=request.settings.identity())

        self._services = Services(
            jobs=self.jobs,
            threads=storage.threads,
            tickets=storage.tickets,
            receipts=storage.receipts,
            outbox=storage.outbox,
            queue=self,
            secrets=NoSecrets(),
            clock=self.clock,
            budget=timedelta(minutes=3),
            open_mailbox=open_mailbox,
        )
        server = {"type": "imap4", "host": "mail.example", "username": "support", "password_secret": "mailbox"}
        job = check_job({"id": "support", "server": server, "schedule": self.window})
        due = first_due(job.schedule, enabled=True, now=self.now)
        record = self.jobs.create(record_of(job, replace(new_state(self.now), next_due=due)))
        self._timer = NCrontab.parse(record.ncrontab)
        self._timers = {"support": record.ncrontab}

    def clock(self) -> datetime:
        """The clock of the one that acts."""
        return self.now + self.ahead[self.acting]

    def put(self, request: RunRequest) -> None:
        """See `shared.ports.RunQueue`."""
        self.queue.append(request)

    def run(self, trigger: Trigger, run_id: str = "") -> None:
        """The job, by the instance that acts."""
        if run_job("support", trigger, self._services, run_id=run_id):
            self.began.append(self.now)

    def minute(self) -> None:
        """Both instances live through a minute: their timers, their sweeps, and the queue."""
        self.now += MINUTE
        for self.acting in range(2):
            before = self.clock() - MINUTE
            at = self._timer.next_after(before)
            if at is not None and at <= self.clock():
                self.run(Trigger.TIMER)
            queue_due(self.jobs, self, self.clock(), self._timers)
            while self.queue:
                request = self.queue.popleft()
                self.run(request.trigger, request.run_id)

    def occurrences(self) -> list[datetime]:
        """What timers and sweeps claimed, in the order in which they did."""
        return [
            one.last_occurrence for one in self.jobs.claims if one.trigger != Trigger.MANUAL and one.last_occurrence
        ]


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(0, 7)),
        st.tuples(
            st.just("act"),
            st.tuples(st.integers(0, 1), st.sampled_from([Trigger.TIMER, Trigger.SWEEP, Trigger.MANUAL])),
        ),
        st.tuples(st.just("set"), st.tuples(st.integers(0, 1), st.integers(-9, 9))),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(_steps)
def test_clocks_that_differ_and_are_set(steps: list[tuple[str, Any]]) -> None:
    """Whoever acts, by whatever clock within minutes of the true one: no occurrence is claimed twice, none for ever."""
    site = Instances({"ncrontab": "*/5 * * * *"})
    for what, given_ in steps:
        if what == "pass":
            site.now += given_ * MINUTE
        elif what == "set":
            site.ahead[given_[0]] = given_[1] * MINUTE
        else:
            site.acting = given_[0]
            site.run(given_[1])
    claimed = site.occurrences()
    assert claimed == sorted(set(claimed))
    site.ahead = [timedelta(0), timedelta(0)]
    for _ in range(16):
        site.minute()
    last = site.jobs.read("support").state.last_occurrence
    assert last is not None
    # Its period, and the minute within which its timer fires.
    assert timedelta(0) <= site.now - last < 6 * MINUTE


@pytest.mark.parametrize(
    ("window", "zone", "begin", "expected"),
    [
        (
            # 02:30 comes twice: the first time counts.
            {"frequency": {"type": "once", "at": "02:30"}},
            "Europe/Berlin",
            "2026-10-24 20:00",
            ["2026-10-25T00:30"],
        ),
        (
            # 02:30 does not come: the first instant after the gap, 03:00.
            {"frequency": {"type": "once", "at": "02:30"}},
            "Europe/Berlin",
            "2027-03-27 20:00",
            ["2027-03-28T01:00"],
        ),
        (
            {"frequency": {"type": "once", "at": "01:30"}},
            "America/New_York",
            "2026-10-31 20:00",
            ["2026-11-01T05:30"],
        ),
        (
            # An interval runs through the hour that comes twice.
            {"frequency": {"type": "interval", "every": 30, "unit": "minutes"}},
            "Europe/Berlin",
            "2026-10-25 01:15",
            ["2026-10-24T23:30", *(f"2026-10-25T{hour:02}:{minute:02}" for hour in range(10) for minute in (0, 30))],
        ),
    ],
    ids=["twice", "never", "twice in New York", "interval"],
)
@pytest.mark.parametrize("apart", [timedelta(0), timedelta(seconds=-100)], ids=["as one", "100 s apart"])
def test_a_night_on_which_clocks_change(
    window: dict[str, Any], zone: str, begin: str, expected: list[str], apart: timedelta
) -> None:
    """Two instances with timers and sweeps, minute by minute: one run for each occurrence, within two minutes of it."""
    start = datetime.fromisoformat(begin).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    site = Instances({**window, "time_zone": zone}, now=start, ahead=[timedelta(0), apart])
    while site.now < start + timedelta(hours=10):
        site.minute()
    due = [one for one in (datetime.fromisoformat(f"{text}:00+00:00") for text in expected) if start < one <= site.now]
    assert site.occurrences() == due
    assert len(site.began) == len(due)
    assert all(timedelta(0) <= began - one <= 2 * MINUTE for began, one in zip(site.began, due, strict=True))
