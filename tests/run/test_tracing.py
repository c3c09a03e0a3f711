"""What OpenTelemetry sees of a run where the platform has switched it on."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

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


_HALF_IMPORTED = """
import sys, threading
import gate
from shared.tracing import span

def begin_a_span():
    gate.importing.wait()
    try:
        with span("run", job="support"):
            gate.told.append("went well")
    except Exception as error:
        gate.told.append(repr(error))
    finally:
        gate.ended.set()

other = threading.Thread(target=begin_a_span)
other.start()
import opentelemetry.trace
other.join()
print(*gate.told)
"""

_SLOW_PACKAGE = """
import gate
gate.importing.set()
# One that does not wait for the import ends here at once, with a fault; one that waits is not held up for long.
gate.ended.wait(0.5)

class get_tracer:
    def __init__(self, name): ...
    def start_as_current_span(self, name, attributes):
        import contextlib
        return contextlib.nullcontext()
"""


def test_a_span_may_begin_while_another_thread_imports_opentelemetry(tmp_path: Path) -> None:
    """As when two jobs begin at once in a new process, and the SDK of one of them brings OpenTelemetry along."""
    package = tmp_path / "opentelemetry" / "trace"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text(_SLOW_PACKAGE)
    (tmp_path / "gate.py").write_text(
        "import threading\nimporting, ended, told = threading.Event(), threading.Event(), []\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    told = subprocess.run(
        [sys.executable, "-c", _HALF_IMPORTED], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout == "went well\n"
