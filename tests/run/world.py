"""A job on a mailbox, a target and storage, all in memory: every effect of a run can be watched and made to fail.

::

    world = World(on_success={"mark_as_read": True})
    world.deliver(mail("Printer"))
    report = world.run()
    world.tickets(), world.flags(), world.ledger()

Whenever a run touches an original, the world looks from outside whether it may: see `World.check`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, ClassVar, Self

from shared.api.records import save
from shared.begin import Services
from shared.errors import MessageError, Refused, Unavailable
from shared.jobs import Job
from shared.ledger import LedgerEntry, Stage
from shared.model import (
    Delivered,
    Delivery,
    Disposition,
    JobRecord,
    JobState,
    Listing,
    MessageKey,
    MessageRef,
    Picking,
    RunOutcome,
    RunReport,
    Ticket,
    TicketSummary,
    Trigger,
)
from shared.ports import Disposed, Fetched, Hindrance, OpenRequest, Target, TargetRequest
from shared.run import run_job
from shared.targets.table import TableTarget
from tests.builders import NOW
from tests.fakes.clock import FakeClock
from tests.fakes.mailbox import FakeFolder, FakeMailbox
from tests.fakes.storage import FakeStorage

#: Longer than any back-off and any lease.
LONG = timedelta(hours=7)

AWAY = Unavailable("The server does not answer.", remedy="It is tried again by itself.")


class Killed(BaseException):
    """A worker's end, which no ``except Exception`` survives."""


class Broken(BaseException):
    """A run reached for the outside when it must not: nothing in a run may swallow that."""


def mail(name: str, *, message_id: str | None = "", sender: str = "ann@customer.example", **headers: str) -> bytes:
    """A message that ``name`` tells apart; ``headers`` with underscores for hyphens. ``message_id=None``: has none."""
    fields = {
        "From": f"Ann <{sender}>",
        "To": "support@mail.example",
        "Subject": name,
        "Date": "Mon, 23 Nov 2026 12:00:00 +0000",
        **({} if message_id is None else {"Message-ID": message_id or f"<{name}@customer.example>"}),
        **{header.replace("_", "-"): value for header, value in headers.items()},
    }
    head = "".join(f"{header}: {value}\r\n" for header, value in fields.items())
    return f"{head}Content-Type: text/plain; charset=utf-8\r\n\r\nThe text of {name}.\r\n".encode()


def reply(name: str, *, to: str, **headers: str) -> bytes:
    """A message that answers the message called ``to``."""
    return mail(name, References=f"<{to}@customer.example>", **headers)


@dataclass
class Steps:
    """What a run does outside of storage, in order: watched, counted, and failing where a test wants it."""

    #: Called before a step takes effect.
    before: Callable[[str, Sequence[int]], None] = lambda _name, _uids: None
    #: Called once a step took effect.
    after: Callable[[str, Sequence[int]], None] = lambda _name, _uids: None
    taken: list[str] = field(default_factory=list)
    _planned: dict[int, tuple[BaseException, bool]] = field(default_factory=dict)

    def fail_next(self, nth: int, error: BaseException, *, after: bool = False) -> None:
        """Let the ``nth`` step from now (1 is the next) raise ``error``, before or after it took effect."""
        self._planned[len(self.taken) + nth] = (error, after)

    def recover(self) -> None:
        """Forget what was planned."""
        self._planned.clear()

    @contextmanager
    def step(self, name: str, uids: Sequence[int] = ()) -> Iterator[None]:
        """Surround one step."""
        self.taken.append(name)
        error, late = self._planned.pop(len(self.taken), (None, False))
        self.before(name, uids)
        if error and not late:
            raise error
        yield
        self.after(name, uids)
        if error:
            raise error


