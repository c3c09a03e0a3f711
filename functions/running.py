"""Runs a job for a trigger, and says in the log how it went."""

import logging

from shared.begin import Services
from shared.events import Event, tell
from shared.model import RunOutcome, RunReport, Trigger
from shared.run import run_job

_log = logging.getLogger(__name__)


def run_and_log(job_id: str, trigger: Trigger, services: Services, *, run_id: str = "") -> None:
    """Run the job if it is due. Faults of the job are in its run record; only those of storage are raised."""
    report = run_job(job_id, trigger, services, run_id=run_id)
    if report is None:
        return
    level = logging.ERROR if report.outcome is RunOutcome.FAILED else logging.INFO
    tell(_log, Event.RUN_ENDED, ended_sentence(report), job=job_id, level=level)


def ended_sentence(report: RunReport) -> str:
    """What the log says of a run; the workbook in infra/bicep reads the numbers out of it."""
    counted = ("received", "created", "updated", "rejected", "parked", "errors")
    counts = ", ".join(f"{getattr(report, name)} {name}" for name in counted)
    return f"run {report.run_id}, {report.outcome.value}: {counts}"
