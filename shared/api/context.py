"""What every endpoint starts from: the services, and the job that the address names."""

import re
from typing import Annotated

from fastapi import Depends, Header, Path
from starlette.requests import Request

from shared.api.problems import not_found
from shared.api.services import ApiServices
from shared.jobs import JOB_ID_PATTERN
from shared.model import JobRecord


async def _services(request: Request) -> ApiServices:
    services = request.app.state.services
    assert isinstance(services, ApiServices)  # noqa: S101 - app.state is untyped
    return services


Services = Annotated[ApiServices, Depends(_services)]
JobId = Annotated[str, Path(pattern=JOB_ID_PATTERN, description="The id of the job.")]

#: Checked with the rest of the config, so that all its faults are in one answer.
NewJobId = Annotated[str, Path(description="The id of the job: lower-case letters, digits and hyphens.")]

IfMatch = Annotated[
    str | None,
    Header(description="The ETag that you got with the job. Answered with 412 when it is not that any more."),
]
IfNoneMatch = Annotated[str | None, Header(description="An ETag that you have.")]


def known(services: ApiServices, job_id: str) -> JobRecord | None:
    """The stored job, if any; None for an id that no job can have."""
    return services.jobs.read(job_id) if re.match(JOB_ID_PATTERN, job_id) else None


def existing(services: ApiServices, job_id: str) -> JobRecord:
    """The stored job, or the 404 problem."""
    record = services.jobs.read(job_id)
    if record is None:
        raise not_found(f"There is no job {job_id!r}.")
    return record
