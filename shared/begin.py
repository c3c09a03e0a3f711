"""Whether a job runs now: is it due, who claims it, and what it is given to run with."""

import logging
import secrets as chance
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from shared.circuit import Circuit
from shared.connectors import BySmtp, connector_for, post_by_smtp
from shared.errors import ConfigInvalid, LeaseHeld, Stale
from shared.jobs import load_job
from shared.metrics import run_began
from shared.mime import parse
from shared.model import Clock, JobRecord, Message, RunOutcome, RunReport, Trigger
from shared.ports import (
    Claim,
    JobStore,
    Mailbox,
    OpenRequest,
    Outbox,
    PostRequest,
    Receipts,
    RunLease,
    RunQueue,
    Secrets,
    Target,
    TargetRequest,
    Threads,
    TicketStore,
)
from shared.schedule.due import Taken, take
from shared.targets import target_for

_log = logging.getLogger(__name__)

#: How far the clocks of two instances may be apart. A claim that lies further ahead is of a clock that was wrong.
_SKEW = timedelta(hours=1)

#: These run whether or not an occurrence is due.
_FORCED = frozenset({Trigger.MANUAL, Trigger.CONTINUATION})


def open_mailbox(request: OpenRequest) -> Mailbox:
    """Open a mailbox by the connector of its settings."""
    return connector_for(request.settings).open(request)


def open_target(request: TargetRequest) -> Target:
    """Open a target by the kind of its settings."""
    return target_for(request.settings).open(request)


def post(request: PostRequest) -> None:
    """Send a message of our own in the way that its job wants. Raises a `JobError` where that cannot be done now."""
    opening = request.opening
    if isinstance(request.send, BySmtp):
        post_by_smtp(request.send, request.letter, secrets=opening.secrets, deadline=opening.deadline)
        return
    by_the_server = connector_for(opening.settings).post
    if by_the_server is None:
        raise ConfigInvalid("A server of this kind sends no mail.", remedy="Save the job again.")
    by_the_server(opening, request.letter)


@dataclass(frozen=True, slots=True)
class Services:
    """What runs need from outside."""

    jobs: JobStore
    threads: Threads
    tickets: TicketStore
    receipts: Receipts
    outbox: Outbox
    queue: RunQueue
    secrets: Secrets
    clock: Clock
    #: How long a run may take: well below the platform's time-out, at which the worker is killed.
    budget: timedelta
    open_mailbox: Callable[[OpenRequest], Mailbox] = open_mailbox
    open_target: Callable[[TargetRequest], Target] = open_target
    post: Callable[[PostRequest], None] = post
    #: Reads a message; called in a process of its own for one over which a worker stopped.
    parse: Callable[..., Message] = parse
    #: Which servers are silent; one for all runs of the process.
    circuit: Circuit = field(default_factory=Circuit)


def new_run_id(now: datetime) -> str:
    """An id that sorts by time."""
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{chance.token_hex(3)}"


def _begun(run_id: str) -> datetime | None:
    """When the id was made, to the end of its millisecond; None for an id that does not say."""
    try:
        made = datetime.strptime(run_id.partition("Z-")[0], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None
    return made + timedelta(milliseconds=1)


def begin(job_id: str, trigger: Trigger, services: Services, *, run_id: str = "") -> RunLease | None:
    """Claim what is due and lease the mailbox, in one conditional write.

    None: the job is gone, nothing is due, or another run holds the mailbox. A request whose run is on record already
    (the queue delivers at least once, also after its worker died) goes on under an id of its own.
    """
    for _ in range(3):
        record = services.jobs.read(job_id)
        now = services.clock()
        if record is None:
            _log.warning("Job %s does not exist (any more): nothing to run.", job_id)
            return None
        if trigger not in _FORCED and not _is_due(record, now, run_id):
            return None
        again = trigger is Trigger.MANUAL and _on_record(services.jobs, job_id, run_id)
        claim = _claim(record, now, trigger, "" if again else run_id)
        try:
            lease = services.jobs.begin(record, claim)
        except LeaseHeld as held:
            _log.info("Job %s: %s This run ends at once.", job_id, held)
            if trigger is Trigger.MANUAL and record.state.lease_run != run_id:
                services.jobs.note(_skipped(record, run_id, now, str(held)))
            return None
        except Stale:
            # Somebody claimed or changed the job between our two requests: look again.
            continue
        run_began(job_id, trigger, record.state.next_due, now)
        return lease
    return None


def _is_due(record: JobRecord, now: datetime, run_id: str) -> bool:
    """Whether its time has come, or its last run died and left something.

    What became due only after a request was queued has a request of its own, further back: a job that is always due,
    since its mailbox is never empty, would come before the others otherwise.
    """
    state = record.state
    died = bool(state.lease_run) and state.lease_expires is not None and state.lease_expires <= now
    asked = min(now, _begun(run_id) or now)
    return record.enabled and (died or (state.next_due is not None and state.next_due <= asked))


def _on_record(jobs: JobStore, job_id: str, run_id: str) -> bool:
    known = jobs.run(job_id, run_id) if run_id else None
    return known is not None and known.outcome is not RunOutcome.QUEUED


def _claim(record: JobRecord, now: datetime, trigger: Trigger, run_id: str) -> Claim:
    taken = _take(record, now)
    return Claim(
        run_id=run_id or new_run_id(now),
        trigger=trigger,
        last_occurrence=taken.last_occurrence,
        next_due=taken.next_due,
    )


def _take(record: JobRecord, now: datetime) -> Taken:
    """The newest occurrence that a claim stands for, and when the job is due after it."""
    taken = record.state.last_occurrence
    if taken and now < taken <= now + _SKEW:
        # Claimed by an instance whose clock is ahead of ours: it is not due again.
        now = taken
    try:
        schedule = load_job(record).schedule
    except ValidationError:
        # The run itself reports this; here it only must not come back every minute.
        return Taken(last_occurrence=None, next_due=now + timedelta(hours=1))
    return take(schedule, enabled=record.enabled, now=now)


def _skipped(record: JobRecord, run_id: str, now: datetime, why: str) -> RunReport:
    return RunReport(
        run_id=run_id,
        job_id=record.job_id,
        job_name=record.name,
        trigger=Trigger.MANUAL,
        outcome=RunOutcome.SKIPPED,
        started=now,
        ended=now,
        comments=(f"{why} That run sees the same messages.",),
    )
