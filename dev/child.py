"""Servers that we start, and that end when we do, however we end."""

import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

#: Sleeps until its input ends, which it does when the parent is gone even by SIGKILL, then kills the process group.
#: Plain sh, so that it works wherever POSIX does (PR_SET_PDEATHSIG is Linux only, and follows threads).
_WATCHDOG = 'read -r _; kill -s KILL -- "-$1"'


class ChildFailed(RuntimeError):
    """A server did not start, or died; the message ends with the last lines that it printed."""


class Child:
    """One process in a group of its own. Its output (both streams) is read all the time; the last lines are kept.

    ``log`` gets all of them, after what is in it. Safe to share between threads.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self.name = name
        self._log = log
        self._lines: deque[str] = deque(maxlen=500)
        self._changed = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there, be it stopped by a signal."""
        return self._process.poll() is None

    def tail(self, count: int = 20) -> str:
        """The last lines that it printed."""
        with self._changed:
            return "\n".join(list(self._lines)[-count:])

    def wait_for(self, pattern: str, *, timeout: float) -> re.Match[str]:
        """The first match of ``pattern`` in a line that was or will be printed within ``timeout`` seconds.

        Raises `ChildFailed` when the process ends or the time is up before that.
        """
        deadline = time.monotonic() + timeout
        wanted = re.compile(pattern)
        with self._changed:
            while True:
                for line in self._lines:
                    if match := wanted.search(line):
                        return match
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    break
                self._changed.wait(left)
        how = "ended" if self._ended else f"did not get ready within {timeout:g} s"
        raise ChildFailed(f"{self.name} {how}. Its last lines:\n{self.tail()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; harmless when it is gone."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def wait(self, *, timeout: float) -> int:
        """The exit code, negative for a signal. Raises `ChildFailed` when it is there longer than ``timeout`` s."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as exc:
            raise ChildFailed(f"{self.name} did not end within {timeout:g} s. Its last lines:\n{self.tail()}") from exc

    def stop(self, *, grace: float = 10) -> int:
        """Ask it to end (SIGTERM), kill what is left of the group after ``grace`` seconds; the exit code."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        return self.kill()

    def kill(self) -> int:
        """End the whole group at once (SIGKILL); the exit code."""
        if self.running:
            self.signal(signal.SIGKILL)
        code = self._process.wait()
        self._watchdog.kill()
        self._watchdog.communicate()
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: we asked for a pipe
        with self._process.stdout as output, self._log.open("a", buffering=1) if self._log else nullcontext() as log:
            for line in output:
                if log:
                    log.write(line)
                with self._changed:
                    self._lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
