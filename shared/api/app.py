"""The application: its routers, its problems, and its OpenAPI document."""

from collections.abc import Iterator
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from shared.api import (
    alarms,
    audit,
    connection,
    health,
    jobs,
    parked,
    parked_many,
    problems,
    purged,
    rehearsal,
    runs,
    schedules,
    secrets,
    tickets,
    why,
)
from shared.api.access import check_access
from shared.api.audit import Audit
from shared.api.edge import Edge
from shared.api.openapi import complete
from shared.api.services import ApiServices

_DESCRIPTION = """
Manage the jobs of Mail Connector, follow their runs, and read the tickets that they made.

Changing a job is conditional: send the ETag that you read in If-Match. Faults are problem details (RFC 9457), and a
config fault lists everything that is wrong, each with its JSON pointer. Secrets stand in a config by name only.
"""


_MODULES = (
    jobs,
    alarms,
    audit,
    connection,
    rehearsal,
    runs,
    parked,
    parked_many,
    purged,
    schedules,
    secrets,
    tickets,
    why,
    health,
)
_PREFIX = "/api"


def routes() -> Iterator[tuple[str, str, str]]:
    """Name, method and path of everything that the API serves."""
    for module in _MODULES:
        for route in module.router.routes:
            assert isinstance(route, APIRoute), route  # noqa: S101 - another kind would not be checked for roles
            for method in route.methods or ():
                yield route.name, method, f"{_PREFIX}{route.path}"
    yield "read_openapi", "GET", f"{_PREFIX}/openapi.json"


class ConfigApi(FastAPI):
    """The Config API over one set of services."""

    def __init__(self, services: ApiServices) -> None:
        super().__init__(
            title="Mail Connector",
            version=services.version,
            description=_DESCRIPTION.strip(),
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            dependencies=[Depends(check_access)],
            generate_unique_id_function=lambda route: route.name,
        )
        self.state.services = services
        self.add_middleware(Audit, services=services)
        self.add_middleware(Edge)
        problems.register(self)
        for module in _MODULES:
            self.include_router(module.router, prefix=_PREFIX)
        self.add_api_route(f"{_PREFIX}/openapi.json", self.read_openapi, name="read_openapi", include_in_schema=False)

    def read_openapi(self) -> JSONResponse:
        """Describe this API."""
        return JSONResponse(self.openapi())

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = complete(super().openapi(), entra=self.state.services.access.entra)
        return self.openapi_schema
