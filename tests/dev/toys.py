"""Small functions, and a clock that moves when it is told to."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from dev.host.indexing import Function

START = datetime(2026, 11, 23, 11, 59, 58, 500_000, tzinfo=UTC)


def timer_function(body: Callable[..., Any], schedule: str, **trigger: Any) -> Function:
    """A timer function called "job"."""
    return Function("job", "timer", body, "timer", wants_context=False, trigger={"schedule": schedule, **trigger})


def http_function(name: str, route: str | None = None, *methods: str) -> Function:
    """An HTTP function that is never called."""
    trigger = {"route": route, "methods": methods or None}
    return Function(name, "http", str, "req", wants_context=False, trigger=trigger)


class ManualClock:
    """Time stands still until `advance`."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """See `Clock`."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + timedelta(seconds=seconds), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let so much time pass: every sleeper wakes at its own instant, and what it does then is done at once."""
        end = self._now + timedelta(seconds=seconds)
        await settle()
        while due := sorted(each for each in self._sleepers if each[0] <= end):
            instant, future = due[0]
            self._sleepers.remove(due[0])
            self._now = max(self._now, instant)
            if not future.done():
                future.set_result(None)
            await settle()
        self._now = end


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(30):
        await asyncio.sleep(0)
