"""Calls functions, tells of it, and never lets one of them hurt the host."""

import asyncio
import json
import logging
import os
import uuid
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from dev.host.clock import Clock
from dev.host.indexing import Function, Invocation

log = logging.getLogger("dev.host")

_T = TypeVar("_T")


def say(line: str) -> None:
    """One line for the person at the terminal."""
    print(line, flush=True)


class Events:
    """What happened, one JSON object a line, for programs that watch. Without a path nothing is written."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1) if path else None

    def write(self, event: str, **fields: Any) -> None:
        """Append one line; instants as ISO 8601."""
        if self._file:
            self._file.write(json.dumps({"event": event, **fields}, default=_text) + "\n")

    def close(self) -> None:
        """Let go of the file."""
        if self._file:
            self._file.close()


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: with what the function returned, or with what it raised."""

    value: Any = None
    error: BaseException | None = None


class Worker:
    """Runs functions: ``def`` in a thread pool, ``async def`` on the loop. Lives on one event loop.

    Each call writes the events ``started`` and ``ended`` (invocation, function, kind, scheduled, started; and then
    ended, error).
    """

    def __init__(self, clock: Clock, events: Events, *, folder: Path, timeout: timedelta | None) -> None:
        self.clock = clock
        self._events = events
        self._folder = folder
        self._timeout = timeout
        # The worker's own rule, and its own setting.
        size = int(os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT") or min(32, (os.cpu_count() or 1) + 4))
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="function")
        self._tasks: set[asyncio.Task[Any]] = set()

    def tell(self, event: str, **fields: Any) -> None:
        """Write an event."""
        self._events.write(event, **fields)

    async def call(self, function: Function, argument: Any, *, scheduled: datetime | None = None) -> Outcome:
        """Run ``function`` to its end; never raises for what it does. ``scheduled`` is when a timer was due."""
        invocation = uuid.uuid4().hex
        started = self.clock.now()
        fields: Mapping[str, Any] = {
            "invocation": invocation,
            "function": function.name,
            "kind": function.kind,
            "scheduled": scheduled,
            "started": started,
        }
        self._events.write("started", **fields)
        overtime = self._warn_later(function)
        try:
            outcome = await self._run(function, argument, invocation)
        finally:
            if overtime:
                overtime.cancel()
        ended = self.clock.now()
        error = f"{type(outcome.error).__name__}: {outcome.error}" if outcome.error else None
        self._events.write("ended", **fields, ended=ended, error=error)
        took = f"{(ended - started).total_seconds():.2f} s"
        say(f"{started:%H:%M:%S} {function.kind} {function.name}: " + (f"FAILED: {error}" if error else took))
        return outcome

    async def _run(self, function: Function, argument: Any, invocation: str) -> Outcome:
        arguments = {function.parameter: argument}
        if function.wants_context:
            arguments["context"] = Invocation(invocation, function.name, self._folder)
        try:
            if function.is_async:
                value = await function.body(**arguments)
            else:
                loop = asyncio.get_running_loop()
                value = await loop.run_in_executor(self._threads, lambda: function.body(**arguments))
        except Exception as exc:
            log.exception("Function %s failed.", function.name)
            return Outcome(error=exc)
        if value is not None and function.kind != "http":
            return Outcome(error=TypeError(f"a {function.kind} function must return None, not {type(value).__name__}"))
        return Outcome(value)

    def _warn_later(self, function: Function) -> asyncio.TimerHandle | None:
        if self._timeout is None:
            return None
        seconds = self._timeout.total_seconds()

        def warn() -> None:
            self._events.write("overtime", function=function.name, seconds=seconds)
            say(f"{function.name} has passed functionTimeout ({seconds:g} s): Azure would kill the worker now.")

        return asyncio.get_running_loop().call_later(seconds, warn)

    def track(self, name: str, work: Coroutine[Any, Any, _T]) -> asyncio.Future[_T]:
        """Start ``work``, which `drain` will wait for. Whoever awaits the answer may be cancelled; ``work`` goes on."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return asyncio.shield(task)

    async def drain(self, grace: float) -> tuple[str, ...]:
        """Wait at most ``grace`` seconds for what is running; the names of what did not end."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        while self._tasks and (left := deadline - loop.time()) > 0:
            await asyncio.wait(tuple(self._tasks), timeout=left)
        self._threads.shutdown(wait=False, cancel_futures=True)
        return tuple(sorted(task.get_name() for task in self._tasks))
