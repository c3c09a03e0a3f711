"""Timer triggers: a function is called at each instant of its NCRONTAB expression, in UTC."""

from collections.abc import Mapping
from datetime import UTC, datetime

from azure.functions.timer import TimerRequest

from dev.host.clock import sleep_until
from dev.host.indexing import Function
from dev.host.options import HostFault, resolve
from dev.host.worker import Worker
from shared.schedule.ncrontab import NCrontab


class Timer:
    """One timer function. It never overlaps with itself; what it missed while it ran becomes one call, at once."""

    def __init__(self, function: Function, worker: Worker, environment: Mapping[str, str]) -> None:
        """Raise `HostFault` when the schedule is not NCRONTAB (the real host would drop the function silently)."""
        self.function = function
        self._worker = worker
        try:
            self._expression = NCrontab.parse(resolve(str(function.trigger["schedule"]), environment))
        except ValueError as exc:
            raise HostFault(f"Function {function.name!r}: {exc}") from exc
        self._on_startup = bool(function.trigger.get("runOnStartup"))
        self._last: datetime | None = None

    async def run(self) -> None:
        """Fire for ever, or until there is no next instant."""
        clock = self._worker.clock
        if self._on_startup:
            await self.fire(clock.now())
        due = self._expression.next_after(clock.now())
        while due is not None:
            await sleep_until(clock, due)
            started = clock.now()
            await self.fire(due)
            due = self._expression.next_after(max(due, started))

    async def fire(self, due: datetime) -> None:
        """Call the function for the instant ``due``; cancelled, it leaves the call running."""
        await self._worker.track(self.function.name, self._call(due))

    async def _call(self, due: datetime) -> None:
        # Next is the instant being served, as observed on the real host.
        last = (self._last or datetime.min.replace(tzinfo=UTC)).isoformat()
        status = {"Last": last, "Next": due.isoformat(), "LastUpdated": last}
        request = TimerRequest(past_due=False, schedule_status=status, schedule={"AdjustForDST": False})
        await self._worker.call(self.function, request, scheduled=due)
        self._last = due
