"""A run during which storage fails at one of its requests, at each of them in turn: ``python -m tests.run.storage_faults``.

For each kind of mail server, and for each kind of target that is reached over storage: how many requests a run sends;
then, for each fault and each of these requests, a run on a fresh mailbox to which that happens, and the runs that the
sweep starts after it. Judged from outside as in the crash matrix. Some faults happen once, and some from that request on
until the run ends.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

from dev.azurite import Azurite
from shared.begin import Services
from shared.errors import Unavailable
from shared.model import Trigger
from shared.run import run_job
from shared.storage import Storage, open_storage
from tests.crash.matrix import PAGE, write
from tests.crash.poison import parse_unless_poison
from tests.crash.scene import Scene, Verdict
from tests.run.real import Tables, Ticking
from tests.run.target_sides import QueueSide, TableSide, TargetSide, TrackerSide
from tests.run.world import LONG
from tests.servers.counterparts import KINDS, Counterpart, Counterparts, GivenSecret, opener
from tests.servers.http_relay import FAULTS, Fault, RelayedAccount, StorageRelay
from tests.servers.tracker import Tracker

#: After so many runs a job that still is not quiet is stuck.
_RUNS = 6


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to the requests of a run."""

    fault: Fault
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.fault}, lasting" if self.lasting else self.fault


#: A whole run of silence is one time-out after another: the product's other timeouts, not this list, end those.
TROUBLES = (
    *(Trouble(fault) for fault in FAULTS),
    *(Trouble(fault, lasting=True) for fault in FAULTS if fault not in {"silence", "slow", "half"}),
)


@dataclass(frozen=True, slots=True)
class Way:
    """What connector leads to what target."""

    kind: str
    target: Literal["table", "queue", "webhook"] = "table"

    def __str__(self) -> str:
        return self.kind if self.target == "table" else f"{self.kind} to {self.target}"


WAYS: Mapping[str, Way] = {str(way): way for way in (*map(Way, KINDS), Way("imap4", "queue"), Way("imap4", "webhook"))}


@dataclass
class Result:
    """What came of one trouble at many requests."""

    cells: int = 0
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    #: Runs that did not come through although the fault was theirs alone to bear; the next one made up for them.
    failed: int = 0
    #: The most clean runs that a job needed.
    runs: int = 0
    bad: list[str] = field(default_factory=list)

    def add(self, what: str, verdict: Verdict, *, failed: bool, runs: int) -> None:
        """One more cell."""
        self.cells += 1
        self.lost += len(verdict.lost)
        self.doubled += len(verdict.doubled)
        self.stuck += len(verdict.stuck)
        self.failed += failed
        self.runs = max(self.runs, runs)
        self.bad += [f"{what}: {fault}" for fault in verdict.faults]

    def __str__(self) -> str:
        return f"{self.cells}: {self.lost}/{self.doubled}/{self.stuck}"


