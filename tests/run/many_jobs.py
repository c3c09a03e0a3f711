"""Thousands of jobs on two hosts with a clock of their own, one of them killed: ``python -m tests.run.many_jobs``.

Storage and queue are real (Azurite); mailboxes are scripted: each gets one message at every occurrence of its job. Every
virtual minute both hosts fire the timers that are due, sweep, and work the run queue off; every few minutes one of them is
killed (SIGKILL) in the middle of that and replaced. In the end each message must have exactly one ticket, each occurrence
exactly one run that claimed it, and nothing may be due. `tests.run.test_many_jobs` is a small one of these.
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import PIPE, Popen
from types import TracebackType
from typing import Any, Self

from azure.core.exceptions import ResourceNotFoundError

from dev.azurite import Azurite
from functions.sweep import queue_due
from shared.api.records import check_job, record_of
from shared.begin import Services
from shared.errors import MailConnectorError
from shared.jobs import new_state
from shared.model import Disposition, Listing, MessageKey, MessageRef, Picking, RawMessage, Trigger
from shared.ports import Disposed, Fetched, Hindrance, OpenRequest
from shared.run import run_job
from shared.schedule.due import first_due
from shared.schedule.ncrontab import NCrontab
from shared.storage import open_storage
from shared.storage.open import Account
from shared.storage.run_queue import read_request
from tests.run.real import Tables
from tests.run.world import mail
from tests.servers.counterparts import GivenSecret

_ROOT = Path(__file__).resolve().parents[2]
#: When the virtual time begins: 12:00 UTC on a Monday.
BEGIN = datetime(2026, 11, 23, 12, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
#: Every job looks each half hour, at a minute of its own.
_PERIOD = 30
#: Longer than a lease in virtual time: what a killed run held is free at the next tick.
_LEASE = 45.0
_THREADS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen."""

    jobs: int
    minutes: int
    #: A host is killed in every so many-th minute.
    kill_every: int
    #: So many jobs have timers of their own.
    timers: int
    seed: int = 2026


@dataclass(frozen=True, slots=True)
class Result:
    """What was found in the end, from outside."""

    occurrences: int
    tickets: int
    lost: int
    doubled: int
    #: Occurrences that no run claimed, and claims beyond one.
    missed: int
    claimed_twice: int
    killed: int
    died_runs: int
    still_due: int
    seconds: float

    @property
    def exact(self) -> bool:
        """Whether everything is as it must be."""
        return not (self.lost or self.doubled or self.missed or self.claimed_twice or self.still_due)


def job_ids(count: int) -> list[str]:
    """Their ids."""
    return [f"job-{number:04}" for number in range(count)]


def minute_of(job_id: str) -> int:
    """The minute of each half hour at which the job is due."""
    return int(job_id.rpartition("-")[2]) * 7 % _PERIOD


def due_of(job_id: str, until: datetime) -> list[datetime]:
    """Its occurrences after the beginning and up to ``until``."""
    first = BEGIN + minute_of(job_id) * _MINUTE
    every = [first + turn * _PERIOD * _MINUTE for turn in range(1_000)]
    return [one for one in every if BEGIN < one <= until]


class ScriptedMailbox:
    """See `shared.ports.Mailbox`: a message for every occurrence so far. Marks are not kept; the ledger must do."""

    def __init__(self, request: OpenRequest, now: datetime) -> None:
        self._job_id, self._identity, self._now = request.job_id, request.settings.identity(), now

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def candidates(self, picking: Picking) -> Listing:  # noqa: ARG002 (all of them, each time)
        """See `Mailbox.candidates`."""
        found = due_of(self._job_id, self._now)
        key = [MessageKey(self._job_id, self._identity, f"{one:%Y%m%d%H%M}") for one in found]
        return Listing(tuple(MessageRef(one, one.item, 500, received=None) for one in key), in_box=len(key))

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:  # noqa: ARG002 (all small)
        """See `Mailbox.fetch`."""
        for ref in refs:
            data = mail(f"{self._job_id} {ref.handle}")
            yield Fetched(ref, RawMessage(ref, data, len(data)))

    def dispose(self, refs: Sequence[MessageRef], disposition: Disposition) -> Sequence[Disposed]:  # noqa: ARG002
        """See `Mailbox.dispose`."""
        return [Disposed(ref) for ref in refs]

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        """See `Mailbox.purge`."""
        return [Disposed(ref) for ref in refs]

    def still_there(self, refs: Sequence[MessageRef]) -> frozenset[MessageKey]:
        """See `Mailbox.still_there`."""
        return frozenset(ref.key for ref in refs)

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:  # noqa: ARG002 (none)
        """See `Mailbox.hindrances`."""
        return ()


