"""What the contract suites of the storage side share: the ports in one object, and ways to hold and to page."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any, Protocol, TypeVar

from shared.model import JobRecord
from shared.ports import (
    Housekeeping,
    JobStore,
    Outbox,
    ParkedMessages,
    PurgedMessages,
    Receipts,
    RunLease,
    RunQueue,
    Threads,
    TicketStore,
    WhyRecords,
)
from tests.builders import make_claim, make_record

T = TypeVar("T")

#: How long a lease lasts in these suites: by far longer than a suite takes, so that only the fake clock ends one.
LEASE = timedelta(minutes=5)


class Storage(Protocol):
    """The storage ports, wherever they keep things."""

    @property
    def jobs(self) -> JobStore: ...  # noqa: D102 - the type says it

    @property
    def tickets(self) -> TicketStore: ...  # noqa: D102 - the type says it

    @property
    def threads(self) -> Threads: ...  # noqa: D102 - the type says it

    @property
    def receipts(self) -> Receipts: ...  # noqa: D102 - the type says it

    @property
    def outbox(self) -> Outbox: ...  # noqa: D102 - the type says it

    @property
    def parked(self) -> ParkedMessages: ...  # noqa: D102 - the type says it

    @property
    def purged(self) -> PurgedMessages: ...  # noqa: D102 - the type says it

    @property
    def housekeeping(self) -> Housekeeping: ...  # noqa: D102 - the type says it

    @property
    def whys(self) -> WhyRecords: ...  # noqa: D102 - the type says it

    @property
    def queue(self) -> RunQueue: ...  # noqa: D102 - the type says it


class Runs:
    """Begins runs, and stops at the end of the test what still renews itself."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self._leases: list[RunLease] = []

    def begin(
        self, job_id: str = "support", run_id: str = "run-1", record: JobRecord | None = None, **claim: Any
    ) -> RunLease:
        """Begin a run of the job as it is stored now; a job that is not there is created first, as ``record``."""
        stored = self._jobs.read(job_id) or self._jobs.create(record or make_record(job_id))
        lease = self._jobs.begin(stored, make_claim(run_id, **claim))
        self._leases.append(lease)
        return lease

    def stop(self) -> None:
        """Leave nothing running."""
        for lease in self._leases:
            lease.abandon()


def pages(page: Callable[..., tuple[list[T], str | None]], *, limit: int) -> list[T]:
    """Everything that ``page`` gives, page by page; no page is longer than asked for."""
    found, cursor = page(limit=limit)
    assert len(found) <= limit
    while cursor is not None:
        more, cursor = page(limit=limit, cursor=cursor)
        assert len(more) <= limit
        found += more
    return found


def race(count: int, act: Callable[[int], T]) -> list[T | Exception]:
    """Let ``count`` threads call ``act`` with their number at the same instant: what each returned or raised."""
    start = Barrier(count)

    def one(number: int) -> T | Exception:
        start.wait(timeout=30)
        try:
            return act(number)
        except Exception as error:  # noqa: BLE001 - the test judges it
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
