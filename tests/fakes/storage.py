"""Storage in memory, with the whole contract of its ports: `tests.contract` runs over it and over the real one.

::

    storage = FakeStorage(clock, lease_seconds=90)
    storage.fail_next(3, Unavailable("Storage is away."), after=True)
    with pytest.raises(Unavailable): ...
    storage.writes            # ["jobs.begin", "ledger.record", "tickets.add"]
"""

from collections.abc import Callable
from datetime import timedelta

from shared.model import Clock, RunRequest
from tests.fakes.jobs import FakeJobs
from tests.fakes.parked import FakeParkedMessages
from tests.fakes.purged import FakeHousekeeping, FakePurgedMessages
from tests.fakes.receipts import FakeOutbox, FakeReceipts
from tests.fakes.rows import Rows
from tests.fakes.tickets import FakeThreads, FakeTickets
from tests.fakes.why import FakeWhyRecords


class FakeRunQueue:
    """See `shared.ports.RunQueue`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._waiting: list[RunRequest] = []

    def put(self, request: RunRequest) -> None:
        """See the port."""
        with self._rows.writing("queue.put"):
            self._waiting.append(request)

    def take(self) -> list[RunRequest]:
        """What waits, oldest first; it waits no longer."""
        with self._rows.lock:
            taken, self._waiting = self._waiting, []
        return taken


class FakeStorage:
    """All storage ports over one set of rows. Safe to share between threads."""

    def __init__(self, clock: Clock, lease_seconds: float = 90.0) -> None:
        rows = Rows(clock, timedelta(seconds=lease_seconds))
        self.jobs = FakeJobs(rows)
        self.tickets = FakeTickets(rows)
        self.threads = FakeThreads(rows)
        self.receipts = FakeReceipts(rows)
        self.outbox = FakeOutbox(rows)
        self.parked = FakeParkedMessages(rows)
        self.purged = FakePurgedMessages(rows)
        self.housekeeping = FakeHousekeeping(rows)
        self.whys = FakeWhyRecords(rows)
        self.queue = FakeRunQueue(rows)
        self._faults = rows.faults

    @property
    def writes(self) -> tuple[str, ...]:
        """The writes that were asked for so far, by name, whether they failed or not."""
        return tuple(self._faults.writes)

    def fail_next(self, nth: int, error: BaseException, *, after: bool = False, lasting: bool = False) -> None:
        """Let the ``nth`` write from now (1 is the next one) raise ``error``: see `tests.fakes.faults`."""
        self._faults.fail_next(nth, error, after=after, lasting=lasting)

    def watch(self, each: Callable[[], None]) -> None:
        """Call ``each`` before and after every write from now on; what it raises is the end of whoever writes."""
        self._faults.watch = each

    def recover(self) -> None:
        """Forget every fault, planned or lasting."""
        self._faults.recover()
