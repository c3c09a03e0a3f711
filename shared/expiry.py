"""Secrets and certificates that end soon: found every few hours by one of all instances, said, and kept for the API.

::

    30 days before the end    secret_expiring, once
     7 days before            secret_expiring, once a day
    after it                  secret_expired, once a day

What is known of an end is the expiry that the vault keeps with a secret, and what a certificate says of itself.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from shared.errors import ConfigInvalid, MailConnectorError
from shared.events import Event, tell
from shared.jobs import Job, load_job
from shared.model import Clock, Ending, JobRecord
from shared.ports import JobStore, Secrets, SecretStore
from shared.signin.certificates import certificate_end
from shared.signin.entra import Certificate
from shared.storage.endings import TableEndings

_log = logging.getLogger(__name__)

#: So long before its end something is worth a word, and so long before a word each day.
EARLY, SOON = timedelta(days=30), timedelta(days=7)
#: How often one instance looks.
EVERY = timedelta(hours=6)

_PAGE = 1_000
_NAMED = 5


def sentence(ending: Ending, now: datetime) -> str:
    """What ends, when, for which jobs, and what to do."""
    what = f"{'certificate' if ending.certificate else 'secret'} {ending.name!r}"
    day = f"{ending.ends:%Y-%m-%d %H:%M} UTC"
    more = f" and {len(ending.jobs) - _NAMED} more" if len(ending.jobs) > _NAMED else ""
    jobs = ", ".join(ending.jobs[:_NAMED]) + more
    if ending.ends <= now:
        return f"The {what} has ended at {day}; named by {jobs}. Store a new one under the same name."
    days = (ending.ends - now) // timedelta(days=1)
    left = "within a day" if days == 0 else "in 1 day" if days == 1 else f"in {days} days"
    return f"The {what} ends at {day}, {left}; named by {jobs}. Store a new one under the same name before."


class ExpiryCheck:
    """Looks every few hours, by one of all instances; otherwise costs nothing. For one thread at a time."""

    def __init__(
        self, jobs: JobStore, secrets: Secrets, vault: SecretStore | None, kept: TableEndings, clock: Clock
    ) -> None:
        self._jobs = jobs
        self._secrets = secrets
        self._vault = vault
        self._kept = kept
        self._clock = clock
        self._next: datetime | None = None

    def step(self) -> None:
        """Look, if it is time. Never raises for what others do wrong."""
        now = self._clock()
        if self._next and now < self._next:
            return
        self._next = now + EVERY
        try:
            turn = self._kept.take_turn(now)
            if isinstance(turn, datetime):
                self._next = turn
                return
            self._kept.keep(turn, self._told(self._kept.read(), now), self._next)
        except MailConnectorError as fault:
            tell(_log, Event.SECRETS_UNCHECKED, f"when secrets end could not be looked up: {fault}")

    def _told(self, before: Sequence[Ending], now: datetime) -> list[Ending]:
        """What ends soon, with the day on which that was said last."""
        last = {ending.name: ending for ending in before}
        found = []
        for ending in endings(_records(self._jobs), self._secrets, self._vault, now):
            known = last.get(ending.name)
            said = known.said if known and known.ends == ending.ends else ""
            if _is_due(ending, said, now):
                event = Event.SECRET_EXPIRED if ending.ends <= now else Event.SECRET_EXPIRING
                tell(_log, event, sentence(ending, now), job=ending.jobs[0] if len(ending.jobs) == 1 else "")
                said = f"{now:%Y-%m-%d}"
            found.append(replace(ending, said=said))
        return found


def endings(records: Iterable[JobRecord], secrets: Secrets, vault: SecretStore | None, now: datetime) -> list[Ending]:
    """What ends within `EARLY` or has ended, of what enabled jobs name; the first to end first.

    Raises `Unavailable` or `ConfigInvalid` where the vault does not tell.
    """
    users: dict[str, list[str]] = defaultdict(list)
    certificates: dict[str, datetime] = {}
    known = {secret.name.lower(): secret.expires for secret in vault.known()} if vault else {}
    for record in records:
        for name in _names(record, secrets, certificates):
            users[name].append(record.job_id)
    found = []
    for name, jobs in users.items():
        ends = min(filter(None, (known.get(name.lower()), certificates.get(name))), default=None)
        if ends and ends - now <= EARLY:
            found.append(Ending(name, ends, tuple(sorted(jobs)), certificate=ends == certificates.get(name)))
    return sorted(found, key=lambda ending: (ending.ends, ending.name))


def _names(record: JobRecord, secrets: Secrets, certificates: dict[str, datetime]) -> Iterator[str]:
    """What a job names; the ends of its certificates go into ``certificates``, each looked at once."""
    if not record.enabled:
        return
    try:
        job = load_job(record)
    except ValidationError:
        return
    yield from job.secret_names()
    sign_in = _certificate(job)
    if sign_in is None:
        return
    name = sign_in.certificate_secret or str(sign_in.certificate_file)
    if sign_in.certificate_file:
        yield name
    if name not in certificates:
        try:
            certificates[name] = certificate_end(sign_in, secrets)
        except ConfigInvalid:
            # Missing, or none at all: the job's own run says so.
            certificates[name] = datetime.max.replace(tzinfo=UTC)


def _certificate(job: Job) -> Certificate | None:
    sign_in = getattr(job.server, "sign_in", None)
    return sign_in if isinstance(sign_in, Certificate) else None


def _is_due(ending: Ending, said: str, now: datetime) -> bool:
    """Whether it is to be said now: once when it is early, each day from a week before on."""
    left = ending.ends - now
    if not said:
        return True
    return left <= SOON and said != f"{now:%Y-%m-%d}"


def _records(jobs: JobStore) -> Iterator[JobRecord]:
    records, cursor = jobs.page(limit=_PAGE)
    while True:
        yield from records
        if cursor is None:
            return
        records, cursor = jobs.page(limit=_PAGE, cursor=cursor)


def by_job(kept: Iterable[Ending]) -> Mapping[str, list[Ending]]:
    """The endings by the ids of the jobs that they concern."""
    found: dict[str, list[Ending]] = defaultdict(list)
    for ending in kept:
        for job_id in ending.jobs:
            found[job_id].append(ending)
    return found
