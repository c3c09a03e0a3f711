"""A relay before HTTP services: passes requests on, counts them, and does something to the nth one on script.

::

    with HttpRelay({"tracker": port}) as relay:
        relay.strike(5, "lost")         # the fifth request from now: it happens, but its answer never comes
        ... connect to relay.ports["tracker"] ...

    with StorageRelay(azurite) as relay:
        ... open_storage(RelayedAccount(relay.connection_string)) ...
"""

import http.client
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self, get_args

from azure.data.tables import TableServiceClient

from dev.azurite import Azurite
from shared.storage.open import Account

#: ``busy``: 503 with Retry-After, refused; ``throttled``: 429, refused; ``refused``: the connection closes before the
#: request happens. In all others it does happen: ``lost``: the connection closes without an answer; ``lost 500``: a
#: server in between says 500; ``half``: the answer breaks off; ``garbage``: a page that is no answer of storage, under
#: 200; ``noise``: no HTTP at all; ``silence``: no answer, and nobody hangs up; ``slow``: it comes after a while.
#: ``conflict``: somebody else changes the rows first whose version the request depends on.
Fault = Literal[
    "busy", "throttled", "refused", "lost", "lost 500", "half", "garbage", "noise", "silence", "slow", "conflict"
]
FAULTS: tuple[Fault, ...] = get_args(Fault)

#: Not to be passed on: each connection has its own.
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
_SLOW_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class RelayedAccount(Account):
    """An account whose client is less patient than the product's with silence and between tries: tests wait for it."""

    def tables(self, **options: Any) -> TableServiceClient:
        """See `Account`."""
        return Account.tables(self, **{**_QUICK, **options})

    def blobs(self, **options: Any) -> Any:
        """See `Account`."""
        return Account.blobs(self, **{**_QUICK, **options})

    def queue(self, name: str, **options: Any) -> Any:
        """See `Account`."""
        return Account.queue(self, name, **{**_QUICK, **options})


_QUICK: Mapping[str, Any] = {
    "read_timeout": 0.75,
    "retry_total": 2,
    "retry_backoff_factor": 0.01,
    "increment_base": 0,
    "random_jitter_range": 0,
}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


_REFUSALS: Mapping[Fault, _Answer] = {
    "busy": _Answer(503, "Server Busy", (("Retry-After", "1"), ("x-ms-error-code", "ServerBusy")), b""),
    "throttled": _Answer(429, "Too Many Requests", (("x-ms-error-code", "TooManyRequests"),), b""),
}


class HttpRelay:
    """Services on this machine, by name, each behind a port of its own. A context manager."""

    def __init__(self, services: Mapping[str, int]) -> None:
        self._lock = threading.Lock()
        self._at: frozenset[int] = frozenset()
        self._from: int | None = None
        self._fault: Fault = "busy"
        self._meddle: Callable[[], None] = lambda: None
        #: Requests since `clear`, as ``"POST table"``: the method and the name of the service.
        self.seen: list[str] = []
        #: How many of them the fault hit.
        self.hits = 0
        self._released = threading.Event()
        self._servers: dict[str, ThreadingHTTPServer] = {}
        for service, port in services.items():
            server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(service, port))
            server.daemon_threads = True
            self._servers[service] = server
        #: Where each is reached.
        self.ports = {service: server.server_port for service, server in self._servers.items()}

    def __enter__(self) -> Self:
        for server in self._servers.values():
            threading.Thread(target=server.serve_forever, name="relay", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def clear(self) -> None:
        """Count from zero, and do nothing to any request."""
        with self._lock:
            self.seen, self.hits = [], 0
            self._at, self._from = frozenset(), None

    def strike(
        self, nth: int, fault: Fault, *, lasting: bool = False, meddle: Callable[[], None] = lambda: None
    ) -> None:
        """Do ``fault`` to the ``nth`` request from now (1 is the next), or to all from it on.

        ``meddle`` is called for a conflict: it changes what the request depends on.
        """
        with self._lock:
            at = len(self.seen) + nth
            self._at, self._from = frozenset({at}), at if lasting else None
            self._fault, self._meddle = fault, meddle

    def _take(self, request: str) -> Fault | None:
        """Count a request; what is to happen to it."""
        with self._lock:
            self.seen.append(request)
            at = len(self.seen)
            if at not in self._at and not (self._from is not None and at >= self._from):
                return None
            self.hits += 1
            return self._fault

    def _handler(self, service: str, port: int) -> type[BaseHTTPRequestHandler]:
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65_537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fault = relay._take(f"{self.command} {service}")
                self._act(fault, body)

            def _act(self, fault: Fault | None, body: bytes) -> None:
                if fault == "refused":
                    self._hang_up()
                    return
                if fault and fault in _REFUSALS:
                    self._say(_REFUSALS[fault])
                    return
                if fault == "conflict":
                    relay._meddle()
                answer = self._pass_on(body)
                match fault:
                    case "lost":
                        self._hang_up()
                    case "lost 500":
                        self._say(_Answer(500, "Internal Server Error", (("x-ms-error-code", "InternalError"),), b""))
                    case "half":
                        self._say(answer, octets=len(answer.body) // 2)
                        self._hang_up()
                    case "garbage":
                        self._say(_Answer(200, "OK", (("Content-Type", "text/html"),), b"<html>Please sign in</html>"))
                    case "noise":
                        self.wfile.write(b"\xff\x00 nonsense \r\n" * 8)
                        self._hang_up()
                    case "silence":
                        relay._released.wait()
                        self._hang_up()
                    case "slow":
                        relay._released.wait(_SLOW_SECONDS)
                        self._say(answer)
                    case _:
                        self._say(answer)

            def _pass_on(self, body: bytes) -> _Answer:
                upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                try:
                    upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        upstream.putheader(name, value)
                    upstream.endheaders(body)
                    said = upstream.getresponse()
                    return _Answer(said.status, said.reason, tuple(said.getheaders()), said.read())
                finally:
                    upstream.close()

            def _say(self, answer: _Answer, octets: int | None = None) -> None:
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.headers:
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                if answer.status != http.client.NO_CONTENT:
                    announced = dict(answer.headers).get("content-length") if self.command == "HEAD" else None
                    self.send_header("Content-Length", announced or str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body[:octets])

            def _hang_up(self) -> None:
                self.close_connection = True
                with suppress(OSError):
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *_: object) -> None:
                return

        return Handler


class StorageRelay(HttpRelay):
    """Blob, queue and table service of an Azurite, and whatever else is given by name and port."""

    def __init__(self, azurite: Azurite, others: Mapping[str, int] | None = None) -> None:
        services = dict(zip(("blob", "queue", "table"), azurite.ports, strict=True))
        super().__init__(services | dict(others or {}))
        self.connection_string = azurite.connection_string
        for service, port in services.items():
            self.connection_string = self.connection_string.replace(f":{port}/", f":{self.ports[service]}/")
