"""The one place where the host meets time, so that tests can own it."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol

#: A long sleep is cut into pieces, because a laptop that was asleep or set right counts the time differently.
_LONGEST_SLEEP = 30.0


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Come back after ``seconds``."""
        ...


class WallClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """See `Clock`."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        await asyncio.sleep(seconds)


async def sleep_until(clock: Clock, instant: datetime) -> None:
    """Come back at ``instant`` or just after it, never before; at once when it is past."""
    while (left := (instant - clock.now()).total_seconds()) > 0:
        await clock.sleep(min(left, _LONGEST_SLEEP))
