"""Jobs that come with the deployment: each is made once, as PUT would make it, and is then managed like any other.

A job that is there already is left as it is, and one that somebody deleted does not come back with the next start.
"""

import json
import logging
from typing import Any, Protocol

from shared.api.faults import FaultsFound
from shared.api.records import check_job, save
from shared.errors import MailboxTaken, Stale
from shared.events import Event, tell
from shared.model import Clock
from shared.ports import JobStore

_log = logging.getLogger(__name__)


class Seeds(Protocol):
    """Which jobs the deployment has brought already."""

    def known(self) -> set[str]:
        """Their ids. One request."""
        ...

    def remember(self, job_id: str) -> None:
        """Harmless to say twice."""
        ...


def plant(text: str, jobs: JobStore, seeds: Seeds, clock: Clock) -> None:
    """Make the jobs of ``text``, a JSON array of configs. What is wrong with one is said, and stops no other.

    Raises `Unavailable` when storage is away; asked again, it goes on.
    """
    try:
        documents = json.loads(text)
    except ValueError as fault:
        tell(_log, Event.SEED_UNUSABLE, f"MAILCONNECTOR_SEED_JOBS is no JSON: {fault}.")
        return
    if not isinstance(documents, list):
        tell(_log, Event.SEED_UNUSABLE, "MAILCONNECTOR_SEED_JOBS is no array of jobs.")
        return
    known = seeds.known()
    for document in documents:
        _plant(document, jobs, seeds, known, clock)


def _plant(document: Any, jobs: JobStore, seeds: Seeds, known: set[str], clock: Clock) -> None:
    name = str(document.get("id", "")) if isinstance(document, dict) else ""
    if name in known:
        return
    try:
        job = check_job(document, today=clock().date())
    except FaultsFound as found:
        faults = " ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in found.faults)
        tell(_log, Event.SEED_UNUSABLE, f"it cannot be made as the deployment has it. {faults}", job=name)
        return
    try:
        if jobs.read(job.id) is None:
            save(jobs, job, before=None, now=clock())
    except Stale:
        # Another instance was faster.
        pass
    except MailboxTaken as fault:
        tell(_log, Event.SEED_UNUSABLE, str(fault), job=job.id)
        return
    seeds.remember(job.id)