class WatchedMailbox:
    """A `FakeMailbox` whose calls are steps."""

    def __init__(self, inner: FakeMailbox, steps: Steps) -> None:
        self._inner = inner
        self._steps = steps

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def candidates(self, picking: Picking) -> Listing:
        """See `Mailbox.candidates`."""
        with self._steps.step("candidates"):
            return self._inner.candidates(picking)

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:
        """See `Mailbox.fetch`."""
        with self._steps.step("fetch", _uids(refs)):
            answers = self._inner.fetch(refs, max_bytes=max_bytes)
        for answer in answers:
            with self._steps.step("message", _uids([answer.ref])):
                pass
            yield answer

    def dispose(self, refs: Sequence[MessageRef], disposition: Disposition) -> Sequence[Disposed]:
        """See `Mailbox.dispose`."""
        with self._steps.step("dispose", _uids(refs)):
            return self._inner.dispose(refs, disposition)

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        """See `Mailbox.purge`."""
        with self._steps.step("purge", _uids(refs)):
            return self._inner.purge(refs)

    def still_there(self, refs: Sequence[MessageRef]) -> frozenset[MessageKey]:
        """See `Mailbox.still_there`."""
        with self._steps.step("still_there", _uids(refs)):
            return self._inner.still_there(refs)

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:
        """See `Mailbox.hindrances`. Runs do not ask."""
        return self._inner.hindrances(disposition)


