"""The outermost layer: headers that every answer carries, and an answer where even ours failed."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.api.problems import unexpected

#: Answers are private, are never to be shown as a page, and change with every run: nobody may keep them.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


class Edge:
    """ASGI middleware. What no exception handler expects ends here, as a 500 that keeps its reasons to itself.

    Starlette's own last resort answers and then raises again, which the Functions host would turn into an empty 500.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            if started:
                raise  # cut off, so that the client sees that it did not get everything
            await unexpected(scope["path"])(scope, receive, send_with_headers)
