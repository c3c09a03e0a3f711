"""Tickets of the ``table`` target, and their attachments."""

from datetime import UTC
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import AwareDatetime, Field
from starlette.requests import Request

from shared.api.audit import changed
from shared.api.body import JsonBody
from shared.api.context import Services
from shared.api.downloads import download
from shared.api.faults import read_as
from shared.api.openapi import answers, fails, takes
from shared.api.paging import DEFAULT_LIMIT, Cursor, Limit, page_answer, read_page
from shared.api.problems import (
    BODY_MALFORMED,
    CONFIG_INVALID,
    CONFLICT,
    CONTENT_TYPE,
    NOT_FOUND,
    PARAMETER_INVALID,
    Problem,
    not_found,
)
from shared.api.services import ApiServices
from shared.api.views import TicketPage, TicketSummaryView, TicketView, ticket_summary, ticket_view
from shared.jobs import JOB_ID_PATTERN
from shared.model import TicketStatus
from shared.ports import Settings

router = APIRouter(prefix="/tickets", tags=["tickets"])

TicketId = Annotated[str, Path(description="The id of the ticket.")]
OfJob = Annotated[str | None, Query(pattern=JOB_ID_PATTERN, description="Only tickets that this job made.")]
OfStatus = Annotated[TicketStatus | None, Query(description="Only tickets that are so now.")]
From = Annotated[str | None, Query(min_length=1, max_length=320, description="Only tickets of this address.")]
Since = Annotated[
    AwareDatetime | None,
    Query(description="Only tickets that were made or changed at that time or later; a reply is a change."),
]


class MergeRequest(Settings):
    """Where a ticket goes."""

    into: str = Field(min_length=1, max_length=200, description="The id of the ticket that takes its place.")


@router.get("", responses=answers(200, TicketPage, "A page of tickets.", headers=("Link",)) | fails(PARAMETER_INVALID))
def list_tickets(
    request: Request,
    services: Services,
    *,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    job_id: OfJob = None,
    status: OfStatus = None,
    requester: From = None,
    changed_since: Since = None,
) -> JSONResponse:
    """List tickets without their entries, newest first."""
    read = partial(
        services.tickets.page,
        limit=limit,
        cursor=cursor,
        job_id=job_id,
        status=status,
        requester=requester,
        changed_since=changed_since.astimezone(UTC) if changed_since else None,
    )
    found, following = read_page(read, cursor)
    return page_answer(request, [ticket_summary(ticket).body() for ticket in found], following)


@router.get("/{ticket_id}", responses=answers(200, TicketView, "The ticket.") | fails(NOT_FOUND))
def read_ticket(services: Services, ticket_id: TicketId) -> JSONResponse:
    """Read a ticket with all its entries, oldest first."""
    ticket = services.tickets.ticket(ticket_id)
    if ticket is None:
        raise not_found(f"There is no ticket {ticket_id!r}.")
    return JSONResponse(ticket_view(ticket).body())


@router.post("/{ticket_id}/close", responses=answers(200, TicketSummaryView, "It is closed.") | fails(NOT_FOUND))
def close_ticket(services: Services, ticket_id: TicketId) -> JSONResponse:
    """Close a ticket: a reply to it makes a new one that links to it."""
    return _set_open(services, ticket_id, is_open=False)


@router.post("/{ticket_id}/reopen", responses=answers(200, TicketSummaryView, "It is open.") | fails(NOT_FOUND))
def reopen_ticket(services: Services, ticket_id: TicketId) -> JSONResponse:
    """Open a ticket again. One that was merged has its place back."""
    return _set_open(services, ticket_id, is_open=True)


@router.post(
    "/{ticket_id}/merge",
    responses=answers(200, TicketSummaryView, "It is merged.")
    | fails(NOT_FOUND, CONFLICT, CONFIG_INVALID, BODY_MALFORMED, CONTENT_TYPE),
    openapi_extra=takes(MergeRequest, {"into": "T-7K3F-9QXM"}),
)
def merge_ticket(services: Services, ticket_id: TicketId, body: JsonBody) -> JSONResponse:
    """Let another ticket take the place of this one: replies to this one go there. Its entries stay where they are."""
    into = read_as(MergeRequest, body).into
    before = services.tickets.summaries([ticket_id, into])
    for one in (ticket_id, into):
        if one not in before:
            raise not_found(f"There is no ticket {one!r}.")
    merged = services.tickets.merge(ticket_id, into)
    if merged is None:
        raise Problem(CONFLICT, f"Ticket {into!r} is this one, or has it in its place already.")
    changed(
        {"status": before[ticket_id].status, "merged_into": before[ticket_id].merged_into},
        {"status": merged.status, "merged_into": merged.merged_into},
    )
    return JSONResponse(ticket_summary(merged).body())


def _set_open(services: ApiServices, ticket_id: str, *, is_open: bool) -> JSONResponse:
    before = services.tickets.summaries([ticket_id]).get(ticket_id)
    now = services.tickets.set_open(ticket_id, is_open=is_open)
    if before is None or now is None:
        raise not_found(f"There is no ticket {ticket_id!r}.")
    changed({"status": before.status}, {"status": now.status})
    return JSONResponse(ticket_summary(now).body())


@router.get(
    "/{ticket_id}/entries/{entry_id}/attachments/{index}",
    response_class=StreamingResponse,
    responses=answers(200, None, "The attachment's bytes.", media_type="application/octet-stream") | fails(NOT_FOUND),
)
def read_attachment(
    services: Services,
    ticket_id: TicketId,
    entry_id: Annotated[str, Path(description="The id of the entry.")],
    index: Annotated[int, Path(ge=0, lt=10_000, description="The place of the attachment in its entry, from 0.")],
) -> Response:
    """Download one attachment: always as a file to keep, whatever its type, and never as a page to show."""
    found = services.tickets.attachment(ticket_id, entry_id, index)
    if found is None:
        raise not_found(f"Ticket {ticket_id!r} has no such attachment.")
    stored, chunks = found
    return download(chunks, name=stored.name, content_type=stored.content_type)
