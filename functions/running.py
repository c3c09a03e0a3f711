"""Runs a job for a trigger, and says in the log how it went."""

import logging

from shared.begin import Services
from shared.model import RunOutcome, Trigger
from shared.run import run_job

_log = logging.getLogger(__name__)


def run_and_log(job_id: str, trigger: Trigger, services: Services, *, run_id: str = "") -> None:
    """Run the job if it is due. Faults of the job are in its run record; only those of storage are raised."""
    report = run_job(job_id, trigger, services, run_id=run_id)
    if report is None:
        return
    _log.log(
        logging.ERROR if report.outcome is RunOutcome.FAILED else logging.INFO,
        "run_ended: job %s, run %s, %s: %d received, %d created, %d updated, %d rejected, %d parked, %d errors",
        job_id,
        report.run_id,
        report.outcome.value,
        report.received,
        report.created,
        report.updated,
        report.rejected,
        report.parked,
        report.errors,
    )
