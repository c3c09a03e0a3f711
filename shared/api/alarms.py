"""What is wrong now, in one answer."""

from fastapi import APIRouter

from shared.api.context import Services
from shared.api.openapi import answers, fails
from shared.api.views import AlarmsView, AlarmView, alarm_view, ending_alarm
from shared.expiry import by_job

router = APIRouter(prefix="/alarms", tags=["alarms"])

_PAGE = 1_000


@router.get("", responses=answers(200, AlarmsView, "What is wrong with jobs.") | fails())
def list_alarms(services: Services) -> AlarmsView:
    """List what is wrong with jobs, each with since when and why. Reads every job: for people and dashboards."""
    now = services.clock()
    ending = by_job(services.endings.read())
    found: list[AlarmView] = []
    records, cursor = services.jobs.page(limit=_PAGE)
    while True:
        for record in records:
            alarms = [ending_alarm(record, each, now) for each in ending.get(record.job_id, [])]
            found += filter(None, [alarm_view(record, now), *alarms])
        if cursor is None:
            return AlarmsView(items=found)
        records, cursor = services.jobs.page(limit=_PAGE, cursor=cursor)
