"""Purged messages: list, download, re-process, discard."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field
from starlette.requests import Request

from shared.api.body import JsonBody
from shared.api.context import JobId, Services, existing
from shared.api.downloads import download
from shared.api.faults import read_as
from shared.api.openapi import answers, fails, takes
from shared.api.paging import DEFAULT_LIMIT, Cursor, Limit, page_answer, read_page
from shared.api.problems import (
    BODY_MALFORMED,
    CONFIG_INVALID,
    CONFLICT,
    NOT_FOUND,
    PARAMETER_INVALID,
    Problem,
    not_found,
)
from shared.api.services import ApiServices
from shared.api.views import PurgedPage, PurgedView, ReprocessedView, purged_view
from shared.model import PurgedMessage
from shared.ports import Settings

router = APIRouter(prefix="/jobs/{job_id}/purged", tags=["purged messages"])

PurgedId = Annotated[str, Path(description="The id of the purged message.")]


class ReprocessRequest(Settings):
    """Of which purged messages the next run is to make further tickets."""

    ids: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] = Field(min_length=1, max_length=500)


@router.get(
    "",
    responses=answers(200, PurgedPage, "A page of purged messages.", headers=("Link",))
    | fails(PARAMETER_INVALID, NOT_FOUND),
)
def list_purged(
    request: Request, services: Services, job_id: JobId, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> JSONResponse:
    """List the messages that the job removed from its mailbox for good and whose copies are kept, newest first."""
    found, following = read_page(lambda: services.purged.page(job_id, limit=limit, cursor=cursor), cursor)
    if not found:
        existing(services, job_id)
    return page_answer(request, [purged_view(purged).body() for purged in found], following)


@router.post(
    "/reprocess",
    responses=answers(200, ReprocessedView, "What came of it.") | fails(CONFIG_INVALID, BODY_MALFORMED),
    openapi_extra=takes(ReprocessRequest, {"ids": ["20261123T120000-0a1b2c3d4e5f"]}),
)
def reprocess_many(services: Services, job_id: JobId, body: JsonBody) -> JSONResponse:
    """Let the next run make further tickets of several copies. Ids that are not there are named, and stop nothing."""
    asked = dict.fromkeys(read_as(ReprocessRequest, body).ids)
    taken = [purged_id for purged_id in asked if services.purged.reprocess(job_id, purged_id)]
    view = ReprocessedView(reprocessed=taken, refused=[purged_id for purged_id in asked if purged_id not in taken])
    return JSONResponse(view.body())


@router.get("/{purged_id}", responses=answers(200, PurgedView, "What is known of the message.") | fails(NOT_FOUND))
def read_purged(services: Services, job_id: JobId, purged_id: PurgedId) -> JSONResponse:
    """Read when one message was purged, and until when its copy is kept."""
    return JSONResponse(purged_view(_found(services, job_id, purged_id)).body())


@router.get(
    "/{purged_id}/raw",
    response_class=StreamingResponse,
    responses=answers(200, None, "The original.", media_type="message/rfc822") | fails(NOT_FOUND),
)
def read_purged_raw(services: Services, job_id: JobId, purged_id: PurgedId) -> Response:
    """Download the original, octet for octet as the server gave it."""
    purged = _found(services, job_id, purged_id)
    chunks = services.purged.raw(job_id, purged_id)
    if chunks is None:
        raise _missing(job_id, purged_id)
    return download(chunks, name=f"{purged.purged_id}.eml", content_type="message/rfc822")


@router.post(
    "/{purged_id}/reprocess",
    status_code=202,
    responses=answers(202, ReprocessedView, "Noted.") | fails(NOT_FOUND, CONFLICT),
)
def reprocess_purged(services: Services, job_id: JobId, purged_id: PurgedId) -> JSONResponse:
    """Let the next run take the copy through the rules of that time and make a further ticket of it."""
    purged = _found(services, job_id, purged_id)
    if not services.purged.reprocess(job_id, purged_id):
        raise Problem(
            CONFLICT,
            f"Purged message {purged_id!r} cannot be re-processed now: it is from {purged.key.mailbox!r}, and the job "
            "is gone or integrates another mailbox by now; or its original is still to be removed, which the next "
            "run does; or another copy of the same message waits to be re-processed or is parked.",
        )
    return JSONResponse(ReprocessedView(reprocessed=[purged_id], refused=[]).body(), 202)


@router.delete("/{purged_id}", status_code=204, responses=answers(204, None, "Discarded.") | fails(NOT_FOUND))
def discard_purged(services: Services, job_id: JobId, purged_id: PurgedId) -> Response:
    """Remove the kept copy now, for good. Its ticket stays."""
    if not services.purged.discard(job_id, purged_id):
        raise _missing(job_id, purged_id)
    return Response(status_code=204)


def _found(services: ApiServices, job_id: str, purged_id: str) -> PurgedMessage:
    purged = services.purged.get(job_id, purged_id)
    if purged is None:
        raise _missing(job_id, purged_id)
    return purged


def _missing(job_id: str, purged_id: str) -> Problem:
    return not_found(f"Job {job_id!r} has no purged message {purged_id!r}, or it has expired.")
