"""HTTP triggers: an ASGI application that finds the function for a request, and uvicorn to serve it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from socket import socket
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from azure.functions import HttpResponse
from azure.functions.http import HttpRequest

from dev.host.routes import Route, find
from dev.host.timers import Timer
from dev.host.worker import Worker

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_NOT_FOUND = HttpResponse(status_code=404)


class Web:
    """The ASGI application. Beside the routes it answers ``POST /admin/functions/NAME``: fire that timer now (202)."""

    def __init__(self, routes: Sequence[Route], timers: Sequence[Timer], worker: Worker) -> None:
        self._routes = routes
        self._timers = {timer.function.name.lower(): timer for timer in timers}
        self._worker = worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification, HTTP."""
        body = await _read(receive)
        response = await self._answer(scope, body)
        payload = response.get_body()
        headers = _headers(response, len(payload))
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    async def _answer(self, scope: Scope, body: bytes) -> HttpResponse:
        path = scope["raw_path"].decode("latin-1")
        method = scope["method"]
        if path.lower().startswith("/admin/functions/") and method == "POST":
            return self._fire(path.rsplit("/", 1)[1])
        found = find(self._routes, method, path)
        if found is None:
            return _NOT_FOUND
        route, parameters = found
        request = _request(scope, path, parameters, body)
        outcome = await self._worker.track(route.function.name, self._worker.call(route.function, request))
        if outcome.error:
            return HttpResponse(status_code=500)
        return _response(outcome.value)

    def _fire(self, name: str) -> HttpResponse:
        timer = self._timers.get(name.lower())
        if timer is None:
            return _NOT_FOUND
        self._worker.track(timer.function.name, timer.fire(self._worker.clock.now()))
        return HttpResponse(status_code=202)


async def _read(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def _request(scope: Scope, path: str, parameters: Mapping[str, str], body: bytes) -> HttpRequest:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        _join(headers, name.decode("latin-1"), value.decode("latin-1"))
    query = scope["query_string"].decode("latin-1")
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        _join(values, name, value)
    host = headers.get("host", "{}:{}".format(*scope["server"]))
    return HttpRequest(
        method=scope["method"],
        url=f"{scope['scheme']}://{host}{path}" + (f"?{query}" if query else ""),
        headers=headers,
        params=values,
        route_params=parameters,
        body_type="bytes",
        body=body,
    )


def _join(values: dict[str, str], name: str, value: str) -> None:
    # The real host hands repeated names over as one, with commas.
    values[name] = f"{values[name]},{value}" if name in values else value


def _response(value: Any) -> HttpResponse:
    if value is None:
        return HttpResponse(status_code=204)
    return value if isinstance(value, HttpResponse) else HttpResponse(str(value))


def _headers(response: HttpResponse, length: int) -> list[tuple[bytes, bytes]]:
    # As in the worker: of a repeated header the last one goes out, except cookies.
    headers = {name.lower(): value for name, value in response.headers.items() if name.lower() != "set-cookie"}
    if "content-type" not in headers:
        kind = response.mimetype
        headers["content-type"] = f"{kind}; charset={response.charset}" if kind.startswith("text/") else kind
    if response.status_code not in (204, 304):
        headers.setdefault("content-length", str(length))
    pairs = [*headers.items(), *(("set-cookie", cookie) for cookie in response.headers.getlist("set-cookie"))]
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


class Server(uvicorn.Server):
    """uvicorn on a socket that is bound already; signals are the host's business.

    ``opened`` is called once it answers.
    """

    def __init__(self, web: Web, listener: socket, *, grace: float, opened: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                web,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=round(grace),
            )
        )
        self._listener = listener
        self._opened = opened

    async def run_until_told(self) -> None:
        """Serve until ``should_exit`` is set and what is in work was answered."""
        await self.serve(sockets=[self._listener])

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        self._opened()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
