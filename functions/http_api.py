"""The config API as HTTP-triggered functions: one for everything, and one for health, which needs no key."""

import asyncio
from functools import cache

import azure.functions as func

from functions.settings import AppSettings
from functions.wiring import audit, endings, secrets, services, settings, storage, vault

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def auth_level(app: AppSettings) -> func.AuthLevel:
    """What the platform asks callers for.

    Where it has checked a token already, a key besides would be one secret more. Where it was meant to and does not,
    the key stays, and the application lets nobody in.
    """
    return func.AuthLevel.ANONYMOUS if app.entra and app.platform_auth else func.AuthLevel.FUNCTION


def register(app: func.FunctionApp) -> None:
    """Both functions hand the request to the same application."""

    @app.function_name("http_api")
    @app.route(route="api/{*path}", methods=_METHODS, auth_level=auth_level(settings()))
    async def http_api(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return await _answer(req, context)

    @app.function_name("health")
    @app.route(route="api/health", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
    async def health(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return await _answer(req, context)


async def _answer(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    # FastAPI takes a third of a second to import: only HTTP pays for it, and not on the worker's event loop.
    application = await asyncio.to_thread(_application)
    answer: func.HttpResponse = await application.handle_async(req, context)
    return answer


@cache
def _application() -> func.AsgiMiddleware:
    from functions import VERSION
    from shared.api import ApiServices, create_app
    from shared.api.services import Access
    from shared.errors import MailConnectorError
    from shared.rehearsal import Stage
    from shared.run import target_of

    kept = storage()

    def healthy() -> bool:
        try:
            kept.jobs.page(limit=1)
        except MailConnectorError:
            return False
        return True

    return func.AsgiMiddleware(  # type: ignore[no-untyped-call]
        create_app(
            ApiServices(
                jobs=kept.jobs,
                tickets=kept.tickets,
                parked=kept.parked,
                purged=kept.purged,
                whys=kept.whys,
                queue=kept.queue,
                secrets=secrets(),
                vault=vault(),
                endings=endings(),
                audit=audit(),
                access=Access(entra=settings().entra, platform=settings().platform_auth),
                clock=services().clock,
                version=VERSION,
                healthy=healthy,
                stage=Stage(
                    threads=kept.threads,
                    open_target=lambda job, deadline, name: target_of(job, services(), deadline, name),
                    secrets=secrets(),
                ),
            )
        )
    )
