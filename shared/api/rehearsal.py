"""The dry run of a job's mailbox, and the replay of one message: what would happen, and nothing does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.requests import Request

from shared.api.body import OptionalJsonBody
from shared.api.connection import stored_job
from shared.api.context import JobId, NewJobId, Services, existing, known
from shared.api.faults import Fault, FaultsFound, read_as
from shared.api.jobs import EXAMPLE
from shared.api.openapi import answers, fails, takes
from shared.api.problems import (
    BODY_MALFORMED,
    BODY_TOO_LARGE,
    CONFIG_INVALID,
    CONTENT_TYPE,
    NOT_FOUND,
    NOT_REACHED,
    PARAMETER_INVALID,
    Problem,
    not_found,
)
from shared.api.records import check_job
from shared.api.services import ApiServices
from shared.api.views import View
from shared.api.why import VerdictView, WhyView, why_view
from shared.errors import JobError
from shared.jobs import Job
from shared.ports import Deadline, Settings
from shared.rehearsal import Rehearsed, difference, dry_run, replay
from shared.why import Outcome, Why

router = APIRouter(prefix="/jobs/{job_id}", tags=["jobs"])

#: Octets of a message that is sent for a replay.
MAX_MESSAGE = 30 * 1024 * 1024

#: The platform gives up on an HTTP request after 230 seconds.
_TIME = timedelta(seconds=60)


class RehearsedView(View):
    """What would become of one message."""

    sentence: str = Field(description="What would become of it, and why.")
    outcome: Outcome
    ticket: str | None = Field(description="The ticket that it would be added to; new-1 and so on do not exist yet.")
    reason: str = Field(description="Why it would be rejected.")
    links: list[str] = Field(description="Tickets to which the new one would link.")
    message_id: str
    sender: str
    subject: str
    size: int
    received: datetime | None
    asked: list[VerdictView]
    evidence: list[str]
    fields: dict[str, Any]
    notes: list[str]
    attachments: list[str] = Field(description="The names of those that would be taken.")
    defects: list[str]
    before: WhyView | None = Field(description="What was done with it, where that is on record.")
    difference: list[str] = Field(description="What would be otherwise than it was; empty where nothing would.")


class DryRunView(View):
    """What a run would do now."""

    candidates: int
    in_box: int
    messages: list[RehearsedView] = Field(description="In the order in which a run would take them up.")
    comments: list[str] = Field(description="What could not be looked at, and why.")


class ReplayRequest(Settings):
    """A message that is kept here: one of the two."""

    parked: str | None = Field(default=None, min_length=1, max_length=500, description="The id of a parked message.")
    purged: str | None = Field(default=None, min_length=1, max_length=500, description="The id of a purged message.")


@router.post(
    "/dry-run",
    responses=answers(200, DryRunView, "What a run would do.")
    | fails(NOT_FOUND, CONFIG_INVALID, BODY_MALFORMED, BODY_TOO_LARGE, CONTENT_TYPE, PARAMETER_INVALID, NOT_REACHED),
    openapi_extra=takes(Job, {name: value for name, value in EXAMPLE.items() if name != "id"}, required=False),
)
def dry_run_job(
    services: Services,
    job_id: NewJobId,
    body: OptionalJsonBody,
    limit: Annotated[int, Query(ge=1, le=100, description="How many messages are looked at.")] = 20,
) -> JSONResponse:
    """Say what a run would do with the messages in the mailbox now, and do nothing of it.

    Without a body the stored job is taken; with a config as the body that one, and nothing of it is stored.
    """
    record = known(services, job_id)
    if body is None:
        if record is None:
            raise not_found(f"There is no job {job_id!r}. To try a config that is not stored, send it as the body.")
        job = stored_job(record)
    else:
        job = check_job(body, job_id=job_id, today=services.clock().date(), before=record)
    try:
        found = dry_run(job, record, services.stage, _deadline(services), limit=limit)
    except JobError as fault:
        raise _not_now(fault) from fault
    view = DryRunView(
        candidates=found.candidates,
        in_box=found.in_box,
        messages=[_view(one, _before(services, one, job_id)) for one in found.messages],
        comments=list(found.comments),
    )
    return JSONResponse(view.body())


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message as it was sent, or where it is kept."""

    raw: bytes | None
    kept: ReplayRequest | None


