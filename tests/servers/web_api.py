"""A small HTTP server in this process, for stand-ins of systems with an API: one method per request, and a log of them.

::

    class Tracker(WebApi):
        def answer(self, request: ApiRequest) -> ApiAnswer: ...

    with Tracker() as tracker:
        tracker.url, tracker.requests
"""

import json
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.contract.target_world import Fuse


@dataclass(frozen=True)
class ApiRequest:
    """What came in."""

    method: str
    #: As it was sent, percent-encoded.
    raw_path: str
    query: Mapping[str, str]
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """Decoded."""
        return unquote(self.raw_path)

    @cached_property
    def json(self) -> Any:
        """The body, which must be JSON and say so."""
        assert self.headers["content-type"].partition(";")[0] == "application/json", self.headers
        return json.loads(self.body)

    @cached_property
    def form(self) -> dict[str, str]:
        """The body, which must be a form and say so."""
        assert self.headers["content-type"] == "application/x-www-form-urlencoded", self.headers
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=bool(self.body)))

    @cached_property
    def parts(self) -> list[tuple[str, str | None, bytes]]:
        """Field, file name and content of a multipart body, in their order."""
        kind = self.headers["content-type"]
        assert kind.startswith("multipart/form-data;"), kind
        parsed = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + self.body)
        found = []
        for part in parsed.iter_parts():
            name = part.get_param("name", header="content-disposition")
            data = part.get_payload(decode=True)
            assert isinstance(data, bytes)
            found.append((str(name), part.get_filename(), data))
        return found


@dataclass(frozen=True)
class ApiAnswer:
    """What goes out."""

    status: int = 200
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: In place of the document.
    raw: bytes | None = None


class WebApi(ABC):
    """A system behind HTTP. Requests are answered one at a time."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[ApiRequest] = []
        #: Dies with its worker: a request at which it burns gets no answer, before or after it took effect.
        self.fuse = Fuse()
        #: Answered to everything, while it is set.
        self.instead: ApiAnswer | None = None
        #: What went wrong within `answer`, for the test to look at.
        self.faults: list[BaseException] = []
        self._lock = threading.Lock()
        self._tls = tls

    @abstractmethod
    def answer(self, request: ApiRequest) -> ApiAnswer:
        """Do what the request asks for. Called under a lock."""

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="web api")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if kind is None:
            assert self.faults == []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The root, without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def _respond(self, request: ApiRequest) -> ApiAnswer | None:
        """The answer, or None for none at all."""
        with self._lock:
            self.requests.append(request)
            if self.fuse.burns():
                return None
            if self.instead:
                return self.instead
            try:
                answer = self.answer(request)
            except Exception as error:  # noqa: BLE001 (a stand-in must not fail in silence)
                self.faults.append(error)
                return ApiAnswer(500, {"error": repr(error)})
            return None if self.fuse.burns() else answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        respond = self._respond

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                address = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = ApiRequest(
                    self.command,
                    address.path,
                    dict(parse_qsl(address.query, keep_blank_values=True)),
                    {name.lower(): value for name, value in self.headers.items()},
                    body,
                )
                answer = respond(request)
                if answer is None:
                    self.close_connection = True
                    return
                data = answer.raw if answer.raw is not None else json.dumps(answer.document).encode()
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler
