"""What OpenTelemetry sees of a run where the platform has switched it on."""

from collections import Counter
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.model import RunOutcome
from tests.run.world import World, mail


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """What the platform would have configured; a process can do that once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Iterator[InMemorySpanExporter]:
    """Nothing yet."""
    exporter.clear()
    yield exporter
    exporter.clear()


def named(spans: InMemorySpanExporter) -> Counter[str]:
    """How many spans of each name there are."""
    return Counter(span.name for span in spans.get_finished_spans())


def test_a_run_is_one_span_and_each_stage_is_one_within(spans: InMemorySpanExporter) -> None:
    """Open, list, read for each message, deliver, dispose, purge: all in one trace, below the run."""
    world = World(on_success={"mark_as_deleted": True, "purge_deleted_at_end_of_session": True})
    world.deliver(mail("First"), mail("Second"))
    assert world.report().outcome is RunOutcome.COMPLETED
    assert named(spans) == {"run": 1, "open": 1, "list": 1, "read": 2, "deliver": 1, "dispose": 1, "purge": 1}
    (run,) = [span for span in spans.get_finished_spans() if span.name == "run"]
    assert run.context
    parents = {span.parent.span_id for span in spans.get_finished_spans() if span.parent}
    traces = {span.context.trace_id for span in spans.get_finished_spans() if span.context}
    assert traces == {run.context.trace_id}
    assert run.context.span_id in parents
    assert run.attributes == {
        "mailconnector.job": "support",
        "mailconnector.trigger": "manual",
        "mailconnector.run": world.reports()[-1].run_id,
    }


def test_no_span_tells_an_address_or_a_subject(spans: InMemorySpanExporter) -> None:
    """Whatever becomes of the message."""
    world = World(max_attempts=1)
    world.refused.add("Secret subject")
    world.deliver(mail("Secret subject"), mail("Other secret", X_Mail_Connector="support"))
    world.report()
    told = "".join(map(ReadableSpan.to_json, spans.get_finished_spans()))
    assert "read" in told
    for word in ("ecret", "customer.example", "mail.example", "text of"):
        assert word not in told
