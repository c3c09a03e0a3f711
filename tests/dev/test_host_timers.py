"""Timer triggers fire when NCRONTAB says so, one call at a time."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.functions.timer import TimerRequest

from dev.host.options import HostFault
from dev.host.timers import Timer
from dev.host.worker import Events, Worker
from shared.schedule.ncrontab import NCrontab
from tests.dev.toys import START, ManualClock, settle, timer_function

Body = Callable[[TimerRequest], Awaitable[Any]]


@asynccontextmanager
async def running(
    body: Body, schedule: str, clock: ManualClock, *, events: Path | None = None, **trigger: Any
) -> AsyncIterator[asyncio.Task[None]]:
    """A timer with ``body`` on ``schedule``, started."""
    log = Events(events)
    worker = Worker(clock, log, folder=Path(), timeout=None)
    task = asyncio.create_task(Timer(timer_function(body, schedule, **trigger), worker, {}).run())
    await settle()
    try:
        yield task
    finally:
        task.cancel()
        await worker.drain(1)
        log.close()


def at(*seconds: float) -> list[datetime]:
    """Instants so many seconds after 12:00."""
    return [datetime(2026, 11, 23, 12, tzinfo=UTC) + timedelta(seconds=each) for each in seconds]


@pytest.mark.parametrize("schedule", ["*/20 * * * * *", "7 */5 * * * *", "0 30 12-14 * * 1", "15,45 0 0 24 11 *"])
def test_it_fires_exactly_at_the_instants_of_its_expression(schedule: str) -> None:
    """In a simulated day and a half, each instant of the expression is served once, at that instant."""

    async def scenario() -> list[datetime]:
        clock = ManualClock()
        fired: list[datetime] = []

        async def body(timer: TimerRequest) -> None:
            assert timer.schedule_status["Next"] == clock.now().isoformat()
            fired.append(clock.now())

        async with running(body, schedule, clock):
            await clock.advance(86_400 if "*/20" not in schedule else 600)
        return fired

    fired = asyncio.run(scenario())

    expected = [NCrontab.parse(schedule).next_after(START)]
    while len(expected) < len(fired):
        last = expected[-1]
        expected.append(last and NCrontab.parse(schedule).next_after(last))
    assert fired
    assert fired == expected


def test_a_timer_does_not_overlap_with_itself_and_makes_up_for_an_overrun_once() -> None:
    """A call that lasts over three instants is followed by one call at once, then by the schedule."""

    async def scenario() -> list[datetime]:
        clock = ManualClock()
        started: list[datetime] = []

        async def body(timer: TimerRequest) -> None:
            started.append(clock.now())
            if len(started) == 1:
                await clock.sleep(35)

        async with running(body, "*/10 * * * * *", clock):
            await clock.advance(62)
        return started

    assert asyncio.run(scenario()) == at(0, 35, 40, 50, 60)


def test_a_function_that_raises_is_reported_and_called_again(tmp_path: Path) -> None:
    """The error stands in the events, and the next instant is served as ever."""

    async def scenario() -> None:
        async def body(timer: TimerRequest) -> None:
            raise ValueError("on purpose")

        clock = ManualClock()
        async with running(body, "0 * * * * *", clock, events=tmp_path / "events"):
            await clock.advance(120)

    asyncio.run(scenario())

    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    ended = [event for event in events if event["event"] == "ended"]
    assert [event["scheduled"] for event in ended] == [each.isoformat() for each in at(0, 60)]
    assert [event["error"] for event in ended] == ["ValueError: on purpose"] * 2


def test_a_timer_must_return_nothing(tmp_path: Path) -> None:
    """As in Azure, a value is an error."""

    async def scenario() -> None:
        async def body(timer: TimerRequest) -> str:
            return "done"

        clock = ManualClock()
        async with running(body, "0 0 12 * * *", clock, events=tmp_path / "events"):
            await clock.advance(2)

    asyncio.run(scenario())

    assert "must return None, not str" in (tmp_path / "events").read_text()


def test_run_on_startup_fires_at_once() -> None:
    """The function is called before its first instant."""

    async def scenario() -> list[datetime]:
        clock = ManualClock()
        fired: list[datetime] = []

        async def body(timer: TimerRequest) -> None:
            fired.append(clock.now())

        async with running(body, "0 0 12 * * *", clock, runOnStartup=True):
            await clock.advance(1)
        return fired

    assert asyncio.run(scenario()) == [START]


def test_an_impossible_date_never_fires_and_hurts_nobody() -> None:
    """There is no February 30."""

    async def scenario() -> bool:
        async def body(timer: TimerRequest) -> None:
            raise AssertionError

        async with running(body, "0 0 0 30 2 *", ManualClock()) as task:
            return task.done() and task.exception() is None

    assert asyncio.run(scenario())


def test_a_bad_expression_is_refused_with_the_name_of_the_function() -> None:
    """What Azure would drop in silence is a fault here."""

    async def scenario() -> None:
        async def body(timer: TimerRequest) -> None:
            raise AssertionError

        worker = Worker(ManualClock(), Events(None), folder=Path(), timeout=None)
        Timer(timer_function(body, "61 * * * * *"), worker, {})

    with pytest.raises(HostFault, match=r"'job': .*61"):
        asyncio.run(scenario())
