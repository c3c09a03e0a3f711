"""The Config API: jobs, runs, tickets and parked messages over HTTP, as one ASGI application.

Importing this package is cheap: FastAPI is imported by `create_app`, so that only the first HTTP request pays for it.
"""

from typing import TYPE_CHECKING

from shared.api.services import ApiServices

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["ApiServices", "create_app"]


def create_app(services: ApiServices) -> "FastAPI":
    """The application over ``services``. It sees whole paths: every one begins with ``/api/``."""
    from shared.api.app import ConfigApi

    return ConfigApi(services)