class Host:
    """One instance of the app, in a process of its own: at each tick it does what its triggers would."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._now = BEGIN
        storage = open_storage(
            connection_string=given["connection"],
            prefix=given["prefix"],
            clock=self._clock,
            lease_seconds=_LEASE,
        )
        self._services = Services(
            jobs=storage.jobs,
            threads=storage.threads,
            tickets=storage.tickets,
            receipts=storage.receipts,
            outbox=storage.outbox,
            queue=storage.queue,
            secrets=GivenSecret({"secret": "-"}),
            clock=self._clock,
            budget=timedelta(minutes=5),
            open_mailbox=lambda request: ScriptedMailbox(request, self._now),
        )
        self._messages = Account(connection_string=given["connection"]).queue(f"{given['prefix']}-runs")
        self._timers: dict[str, str] = given["timers"]
        self._parsed = {job: NCrontab.parse(text) for job, text in self._timers.items()}
        self._pool = ThreadPoolExecutor(_THREADS)

    def _clock(self) -> datetime:
        return self._now

    def tick(self, now: datetime) -> None:
        """A virtual minute: timers that fired within it, the sweep, and the queue until it is empty."""
        before, self._now = self._now, now
        fired = [
            job for job, timer in self._parsed.items() if (at := timer.next_after(before)) is not None and at <= now
        ]
        list(self._pool.map(lambda job: self._run(job, Trigger.TIMER), fired))
        queue_due(self._services.jobs, self._services.queue, now, self._timers)
        with suppress(ResourceNotFoundError):
            while messages := list(self._messages.receive_messages(max_messages=32, visibility_timeout=20)):
                list(self._pool.map(self._work_off, messages))

    def _work_off(self, message: Any) -> None:
        request = read_request(message.content)
        self._run(request.job_id, request.trigger, request.run_id)
        with suppress(ResourceNotFoundError):
            self._messages.delete_message(message)

    def _run(self, job_id: str, trigger: Trigger, run_id: str = "") -> None:
        # A run that meets storage at a bad moment is due still: the next tick has it.
        with suppress(MailConnectorError):
            if run_job(job_id, trigger, self._services, run_id=run_id):
                print(f"ran {job_id}", flush=True)  # noqa: T201 (how it is watched)


class Instance:
    """A host in a process of its own, told the time line by line."""

    def __init__(self, given: str) -> None:
        program = [sys.executable, "-m", "tests.run.many_jobs", "--host", given]
        self._process = Popen(program, cwd=_ROOT, stdin=PIPE, stdout=PIPE, text=True)

    def begin(self, now: datetime) -> None:
        """Have it do what is due by ``now``."""
        assert self._process.stdin
        self._process.stdin.write(f"{now.isoformat()}\n")
        self._process.stdin.flush()

    def wait(self, *, runs: int | None = None) -> None:
        """Until it is done with the tick, or has told of so many runs."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("done"):
                return
            if runs is not None:
                runs -= 1
                if runs <= 0:
                    return
        raise AssertionError("A host ended by itself.")

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.communicate()


def run_many(azurite: Azurite, plan: Plan, *, prefix: str) -> Result:
    """Let the virtual time go by, and judge."""
    began = time.monotonic()
    timers = _create(azurite, plan, prefix)
    given = json.dumps({"connection": azurite.connection_string, "prefix": prefix, "timers": timers})
    chance = random.Random(plan.seed)
    hosts = [Instance(given), Instance(given)]
    killed = 0
    # Three minutes more, which are not judged: what a killed host left is taken up.
    for minute in range(1, plan.minutes + 4):
        now = BEGIN + minute * _MINUTE + timedelta(seconds=5)
        for one in hosts:
            one.begin(now)
        if minute <= plan.minutes and not minute % plan.kill_every:
            victim = chance.randrange(2)
            hosts[victim].wait(runs=chance.randint(1, 4))
            hosts[victim].kill()
            killed += 1
            hosts[victim] = Instance(given)
            hosts[victim].begin(now)
        for one in hosts:
            one.wait()
    for one in hosts:
        one.kill()
    return _judge(azurite, plan, prefix, killed, time.monotonic() - began)