async def _sent(request: Request) -> _Sent:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {"message/rfc822", "application/json"}:
        raise Problem(
            CONTENT_TYPE,
            "Send a message as message/rfc822, or the id of a parked or purged one as application/json.",
            headers={"Accept": "message/rfc822, application/json"},
        )
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_MESSAGE:
            detail = f"The message is over {MAX_MESSAGE // 1024 // 1024} MB."
            raise Problem(BODY_TOO_LARGE, detail, headers={"Connection": "close"})
    if kind == "message/rfc822":
        return _Sent(bytes(data), None)
    try:
        document = json.loads(data)
    except ValueError as fault:
        raise Problem(BODY_MALFORMED, "The body is no JSON.") from fault
    return _Sent(None, read_as(ReplayRequest, document))


@router.post(
    "/replay",
    responses=answers(200, RehearsedView, "What would become of it.")
    | fails(NOT_FOUND, CONFIG_INVALID, BODY_MALFORMED, BODY_TOO_LARGE, CONTENT_TYPE, NOT_REACHED),
    openapi_extra=takes(ReplayRequest, {"parked": "20261123T120000-0a1b2c3d4e5f"}),
)
def replay_message(services: Services, job_id: JobId, sent: Annotated[_Sent, Depends(_sent)]) -> JSONResponse:
    """Take one message through the job's rules as they are today, and say what would differ from what was done.

    The message is sent as it is (message/rfc822), or is a parked or purged one, named by its id.
    """
    job = stored_job(existing(services, job_id))
    raw, received = (sent.raw, None) if sent.kept is None else _kept(services, job_id, sent.kept)
    if raw is None:
        raise not_found(f"Job {job_id!r} has no such message, or no copy of it.")
    try:
        found = replay(job, raw, received or services.clock(), services.stage, _deadline(services))
    except JobError as fault:
        raise _not_now(fault) from fault
    return JSONResponse(_view(found, _before(services, found, job_id)).body())


def _kept(services: ApiServices, job_id: str, asked: ReplayRequest) -> tuple[bytes | None, datetime | None]:
    chunks: Iterator[bytes] | None
    if asked.parked and not asked.purged:
        parked = services.parked.get(job_id, asked.parked)
        chunks = services.parked.raw(job_id, asked.parked)
        at = parked.parked_at if parked else None
    elif asked.purged and not asked.parked:
        purged = services.purged.get(job_id, asked.purged)
        chunks = services.purged.raw(job_id, asked.purged)
        at = purged.purged_at if purged else None
    else:
        raise FaultsFound([Fault("", "Name one message: parked or purged.")])
    return (b"".join(chunks) if chunks is not None else None), at


def _deadline(services: ApiServices) -> Deadline:
    return Deadline(services.clock() + _TIME, services.clock)


def _not_now(fault: JobError) -> Problem:
    return Problem(NOT_REACHED, str(fault))


def _before(services: ApiServices, one: Rehearsed, job_id: str) -> Why | None:
    """What is on record of the message; one without a Message-ID cannot be found again."""
    if not one.message.message_id:
        return None
    found = services.whys.find(message_id=one.message.message_id, job_id=job_id, limit=1)
    return found[0] if found else None


def _view(one: Rehearsed, before: Why | None) -> RehearsedView:
    decision, message = one.judgement.decision, one.message
    return RehearsedView(
        sentence=one.sentence,
        outcome=one.outcome,
        ticket=one.ticket_id or None,
        reason=getattr(decision, "reason", ""),
        links=list(getattr(decision, "links", ())),
        message_id=message.message_id or "",
        sender=message.sender.email if message.sender else "",
        subject=message.subject,
        size=message.size,
        received=one.received,
        asked=[
            VerdictView(kind=each.kind, name=each.name, matched=each.matched, evidence=each.evidence)
            for each in one.judgement.verdicts
        ],
        evidence=list(decision.evidence),
        fields=dict(getattr(decision, "fields", {})),
        notes=list(getattr(decision, "notes", ())),
        attachments=[each.name for each in one.judgement.message.attachments] if one.ticket_id else [],
        defects=list(message.defects),
        before=why_view(before) if before else None,
        difference=difference(one, before) if before else [],
    )