class ScriptedTarget:
    """The ``table`` target, which refuses messages by their subject, and whose calls are steps."""

    batch: ClassVar[int] = 3

    def __init__(self, inner: Target, world: "World") -> None:
        self._inner = inner
        self._world = world

    def look_up(self, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        """See `Target.look_up`."""
        with self._world.steps.step("look_up"):
            if "BOOM" in ticket_ids:
                raise RuntimeError("A defect in the target.")
            return self._inner.look_up(ticket_ids)

    def apply(self, deliveries: Sequence[Delivery]) -> Sequence[Delivered | MessageError]:
        """See `Target.apply`."""
        with self._world.steps.step("apply", [int(delivery.key.item) for delivery in deliveries]):
            return [self._one(delivery) for delivery in deliveries]

    def _one(self, delivery: Delivery) -> Delivered | MessageError:
        if delivery.message.subject in self._world.refused:
            return Refused("The target does not take this message.", remedy="Ask its owner why.")
        return self._inner.apply([delivery])[0]


class WideTarget(ScriptedTarget):
    """The same, which takes as many deliveries at once as the ``table`` target does."""

    batch: ClassVar[int] = TableTarget.batch


class NoSecrets:
    """See `shared.ports.Secrets`: nothing in memory needs any."""

    def get(self, name: str) -> str:
        """See the port."""
        raise AssertionError(f"Nobody should ask for the secret {name!r}.")


class World:
    """One job and everything around it. ``config`` changes the job."""

    def __init__(self, *, target: type[ScriptedTarget] = ScriptedTarget, **config: Any) -> None:
        self.clock = FakeClock(NOW)
        self.storage = FakeStorage(self.clock)
        self.folder = FakeFolder(self.clock)
        self.steps = Steps(before=self.check)
        self.refused: set[str] = set()
        self._target = target
        self.services = Services(
            jobs=self.storage.jobs,
            threads=self.storage.threads,
            tickets=self.storage.tickets,
            receipts=self.storage.receipts,
            outbox=self.storage.outbox,
            queue=self.storage.queue,
            secrets=NoSecrets(),
            clock=self.clock,
            budget=timedelta(minutes=3),
            open_mailbox=self._open_mailbox,
            open_target=self._open_target,
        )
        server = {"type": "imap4", "host": "mail.example", "username": "support", "password_secret": "support"}
        job = Job.model_validate({"id": "support", "server": server, **config})
        save(self.storage.jobs, job, before=None, now=self.clock())
        self.clock.advance(timedelta(minutes=5))

    def _open_mailbox(self, request: OpenRequest) -> WatchedMailbox:
        with self.steps.step("open"):
            inner = FakeMailbox(self.folder, job_id=request.job_id, identity=request.settings.identity())
        return WatchedMailbox(inner, self.steps)

    def _open_target(self, request: TargetRequest) -> Target:
        return self._target(TableTarget(request.tickets), self)

    # --- doing -------------------------------------------------------------------------------------------------------

    def deliver(self, *messages: bytes) -> list[int]:
        """Put messages into the mailbox; their UIDs."""
        return [self.folder.deliver(message) for message in messages]

    def run(self, trigger: Trigger = Trigger.MANUAL, *, run_id: str = "") -> RunReport | None:
        """One run."""
        return run_job("support", trigger, self.services, run_id=run_id)

    def report(self, trigger: Trigger = Trigger.MANUAL) -> RunReport:
        """One run that must have happened."""
        report = self.run(trigger)
        assert report is not None
        return report

    def later(self, by: timedelta = LONG) -> RunReport:
        """One run after every back-off has passed."""
        self.clock.advance(by)
        return self.report()

    def kill_and_recover(self) -> None:
        """A run that a planned `Killed` ends; by the next one the lease has expired."""
        with suppress(Killed):
            self.run()
            raise AssertionError("The run should have been killed.")
        self.recover()
        self.clock.advance(LONG)

    def recover(self) -> None:
        """No more faults."""
        self.steps.recover()
        self.storage.recover()

    def drain(self) -> list[RunReport]:
        """Run until there is nothing left to do."""
        reports: list[RunReport] = []
        for _ in range(20):
            reports.append(self.later())
            undone = [entry for entry in self.ledger().values() if entry.open]
            if reports[-1].outcome is RunOutcome.COMPLETED and not reports[-1].received and not undone:
                return reports
        raise AssertionError(f"Twenty runs did not get through: {reports[-1]}, {self.ledger()}")

    # --- looking from outside ----------------------------------------------------------------------------------------

    def check(self, step: str, uids: Sequence[int]) -> None:
        """What must be true at the moment at which a run reaches for the outside, judged by what is stored by then.

        A message is fetched and delivered only under a claim; disposed of only once its ticket is made and the ledger
        says so, or once it is known as rejected or parked; purged only once the ledger says that it was disposed of.
        """
        allowed = {
            "message": {Stage.CLAIMED},
            "apply": {Stage.CLAIMED},
            "dispose": {Stage.DELIVERED, Stage.REJECTED, Stage.SET_ASIDE},
            "purge": {Stage.DISPOSED},
        }
        for uid in uids if step in allowed else ():
            entry = self.ledger()[uid]
            ticket = entry.stage is not Stage.DELIVERED or self.has_ticket(entry.ticket_id)
            if entry.stage not in allowed[step] or not ticket:
                raise Broken(step, entry)

    def has_ticket(self, ticket_id: str) -> bool:
        """Whether there is such a ticket, in whatever target."""
        return self.storage.tickets.ticket(ticket_id) is not None

    def ledger(self) -> dict[int, LedgerEntry]:
        """What the ledger knows, by UID."""
        entries = self.storage.jobs._rows.ledger.get("support", {})
        return {int(entry.key.item): entry for entry in entries.values()}

    def tickets(self) -> list[Ticket]:
        """Every ticket with its entries."""
        shown, _ = self.storage.tickets.page(limit=1000)
        return [ticket for one in shown if (ticket := self.storage.tickets.ticket(one.ticket_id))]

    def subjects(self) -> list[list[str]]:
        """The subjects of each ticket's messages, first ticket first by name."""
        return sorted([entry.subject for entry in ticket.entries] for ticket in self.tickets())

    def flags(self) -> dict[int, str]:
        """What became of each original: purged ones are not there."""
        return {
            uid: " ".join(name for name in ("seen", "deleted") if getattr(stored, name)) or "untouched"
            for uid, stored in self.folder.messages.items()
        }

    def parked(self) -> list[str]:
        """Subjects of the parked messages."""
        found, _ = self.storage.parked.page("support", limit=1000)
        return sorted(one.subject for one in found)

    def record(self) -> JobRecord:
        """The job's row."""
        record = self.storage.jobs.read("support")
        assert record is not None
        return record

    def state(self) -> JobState:
        """What the runs of the job know of each other."""
        return self.record().state

    def reports(self) -> list[RunReport]:
        """Every run record, oldest first."""
        found, _ = self.storage.jobs.runs("support", limit=1000)
        return found[::-1]


def _uids(refs: Sequence[MessageRef]) -> list[int]:
    return [int(ref.handle) for ref in refs]
