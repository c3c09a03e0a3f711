"""Why a message became what it is: one question, and the answer begins with the sentence that a person wants."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from shared.api.context import Services
from shared.api.openapi import answers, fails
from shared.api.problems import PARAMETER_INVALID, Problem
from shared.api.views import View
from shared.model import FieldValue
from shared.why import WHY_DAYS, Outcome, Why

router = APIRouter(prefix="/messages", tags=["messages"])

_LIMIT = 50


class VerdictView(View):
    """What one guard, rule or field said of the message."""

    kind: str = Field(examples=["guard", "rule", "field"])
    name: str
    matched: bool
    evidence: str


class WhyView(View):
    """What is on record of one message."""

    sentence: str = Field(description="What became of it, and why.")
    outcome: Outcome
    job_id: str
    run_id: str
    ticket: str | None
    reason: str = Field(description="Why it was rejected, failed or parked; empty where it has a ticket.")
    attempts: int
    retry_at: datetime | None
    original: str = Field(description="What was to happen to the original: read, deleted, purge, ... or kept.")
    message_id: str
    sender: str
    recipients: list[str] = Field(description="The first five of To and Cc.")
    subject: str
    size: int = Field(description="Octets; 0 where they are not known.")
    attachments: int
    received: datetime | None = Field(description="When the server received it.")
    taken_up: datetime | None = Field(description="When the run began with it.")
    decided: datetime
    asked: list[VerdictView] = Field(description="Every guard, rule and field that was asked, in its order.")
    evidence: list[str] = Field(description="How its ticket was found or not.")
    fields: dict[str, FieldValue]
    notes: list[str]
    defects: list[str]
    cut: bool = Field(description="The record would have become too long; the lists have not everything.")


class WhyAnswer(View):
    """The answer to the question."""

    answer: str = Field(description="One sentence for people.")
    items: list[WhyView] = Field(description="A record for each message, the newest first.")


@router.get("/why", responses=answers(200, WhyAnswer, "What is known.") | fails(PARAMETER_INVALID))
def why(
    services: Services,
    *,
    message_id: Annotated[str | None, Query(min_length=1, max_length=1000, description="The Message-ID.")] = None,
    ticket: Annotated[str | None, Query(min_length=1, max_length=200, description="The id of a ticket.")] = None,
    sender: Annotated[str | None, Query(min_length=1, max_length=320, description="The address in From.")] = None,
    day: Annotated[date | None, Query(description="A day in UTC; with sender, today unless you say another.")] = None,
    job_id: Annotated[str | None, Query(max_length=63, description="Only messages of this job; quicker, too.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many records at most.")] = _LIMIT,
) -> JSONResponse:
    """Say why messages became what they are: by Message-ID, by ticket, or by sender and day."""
    by_day = bool(sender or day)
    if [bool(message_id), bool(ticket), by_day].count(True) != 1:
        detail = "Ask by one of message_id, ticket, and sender or day."
        raise Problem(PARAMETER_INVALID, detail, errors=[{"parameter": "message_id", "detail": detail}])
    if by_day:
        on = day or services.clock().date()
        found = services.whys.of_day(on, sender=sender or "", job_id=job_id, limit=limit)
        asked = f"from {sender}" if sender else "of any sender"
        nothing = f"No run that began on {on} (UTC) took up a message {asked}."
    elif message_id:
        message_id = message_id.strip()
        bracketed = message_id if message_id.startswith("<") else f"<{message_id}>"
        found = services.whys.find(message_id=bracketed, job_id=job_id, limit=limit)
        nothing = f"No job took up a message with the Message-ID {bracketed}."
    else:
        found = services.whys.find(ticket_id=ticket or "", job_id=job_id, limit=limit)
        nothing = f"No message is known that made ticket {ticket} or was added to it."
    return JSONResponse(WhyAnswer(answer=_answer(found, nothing), items=[why_view(one) for one in found]).body())


def _answer(found: Sequence[Why], nothing: str) -> str:
    if not found:
        return (
            f"{nothing} It may lie in another folder or mailbox, have been read before a job with pick: unread came to "
            f"it, or be longer ago than the {WHY_DAYS} days for which records are kept."
        )
    if len(found) == 1:
        return found[0].sentence
    counted: dict[str, int] = {}
    for one in found:
        counted[one.outcome.value] = counted.get(one.outcome.value, 0) + 1
    counts = ", ".join(f"{number} {outcome.replace('_', ' ')}" for outcome, number in counted.items())
    return f"{len(found)} messages: {counts}. The newest: {found[0].sentence}"


def why_view(one: Why) -> WhyView:
    """A record for people."""
    plain: dict[str, Any] = {
        name: getattr(one, name)
        for name in (
            "sentence", "outcome", "run_id", "reason", "attempts", "retry_at", "message_id", "sender", "subject",
            "size", "attachments", "received", "taken_up", "decided", "cut",
        )
    }  # fmt: skip
    return WhyView(
        job_id=one.key.job_id,
        ticket=one.ticket_id or None,
        original=one.disposition,
        recipients=list(one.recipients),
        asked=[
            VerdictView(kind=each.kind, name=each.name, matched=each.matched, evidence=each.evidence)
            for each in one.verdicts
        ],
        evidence=list(one.evidence),
        fields=dict(one.fields),
        notes=list(one.notes),
        defects=list(one.defects),
        **plain,
    )
