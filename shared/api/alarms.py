"""What is wrong now, in one answer."""

from fastapi import APIRouter

from shared.api.context import Services
from shared.api.openapi import answers, fails
from shared.api.views import AlarmsView, alarm_view

router = APIRouter(prefix="/alarms", tags=["alarms"])

_PAGE = 1_000


@router.get("", responses=answers(200, AlarmsView, "The jobs that are not healthy.") | fails())
def list_alarms(services: Services) -> AlarmsView:
    """List the jobs that are not healthy, each with since when and why. Reads every job: for people and dashboards."""
    now = services.clock()
    found = []
    records, cursor = services.jobs.page(limit=_PAGE)
    while True:
        found += [alarm for record in records if (alarm := alarm_view(record, now))]
        if cursor is None:
            return AlarmsView(items=found)
        records, cursor = services.jobs.page(limit=_PAGE, cursor=cursor)
