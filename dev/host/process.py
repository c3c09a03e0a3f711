"""The host as a child process, for the demo and for tests: start, watch, stop, kill."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dev.child import Child, ChildFailed

PROJECT = Path(__file__).resolve().parents[2]

Event = dict[str, Any]

_START_SECONDS = 60


class HostProcess:
    """``python -m dev.host`` on a free port, for the length of a ``with`` block.

    ``settings`` are its app settings, over this process's environment; ``events`` is the file that it appends its
    events to, ``log`` the one for all that it prints. `start` after `stop` or `kill` starts another one, on another
    port, with the same files.
    """

    def __init__(
        self, app_dir: Path, *, settings: Mapping[str, str], events: Path, log: Path | None = None, grace: float = 10
    ) -> None:
        self._command = [sys.executable, "-m", "dev.host", "--port", "0"]
        self._command += ["--app-dir", str(app_dir), "--events", str(events), "--grace", str(grace)]
        self._environment = {**os.environ, **settings}
        self._events = events
        self._log = log
        self._child: Child | None = None
        self.url = ""

    def start(self) -> None:
        """Return when it is ready. Raises `ChildFailed` with the last lines that it printed."""
        self._child = Child("The local host", self._command, env=self._environment, cwd=PROJECT, log=self._log)
        try:
            self.url = self._child.wait_for(r"^ready (\S+)", timeout=_START_SECONDS)[1]
        except BaseException:
            self._child.kill()
            raise

    def stop(self) -> int:
        """End it in good order (SIGTERM); its exit code."""
        return self._child.stop(grace=30) if self._child else 0

    def kill(self) -> int:
        """End it by SIGKILL; its exit code."""
        return self._child.kill() if self._child else 0

    @property
    def pid(self) -> int:
        """Its process id, or 0 before the first start."""
        return self._child.pid if self._child else 0

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._child is not None and self._child.running

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it, such as SIGSTOP."""
        if self._child:
            self._child.signal(number)

    def output(self, lines: int = 200) -> str:
        """The last lines that it printed."""
        return self._child.tail(lines) if self._child else ""

    def events(self) -> list[Event]:
        """All events so far, of every start."""
        try:
            lines = self._events.read_text(encoding="utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            return []
        # A line without its end is still being written.
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def wait_for(self, wanted: Callable[[Event], bool], *, count: int = 1, timeout: float = 30) -> list[Event]:
        """The first ``count`` events that are ``wanted``, as soon as there are so many.

        Raises `ChildFailed` when there are not within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = [event for event in self.events() if wanted(event)]
            if len(found) >= count:
                return found[:count]
            if time.monotonic() > deadline:
                raise ChildFailed(f"{len(found)} of {count} events came within {timeout:g} s. {self.output()}")
            time.sleep(0.02)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