def _create(azurite: Azurite, plan: Plan, prefix: str) -> dict[str, str]:
    """Store the jobs; the timers of those that have one."""
    jobs = open_storage(connection_string=azurite.connection_string, prefix=prefix).jobs
    timers: dict[str, str] = {}

    def create(job_id: str) -> None:
        window = {"ncrontab": f"{minute_of(job_id)}/{_PERIOD} * * * *"}
        server = {"type": "imap4", "host": "mail.example", "username": job_id, "password_secret": "mailbox"}
        job = check_job({"id": job_id, "server": server, "schedule": window})
        state = replace(new_state(BEGIN), next_due=first_due(job.schedule, enabled=True, now=BEGIN))
        record = jobs.create(record_of(job, state))
        timers[job_id] = record.ncrontab

    with ThreadPoolExecutor(_THREADS * 2) as pool:
        list(pool.map(create, job_ids(plan.jobs)))
    return {job_id: timers[job_id] for job_id in job_ids(plan.timers)}


def _judge(azurite: Azurite, plan: Plan, prefix: str, killed: int, seconds: float) -> Result:
    """By the tables alone: tickets by subject, claims by the virtual minute in the ids of runs."""
    tables = Tables(azurite, prefix)
    tickets = Counter(row["subject"] for row in tables.rows("tickets", "ticket:"))
    end = BEGIN + plan.minutes * _MINUTE
    due = {job_id: due_of(job_id, end) for job_id in job_ids(plan.jobs)}
    subjects = {f"{job_id} {one:%Y%m%d%H%M}" for job_id, times in due.items() for one in times}
    runs = tables.rows("jobs", "run:")
    claims = Counter((row["RowKey"].split(":")[1], _minute(row["started"])) for row in runs if row["outcome"] != "died")
    missed = twice = 0
    for job_id, times in due.items():
        for one in times:
            # What a killed host had claimed is claimed again within the lease and a sweep.
            found = sum(claims[job_id, one + late * _MINUTE] for late in range(4))
            missed += not found
            twice += max(0, found - 1)
    storage = open_storage(connection_string=azurite.connection_string, prefix=prefix, clock=lambda: end)
    return Result(
        occurrences=len(subjects),
        tickets=tickets.total(),
        lost=len(subjects - set(tickets)),
        doubled=tickets.total() - len(tickets),
        missed=missed,
        claimed_twice=twice,
        killed=killed,
        died_runs=sum(row["outcome"] == "died" for row in runs),
        still_due=len(storage.jobs.overdue(end)),
        seconds=seconds,
    )


def _minute(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(second=0, microsecond=0)


def host(given: Mapping[str, Any]) -> None:
    """The process of one host: a tick for each line of its input."""
    app = Host(given)
    for line in sys.stdin:
        app.tick(datetime.fromisoformat(line.strip()))
        print("done", flush=True)  # noqa: T201 (its answer)


def main() -> int:
    """The full size."""
    if "--host" in sys.argv:
        host(json.loads(sys.argv[-1]))
        return 0
    plan = Plan(jobs=2_000, minutes=60, kill_every=4, timers=500)
    with tempfile.TemporaryDirectory() as folder, Azurite(Path(folder), in_memory=True) as azurite:
        result = run_many(azurite, plan, prefix="manyjobs")
    print(f"{plan.jobs} jobs, {plan.minutes} virtual minutes, two hosts, {result.killed} kills, seed {plan.seed}")  # noqa: T201
    for name in ("occurrences", "tickets", "lost", "doubled", "missed", "claimed_twice", "died_runs", "still_due"):
        print(f"  {name.replace('_', ' '):15} {getattr(result, name)}")  # noqa: T201
    print(f"  {'seconds':15} {result.seconds:.0f}")  # noqa: T201
    return 0 if result.exact else 1


if __name__ == "__main__":
    sys.exit(main())
