"""What the fake storage keeps, and the one lock over it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from threading import RLock
from typing import TypeVar

from shared.ledger import LedgerEntry
from shared.model import Clock, JobRecord, MessageKey, ParkedMessage, PurgedMessage, RunReport
from shared.why import Why
from tests.fakes.faults import Faults

T = TypeVar("T")

#: A ledger row's place within its job: mailbox and item. The generation is part of the row, not of its place.
Place = tuple[str, str]


@dataclass
class Rows:
    """Plain dictionaries; whoever reads or writes more than one thing holds the lock."""

    clock: Clock
    lease: timedelta
    faults: Faults = field(default_factory=Faults)
    lock: RLock = field(default_factory=RLock)
    jobs: dict[str, JobRecord] = field(default_factory=dict)
    #: Outlives the job, so that a lease from before its deletion never looks valid again.
    fences: Counter[str] = field(default_factory=Counter)
    ledger: dict[str, dict[Place, LedgerEntry]] = field(default_factory=dict)
    #: When each entry was last written.
    changed: dict[tuple[str, Place], datetime] = field(default_factory=dict)
    #: When a job left a mailbox, by job and mailbox.
    left: dict[tuple[str, str], datetime] = field(default_factory=dict)
    runs: dict[str, dict[str, RunReport]] = field(default_factory=dict)
    parked: dict[str, dict[str, ParkedMessage]] = field(default_factory=dict)
    #: Raw copies by job and place.
    copies: dict[tuple[str, Place], bytes] = field(default_factory=dict)
    purged: dict[str, dict[str, PurgedMessage]] = field(default_factory=dict)
    #: By run and message.
    whys: dict[tuple[str, MessageKey], Why] = field(default_factory=dict)
    #: Bytes of purged messages by path, several behind one another.
    originals: dict[str, bytes] = field(default_factory=dict)
    #: For ETags and other marks that only need to differ.
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """One write under the lock, where a fault on order may strike."""
        with self.lock, self.faults.write(name):
            yield

    def store(self, record: JobRecord) -> JobRecord:
        """Keep a job's row under a new ETag."""
        stored = replace(record, etag=f"etag-{next(self.numbers)}")
        self.jobs[record.job_id] = stored
        return stored

    def any_open(self, job_id: str) -> bool:
        """Whether the ledger of this job holds an open entry."""
        return any(entry.open for entry in self.ledger.get(job_id, {}).values())


def page_of(items: Iterable[tuple[list[float | str], T]], limit: int, cursor: str | None) -> tuple[list[T], str | None]:
    """One page of ``(sort key, item)``, and the cursor behind it: the key of its last item, so that rows which come
    or go in the meantime neither repeat nor hide others.
    """
    start = json.loads(cursor) if cursor else None
    rest = sorted((pair for pair in items if start is None or pair[0] > start), key=lambda pair: pair[0])
    page = rest[:limit]
    return [item for _, item in page], json.dumps(page[-1][0]) if len(rest) > limit else None
