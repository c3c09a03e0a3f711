"""A worker that is there to be killed: it runs a job until its mailbox is drained, and tells every step before it.

Started by `tests.run.kill_2000` as ``python -m tests.run.worker JSON``. Each line of its output is one step: a request
to storage that is about to leave, a call of the mailbox that begins or has ended, or the end of a run.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from threading import Event
from types import TracebackType
from typing import Self

from shared.begin import Services, open_mailbox
from shared.model import Disposition, Listing, MessageKey, MessageRef, Picking, RunOutcome, Trigger
from shared.ports import Disposed, Fetched, Hindrance, Mailbox, OpenRequest
from shared.run import run_job
from shared.storage import open_storage
from shared.storage.open import utc_now
from tests.run.real import services_of

_numbers = count(1)


def tell(what: str) -> None:
    """One line; whoever watches may kill us at any time after it."""
    print(f"step {next(_numbers)}: {what}", flush=True)  # noqa: T201 (its output is how it is watched)


class ToldMailbox:
    """A mailbox whose calls are told before and after."""

    def __init__(self, inner: Mailbox, *, name: str = "") -> None:
        self._inner, self._name = inner, name

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inner.__exit__(kind, error, trace)

    def candidates(self, picking: Picking) -> Listing:
        """See `Mailbox.candidates`."""
        tell(f"{self._name}listing")
        return self._inner.candidates(picking)

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:
        """See `Mailbox.fetch`."""
        tell(f"{self._name}fetching")
        yield from self._inner.fetch(refs, max_bytes=max_bytes)
        tell(f"{self._name}fetched")

    def dispose(self, refs: Sequence[MessageRef], disposition: Disposition) -> Sequence[Disposed]:
        """See `Mailbox.dispose`."""
        tell(f"{self._name}marking")
        answers = self._inner.dispose(refs, disposition)
        tell(f"{self._name}marked")
        return answers

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        """See `Mailbox.purge`."""
        tell(f"{self._name}purging")
        answers = self._inner.purge(refs)
        tell(f"{self._name}purged")
        return answers

    def still_there(self, refs: Sequence[MessageRef]) -> frozenset[MessageKey]:
        """See `Mailbox.still_there`."""
        return self._inner.still_there(refs)

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:
        """See `Mailbox.hindrances`. Runs do not ask."""
        return self._inner.hindrances(disposition)


def drain(services: Services, job_id: str) -> None:
    """Run the job until nothing is left. While a dead run holds the mailbox, wait for its lease to expire."""
    while True:
        report = run_job(job_id, Trigger.CONTINUATION, services)
        record = services.jobs.read(job_id)
        assert record is not None
        if report:
            tell(f"run ended: {report.outcome}, {report.received} received, {'; '.join(report.comments)}")
            if report.outcome is RunOutcome.COMPLETED and not report.received and not record.state.unfinished:
                return
        elif record.state.lease_expires:
            Event().wait(max(0.0, (record.state.lease_expires - utc_now()).total_seconds()))


def main(given: dict[str, str]) -> None:
    """``given``: connection_string, prefix, job_id, password, lease_seconds."""

    def open_told(request: OpenRequest) -> ToldMailbox:
        return ToldMailbox(open_mailbox(request))

    storage = open_storage(
        connection_string=given["connection_string"],
        prefix=given["prefix"],
        lease_seconds=float(given["lease_seconds"]),
        on_request=lambda request: tell(f"request {request.http_request.method}"),
    )
    services = replace(services_of(storage, given["password"], utc_now), open_mailbox=open_told)
    drain(services, given["job_id"])
    tell("drained")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
