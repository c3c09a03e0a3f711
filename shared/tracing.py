"""Spans of a run, for whoever has OpenTelemetry switched on in the platform (`telemetryMode` in host.json).

Nothing is imported, configured or exported here: where the worker process has set OpenTelemetry up, spans go to its
provider; elsewhere they cost a look into a dictionary. Attributes are ids and counts, never an address, a subject or a
body.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NAME = "mail-connector"


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    """One span, a child of the one around it. ``attributes`` come under ``mailconnector.``."""
    if "opentelemetry.trace" not in sys.modules:
        yield
        return
    # An import statement, since another thread may be importing it just now: this waits until all of it is there.
    from opentelemetry import trace

    named = {f"mailconnector.{key}": value for key, value in attributes.items()}
    with trace.get_tracer(_NAME).start_as_current_span(name, attributes=named):
        yield
