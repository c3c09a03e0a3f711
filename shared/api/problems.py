"""Everything that can go wrong with a request, as problem details (RFC 9457)."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match

from shared.api.faults import Fault, FaultsFound, sentence
from shared.errors import MailboxTaken, MailConnectorError, Stale, StateConflict, Unavailable

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger(__name__)

#: Seconds to stay away where storage did not say how long.
_RETRY_AFTER = 10


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: what its ``type``, ``status`` and ``title`` are, for ever."""

    name: str
    status: int
    title: str

    @property
    def uri(self) -> str:
        """The stable ``type`` that clients compare."""
        return f"urn:mail-connector:problem:{self.name}"


CONFIG_INVALID = Kind("config-invalid", 400, "The document has faults; nothing was stored.")
BODY_MALFORMED = Kind("body-malformed", 400, "The body is not JSON as it should be.")
PARAMETER_INVALID = Kind("parameter-invalid", 400, "A query parameter or header has a fault.")
SIGN_IN_REQUIRED = Kind("sign-in-required", 401, "The caller is not known.")
ROLE_MISSING = Kind("role-missing", 403, "The caller may not do this.")
NOT_FOUND = Kind("not-found", 404, "There is no such thing.")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "This address does not take this method.")
ID_TAKEN = Kind("id-taken", 409, "There is a job with this id already.")
MAILBOX_TAKEN = Kind("mailbox-taken", 409, "Another job integrates this mailbox and folder.")
SECRET_IN_USE = Kind("secret-in-use", 409, "Jobs name this secret.")
NO_VAULT = Kind("no-vault", 409, "This app keeps its secrets where the API cannot write.")
CONFLICT = Kind("conflict", 409, "Somebody else was first.")
PRECONDITION_FAILED = Kind("precondition-failed", 412, "The job is not as you read it.")
BODY_TOO_LARGE = Kind("body-too-large", 413, "The body is too large.")
CONTENT_TYPE = Kind("content-type", 415, "The body is of a type that is not taken here.")
PRECONDITION_REQUIRED = Kind("precondition-required", 428, "Say which version of the job you are changing.")
INTERNAL = Kind("internal", 500, "This is a defect of ours.")
VAULT_REFUSED = Kind("vault-refused", 502, "The key vault refused.")
NOT_REACHED = Kind("not-reached", 502, "The mailbox or the target cannot be used now.")
UNAVAILABLE = Kind("unavailable", 503, "Something that the API needs does not answer.")
HTTP_FAULT = Kind("http", 400, "The request cannot be served.")

KINDS = (
    CONFIG_INVALID,
    BODY_MALFORMED,
    PARAMETER_INVALID,
    SIGN_IN_REQUIRED,
    ROLE_MISSING,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    ID_TAKEN,
    MAILBOX_TAKEN,
    SECRET_IN_USE,
    NO_VAULT,
    CONFLICT,
    PRECONDITION_FAILED,
    BODY_TOO_LARGE,
    CONTENT_TYPE,
    PRECONDITION_REQUIRED,
    INTERNAL,
    VAULT_REFUSED,
    NOT_REACHED,
    UNAVAILABLE,
)


class Problem(Exception):
    """Ends the request with this answer."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        **extensions: str,
    ) -> None:
        super().__init__(kind.name, detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.extensions = extensions


def not_found(what: str) -> Problem:
    """The 404 problem; ``what`` is a sentence."""
    return Problem(NOT_FOUND, what)


def answer(problem: Problem, path: str, *, status: int | None = None) -> JSONResponse:
    """The problem as a response. ``path`` is without its query, which may carry a key."""
    body: dict[str, Any] = {
        "type": problem.kind.uri,
        "title": problem.kind.title,
        "status": status or problem.kind.status,
        "detail": problem.detail,
        "instance": path,
        **problem.extensions,
    }
    if problem.errors:
        body["errors"] = list(problem.errors)
    return JSONResponse(body, body["status"], headers=problem.headers, media_type=MEDIA_TYPE)


def unexpected(path: str) -> JSONResponse:
    """The answer to a defect of ours. Called while the exception is being handled, so that the log has it."""
    _log.exception("A request to %s met a defect.", path)
    return answer(Problem(INTERNAL, "The request failed for a reason that only the app's log tells."), path)


def register(app: FastAPI) -> None:
    """Have ``app`` answer every error with a problem."""
    app.exception_handler(Problem)(_problem)
    app.exception_handler(FaultsFound)(_faults)
    app.exception_handler(RequestValidationError)(_parameters)
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(MailConnectorError)(_domain)


def _problem(request: Request, error: Problem) -> JSONResponse:
    return answer(error, request.url.path)


def _faults(request: Request, error: FaultsFound) -> JSONResponse:
    return answer(config_problem(error.faults), request.url.path)


def config_problem(faults: Sequence[Fault]) -> Problem:
    """The 400 problem that lists ``faults``."""
    count = "One thing is" if len(faults) == 1 else f"{len(faults)} things are"
    return Problem(
        CONFIG_INVALID, f"{count} wrong; each is in errors, with its place.", errors=[asdict(fault) for fault in faults]
    )


def _parameters(request: Request, error: RequestValidationError) -> JSONResponse:
    faults = error.errors()
    if any(fault["loc"][0] == "path" for fault in faults):
        return answer(not_found("There is nothing at this address."), request.url.path)
    errors = [{"parameter": str(fault["loc"][-1]), "detail": sentence(fault)} for fault in faults]
    names = ", ".join(each["parameter"] for each in errors)
    return answer(Problem(PARAMETER_INVALID, f"See errors: {names}.", errors=errors), request.url.path)


def _http(request: Request, error: HTTPException) -> JSONResponse:
    path = request.url.path
    if error.status_code == NOT_FOUND.status:
        return answer(not_found("There is nothing at this address."), path)
    if error.status_code == METHOD_NOT_ALLOWED.status:
        allowed = ", ".join(_methods(request))
        detail = f"{request.method} is not possible here; {allowed} is."
        return answer(Problem(METHOD_NOT_ALLOWED, detail, headers={"Allow": allowed}), path)
    problem = Problem(HTTP_FAULT, str(error.detail), headers=error.headers)
    return answer(problem, path, status=error.status_code)


def _methods(request: Request) -> list[str]:
    """What the address takes. One address is served by several routes, each with its own method."""
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    routes = request.app.router.routes
    return [
        method
        for method in methods
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def _domain(request: Request, error: MailConnectorError) -> JSONResponse:
    path = request.url.path
    if isinstance(error, MailboxTaken):
        return answer(Problem(MAILBOX_TAKEN, str(error), other_job=error.other_job), path)
    if isinstance(error, Stale):
        return answer(Problem(PRECONDITION_FAILED, f"{error} Read it again, then make your change."), path)
    if isinstance(error, StateConflict):
        return answer(Problem(CONFLICT, str(error)), path)
    _log.error("A request to %s could not be served: %s", path, error)
    wait = error.retry_after.total_seconds() if isinstance(error, Unavailable) and error.retry_after else _RETRY_AFTER
    return answer(
        Problem(
            UNAVAILABLE,
            "Storage, or something else that the API needs, does not answer. Nothing that was answered before is lost; "
            "try again in a while. The app's log says more.",
            headers={"Retry-After": str(math.ceil(wait))},
        ),
        path,
    )