class Troubled:
    """Runs of one connector on a storage account behind a relay. A context manager."""

    def __init__(self, azurite: Azurite, servers: Counterparts, way: Way, *, prefix: str) -> None:
        self._servers, self._way = servers, way
        self._clock = Ticking()
        self._resources = ExitStack()
        tracker = self._resources.enter_context(Tracker())
        direct = str(urlsplit(tracker.url).port)
        self._relay = StorageRelay(azurite, {"tracker": int(direct)})
        self._seen = self._open(RelayedAccount(self._relay.connection_string), prefix)
        self._direct = open_storage(connection_string=azurite.connection_string, prefix=prefix, clock=self._clock)
        self._tables = Tables(azurite, prefix)
        sides: Mapping[str, Callable[[], TargetSide]] = {
            "table": lambda: TableSide(self._tables),
            "queue": lambda: QueueSide(azurite, f"{prefix}-tickets"),
            "webhook": lambda: TrackerSide(
                tracker,
                servers.new(way.kind).given["secret"],
                url=tracker.url.replace(direct, str(self._relay.ports["tracker"])),
            ),
        }
        self._target = sides[way.target]()
        self._count = 0

    def _open(self, account: RelayedAccount, prefix: str) -> Storage:
        return open_storage(account, prefix=prefix, clock=self._clock)

    def __enter__(self) -> Self:
        self._resources.enter_context(self._relay)
        # The first run makes the tables, with requests that no later one has.
        self.requests()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.__exit__(kind, error, trace)

    def requests(self) -> list[str]:
        """What a run sends to storage and to its target when nothing happens, in order."""
        mailbox, scene = self._scene()
        self._relay.clear()
        assert not self._run(mailbox, scene)
        seen = list(self._relay.seen)
        verdict = scene.judge()
        assert not verdict.faults, f"{self._way}: not even without a fault: {verdict.faults}"
        return seen

    def strike(self, nth: int, trouble: Trouble, result: Result) -> None:
        """Let the ``nth`` request of a run meet ``trouble``; then let the job come to an end, and judge."""
        mailbox, scene = self._scene()
        self._relay.clear()
        self._relay.strike(nth, trouble.fault, lasting=trouble.lasting, meddle=lambda: self._meddle(scene))
        failed = self._run(mailbox, scene)
        hits = self._relay.hits
        assert hits, f"{self._way}: a run did not come to request {nth}."
        self._relay.clear()
        runs = 0
        self._clock.advance(LONG)
        while scene.due and runs < _RUNS:
            self._run(mailbox, scene)
            self._clock.advance(LONG)
            runs += 1
        result.add(f"{self._way}, {trouble}, request {nth}", scene.judge(), failed=failed, runs=runs)

    def _scene(self) -> tuple[Counterpart, Scene]:
        self._count += 1
        mailbox = self._servers.new(self._way.kind)
        return mailbox, Scene(
            f"cell-{self._count}", mailbox, self._direct, self._tables, self._clock, target=self._target
        )

    def _meddle(self, scene: Scene) -> None:
        """Somebody else changes the job and its tickets, which makes every version that a run knows of stale."""
        self._tables.touch("jobs", "job:", where=f"RowKey eq 'job:{scene.name}'")
        if isinstance(self._target, TableSide):
            self._tables.touch("tickets", "ticket:", where=f"subject ge '{scene.name} ' and subject lt '{scene.name}!'")

    def _run(self, mailbox: Counterpart, scene: Scene) -> bool:
        """One run, as the sweep starts it. Did it fail?"""
        services = Services(
            jobs=self._seen.jobs,
            threads=self._seen.threads,
            tickets=self._seen.tickets,
            receipts=self._seen.receipts,
            outbox=self._seen.outbox,
            queue=self._seen.queue,
            secrets=GivenSecret(mailbox.given),
            clock=self._clock,
            budget=LONG,
            open_mailbox=opener(mailbox.given),
            parse=parse_unless_poison,
        )
        with suppress(Unavailable):
            report = run_job(scene.name, Trigger.SWEEP, services)
            assert report is None or "defect of ours" not in str(report.comments), f"{self._way}: {report.comments}"
            return report is None or report.outcome.value != "completed"
        return True


def strike_some(
    cells: Troubled, troubles: Sequence[Trouble], *, seed: int, of_each: int | None = None
) -> dict[Trouble, Result]:
    """Each trouble at ``of_each`` requests that the seed draws, or at all of them."""
    count = len(cells.requests())
    results = {trouble: Result() for trouble in troubles}
    for trouble, result in results.items():
        chance = random.Random(f"{seed} {trouble}")
        for nth in range(1, count + 1) if of_each is None else sorted(chance.sample(range(1, count + 1), of_each)):
            cells.strike(nth, trouble, result)
    return results


def table(results: Mapping[Way, Mapping[Trouble, Result]]) -> str:
    """One line for each trouble: cells: lost/doubled/stuck."""
    lines = [
        f"| what happens to a request | {' | '.join(map(str, results))} | runs that it failed | clean runs, at most |",
        f"|---|{'---|' * (len(results) + 2)}",
    ]
    for trouble in TROUBLES:
        ones = [one[trouble] for one in results.values()]
        failed = f"{sum(one.failed for one in ones)} of {sum(one.cells for one in ones)}"
        lines.append(f"| {trouble} | {' | '.join(map(str, ones))} | {failed} | {max(one.runs for one in ones)} |")
    return "\n".join(lines)


def main() -> int:
    """All of it, or the ways that the arguments name; and the table."""
    ways = [WAYS[name] for name in sys.argv[1:]] or list(WAYS.values())
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as keys,
        Azurite(in_memory=True) as azurite,
        Counterparts(Path(keys)) as servers,
        ThreadPoolExecutor(2) as pool,
    ):
        for way in ways:
            servers.new(way.kind)

        def one(way: Way) -> dict[Trouble, Result]:
            with Troubled(azurite, servers, way, prefix=f"fault{ways.index(way)}") as cells:
                return strike_some(cells, TROUBLES, seed=0)

        results = dict(zip(ways, pool.map(one, ways), strict=True))
    bad = [text for result in results.values() for one in result.values() for text in one.bad]
    cells = sum(one.cells for result in results.values() for one in result.values())
    print(table(results), "", *bad, sep="\n")  # noqa: T201 (a table for people)
    print(f"\n{cells} cells in {time.monotonic() - began:.0f} s: {len(bad)} faults.")  # noqa: T201
    if not bad and len(ways) == len(WAYS):
        write(PAGE, "storage-faults", table(results))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
