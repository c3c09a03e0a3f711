"""One cell of the crash matrix: a job is struck at a point, the next runs go on, and what came of it is judged."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import PIPE, Popen
from types import TracebackType
from typing import Any, Self

from dev.azurite import Azurite
from shared.model import Trigger
from shared.storage import open_storage
from tests.crash.scene import Scene, Verdict
from tests.crash.witness import WITNESSED
from tests.crash.worker import Order
from tests.run.real import Tables
from tests.servers.counterparts import Counterparts

_ROOT = Path(__file__).resolve().parents[2]

#: After so many runs a job that still is not quiet is stuck.
_RUNS = 6
_HOUR = 3_600.0
#: What the file of another instance that asks is called besides.
_OTHER = "-other"


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens to one run: at ``point`` it is killed, or paused until others have done its work."""

    point: str
    pause: bool = False

    def __str__(self) -> str:
        return f"{'paused' if self.pause else 'killed'} {self.point}"


class Cells:
    """Cells of one connector, each with a mailbox and a job of its own, on one storage. A context manager."""

    def __init__(
        self, azurite: Azurite, servers: Counterparts, kind: str, *, prefix: str, scene: Callable[..., Scene] = Scene
    ) -> None:
        self._azurite, self._servers, self._kind, self._prefix = azurite, servers, kind, prefix
        self._scene = scene
        self._ahead = timedelta(0)
        self._storage = open_storage(connection_string=azurite.connection_string, prefix=prefix, clock=self._now)
        self._tables = Tables(azurite, prefix)
        self._count = 0
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._folder = Path(self._resources.enter_context(tempfile.TemporaryDirectory()))
        program = [sys.executable, "-m", "tests.crash.worker"]
        self._worker = self._resources.enter_context(Popen(program, cwd=_ROOT, stdin=PIPE, stdout=PIPE, text=True))
        # The first run makes the tables, with requests that no later one has.
        self._run(self._job()[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._worker.stdin
        self._worker.stdin.close()
        self._resources.close()

    def points(self, *before: Strike) -> tuple[list[str], Verdict]:
        """The points of a run that nothing happens to, after runs that these happened to; and how that ends."""
        scene, order = self._job()
        for strike in before:
            self._strike(order, strike)
            order = self._later(order)
        self._run(order)
        points = [line for line in Path(order.told).read_text().splitlines() if not line.startswith("outcome")]
        self._until_quiet(scene, self._later(order))
        return points, self._judge(scene)

    def strike(self, *strikes: Strike) -> Verdict:
        """Let one run after another be struck, then let runs go on as the sweep would start them, and judge."""
        scene, order = self._job()
        self.last = scene
        struck, paused = 0, []
        for strike in strikes:
            pid = self._strike(order, strike)
            struck += pid is not None
            paused += [pid] if pid and strike.pause else []
            order = self._later(order)
        order = self._until_quiet(scene, order)
        for pid in paused:
            os.kill(pid, signal.SIGCONT)
            self._ask(json.dumps({"wait": pid}))
            order = self._until_quiet(scene, order)
        return replace(self._judge(scene), struck=struck)

    def hold(self, point: str) -> tuple[bool, Verdict]:
        """While one instance stands at ``point``, another one asks; then the first is killed. Did the other wait?"""
        scene, order = self._job()
        pid = self._strike(order, Strike(point, pause=True))
        assert pid, f"{self._kind}: no run came to {point}"
        other = replace(order, trigger=Trigger.MANUAL, told=f"{order.told}{_OTHER}")
        self._run(other)
        waited = "outcome none" in Path(other.told).read_text()
        os.kill(pid, signal.SIGKILL)
        self._ask(json.dumps({"wait": pid}))
        order = self._until_quiet(scene, self._later(order))
        return waited, self._judge(scene)

    def _judge(self, scene: Scene) -> Verdict:
        """What is there in the end, and what its runs did too early."""
        files = [self._folder / f"{scene.name}{other}{WITNESSED}" for other in ("", _OTHER)]
        early = [line for file in files if file.exists() for line in file.read_text().splitlines()]
        return replace(scene.judge(), early=tuple(early))

    # --- runs --------------------------------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def _job(self) -> tuple[Scene, Order]:
        """A mailbox and its job, and the order for its first run."""
        self._count += 1
        self._ahead = timedelta(0)
        name = f"cell-{self._count}"
        mailbox = self._servers.new(self._kind)
        scene = self._scene(name, mailbox, self._storage, self._tables, self._now)
        order = Order(
            connection_string=self._azurite.connection_string,
            prefix=self._prefix,
            job_id=name,
            given=mailbox.given,
            trigger=Trigger.TIMER,
            ahead_seconds=0,
            told=str(self._folder / name),
        )
        return scene, order

    def _later(self, order: Order) -> Order:
        """The same an hour on, when no lease of a dead run holds any more, started by the sweep."""
        self._ahead += timedelta(seconds=_HOUR)
        return replace(order, trigger=Trigger.SWEEP, ahead_seconds=self._ahead.total_seconds())

    def _until_quiet(self, scene: Scene, order: Order) -> Order:
        """Run the job as long as the sweep finds it due."""
        for _ in range(_RUNS):
            if not scene.due:
                break
            self._run(order)
            order = self._later(order)
        return order

    def _strike(self, order: Order, strike: Strike) -> int | None:
        """The process that was struck; None where the run did not come to the point."""
        number = signal.SIGSTOP if strike.pause else signal.SIGKILL
        answer = self._ask(replace(order, strike_at=strike.point, signal=number).line())
        if strike.pause and os.WIFSTOPPED(answer["status"]):
            return int(answer["pid"])
        if os.WIFSIGNALED(answer["status"]) and not strike.pause:
            return int(answer["pid"])
        assert os.waitstatus_to_exitcode(answer["status"]) == 0, f"{self._kind}: a run failed by itself: {order.job_id}"
        return None

    def _run(self, order: Order) -> None:
        status = self._ask(order.line())["status"]
        assert os.waitstatus_to_exitcode(status) == 0, f"{self._kind}: a run failed by itself: {order.job_id}"

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._worker.stdin
        assert self._worker.stdout
        self._worker.stdin.write(line + "\n")
        self._worker.stdin.flush()
        answer: dict[str, Any] = json.loads(self._worker.stdout.readline())
        return answer
