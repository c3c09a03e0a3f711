"""The whole crash matrix: ``make crash-matrix``. Writes its tables into docs/reliability.md; exit code 1 where one is not 0/0/0.

For each connector, over the `table` target, and for each other target, from a spool; on Azurite:

- undisturbed;
- killed (SIGKILL) at every point of a run;
- paused there (SIGSTOP) until other runs have done everything an hour later, then let go on (SIGCONT);
- killed twice in a row, at points chosen by the seed;
- killed at every point of the run that reconciles what a kill between delivery and ledger left;
- paused at every fifth point while another instance asks, and then killed.
"""

import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dev.azurite import Azurite
from tests.crash.cell import Cells, Strike
from tests.crash.scene import Scene, Verdict
from tests.run.target_sides import QueueSide, TrackerSide
from tests.servers.counterparts import KINDS, Counterparts
from tests.servers.tracker import Tracker

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
_SEED = 2026
_TWICE = 20

_TO = " to "
#: What is struck: each connector, and each target that is not the built-in one.
COLUMNS = (*KINDS, f"spool{_TO}webhook", f"spool{_TO}queue")

#: Where a kill leaves the most to reconcile: the tickets are there, and the ledger does not know.
_RECONCILED = Strike("after deliver 1")


@dataclass
class Outcome:
    """What was found for one connector: verdicts by point or pair of points, for each kind of strike."""

    kind: str
    undisturbed: dict[str, Verdict] = field(default_factory=dict)
    killed: dict[str, Verdict] = field(default_factory=dict)
    paused: dict[str, Verdict] = field(default_factory=dict)
    twice: dict[str, Verdict] = field(default_factory=dict)
    reconciling: dict[str, Verdict] = field(default_factory=dict)
    held: dict[str, Verdict] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, dict[str, Verdict]]:
        """All of them, by what happened."""
        return {
            "undisturbed": self.undisturbed,
            "killed": self.killed,
            "paused, overtaken, let go on": self.paused,
            "killed twice in a row": self.twice,
            "killed while reconciling": self.reconciling,
            "killed while another waits": self.held,
        }

    @property
    def faults(self) -> list[str]:
        """Everything that is wrong, as sentences."""
        return [
            f"{self.kind}, {group}, {point}: {fault}"
            for group, verdicts in self.groups.items()
            for point, verdict in verdicts.items()
            for fault in verdict.faults
        ]


@contextmanager
def cells_of(azurite: Azurite, servers: Counterparts, column: str) -> Iterator[Cells]:
    """What one of `COLUMNS` is made of, while it is needed."""
    kind, _, target = column.partition(_TO)
    scene: Callable[..., Scene] = Scene
    with ExitStack() as stack:
        if target == "webhook":
            secret = servers.new(kind).given["secret"]
            scene = partial(Scene, target=TrackerSide(stack.enter_context(Tracker()), secret))
        if target == "queue":
            scene = partial(Scene, target=QueueSide(azurite, "crash-tickets"))
        prefix = f"crash{COLUMNS.index(column)}"
        yield stack.enter_context(Cells(azurite, servers, kind, prefix=prefix, scene=scene))


def every(points: Sequence[str], step: int, first: int = 0) -> Sequence[str]:
    """Every ``step``-th of ``points``."""
    return points[first::step]


def strike_all(cells: Cells, kind: str, *, step: int = 1, first: int = 0, twice: int = _TWICE) -> Outcome:
    """Strike a connector at every ``step``-th point of each sort, beginning with ``first``."""
    points, whole = cells.points()
    held = [point for point in points if _is_held(point, points)]
    chance = random.Random(f"{_SEED} {kind}")
    pairs = [(chance.choice(points), chance.choice(points)) for _ in range(twice)]
    reconciling, reconciled = cells.points(_RECONCILED)
    return Outcome(
        kind,
        undisturbed={"a run": whole, "a run that reconciles": reconciled},
        killed={point: _struck(cells, Strike(point)) for point in every(points, step, first)},
        paused={point: _struck(cells, Strike(point, pause=True)) for point in every(points, 2 * step, first)},
        # The second strike may find nothing left to do, and so not come to its point.
        twice={" then ".join(pair): cells.strike(*map(Strike, pair)) for pair in pairs},
        reconciling={
            point: _struck(cells, _RECONCILED, Strike(point)) for point in every(reconciling, 2 * step, first)
        },
        held={point: _waited(cells, point) for point in every(held, 5 * step, first)},
    )


