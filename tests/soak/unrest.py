"""What goes on during a soak: mail, runs by hand, cut wires, killed and paused hosts, changed jobs; from one seed.

Each goes on in a thread of its own and draws from a sequence of its own, so that the same seed gives the same decisions;
when exactly they fall is the machine's.
"""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, get_args

from tests.servers.wire import How
from tests.soak.boxes import HANDLINGS, Box, now
from tests.soak.stage import LEASE_SECONDS, Instance, Stage, rss_and_files

_HOWS: tuple[How, ...] = get_args(How)
#: A half-open connection costs a run a minute; the others cost it nothing but themselves.
_HOW_WEIGHTS = [1 if how == "silence" else 4 for how in _HOWS]
_OCTETS = 60_000
_SLOW_SECONDS = 15.0
#: Each is a change of what is there, every minute of every day, and so is null, which is the default.
_SCHEDULES: Sequence[dict[str, Any] | None] = (
    None,
    {"frequency": {"every": 1}},
    {"frequency": {"every": 2}},
    {"time_zone": "Asia/Kathmandu"},
    {"start_date": "2099-01-01"},
    {"start_date": None},
)


@dataclass(frozen=True, slots=True)
class Rates:
    """Mean seconds between two of a sort."""

    mail: float = 4.0
    burst: float = 120.0
    run_now: float = 12.0
    cut: float = 10.0
    kill: float = 75.0
    pause: float = 240.0
    change: float = 15.0
    sample: float = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a host's process."""

    host: str
    pid: int
    #: Seconds since the beginning.
    at: float
    rss_mb: float
    files: int


class Unrest:
    """A context manager: unrest from entering it to leaving it."""

    def __init__(self, stage: Stage, rates: Rates, *, seed: int, tell: Callable[[str], None]) -> None:
        self._stage, self._rates, self._seed = stage, rates, seed
        self._tell_line = tell
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.began = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.samples: list[Sample] = []
        #: (seconds since the beginning, what) of kills and pauses.
        self.struck: list[tuple[float, str]] = []
        self._defects: list[BaseException] = []

    def __enter__(self) -> Self:
        kill, live = self._stage.hosts
        for box in self._stage.boxes:
            self._often(f"mail {box.kind}", self._rates.mail, partial(self._mail, box, 1))
            self._often(f"burst {box.kind}", self._rates.burst, partial(self._mail, box, 15))
        self._often("run", self._rates.run_now, self._run_now)
        self._often("cut", self._rates.cut, self._cut)
        self._often("kill", self._rates.kill, partial(self._kill, kill))
        self._often("pause", self._rates.pause, partial(self._pause, live))
        self._often("change", self._rates.change, self._change)
        self._often("sample", self._rates.sample, self._sample)
        return self

    def __exit__(self, *_: object) -> None:
        """Everything whole again, and every job on its schedule."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for wire in self._stage.wires.values():
            wire.clear()
        for host in self._stage.hosts:
            host.process.signal(signal.SIGCONT)
        if self._defects:
            raise self._defects[0]

    def _often(self, what: str, mean: float, act: Callable[[random.Random], None]) -> None:
        chance = random.Random(f"{self._seed} {what}")

        def go_on() -> None:
            try:
                while not self._stop.wait(chance.uniform(0.3, 1.7) * mean):
                    act(chance)
            except BaseException as defect:  # noqa: BLE001 (a soak whose own part died must not look like a good one)
                self._defects.append(defect)

        thread = threading.Thread(target=go_on, name=what)
        self._threads.append(thread)
        thread.start()

    def _tell(self, count: str, line: str) -> None:
        self.counts[count] += 1
        self._tell_line(f"{time.monotonic() - self.began:7.1f} {line}")

    def _stopped(self) -> bool:
        return self._stop.is_set()

    # --- what happens ------------------------------------------------------------------------------------------------

    def _mail(self, box: Box, count: int, chance: random.Random) -> None:
        with box.sending:
            box.send(chance, count)
        self.counts["messages"] += count

    def _run_now(self, chance: random.Random) -> None:
        box = chance.choice(self._stage.boxes)
        if self._stage.call("POST", f"/api/jobs/{box.job_id}/run", until=self._stopped):
            self.counts["runs by hand"] += 1

    def _cut(self, chance: random.Random) -> None:
        name = chance.choice(sorted(self._stage.wires))
        (how,), octets = chance.choices(_HOWS, _HOW_WEIGHTS), chance.randrange(_OCTETS)
        self._stage.wires[name].cut_after(octets, how)
        self._tell("cuts planned", f"the wire to {name} breaks after {octets} octets: {how}")
        if how == "slow":
            # It stays so for everything that comes, until it is whole again.
            self._stop.wait(_SLOW_SECONDS)
            self._stage.wires[name].clear()

    def _kill(self, host: Instance, chance: random.Random) -> None:  # noqa: ARG002 (when is its only choice)
        self._strike(f"{host.name}: killed (SIGKILL), start {host.starts}", "kills")
        host.process.kill()
        host.start()

    def _pause(self, host: Instance, chance: random.Random) -> None:
        """Past its leases: what it holds must not count any more when it goes on."""
        self._strike(f"{host.name}: paused (SIGSTOP)", "pauses")
        host.process.signal(signal.SIGSTOP)
        self._stop.wait(chance.uniform(1.2, 1.8) * LEASE_SECONDS)
        host.process.signal(signal.SIGCONT)

    def _strike(self, line: str, count: str) -> None:
        self.struck.append((time.monotonic() - self.began, count))
        self._tell(count, line)

    def _change(self, chance: random.Random) -> None:
        """One job's schedule, its handling, or a time without it."""
        box = chance.choice(self._stage.boxes)
        what = chance.choice(("schedule", "handling", "off"))
        if what == "handling" and box.changeable:
            self._change_handling(box, chance.choice(sorted(HANDLINGS)))
        elif what == "off":
            self._tell("changes", f"{box.job_id}: disabled for a while")
            self._stage.call("POST", f"/api/jobs/{box.job_id}/disable", until=self._stopped)
            self._stop.wait(chance.uniform(5, 30))
            self._stage.call("POST", f"/api/jobs/{box.job_id}/enable", until=self._stopped)
        else:
            schedule = chance.choice(_SCHEDULES)
            self._tell("changes", f"{box.job_id}: schedule {schedule}")
            self._stage.call("PATCH", f"/api/jobs/{box.job_id}", {"schedule": schedule}, until=self._stopped)

    def _change_handling(self, box: Box, end: str) -> None:
        self._tell("changes", f"{box.job_id}: originals become {end!r}")
        asked = now()
        clear = dict.fromkeys(HANDLINGS["gone"])
        answer = self._stage.call(
            "PATCH", f"/api/jobs/{box.job_id}", {"on_success": {**clear, **HANDLINGS[end]}}, until=lambda: False
        )
        assert answer is not None
        box.change(end, asked)

    def _sample(self, chance: random.Random) -> None:  # noqa: ARG002 (it only looks)
        live = self._stage.hosts[1].process
        assert live.running, f"The host that nobody kills has ended by itself: {live.output()[-2_000:]}"
        for host in self._stage.hosts:
            pid = host.process.pid
            if seen := rss_and_files(pid):
                self.samples.append(Sample(host.name, pid, time.monotonic() - self.began, *seen))
