"""Tickets of the ``table`` target, and their attachments."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import Request

from shared.api.context import Services
from shared.api.downloads import download
from shared.api.openapi import answers, fails
from shared.api.paging import DEFAULT_LIMIT, Cursor, Limit, page_answer, read_page
from shared.api.problems import NOT_FOUND, PARAMETER_INVALID, not_found
from shared.api.views import TicketPage, TicketView, ticket_summary, ticket_view
from shared.jobs import JOB_ID_PATTERN

router = APIRouter(prefix="/tickets", tags=["tickets"])

TicketId = Annotated[str, Path(description="The id of the ticket.")]
OfJob = Annotated[str | None, Query(pattern=JOB_ID_PATTERN, description="Only tickets that this job made.")]


@router.get("", responses=answers(200, TicketPage, "A page of tickets.", headers=("Link",)) | fails(PARAMETER_INVALID))
def list_tickets(
    request: Request,
    services: Services,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    job_id: OfJob = None,
) -> JSONResponse:
    """List tickets without their entries, newest first."""
    found, following = read_page(lambda: services.tickets.page(limit=limit, cursor=cursor, job_id=job_id), cursor)
    return page_answer(request, [ticket_summary(ticket).body() for ticket in found], following)


@router.get("/{ticket_id}", responses=answers(200, TicketView, "The ticket.") | fails(NOT_FOUND))
def read_ticket(services: Services, ticket_id: TicketId) -> JSONResponse:
    """Read a ticket with all its entries, oldest first."""
    ticket = services.tickets.ticket(ticket_id)
    if ticket is None:
        raise not_found(f"There is no ticket {ticket_id!r}.")
    return JSONResponse(ticket_view(ticket).body())


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
