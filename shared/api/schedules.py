"""What a schedule will do, before it is saved."""

from datetime import datetime

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from shared.api.body import JsonBody
from shared.api.context import Services
from shared.api.faults import read_as
from shared.api.openapi import answers, fails, takes
from shared.api.problems import BODY_MALFORMED, CONFIG_INVALID, CONTENT_TYPE
from shared.api.views import View
from shared.jobs import JOB_ID_PATTERN
from shared.ports import Settings
from shared.schedule.cover import second_for
from shared.schedule.model import AnySchedule
from shared.schedule.preview import Preview, preview

router = APIRouter(prefix="/schedules", tags=["schedules"])

_EXAMPLE = {
    "schedule": {
        "pattern": {"type": "weekly", "days": ["monday", "friday"]},
        "frequency": {"type": "once", "at": "08:30"},
        "time_zone": "Europe/Berlin",
    },
    "count": 3,
}


class PreviewRequest(Settings):
    """A schedule to look at."""

    schedule: AnySchedule = Field(description="As in a job.")
    count: int = Field(default=50, ge=1, le=500, description="How many occurrences to show.")
    job_id: str | None = Field(
        default=None, pattern=JOB_ID_PATTERN, description="The job whose timer it would be: its second depends on that."
    )


class OccurrenceView(View):
    """One instant at which a job would be due."""

    utc: datetime
    local: datetime = Field(description="The same instant by the schedule's own clock.")
    note: str = Field(description="What daylight saving does to it; mostly empty.")


class PreviewView(View):
    """What a schedule will do."""

    sentence: str = Field(description="The schedule in plain English.")
    expression: str = Field(description="The NCRONTAB expression (UTC) of the timer; empty when it never fires.")
    excess: float | None = Field(
        description="Fires of the timer for each occurrence; 1 is perfect, and at the others nothing is done."
    )
    occurrences: list[OccurrenceView] = Field(description="The next ones; fewer than asked for when the schedule ends.")


@router.post(
    "/preview",
    responses=answers(200, PreviewView, "What the schedule will do.")
    | fails(CONFIG_INVALID, BODY_MALFORMED, CONTENT_TYPE),
    openapi_extra=takes(PreviewRequest, _EXAMPLE),
)
def preview_schedule(services: Services, body: JsonBody) -> JSONResponse:
    """Show a schedule as a sentence, its next occurrences, and the timer that serves it. Stores nothing."""
    asked = read_as(PreviewRequest, body)
    second = second_for(asked.job_id) if asked.job_id else 0
    shown = preview(asked.schedule, now=services.clock(), count=asked.count, second=second)
    return JSONResponse(_view(shown).body())


def _view(shown: Preview) -> PreviewView:
    return PreviewView(
        sentence=shown.sentence,
        expression=shown.expression,
        excess=shown.excess,
        occurrences=[OccurrenceView(utc=each.utc, local=each.local, note=each.note) for each in shown.occurrences],
    )
