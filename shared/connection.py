"""The connection test of a job: from DNS to its candidates, stage by stage, each with what it found or why it failed.

::

    dns, tcp, tls          the way to the server, without a secret
    sign_in, mailbox, folder    the connector opens the mailbox as a run does, and tells what begins
    rights                 what stands against marking, deleting and purging as the job is to
    candidates             the listing of a run

It changes nothing in the mailbox and takes no lease, so it may be made while a run is under way. The first failure ends
it; the stages after that are skipped.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from shared.begin import open_mailbox
from shared.connectors import Approach, Found
from shared.errors import JobError, MailConnectorError, Unavailable
from shared.jobs import Job, new_state
from shared.model import Clock, JobRecord
from shared.ports import Deadline, Endpoint, Mailbox, NoEndpoint, Opening, OpenRequest, Secrets, ServerSettings

_log = logging.getLogger(__name__)


class StageName(StrEnum):
    """The stages, in their order."""

    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    SIGN_IN = "sign_in"
    MAILBOX = "mailbox"
    FOLDER = "folder"
    RIGHTS = "rights"
    CANDIDATES = "candidates"


_ORDER = tuple(StageName)
_NETWORK = (StageName.DNS, StageName.TCP, StageName.TLS)
#: What is said of a stage that had nothing to add.
_WENT_WELL = {
    StageName.SIGN_IN: "The sign-in was accepted.",
    StageName.MAILBOX: "The mailbox can be opened.",
    StageName.FOLDER: "The folder is there.",
}


class StageOutcome(StrEnum):
    """What became of a stage."""

    OK = "ok"
    FAILED = "failed"
    #: A stage before it failed.
    SKIPPED = "skipped"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: what it found, and where it failed why and what to do, all as sentences."""

    name: StageName
    outcome: StageOutcome = StageOutcome.SKIPPED
    milliseconds: int = 0
    detail: str = ""
    warnings: tuple[str, ...] = ()
    cause: str = ""
    remedy: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing is wrong, as far as this stage can tell."""
        return self.outcome in {StageOutcome.OK, StageOutcome.NOT_APPLICABLE}


def endpoint_of(settings: ServerSettings) -> Endpoint | NoEndpoint:
    """Where the server of a job is."""
    return settings.endpoint_to_reach()


@dataclass(frozen=True, slots=True)
class Way:
    """How a test gets to a mailbox, and for how long it may try."""

    endpoint_of: Callable[[ServerSettings], Endpoint | NoEndpoint] = endpoint_of
    open_mailbox: Callable[[OpenRequest], Mailbox] = open_mailbox
    #: For all stages together.
    limit: timedelta = timedelta(seconds=30)
    #: Beyond the limit, for a connector to say by itself what it was waiting for.
    grace: timedelta = timedelta(seconds=2)


def check_connection(
    job: Job, way: Way, *, secrets: Secrets, clock: Clock, record: JobRecord | None = None
) -> tuple[Stage, ...]:
    """Every stage, in order, within the limit and a little. ``record``: the job's row, where it has one.

    Raises nothing. What still waits when the time is up waits on in a thread of its own, which ends with that wait.
    """
    stages = _Stages()
    request = OpenRequest(
        job.id, job.server, secrets, Deadline(clock() + way.limit, clock), lambda step: stages.begin(_STAGE_OF[step])
    )
    walk = _Walk(job, way, request, record, stages)
    worker = threading.Thread(target=walk.go, name=f"connection test of {job.id}", daemon=True)
    worker.start()
    worker.join((way.limit + way.grace).total_seconds())
    return stages.close(
        late=f"This was not over when the time of the test ({way.limit.total_seconds():.0f} seconds) was up.",
        remedy="Something on the way, or the server, answers too slowly: see whether it does so for other programs.",
    )


class _Walk:
    """One test, in its own thread."""

    def __init__(self, job: Job, way: Way, request: OpenRequest, record: JobRecord | None, stages: "_Stages") -> None:
        self._job = job
        self._way = way
        self._request = request
        self._clock = request.deadline.clock
        # What is known of another mailbox, which the job had before, says nothing of this one.
        self._record = record if record and record.mailbox == job.server.identity() else None
        self._stages = stages
        self._reached = False

    def go(self) -> None:
        """All stages. Raises nothing."""
        try:
            self._reach()
            self._reached = True
            self._stages.begin(StageName.SIGN_IN)
            # The connector opens it as for a run, and tells what begins.
            with self._way.open_mailbox(self._request) as mailbox:
                self._stages.leave_out_until(StageName.RIGHTS, "This protocol has no such step.")
                self._judge_rights(mailbox)
                self._list(mailbox)
        except JobError as fault:
            self._stages.fail(fault.what, self._remedy(fault))
        except MailConnectorError as fault:
            self._stages.fail(fault.what, fault.remedy)
        except Exception:  # noqa: BLE001 (logged whole; whoever asked must hear that it is not their fault)
            _log.exception("The connection test of job %s met a defect.", self._job.id)
            self._stages.fail("The test stopped at a defect of ours.", "The log has the details; please report it.")

    def _reach(self) -> None:
        """DNS, TCP and TLS, without a secret."""
        endpoint = self._way.endpoint_of(self._job.server)
        if isinstance(endpoint, NoEndpoint):
            for name in _NETWORK:
                self._stages.leave_out(name, endpoint.why)
            return
        approach = Approach(endpoint, self._request.deadline)
        try:
            for name, step in zip(_NETWORK, (approach.resolve, approach.connect, approach.secure), strict=True):
                self._take(name, step, approach)
        finally:
            approach.close()

    def _take(self, name: StageName, step: Callable[[], Found], approach: Approach) -> None:
        self._stages.begin(name)
        try:
            found = step()
        except JobError:
            self._stages.note(approach.certificate)
            raise
        self._stages.note(found.detail, found.warning, applies=found.applies)

    def _judge_rights(self, mailbox: Mailbox) -> None:
        """What stands against what the job does with messages: handled, rejected and parked ones, and canaries."""
        self._stages.begin(StageName.RIGHTS)
        job = self._job
        canary = (job.canary_disposition,) if job.canary else ()
        dispositions = (job.success_disposition, job.reject_disposition, job.error_disposition, *canary)
        wanted = [one for one in dict.fromkeys(dispositions) if one.marks]
        if not wanted:
            self._stages.note("The job leaves messages as they are, so it needs no right to change them.")
            return
        found = list(dict.fromkeys(one for disposition in wanted for one in mailbox.hindrances(disposition)))
        if fatal := [one for one in found if one.always]:
            remedies = dict.fromkeys(one.remedy for one in fatal)
            raise _Hindered(" ".join(one.what for one in fatal), remedy=" ".join(filter(None, remedies)))
        doing = " and ".join(map(str, wanted))
        sentence = f"Nothing is known to stand against what the job does with messages ({doing})."
        self._stages.note(sentence, *(f"{one.what} {one.remedy}".strip() for one in found))

    def _list(self, mailbox: Mailbox) -> None:
        """The candidates, before the ledger is asked which of them are known."""
        self._stages.begin(StageName.CANDIDATES)
        state = self._record.state if self._record else new_state(self._clock())
        listing = mailbox.candidates(self._job.picking(state))
        found, total = len(listing.refs), listing.in_box
        candidates = "1 candidate" if found == 1 else f"{found} candidates"
        self._stages.note(f"{candidates} of {total} {'message' if total == 1 else 'messages'}.")

    def _remedy(self, fault: JobError) -> str:
        """A mailbox that takes one session at a time (POP3) is closed to a test while a run is in it."""
        state = self._record.state if self._record else None
        running = state and state.lease_run and state.lease_expires and state.lease_expires > self._clock()
        if not state or not running or not self._reached or not isinstance(fault, Unavailable):
            return fault.remedy
        since = f" since {state.lease_started:%H:%M} UTC" if state.lease_started else ""
        return f"A run of this job has been in the mailbox{since}: test again when it has ended. {fault.remedy}".strip()


class _Hindered(JobError):
    """The job may not do with messages what it is to."""


_STAGE_OF = {
    Opening.SIGN_IN: StageName.SIGN_IN,
    Opening.MAILBOX: StageName.MAILBOX,
    Opening.FOLDER: StageName.FOLDER,
}


class _Stages:
    """What became of each stage so far. Written by the thread of the test, until another one closes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found = {name: Stage(name) for name in _ORDER}
        self._now: StageName | None = None
        self._began = 0.0
        self._closed = False

    def begin(self, name: StageName) -> None:
        """``name`` begins, and what was under way went well. A stage that was left behind does not begin again."""
        with self._lock:
            if self._now and _ORDER.index(name) <= _ORDER.index(self._now):
                return
            self._end(StageOutcome.OK)
            self._now, self._began = name, time.monotonic()

    def note(self, detail: str, *warnings: str, applies: bool = True) -> None:
        """What the present stage found, with which it may turn out to have nothing to do."""
        with self._lock:
            if self._now and not self._closed:
                stage = self._found[self._now]
                outcome = stage.outcome if applies else StageOutcome.NOT_APPLICABLE
                said = tuple(filter(None, warnings))
                self._found[self._now] = replace(stage, outcome=outcome, detail=detail, warnings=said)

    def leave_out(self, name: StageName, why: str) -> None:
        """``name`` has no meaning for this mailbox."""
        with self._lock:
            if not self._closed:
                self._found[name] = Stage(name, StageOutcome.NOT_APPLICABLE, detail=why)

    def leave_out_until(self, last: StageName, why: str) -> None:
        """So have all those between the present stage and ``last``."""
        now = _ORDER.index(self._now) if self._now else -1
        for name in _ORDER[now + 1 : _ORDER.index(last)]:
            self.leave_out(name, why)

    def fail(self, cause: str, remedy: str) -> None:
        """The present stage failed, and with it the test."""
        with self._lock:
            self._now = self._now or _ORDER[0]
            self._end(StageOutcome.FAILED, cause, remedy)
            self._closed = True

    def close(self, *, late: str, remedy: str) -> tuple[Stage, ...]:
        """Every stage; one that is still under way without having found anything was too ``late``."""
        with self._lock:
            last = self._found[_ORDER[-1]]
            if self._now is _ORDER[-1] and last.detail:
                self._end(StageOutcome.OK)
            else:
                self._end(StageOutcome.FAILED, late, remedy)
            self._closed = True
            return tuple(self._found.values())

    def _end(self, outcome: StageOutcome, cause: str = "", remedy: str = "") -> None:
        if self._now is None or self._closed:
            return
        stage = self._found[self._now]
        if stage.outcome is StageOutcome.NOT_APPLICABLE and outcome is StageOutcome.OK:
            outcome = stage.outcome
        detail = stage.detail or ("" if cause else _WENT_WELL.get(self._now, ""))
        spent = round((time.monotonic() - self._began) * 1_000)
        self._found[self._now] = replace(
            stage, outcome=outcome, milliseconds=spent, detail=detail, cause=cause, remedy=remedy
        )
