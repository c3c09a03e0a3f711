"""Parked messages of all jobs in one list, and many of one job retried or discarded at once."""

from collections.abc import Callable
from typing import Annotated, Self

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, Field, model_validator
from starlette.requests import Request

from shared.api.body import JsonBody
from shared.api.context import JobId, Services
from shared.api.faults import read_as
from shared.api.openapi import answers, fails, takes
from shared.api.paging import DEFAULT_LIMIT, Cursor, Limit, page_answer, read_page
from shared.api.problems import BODY_MALFORMED, CONFIG_INVALID, PARAMETER_INVALID
from shared.api.services import ApiServices
from shared.api.views import DiscardedPage, ParkedPage, RetriedPage, parked_view
from shared.model import ParkedMessage
from shared.ports import Settings

router = APIRouter(tags=["parked messages"])

#: Messages that one request retries or discards by what they have in common, and those that it looks through for them.
_MOST, _LOOKS = 200, 5_000


class ParkedChoice(Settings):
    """Which parked messages are meant: those of ``ids``, or all that have something in common."""

    ids: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] | None = Field(
        default=None, min_length=1, max_length=500, description="These, and nothing else."
    )
    reason: str | None = Field(
        default=None, min_length=1, max_length=200, description="Those whose reason has this text in it, in any case."
    )
    before: AwareDatetime | None = Field(default=None, description="Those that were parked before this instant.")
    cursor: str | None = Field(
        default=None, min_length=1, max_length=1000, description="The `next` of the answer before, to go on there."
    )

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if (self.ids is None) is (self.reason is None and self.before is None):
            raise ValueError("Give ids; or else reason, before, or both.")
        if self.ids and self.cursor:
            raise ValueError("With ids there is no cursor: all of them are in one request.")
        return self

    def includes(self, parked: ParkedMessage) -> bool:
        """Whether ``parked`` has in common what is asked for."""
        alike = self.reason is None or self.reason.casefold() in parked.reason.casefold()
        return alike and (self.before is None or parked.parked_at < self.before)


_EXAMPLE = {"reason": "the target does not answer", "before": "2026-11-23T12:00:00Z"}


@router.get(
    "/parked",
    responses=answers(200, ParkedPage, "A page of parked messages.", headers=("Link",)) | fails(PARAMETER_INVALID),
)
def list_all_parked(
    request: Request, services: Services, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> JSONResponse:
    """List what was given up on, job by job, newest first within each; also of jobs that were deleted since."""
    found, following = read_page(lambda: services.parked.everywhere(limit=limit, cursor=cursor), cursor)
    return page_answer(request, [parked_view(parked).body() for parked in found], following)


@router.post(
    "/jobs/{job_id}/parked/retry",
    responses=answers(200, RetriedPage, "What came of it.") | fails(CONFIG_INVALID, BODY_MALFORMED, PARAMETER_INVALID),
    openapi_extra=takes(ParkedChoice, _EXAMPLE),
)
def retry_many(services: Services, job_id: JobId, body: JsonBody) -> JSONResponse:
    """Let the next run take up several messages again: up to 200 to a request, then go on with `next`."""
    done, refused, following = _each(services, job_id, body, services.parked.retry)
    return JSONResponse(RetriedPage(retried=done, refused=refused, next=following).body())


@router.post(
    "/jobs/{job_id}/parked/discard",
    responses=answers(200, DiscardedPage, "What came of it.")
    | fails(CONFIG_INVALID, BODY_MALFORMED, PARAMETER_INVALID),
    openapi_extra=takes(ParkedChoice, _EXAMPLE),
)
def discard_many(services: Services, job_id: JobId, body: JsonBody) -> JSONResponse:
    """Discard the kept copies of several messages for good: up to 200 to a request, then go on with `next`."""
    done, refused, following = _each(services, job_id, body, services.parked.discard)
    return JSONResponse(DiscardedPage(discarded=done, refused=refused, next=following).body())


def _each(
    services: ApiServices, job_id: str, body: object, act: Callable[[str, str], bool]
) -> tuple[list[str], list[str], str | None]:
    """Do it to each message that is meant: ids for which it was done, those for which not, and where to go on."""
    choice = read_as(ParkedChoice, body)
    chosen, following = (list(dict.fromkeys(choice.ids)), None) if choice.ids else _alike(services, job_id, choice)
    done = [parked_id for parked_id in chosen if act(job_id, parked_id)]
    return done, [parked_id for parked_id in chosen if parked_id not in set(done)], following


def _alike(services: ApiServices, job_id: str, choice: ParkedChoice) -> tuple[list[str], str | None]:
    """Ids of what has in common what is asked for, and the cursor behind the last that was looked at."""
    chosen: list[str] = []
    cursor = choice.cursor
    for _ in range(_LOOKS // _MOST):
        # Never more than there is room for, so that none is looked at and left out.
        room = _MOST - len(chosen)
        given = cursor
        found, cursor = read_page(lambda: services.parked.page(job_id, limit=room, cursor=given), given)  # noqa: B023
        chosen += [parked.parked_id for parked in found if choice.includes(parked)]
        if cursor is None or len(chosen) == _MOST:
            break
    return chosen, cursor
