"""The points at which a run can be struck: before and after every call that leaves the flow.

The flow reaches the outside through its ports alone, so wrapping these gives every arrow of a message's way a name,
without a hook in the product. A new call of a port shows up as a new point by itself.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar, cast

from shared.begin import Services
from shared.ledger import LedgerEntry
from shared.model import (
    Delivered,
    Delivery,
    Disposition,
    Listing,
    MessageKey,
    MessageRef,
    ParkedMessage,
    Picking,
    PurgedMessage,
)
from shared.ports import (
    Claim,
    Disposed,
    Fetched,
    Hindrance,
    Mailbox,
    OpenRequest,
    RunEnding,
    RunLease,
    Target,
    TargetRequest,
)
from shared.why import Why
from tests.crash.witness import Witness

T = TypeVar("T")


@dataclass
class Points:
    """Notes each point that the run comes to, and strikes at one: ``"after deliver 1"``."""

    strike_at: str = ""
    #: What to send to ourselves: SIGKILL ends the process there, SIGSTOP pauses it.
    signal: int = signal.SIGKILL
    passed: list[str] = field(default_factory=list)
    #: Looks on; None: nobody does.
    witness: Witness | None = None
    _counts: Counter[str] = field(default_factory=Counter)

    def call(self, name: str, act: Callable[[], T]) -> T:
        """Do ``act`` between two points."""
        self._counts[name] += 1
        nth = self._counts[name]
        self._pass(f"before {name} {nth}")
        result = act()
        self._pass(f"after {name} {nth}")
        return result

    def request(self, request: Any) -> None:
        """One storage request is about to leave; within calls of the ports, so it has no "after"."""
        method = request.http_request.method
        self._counts[method] += 1
        self._pass(f"before storage {method} {self._counts[method]}")

    def _pass(self, point: str) -> None:
        self.passed.append(point)
        if point == self.strike_at:
            os.kill(os.getpid(), self.signal)

    def around(self, services: Services) -> Services:
        """The same services, with points at every call that a run makes of them."""

        def open_mailbox(request: OpenRequest) -> "_Mailbox":
            return _Mailbox(self.call("open the mailbox", lambda: services.open_mailbox(request)), self)

        def open_target(request: TargetRequest) -> "_Target":
            return _Target(services.open_target(request), self)

        watched: dict[str, Any] = {
            "open_target": open_target,
            "jobs": _Jobs(services.jobs, self),
            "threads": _Calls(services.threads, self, {"remember": "remember the threads"}),
            "post": lambda request: self.call("send the canary", lambda: services.post(request)),
            "queue": _Calls(services.queue, self, {"put": "queue the continuation"}),
        }
        return replace(services, open_mailbox=open_mailbox, **watched)


class _Calls:
    """Anything, with points around some of its methods."""

    def __init__(self, inner: Any, points: Points, names: Mapping[str, str]) -> None:
        self._inner, self._points, self._names = inner, points, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found
        return lambda *given, **named: self._points.call(self._names[name], lambda: found(*given, **named))


class _Jobs(_Calls):
    def __init__(self, inner: Any, points: Points) -> None:
        super().__init__(inner, points, {"read": "read the job"})

    def begin(self, record: Any, claim: Claim) -> RunLease:
        lease = self._points.call("claim and lease", lambda: self._inner.begin(record, claim))
        held: RunLease = cast("Any", _Lease(lease, self._points))
        return held


class _Lease(_Calls):
    def __init__(self, inner: RunLease, points: Points) -> None:
        super().__init__(inner, points, {"note_canary": "note the canary"})
        self.ledger = _Ledger(inner.ledger, points)

    def finish(self, ending: RunEnding) -> None:
        self._points.call("finish", lambda: self._inner.finish(ending))


class _Ledger(_Calls):
    def __init__(self, inner: Any, points: Points) -> None:
        names = {"unfinished": "read what is open", "look_up": "look up the listed", "keep": "keep copies"}
        super().__init__(inner, points, {**names, "kept_copy": "read a kept copy"})

    def record(
        self, entries: Sequence[LedgerEntry], kept: Sequence[PurgedMessage] = (), whys: Sequence[Why] = ()
    ) -> None:
        stages = " and ".join(sorted({entry.stage.value for entry in entries}))
        self._points.call(f"record {stages}", lambda: self._inner.record(entries, kept, whys))

    def park(self, entry: LedgerEntry, parked: ParkedMessage, raw: bytes | None, why: Why | None = None) -> None:
        self._points.call("park", lambda: self._inner.park(entry, parked, raw, why))


class _Target:
    def __init__(self, inner: Target, points: Points) -> None:
        self._inner, self._points = inner, points
        self.batch = inner.batch

    def look_up(self, ticket_ids: Collection[str]) -> Mapping[str, Any]:
        return self._points.call("look up tickets", lambda: self._inner.look_up(ticket_ids))

    def apply(self, deliveries: Sequence[Delivery]) -> Sequence[Delivered | Any]:
        if self._points.witness:
            self._points.witness.before_delivery([delivery.key for delivery in deliveries])
        return self._points.call("deliver", lambda: self._inner.apply(deliveries))


class _Mailbox:
    def __init__(self, inner: Mailbox, points: Points) -> None:
        self._inner, self._points = inner, points

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *given: Any) -> None:  # noqa: PYI036 (handed on as they are)
        self._points.call("close the mailbox", lambda: self._inner.__exit__(*given))

    def candidates(self, picking: Picking) -> Listing:
        return self._points.call("list", lambda: self._inner.candidates(picking))

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:
        answers = iter(self._inner.fetch(refs, max_bytes=max_bytes))
        while (one := self._points.call("fetch", lambda: next(answers, None))) is not None:
            yield one

    def dispose(self, refs: Sequence[MessageRef], disposition: Disposition) -> Sequence[Disposed]:
        if self._points.witness:
            self._points.witness.before("disposition", refs)
        return self._points.call("dispose", lambda: self._inner.dispose(refs, disposition))

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        if self._points.witness:
            self._points.witness.before("purge", refs)
        return self._points.call("purge", lambda: self._inner.purge(refs))

    def still_there(self, refs: Sequence[MessageRef]) -> frozenset[MessageKey]:
        return self._points.call("look what is there", lambda: self._inner.still_there(refs))

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:
        return self._inner.hindrances(disposition)
