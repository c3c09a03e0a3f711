"""From a job's config to the row that is stored, and back: the one place for everybody who saves jobs.

No HTTP here, so that a command line can share it.
"""

import hashlib
import json
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError

from shared.api.faults import Fault, FaultsFound, read_as
from shared.errors import ConfigInvalid, MailConnectorError
from shared.jobs import Job, load_job, new_state
from shared.model import JobRecord, JobState
from shared.ports import JobStore, Secrets
from shared.schedule.cover import cover, second_for
from shared.schedule.due import first_due

#: What the API adds to a job when it shows it. Sent back, it is ignored, so that GET, edit, PUT works.
READ_ONLY = ("state", "warnings")


def check_job(
    document: Any, *, job_id: str | None = None, today: date | None = None, before: JobRecord | None = None
) -> Job:
    """The job that ``document`` (parsed JSON) describes. Raises `FaultsFound` with everything that is wrong.

    With ``job_id``, the document may leave out its id, and may not name another one. With ``today``, what has come to
    its end by that day is a fault in a new job; a job that was stored with it, ``before``, can still be changed.
    """
    if before is not None and today is not None and _has_outlived(before, today):
        today = None
    faults = []
    if isinstance(document, dict):
        document = {name: value for name, value in document.items() if name not in READ_ONLY}
        if job_id is not None:
            if document.get("id", job_id) != job_id:
                faults.append(Fault("/id", f"The address names the job {job_id!r}. Leave the id out, or send that."))
            document["id"] = job_id
    try:
        job = read_as(Job, document, context={"today": today} if today else None)
    except FaultsFound as found:
        raise FaultsFound([*faults, *found.faults]) from None
    if faults:
        raise FaultsFound(faults)
    return job


def _has_outlived(record: JobRecord, today: date) -> bool:
    """Whether the stored config is a good one that could not be stored any more."""
    try:
        Job.model_validate_json(record.config, context={"today": today})
    except ValidationError:
        return read_stored(record) is not None
    return False


def merge(stored: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7396 section 2)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(stored) if isinstance(stored, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def stored_form(job: Job) -> str:
    """The config as canonical JSON text: the same for every spelling of the same config."""
    return json.dumps(
        job.model_dump(mode="json", by_alias=True), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )


def read_stored(record: JobRecord) -> Job | None:
    """The job of a row, or None when the config does not fit this version of the product."""
    try:
        return load_job(record)
    except ValidationError:
        return None


def stored_document(record: JobRecord) -> Any:
    """The stored config as parsed JSON; an empty object where a hand in the table has left none."""
    try:
        return json.loads(record.config)
    except ValueError:
        return {}


def stored_faults(record: JobRecord) -> list[Fault]:
    """Why `read_stored` gave None."""
    try:
        check_job(stored_document(record), job_id=record.job_id)
    except FaultsFound as found:
        return list(found.faults)
    return []


def record_of(job: Job, state: JobState) -> JobRecord:
    """The row for ``job``."""
    config = stored_form(job)
    return JobRecord(
        job_id=job.id,
        name=job.name,
        config=config,
        revision=hashlib.sha256(config.encode()).hexdigest()[:32],
        ncrontab=timer_of(job),
        enabled=job.enabled,
        mailbox=job.server.identity(),
        state=state,
    )


def timer_of(job: Job) -> str:
    """The six-field UTC expression of the job's timer; empty when it can never be due."""
    covering = cover(job.schedule, second=second_for(job.id))
    return covering.expression if covering else ""


def save(jobs: JobStore, job: Job, *, before: JobRecord | None, now: datetime) -> JobRecord:
    """Store ``job``, new or in the place of ``before``; a config that says the same is left as it is.

    The job becomes due anew only when its schedule or ``enabled`` changes, and then at the first occurrence after
    ``now``: saving a config never starts a run for the past. But a job that is failing is tried again at once: what was
    saved may be the cure. Raises `Stale` or `MailboxTaken` as `JobStore` does.
    """
    due = first_due(job.schedule, enabled=job.enabled, now=now)
    if before is None:
        return jobs.create(record_of(job, replace(new_state(now), next_due=due)))
    if unchanged(job, before):
        return before
    was = read_stored(before)
    rescheduled = was is None or (was.schedule, was.enabled) != (job.schedule, job.enabled)
    cured = before.state.failures > 0 and job.enabled
    state = replace(before.state, next_due=now if cured else due) if rescheduled or cured else before.state
    return jobs.replace(record_of(job, state), revision=before.revision, rescheduled=rescheduled or cured)


def unchanged(job: Job, before: JobRecord) -> bool:
    """Whether ``before`` says the same as ``job``, also where it was stored before a newer field had its default."""
    was = read_stored(before)
    return was is not None and stored_form(was) == stored_form(job)


def warnings_of(job: Job, secrets: Secrets | None = None) -> list[str]:
    """Sentences about what is allowed but surely not meant; with ``secrets``, also about names that lead nowhere."""
    found = job.warnings()
    if secrets is None:
        return found
    for name in sorted(job.secret_names()):
        try:
            secrets.get(name)
        except ConfigInvalid as fault:
            found.append(
                f"The secret {name!r} cannot be found yet; runs fail until it is there. {fault.remedy}".strip()
            )
        except MailConnectorError:
            found.append(f"Whether the secret {name!r} is there could not be checked just now.")
    return found
