"""Parked messages: list, download, retry, discard."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import Request

from shared.api.context import JobId, Services, existing
from shared.api.downloads import download
from shared.api.openapi import answers, fails
from shared.api.paging import DEFAULT_LIMIT, Cursor, Limit, page_answer, read_page
from shared.api.problems import (
    CONFLICT,
    NOT_FOUND,
    PARAMETER_INVALID,
    Problem,
    not_found,
)
from shared.api.services import ApiServices
from shared.api.views import ParkedPage, ParkedView, RetriedView, parked_view
from shared.model import ParkedMessage

router = APIRouter(prefix="/jobs/{job_id}/parked", tags=["parked messages"])

ParkedId = Annotated[str, Path(description="The id of the parked message.")]


@router.get(
    "",
    responses=answers(200, ParkedPage, "A page of parked messages.", headers=("Link",))
    | fails(PARAMETER_INVALID, NOT_FOUND),
)
def list_parked(
    request: Request, services: Services, job_id: JobId, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> JSONResponse:
    """List the messages that were given up on, newest first, with the reasons."""
    found, following = read_page(lambda: services.parked.page(job_id, limit=limit, cursor=cursor), cursor)
    if not found:
        existing(services, job_id)
    return page_answer(request, [parked_view(parked).body() for parked in found], following)


@router.get("/{parked_id}", responses=answers(200, ParkedView, "The message and the reason.") | fails(NOT_FOUND))
def read_parked(services: Services, job_id: JobId, parked_id: ParkedId) -> JSONResponse:
    """Read why one message was given up on."""
    return JSONResponse(parked_view(_found(services, job_id, parked_id)).body())


@router.get(
    "/{parked_id}/raw",
    response_class=StreamingResponse,
    responses=answers(200, None, "The original.", media_type="message/rfc822") | fails(NOT_FOUND),
)
def read_raw(services: Services, job_id: JobId, parked_id: ParkedId) -> Response:
    """Download the original, octet for octet as the server gave it."""
    parked = _found(services, job_id, parked_id)
    chunks = services.parked.raw(job_id, parked_id)
    if chunks is None:
        raise not_found(f"The original of parked message {parked_id!r} could not be fetched when it was parked.")
    return download(chunks, name=f"{parked.parked_id}.eml", content_type="message/rfc822")


@router.post(
    "/{parked_id}/retry", status_code=202, responses=answers(202, RetriedView, "Noted.") | fails(NOT_FOUND, CONFLICT)
)
def retry_parked(services: Services, job_id: JobId, parked_id: ParkedId) -> JSONResponse:
    """Let the next run take the message up again, with fresh attempts."""
    parked = _found(services, job_id, parked_id)
    if not services.parked.retry(job_id, parked_id):
        raise Problem(
            CONFLICT,
            f"Parked message {parked_id!r} cannot be taken up again: it is from {parked.mailbox!r}, and the job "
            "integrates another mailbox by now; or its original is still to be marked, which the next run does; or "
            "it was discarded just now.",
        )
    return JSONResponse(RetriedView(retried=[parked_id], refused=[]).body(), 202)


@router.delete("/{parked_id}", status_code=204, responses=answers(204, None, "Discarded.") | fails(NOT_FOUND))
def discard_parked(services: Services, job_id: JobId, parked_id: ParkedId) -> Response:
    """Discard the kept copy for good. The ledger still knows the message: it does not become a ticket."""
    if not services.parked.discard(job_id, parked_id):
        raise _missing(job_id, parked_id)
    return Response(status_code=204)


def _found(services: ApiServices, job_id: str, parked_id: str) -> ParkedMessage:
    parked = services.parked.get(job_id, parked_id)
    if parked is None:
        raise _missing(job_id, parked_id)
    return parked


def _missing(job_id: str, parked_id: str) -> Problem:
    return not_found(f"Job {job_id!r} has no parked message {parked_id!r}.")