def _struck(cells: Cells, *strikes: Strike) -> Verdict:
    verdict = cells.strike(*strikes)
    assert verdict.struck == len(strikes), f"A run did not come to {strikes[-1].point}."
    return verdict


def _waited(cells: Cells, point: str) -> Verdict:
    waited, verdict = cells.hold(point)
    return verdict if waited else Verdict(stuck=("the other instance did not wait",))


def _is_held(point: str, points: Sequence[str]) -> bool:
    """Whether the lease is held at this point for sure."""
    claimed, finished = points.index("after claim and lease 1"), points.index("before finish 1")
    return claimed <= points.index(point) <= finished


# --- the page --------------------------------------------------------------------------------------------------------


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line for each sort of strike: how many cells, and what was lost, doubled and stuck in all of them."""
    lines = [
        f"| | {' | '.join(one.kind for one in outcomes)} |",
        f"|---|{'---|' * len(outcomes)}",
    ]
    for group in outcomes[0].groups:
        cells = [_sum(one.groups[group].values()) for one in outcomes]
        lines.append(f"| {group} | {' | '.join(cells)} |")
    return "\n".join(lines)


def table(outcomes: Sequence[Outcome]) -> str:
    """One line for each point at which runs were killed: lost/doubled/stuck; empty where a run has no such point."""
    points = _in_order([list(one.killed) for one in outcomes])
    lines = [
        f"| killed | {' | '.join(one.kind for one in outcomes)} |",
        f"|---|{'---|' * len(outcomes)}",
    ]
    for point in points:
        cells = [str(one.killed.get(point, "")) for one in outcomes]
        lines.append(f"| {point} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _sum(verdicts: Iterable[Verdict]) -> str:
    found = list(verdicts)
    kinds: tuple[Callable[[Verdict], Sequence[str]], ...] = (
        lambda one: one.lost,
        lambda one: one.doubled,
        lambda one: one.stuck,
    )
    early = sum(len(one.early) for one in found)
    counts = "/".join(str(sum(len(kind(one)) for one in found)) for kind in kinds)
    return f"{len(found)} cells: {counts}{f', {early} early' if early else ''}"


def _in_order(lists: Sequence[Sequence[str]]) -> list[str]:
    """All of them once, each after what comes before it in the list that it is from."""
    merged: list[str] = []
    for points in lists:
        place = 0
        for point in points:
            if point in merged:
                place = merged.index(point) + 1
            else:
                merged.insert(place, point)
                place += 1
    return merged


def write(page: Path, name: str, text: str) -> None:
    """Replace what stands between the marks called ``name`` in ``page``."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    old = page.read_text()
    assert begin in old, f"{page.name} has no place for {name}."
    page.write_text(re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", f"{begin}\n{text}\n\n{end}", old, flags=re.DOTALL))


def main() -> int:
    """Run it whole."""
    kinds = sys.argv[1:] or COLUMNS
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as keys,
        Azurite(Path(folder)) as azurite,
        Counterparts(Path(keys)) as servers,
        ThreadPoolExecutor(2) as pool,
    ):
        for kind in KINDS:
            servers.new(kind)

        def one(column: str) -> Outcome:
            with cells_of(azurite, servers, column) as cells:
                return strike_all(cells, column)

        outcomes = list(pool.map(one, kinds))
    faults = [fault for one in outcomes for fault in one.faults]
    cells = sum(len(verdicts) for one in outcomes for verdicts in one.groups.values())
    print(table(outcomes), "", summary(outcomes), "", *faults, sep="\n")  # noqa: T201 (a table for people)
    print(f"\n{cells} cells in {time.monotonic() - began:.0f} s, seed {_SEED}: {len(faults)} faults.")  # noqa: T201
    if not faults and set(kinds) == set(COLUMNS):
        write(PAGE, "crash-matrix", f"{summary(outcomes)}\n\n{table(outcomes)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
