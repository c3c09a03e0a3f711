"""The application: its routers, its problems, and its OpenAPI document."""

from typing import Any

from fastapi import FastAPI

from shared.api import (
    alarms,
    connection,
    health,
    jobs,
    parked,
    problems,
    purged,
    runs,
    schedules,
    secrets,
    tickets,
    why,
)
from shared.api.edge import Edge
from shared.api.openapi import complete
from shared.api.services import ApiServices

_DESCRIPTION = """
Manage the jobs of Mail Connector, follow their runs, and read the tickets that they made.

Changing a job is conditional: send the ETag that you read in If-Match. Faults are problem details (RFC 9457), and a
config fault lists everything that is wrong, each with its JSON pointer. Secrets stand in a config by name only.
"""


class ConfigApi(FastAPI):
    """The Config API over one set of services."""

    def __init__(self, services: ApiServices) -> None:
        super().__init__(
            title="Mail Connector",
            version=services.version,
            description=_DESCRIPTION.strip(),
            openapi_url="/api/openapi.json",
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            generate_unique_id_function=lambda route: route.name,
        )
        self.state.services = services
        self.add_middleware(Edge)
        problems.register(self)
        for module in (jobs, alarms, connection, runs, parked, purged, schedules, secrets, tickets, why, health):
            self.include_router(module.router, prefix="/api")

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = complete(super().openapi())
        return self.openapi_schema
