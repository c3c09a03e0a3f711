"""What OpenTelemetry counts of runs where the platform has switched it on."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from shared.errors import Unavailable
from shared.model import Trigger
from tests.run.world import World, mail


@pytest.fixture(scope="module")
def reader() -> InMemoryMetricReader:
    """What the platform would have configured; a process can do that once."""
    delta = AggregationTemporality.DELTA
    reader = InMemoryMetricReader(preferred_temporality={Counter: delta, Histogram: delta})
    metrics.set_meter_provider(MeterProvider([reader]))
    return reader


@pytest.fixture
def counted(reader: InMemoryMetricReader) -> Iterator[InMemoryMetricReader]:
    """Nothing yet."""
    reader.get_metrics_data()
    yield reader
    reader.get_metrics_data()


def points(counted: InMemoryMetricReader) -> dict[tuple[str, ...], Any]:
    """Each metric's points since this was asked last, by its name and its attributes' values in the order of keys."""
    data = counted.get_metrics_data()
    assert data
    return {
        (
            metric.name.removeprefix("mailconnector."),
            *(str(v) for _, v in sorted((point.attributes or {}).items())),
        ): point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def test_tickets_and_runs_are_counted(counted: InMemoryMetricReader) -> None:
    """By job, and by what became of them."""
    world = World()
    world.deliver(mail("First"), mail("Second"), mail("Loop", X_Mail_Connector="support"))
    world.report()
    found = points(counted)
    assert found["tickets", "created", "support"].value == 2
    assert found["messages", "support", "rejected"].value == 1
    assert found["run.duration", "support", "completed", "manual"].count == 1
    assert found["waiting", "support"].value == 0
    assert "run.delay" not in {name for name, *_ in found}, "a run by hand is due when it is asked for"


def test_failures_and_waiting_mail(counted: InMemoryMetricReader) -> None:
    """A message that cannot be handled waits; when it is given up on, it is parked."""
    world = World(max_attempts=2)
    world.refused.add("Bad")
    world.deliver(mail("Bad"))
    world.report()
    first = points(counted)
    assert first["messages", "support", "failed"].value == 1
    world.clock.advance(timedelta(hours=2))
    since = world.state().waiting_since
    assert since
    world.steps.fail_next(1, Unavailable("The server does not answer."))
    world.report()
    away = points(counted)
    assert away["waiting", "support"].value == (world.clock() - since).total_seconds() > 7_000
    assert away["run.duration", "support", "failed", "manual"].count == 1
    world.report()
    second = points(counted)
    assert second["messages", "support", "parked"].value == 1


def test_a_run_by_timer_tells_how_late_it_began(counted: InMemoryMetricReader) -> None:
    """From the instant at which the job was due."""
    world = World()
    due = world.state().next_due
    assert due
    world.clock.advance(due + timedelta(seconds=40) - world.clock())
    world.report(Trigger.TIMER)
    point = points(counted)["run.delay", "support", "timer"]
    assert (point.count, point.sum) == (1, 40)


def test_no_attribute_tells_an_address_or_a_subject(counted: InMemoryMetricReader) -> None:
    """Words of ours and the job's id alone."""
    world = World(max_attempts=1)
    world.refused.add("Secret subject")
    world.deliver(mail("Secret subject"), mail("Other secret"))
    world.report()
    told = str(list(points(counted)))
    assert "tickets" in told
    for word in ("ecret", "customer.example", "mail.example", "@"):
        assert word not in told


def test_without_the_platforms_switch_nothing_is_loaded() -> None:
    """A process in which nobody has imported OpenTelemetry does not import it for this."""
    code = (
        "import sys; from datetime import datetime, UTC; from shared.metrics import run_began, run_ended; "
        "from shared.model import *; now = datetime.now(UTC); "
        "run_began('a', Trigger.TIMER, now, now); "
        "run_ended(RunReport('r', 'a', 'A', Trigger.TIMER, RunOutcome.COMPLETED, now, now), None); "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
