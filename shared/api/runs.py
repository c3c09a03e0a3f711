"""Runs of a job: ask for one, and read what became of them."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from starlette.requests import Request

from shared.api.context import JobId, Services, existing
from shared.api.openapi import answers, fails
from shared.api.paging import DEFAULT_LIMIT, Cursor, Limit, page_answer, read_page
from shared.api.problems import NOT_FOUND, PARAMETER_INVALID, not_found
from shared.api.views import QueuedView, RunPage, RunView, run_view
from shared.begin import new_run_id
from shared.model import RunOutcome, RunReport, RunRequest, Trigger

router = APIRouter(prefix="/jobs/{job_id}", tags=["runs"])

RunId = Annotated[str, Path(description="The id of the run.")]


@router.post(
    "/run",
    status_code=202,
    responses=answers(202, QueuedView, "The run is queued.", headers=("Location",)) | fails(NOT_FOUND),
)
def run_job_now(services: Services, job_id: JobId) -> JSONResponse:
    """Run the job soon, also when it is disabled. Follow the run at the address in the Location header."""
    record = existing(services, job_id)
    now = services.clock()
    run_id = new_run_id(now)
    report = RunReport(
        run_id=run_id,
        job_id=job_id,
        job_name=record.name,
        trigger=Trigger.MANUAL,
        outcome=RunOutcome.QUEUED,
        started=now,
    )
    # The record first: the run may start, and write its own record, before this line is over.
    services.jobs.note(report)
    services.queue.put(RunRequest(job_id, run_id, Trigger.MANUAL))
    return JSONResponse(
        QueuedView(run_id=run_id).body(), 202, headers={"Location": f"/api/jobs/{job_id}/runs/{run_id}"}
    )


@router.get(
    "/runs",
    responses=answers(200, RunPage, "A page of runs.", headers=("Link",)) | fails(PARAMETER_INVALID, NOT_FOUND),
)
def list_runs(
    request: Request, services: Services, job_id: JobId, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> JSONResponse:
    """List the runs of the job, newest first; those of a deleted job as long as they are kept."""
    reports, following = read_page(lambda: services.jobs.runs(job_id, limit=limit, cursor=cursor), cursor)
    if not reports:
        existing(services, job_id)
    return page_answer(request, [run_view(report).body() for report in reports], following)


@router.get("/runs/{run_id}", responses=answers(200, RunView, "The run as it stands.") | fails(NOT_FOUND))
def read_run(services: Services, job_id: JobId, run_id: RunId) -> JSONResponse:
    """Read one run, also while it waits or runs."""
    report = services.jobs.run(job_id, run_id)
    if report is None:
        raise not_found(f"Job {job_id!r} has no run {run_id!r}.")
    return JSONResponse(run_view(report).body())
