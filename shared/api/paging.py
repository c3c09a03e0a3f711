"""Pages of a listing."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Query
from fastapi.responses import JSONResponse
from starlette.requests import Request

from shared.api.problems import PARAMETER_INVALID, Problem

Limit = Annotated[int, Query(ge=1, le=200, description="How many items a page has at most.")]
Cursor = Annotated[
    str | None, Query(min_length=1, max_length=1000, description="The `next` of the page before; none for the first.")
]

_T = TypeVar("_T")

DEFAULT_LIMIT = 50

#: What the next page is asked for as well.
_KEPT = frozenset({"limit", "job_id", "status", "requester", "changed_since"})


def read_page(read: Callable[[], tuple[list[_T], str | None]], cursor: str | None) -> tuple[list[_T], str | None]:
    """What ``read`` gives, or the 400 problem when it does not understand ``cursor``."""
    try:
        return read()
    except ValueError as error:
        if cursor is None:
            raise
        fault = {"parameter": "cursor", "detail": "Must be the next of the page before, unchanged."}
        raise Problem(PARAMETER_INVALID, "See errors: cursor.", errors=[fault]) from error


def page_answer(request: Request, items: Sequence[dict[str, Any]], cursor: str | None) -> JSONResponse:
    """``{"items": [...], "next": cursor or null}``, and the next page as a Link header (RFC 8288)."""
    headers = {}
    if cursor is not None:
        kept = {name: value for name, value in request.query_params.items() if name in _KEPT}
        query = urlencode({**kept, "cursor": cursor})
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    return JSONResponse({"items": list(items), "next": cursor}, headers=headers)
