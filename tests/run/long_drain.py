"""A mailbox with 20,000 messages beside jobs that want their times: ``python -m tests.run.long_drain [messages]``.

The worst case for the others: no job has a timer of its own, so all come by the sweep and the run queue, and one worker
works that off, one run after the other. Time is virtual: each message takes 60 ms, an empty poll one second, a request that finds nothing to do 20 ms, and the
sweep comes each minute whatever the worker does. Storage and mailboxes are in memory (held to the real ones' contract).
"""

import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from functions.sweep import queue_due
from shared.api.records import check_job, record_of
from shared.begin import Services
from shared.jobs import new_state
from shared.model import MessageRef, RunReport, RunRequest
from shared.ports import Fetched, OpenRequest
from shared.run import run_job
from shared.schedule.due import first_due
from tests.builders import NOW
from tests.fakes.clock import FakeClock
from tests.fakes.mailbox import FakeFolder, FakeMailbox
from tests.fakes.storage import FakeStorage
from tests.run.world import NoSecrets, mail

_MINUTE = timedelta(minutes=1)
_POLL, _LOOK = timedelta(seconds=1), timedelta(milliseconds=20)
#: Less than the pause between two occurrences of the others, so that none of these must collapse.
BUDGET = timedelta(minutes=3)
PERIOD = 5
BIG = "big"


@dataclass
class Result:
    """What was found."""

    messages: int
    tickets: int = 0
    #: Tickets for a message that has one already.
    doubled: int = 0
    #: Runs of the big mailbox that took something up.
    runs: int = 0
    #: Occurrences of the other jobs until it was drained, and how often each was run.
    occurrences: int = 0
    served: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: From an occurrence to the beginning of its run.
    longest_wait: timedelta = timedelta(0)
    longest_queue: int = 0
    took: timedelta = timedelta(0)

    @property
    def served_once(self) -> int:
        """Occurrences that were run once."""
        return sum(times == 1 for times in self.served.values())


class _TakingItsTime(FakeMailbox):
    """A mailbox for which time goes by."""

    site: "Site"

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:
        """See `Mailbox.fetch`."""
        for fetched in super().fetch(refs, max_bytes=max_bytes):
            self.site.pass_time(self.site.per_message)
            yield fetched


class Site:
    """One app with one worker."""

    def __init__(self, messages: int, others: int, per_message: timedelta) -> None:
        self.per_message = per_message
        self.clock = FakeClock(NOW)
        self.storage = FakeStorage(self.clock)
        self.queue: deque[RunRequest] = deque()
        self.folders = {BIG: FakeFolder(self.clock)}
        self._next_sweep = NOW + _MINUTE
        self.result = Result(messages)
        self.jobs = [BIG, *(f"job-{number}" for number in range(others))]
        self._services = Services(
            jobs=self.storage.jobs,
            threads=self.storage.threads,
            tickets=self.storage.tickets,
            receipts=self.storage.receipts,
            outbox=self.storage.outbox,
            queue=self,
            secrets=NoSecrets(),
            clock=self.clock,
            budget=BUDGET,
            open_mailbox=self._open,
        )
        for job_id in self.jobs:
            server = {"type": "imap4", "host": "mail.example", "username": job_id, "password_secret": "mailbox"}
            job = check_job({"id": job_id, "server": server, "schedule": {"ncrontab": f"*/{PERIOD} * * * *"}})
            due = first_due(job.schedule, enabled=True, now=NOW)
            self.storage.jobs.create(record_of(job, replace(new_state(NOW), next_due=due)))
        for number in range(messages):
            self.folders[BIG].deliver(mail(f"m{number}"))

    def put(self, request: RunRequest) -> None:
        """See `shared.ports.RunQueue`."""
        self.queue.append(request)
        self.result.longest_queue = max(self.result.longest_queue, len(self.queue))

    def pass_time(self, by: timedelta) -> None:
        """Let it go by; the sweep comes when it is due, whatever the worker is at."""
        if self.clock.advance(by) >= self._next_sweep:
            self._next_sweep += _MINUTE
            queue_due(self.storage.jobs, self, self.clock(), {})

    def work(self) -> Result:
        """Until the mailbox is empty and the others have had what fell due by then."""
        drained = False
        while not drained or self.queue:
            if self.queue:
                drained |= self._run(self.queue.popleft())
            else:
                self.pass_time(_POLL)
        self.result.took = self.clock() - NOW
        found = Counter(ticket.subject for ticket in self.storage.tickets.page(limit=1_000_000)[0])
        self.result.tickets = found.total()
        self.result.doubled = found.total() - len(found)
        return self.result

    def _run(self, request: RunRequest) -> bool:
        """One run; whether the big mailbox is drained by it."""
        record = self.storage.jobs.read(request.job_id)
        assert record
        due, began = record.state.next_due, self.clock()
        report = run_job(request.job_id, request.trigger, self._services, run_id=request.run_id)
        self.pass_time(_POLL if report else _LOOK)
        if report is None:
            return False
        if request.job_id == BIG:
            self.result.runs += bool(report.received)
            return not self._left(report)
        assert due
        self.result.served[request.job_id, due.isoformat()] += 1
        self.result.longest_wait = max(self.result.longest_wait, began - due)
        return False

    def _left(self, report: RunReport) -> bool:
        return bool(report.received) or any(not one.seen for one in self.folders[BIG].messages.values())

    def _open(self, request: OpenRequest) -> FakeMailbox:
        folder = self.folders.setdefault(request.job_id, FakeFolder(self.clock))
        mailbox = _TakingItsTime(folder, job_id=request.job_id, identity=request.settings.identity())
        mailbox.site = self
        return mailbox


def drain(messages: int, *, others: int, per_message: float = 0.06) -> Result:
    """Let the worker work. ``per_message``: seconds."""
    site = Site(messages, others, timedelta(seconds=per_message))
    result = site.work()
    result.occurrences = others * (result.took // (PERIOD * _MINUTE))
    return result


def main() -> int:
    """20,000 messages, twenty other jobs."""
    result = drain(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, others=20)
    for name, value in vars(result).items():
        if name != "served":
            print(f"{name.replace('_', ' '):15} {value}")  # noqa: T201 (figures for people)
    print(f"{'served once':15} {result.served_once} of {len(result.served)}")  # noqa: T201
    exact = result.tickets == result.messages and not result.doubled and result.served_once == len(result.served)
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
