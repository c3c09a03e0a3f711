"""What runs come to, as metrics, for whoever has OpenTelemetry switched on in the platform (see `shared.tracing`).

Nothing is imported, configured or exported here. Attributes are the job's id and words of ours, never an address, a
subject or a body; names and units are those of docs/operations.md, and stay.
"""

import sys
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from shared.model import RunReport, Trigger

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, Meter, _Gauge

_NAME = "mail-connector"

#: Seconds; runs mostly take a few, and at most some minutes.
_RUN_SECONDS = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
#: Seconds; a timer is late by a few, a sweep by a minute, trouble by hours.
_DELAY_SECONDS = (1, 5, 15, 60, 120, 300, 600, 1800, 3600, 14400, 86400)


def run_began(job_id: str, trigger: Trigger, due: datetime | None, now: datetime) -> None:
    """A run has claimed what was due since ``due``; runs by hand and continuations are due when they are asked for."""
    if due is None or due > now or trigger in {Trigger.MANUAL, Trigger.CONTINUATION} or not _wanted():
        return
    _delay().record((now - due).total_seconds(), _named(job=job_id, trigger=trigger.value))


def run_ended(report: RunReport, waiting_since: datetime | None) -> None:
    """A run has ended; the oldest message that still waits for its ticket arrived at ``waiting_since``."""
    if not _wanted():
        return
    job = report.job_id
    for action, count in (("created", report.created), ("modified", report.updated)):
        if count:
            _tickets().add(count, _named(job=job, action=action))
    for outcome, count in (("rejected", report.rejected), ("parked", report.parked), ("failed", report.errors)):
        if count:
            _messages().add(count, _named(job=job, outcome=outcome))
    ended = report.ended or report.started
    told = _named(job=job, trigger=report.trigger.value, outcome=report.outcome.value)
    _duration().record((ended - report.started).total_seconds(), told)
    waits = ended - waiting_since if waiting_since else timedelta(0)
    _waiting().set(max(0.0, waits.total_seconds()), _named(job=job))


def _wanted() -> bool:
    return "opentelemetry.metrics" in sys.modules


def _named(**attributes: str) -> dict[str, str]:
    return {f"mailconnector.{key}": value for key, value in attributes.items()}


def _meter() -> "Meter":
    # An import statement, since another thread may be importing it just now: this waits until all of it is there.
    from opentelemetry import metrics

    return metrics.get_meter(_NAME)


@cache
def _tickets() -> "Counter":
    return _meter().create_counter("mailconnector.tickets", "{ticket}", "Tickets that runs created or modified.")


@cache
def _messages() -> "Counter":
    return _meter().create_counter("mailconnector.messages", "{message}", "Messages rejected, parked, or failed.")


@cache
def _duration() -> "Histogram":
    return _meter().create_histogram(
        "mailconnector.run.duration", "s", "How long runs took.", explicit_bucket_boundaries_advisory=_RUN_SECONDS
    )


@cache
def _delay() -> "Histogram":
    return _meter().create_histogram(
        "mailconnector.run.delay",
        "s",
        "How long after it was due a run began.",
        explicit_bucket_boundaries_advisory=_DELAY_SECONDS,
    )


@cache
def _waiting() -> "_Gauge":
    return _meter().create_gauge(
        "mailconnector.waiting", "s", "How long the oldest message has waited for its ticket when the last run ended."
    )
