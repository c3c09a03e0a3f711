r"""A strict Microsoft Graph on a socket, for mail: it refuses what the service refuses, and fails on script.

::

    with Graph() as graph:
        store = graph.new_mailbox("support@example.com")
        store.deliver(b"Subject: hello\r\n\r\n...")
        graph.script(Fault("GET .*/messages", status=429, retry_after="7"))

Every rule names the vendor's page where it stands; nothing in here knows our connector.
"""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

import pytest

from tests.servers.graph_odata import GraphError
from tests.servers.graph_service import Reply, Request, Service
from tests.servers.graph_store import Store
from tests.servers.graph_tokens import FixedCredential, Tokens

HOST = "127.0.0.1"
#: "4 concurrent requests" for an app and a mailbox, of which a batch takes up to four:
#: https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits
_AT_ONCE = 4
_PAUSE = 0.02


@dataclass(slots=True)
class Fault:
    """What happens to the next ``times`` requests whose ``METHOD /path`` begins as ``match`` says.

    ``how``: an error answer; nothing but a closed connection; half an answer; one octet after another for ever; a page
    that is not JSON; or the right answer, changed by ``edit``.
    """

    match: str
    how: Literal["answer", "drop", "cut", "drip", "garbage", "edit"] = "answer"
    status: int = 503
    code: str = "serviceNotAvailable"
    retry_after: str | None = None
    times: int = 1
    #: Within batches alone, or outside of them alone.
    inside: bool = False
    edit: Callable[[dict[str, Any]], dict[str, Any]] = dict

    def meets(self, request: Request) -> bool:
        """Whether this request is meant."""
        text = f"{request.method} {request.path}"
        return self.times > 0 and request.inside == self.inside and bool(re.match(self.match, text))


class Graph:
    """A running simulator. Leave the context to end it."""

    def __init__(self, *, national: bool = False, audience: str = "https://graph.microsoft.com") -> None:
        self.tokens = Tokens(audience)
        self.service = Service(self.tokens, national=national)
        self.service.interrupt = self._interrupt
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._now = 0
        #: The most requests that were under way at once, those within a batch counted as the service runs them.
        self.most_at_once = 0
        self.stopping = threading.Event()
        self._server = _Server(self)
        self.port: int = self._server.server_address[1]
        self.root = self.service.root = f"http://{HOST}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_PAUSE,), name="Graph", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join(timeout=10)
        self._server.server_close()

    def new_mailbox(self, address: str) -> Store:
        """An empty mailbox."""
        return self.service.new_mailbox(address)

    def credential(self, *, key: str = "", **claims: Any) -> FixedCredential:
        """What gives tokens; ``claims`` are set in place of the right ones."""
        return FixedCredential(self.tokens, claims, key)

    def script(self, *faults: Fault) -> None:
        """Have these happen, in their order."""
        self._faults += faults

    @property
    def heard(self) -> list[str]:
        """``METHOD /path`` of every request, those within a batch too."""
        return [f"{request.method} {request.path}" for request in self.service.seen]

    def count(self, match: str) -> int:
        """How many requests there were whose ``METHOD /path`` begins so."""
        return sum(bool(re.match(match, one)) for one in self.heard)

    def _interrupt(self, request: Request) -> Reply | None:
        """Faults that are an answer; those of the connection happen outside, so never within a batch."""
        with self._lock:
            fault = next((one for one in self._faults if one.how == "answer" and one.meets(request)), None)
            if fault is None:
                return None
            fault.times -= 1
        headers = {} if fault.retry_after is None else {"Retry_After": fault.retry_after}
        return self.service.error(GraphError(fault.status, fault.code, "As the script says.", **headers))

    def take_fault(self, request: Request) -> Fault | None:
        """The fault of the connection that is due for this request."""
        with self._lock:
            fault = next((one for one in self._faults if one.how != "answer" and one.meets(request)), None)
            if fault:
                fault.times -= 1
            return fault

    def answer(self, request: Request) -> Reply:
        """Within the limit of what may be under way at once."""
        weight = min(_AT_ONCE, len(request.json["requests"])) if request.path == "/$batch" else 1
        with self._lock:
            self._now += weight
            self.most_at_once = max(self.most_at_once, self._now)
            over = self._now > _AT_ONCE
        try:
            if over:
                message = "Application is over its MailboxConcurrency limit."
                return self.service.error(GraphError(429, "ApplicationThrottled", message))
            return self.service.answer(request)
        finally:
            with self._lock:
                self._now -= weight


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        super().__init__((HOST, 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is a client's right."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _do(self) -> None:
        graph = self.server.graph
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path.removeprefix("/v1.0"), headers, body)
        fault = graph.take_fault(request)
        if fault and fault.how == "drop":
            self._hang_up()
            return
        reply = graph.answer(request)
        if fault and fault.how == "edit":
            reply = Reply(reply.status, fault.edit(reply.body), reply.headers)
        raw = isinstance(reply.body, bytes)
        data: bytes = reply.body if raw else b"" if reply.body is None else json.dumps(reply.body).encode()
        if fault and fault.how == "garbage":
            data = b"<html>Gateway</html>"
        self.send_response(reply.status)
        self.send_header("Content-Type", "text/plain" if raw else "application/json")
        for name, value in reply.headers.items():
            if name != "Content-Type":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault and fault.how == "drip":
            while not graph.stopping.wait(_PAUSE):
                self.wfile.write(b" ")
        self.wfile.write(data[: len(data) // 2] if fault and fault.how == "cut" else data)
        if fault and fault.how == "cut":
            self._hang_up()

    do_GET = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815 - the names that http.server calls

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
        """Tests need no access log."""


@pytest.fixture
def graph() -> Iterator[Graph]:
    """A simulator of its own for each test."""
    with Graph() as server:
        yield server
