"""The connection test of a job, stored or not yet."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from shared.api.body import OptionalJsonBody
from shared.api.context import NewJobId, Services, known
from shared.api.faults import FaultsFound
from shared.api.jobs import EXAMPLE
from shared.api.openapi import answers, fails, takes
from shared.api.problems import BODY_MALFORMED, BODY_TOO_LARGE, CONFIG_INVALID, CONTENT_TYPE, NOT_FOUND, not_found
from shared.api.records import check_job, read_stored, stored_faults
from shared.api.views import ConnectionView, connection_view
from shared.connection import check_connection
from shared.jobs import Job
from shared.model import JobRecord

router = APIRouter(prefix="/jobs/{job_id}", tags=["jobs"])


# Not a coroutine: it waits for servers, and a connector may bring an event loop of its own.
@router.post(
    "/test",
    responses=answers(200, ConnectionView, "What the test found. A test that failed is an answer, too.")
    | fails(NOT_FOUND, CONFIG_INVALID, BODY_MALFORMED, BODY_TOO_LARGE, CONTENT_TYPE),
    openapi_extra=takes(Job, {name: value for name, value in EXAMPLE.items() if name != "id"}, required=False),
)
def test_job(services: Services, job_id: NewJobId, body: OptionalJsonBody) -> JSONResponse:
    """Try the connection from DNS to the candidates: in about half a minute at most, stage by stage.

    Without a body the stored job is tested; with a config as the body that one, and nothing of it is stored. Nothing
    is changed in the mailbox, and a run that is under way goes on.
    """
    record = known(services, job_id)
    if body is None:
        if record is None:
            raise not_found(f"There is no job {job_id!r}. To test a config that is not stored, send it as the body.")
        job = stored_job(record)
    else:
        # Judged as if it were to be saved.
        job = check_job(body, job_id=job_id, today=services.clock().date(), before=record)
    stages = check_connection(job, services.way, secrets=services.secrets, clock=services.clock, record=record)
    return JSONResponse(connection_view(stages, job.warnings()).body())


def stored_job(record: JobRecord) -> Job:
    """The stored config. Raises `FaultsFound` where it does not fit this version."""
    job = read_stored(record)
    if job is None:
        raise FaultsFound(stored_faults(record))
    return job
