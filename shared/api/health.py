"""Whether the app can do its work: for monitors, anonymous, and telling nothing private."""

import logging

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from shared.api.context import Services
from shared.api.openapi import answers
from shared.api.views import HealthView
from shared.errors import MailConnectorError

router = APIRouter(tags=["health"])

_log = logging.getLogger(__name__)


@router.get(
    "/health",
    responses=answers(200, HealthView, "All is well.") | answers(503, HealthView, "Storage does not answer."),
    openapi_extra={"security": []},
)
def read_health(services: Services) -> JSONResponse:
    """Tell whether the app can do its work."""
    try:
        healthy = services.healthy()
    except MailConnectorError as fault:
        _log.error("The health probe failed: %s", fault)
        healthy = False
    view = HealthView(status="ok" if healthy else "degraded")
    return JSONResponse(view.body(), 200 if healthy else 503)
