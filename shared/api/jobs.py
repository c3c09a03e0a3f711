"""Job configs: list, create, read, replace, patch, delete, enable, disable."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from shared.api.audit import changed, noted
from shared.api.body import JsonBody, MergePatchBody
from shared.api.context import IfMatch, IfNoneMatch, JobId, NewJobId, Services, existing, known
from shared.api.etags import check_match, etag, matches, require_match
from shared.api.faults import Fault, FaultsFound
from shared.api.openapi import answers, fails, takes
from shared.api.paging import DEFAULT_LIMIT, Cursor, Limit, page_answer, read_page
from shared.api.problems import (
    BODY_MALFORMED,
    BODY_TOO_LARGE,
    CONFIG_INVALID,
    CONFLICT,
    CONTENT_TYPE,
    ID_TAKEN,
    MAILBOX_TAKEN,
    NOT_FOUND,
    PARAMETER_INVALID,
    PRECONDITION_FAILED,
    PRECONDITION_REQUIRED,
    Problem,
    not_found,
)
from shared.api.records import (
    check_job,
    merge,
    read_stored,
    save,
    stored_document,
    stored_faults,
    unchanged,
    warnings_of,
)
from shared.api.services import ApiServices
from shared.api.views import JobPage, JobView, UnreadableJobView, state_view
from shared.errors import Stale
from shared.expiry import by_job, sentence
from shared.jobs import Job
from shared.model import Ending, JobRecord
from shared.rule_tests import failing

router = APIRouter(prefix="/jobs", tags=["jobs"])

_BODY = (CONFIG_INVALID, BODY_MALFORMED, BODY_TOO_LARGE, CONTENT_TYPE, MAILBOX_TAKEN)
_TRIES = 5
_OVERRIDE = "Mend the rules or the test, or save with ?override=true, which is recorded."

Override = Annotated[bool, Query(description="Save the job though rule tests of it fail. It is recorded (audit).")]

EXAMPLE = {
    "id": "support",
    "name": "Support mailbox",
    "server": {
        "type": "imap4",
        "host": "mail.example.com",
        "username": "support@example.com",
        "password_secret": "support-mailbox",
    },
    "on_success": {"mark_as_read": True},
}


@router.get("", responses=answers(200, JobPage, "A page of jobs.", headers=("Link",)) | fails(PARAMETER_INVALID))
def list_jobs(
    request: Request, services: Services, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> JSONResponse:
    """List the jobs in the order of their ids."""
    records, following = read_page(lambda: services.jobs.page(limit=limit, cursor=cursor), cursor)
    ending = by_job(services.endings.read())
    return page_answer(
        request, [_body(services, record, ending.get(record.job_id, [])) for record in records], following
    )


@router.post(
    "",
    status_code=201,
    responses=answers(201, JobView, "The job is stored.", headers=("ETag", "Location")) | fails(*_BODY, ID_TAKEN),
    openapi_extra=takes(Job, EXAMPLE),
)
def create_job(services: Services, body: JsonBody, *, override: Override = False) -> JSONResponse:
    """Store a new job. It gets its first run within about a minute of its first occurrence."""
    job = check_job(body, today=services.clock().date())
    try:
        return _saved(services, job, before=None, override=override)
    except Stale as taken:
        raise Problem(
            ID_TAKEN, f"There is a job {job.id!r} already. Choose another id, or PUT to replace it."
        ) from taken


@router.get(
    "/{job_id}",
    responses=answers(200, JobView, "The job.", headers=("ETag",))
    | answers(304, None, "The config is the one that If-None-Match names; the state may be another.")
    | fails(NOT_FOUND),
)
def read_job(services: Services, job_id: JobId, if_none_match: IfNoneMatch = None) -> Response:
    """Read a job, its state and its warnings."""
    record = existing(services, job_id)
    if if_none_match is not None and matches(if_none_match, record, weak=True):
        return Response(status_code=304, headers={"ETag": etag(record)})
    return _answer(services, record)


@router.put(
    "/{job_id}",
    responses=answers(200, JobView, "The job is replaced, or said the same before.", headers=("ETag",))
    | answers(201, JobView, "The job is new.", headers=("ETag", "Location"))
    | fails(*_BODY, PRECONDITION_FAILED, PRECONDITION_REQUIRED),
    openapi_extra=takes(Job, {name: value for name, value in EXAMPLE.items() if name != "id"}),
)
def put_job(
    services: Services,
    job_id: NewJobId,
    body: JsonBody,
    *,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
    override: Override = False,
) -> JSONResponse:
    """Create the job, or replace it as a whole.

    Replacing takes If-Match. `If-None-Match: *` means: only create. A config that says what is stored already changes
    nothing and needs no If-Match, so a config that lives in git can be sent again and again.
    """
    before = known(services, job_id)
    job = check_job(body, job_id=job_id, today=services.clock().date(), before=before)
    if before is None:
        if if_match is not None:
            raise Problem(
                PRECONDITION_FAILED, f"There is no job {job_id!r} (any more). Leave If-Match out to create it."
            )
        return _saved(services, job, before=None, override=override)
    if if_none_match is not None and matches(if_none_match, before, weak=True):
        raise Problem(PRECONDITION_FAILED, f"Job {job_id!r} exists.", headers={"ETag": etag(before)})
    if if_match is not None or not unchanged(job, before):
        require_match(if_match, before)
    return _saved(services, job, before=before, override=override)


@router.patch(
    "/{job_id}",
    responses=answers(200, JobView, "The job as it is now.", headers=("ETag",))
    | fails(*_BODY, NOT_FOUND, PRECONDITION_FAILED, PRECONDITION_REQUIRED),
    openapi_extra=takes(Job, {"schedule": {"frequency": {"type": "interval", "every": 10}}}, patch=True),
)
def patch_job(
    services: Services, job_id: JobId, body: MergePatchBody, if_match: IfMatch = None, *, override: Override = False
) -> JSONResponse:
    """Change some fields: a JSON merge patch (RFC 7396). Takes If-Match."""
    before = existing(services, job_id)
    require_match(if_match, before)
    job = check_job(merge(stored_document(before), body), job_id=job_id, today=services.clock().date(), before=before)
    return _saved(services, job, before=before, override=override)


@router.delete(
    "/{job_id}", status_code=204, responses=answers(204, None, "Deleted.") | fails(NOT_FOUND, PRECONDITION_FAILED)
)
def delete_job(services: Services, job_id: JobId, if_match: IfMatch = None) -> Response:
    """Delete the job. Its runs, its parked messages and what it knows of its mailbox stay for a while."""
    record = services.jobs.read(job_id)
    if record is None:
        raise not_found(f"There is no job {job_id!r}.")
    check_match(if_match, record)
    services.jobs.delete(job_id, revision=record.revision if if_match is not None else None)
    changed(stored_document(record), None)
    return Response(status_code=204)


@router.post(
    "/{job_id}/enable",
    responses=answers(200, JobView, "The job runs on its schedule.", headers=("ETag",))
    | fails(NOT_FOUND, CONFIG_INVALID, CONFLICT, PRECONDITION_FAILED),
)
def enable_job(services: Services, job_id: JobId, if_match: IfMatch = None) -> JSONResponse:
    """Let the job run on its schedule, from the next occurrence on: what it missed meanwhile is not made up."""
    return _switch(services, job_id, if_match, enabled=True)


@router.post(
    "/{job_id}/disable",
    responses=answers(200, JobView, "The job runs only by hand.", headers=("ETag",))
    | fails(NOT_FOUND, CONFIG_INVALID, CONFLICT, PRECONDITION_FAILED),
)
def disable_job(services: Services, job_id: JobId, if_match: IfMatch = None) -> JSONResponse:
    """Let the job run only by hand. A run that is under way ends as usual."""
    return _switch(services, job_id, if_match, enabled=False)


def _switch(services: ApiServices, job_id: str, if_match: str | None, *, enabled: bool) -> JSONResponse:
    for _ in range(_TRIES):
        before = existing(services, job_id)
        check_match(if_match, before)
        document = merge(stored_document(before), {"enabled": enabled})
        job = check_job(document, job_id=job_id, today=services.clock().date(), before=before)
        try:
            return _saved(services, job, before=before, override=None)
        except Stale:
            continue  # somebody changed another field: that is no reason against this change
    raise Problem(CONFLICT, f"Job {job_id!r} keeps being changed by somebody else. Try again.")


def _saved(services: ApiServices, job: Job, *, before: JobRecord | None, override: bool | None) -> JSONResponse:
    """Store the job, if its rule tests pass or are overridden; None: it is only switched on or off."""
    failed = failing(job) if override is not None else []
    if failed and not override and not (before and unchanged(job, before)):
        raise FaultsFound([Fault(f"/tests/{one.index}", f"{one.sentence} {_OVERRIDE}") for one in failed])
    record = save(services.jobs, job, before=before, now=services.clock())
    changed(stored_document(before) if before else None, stored_document(record))
    for one in failed if override else ():
        noted(f"Saved with override. {one.sentence}")
    if before is not None:
        return _answer(services, record, check_secrets=True)
    return _answer(services, record, 201, check_secrets=True, Location=f"/api/jobs/{record.job_id}")


def _answer(
    services: ApiServices, record: JobRecord, status: int = 200, *, check_secrets: bool = False, **headers: str
) -> JSONResponse:
    ending = by_job(services.endings.read()).get(record.job_id, [])
    body = _body(services, record, ending, check_secrets=check_secrets)
    job = read_stored(record)
    body["warnings"] += [one.sentence for one in (failing(job) if job else ())]
    return JSONResponse(body, status, headers={"ETag": etag(record), **headers})


def _body(
    services: ApiServices, record: JobRecord, ending: Sequence[Ending], *, check_secrets: bool = False
) -> dict[str, Any]:
    state = state_view(record, services.clock())
    job = read_stored(record)
    if job is None:
        why = [f"{fault.pointer or '/'}: {fault.detail}" for fault in stored_faults(record)]
        warnings = [
            "The stored config does not fit this version, so the job cannot run. Replace it, or delete it.",
            *why,
        ]
        view = UnreadableJobView(id=record.job_id, enabled=record.enabled, state=state, warnings=warnings)
        return view.body()
    return {
        **job.model_dump(mode="json", by_alias=True),
        "state": state.body(),
        "warnings": [
            *warnings_of(job, services.secrets if check_secrets else None),
            *(sentence(each, services.clock()) for each in ending),
        ],
    }
