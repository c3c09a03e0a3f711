"""What a soak plays on: Azurite and the mail servers behind wires, and two real hosts of the app."""

import json
import re
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

import httpx

from dev.azurite import Azurite
from dev.child import ChildFailed
from dev.host.process import PROJECT, HostProcess
from tests.run.real import Tables
from tests.servers.counterparts import Counterparts
from tests.servers.graph_tokens import Tokens
from tests.servers.wire import Wire
from tests.soak.boxes import Box, make_boxes

PREFIX = "soak"
#: Short, so that what a killed host held goes on within the half hour, and often.
LEASE_SECONDS = 20
_RUN_SECONDS = 45
_HEADER = "of-the-soak"
_ANSWER_SECONDS = 15.0


class _Identity(BaseHTTPRequestHandler):
    """The managed identity endpoint of App Service: learn.microsoft.com/azure/app-service/overview-managed-identity."""

    tokens: ClassVar[Tokens]

    def do_GET(self) -> None:
        """One token for the resource that is asked for."""
        (resource,) = parse_qs(urlsplit(self.path).query)["resource"]
        allowed = self.headers.get("X-IDENTITY-HEADER") == _HEADER
        answer = {"access_token": self.tokens.mint(aud=resource), "expires_on": "4102444800", "resource": resource}
        data = json.dumps(answer if allowed else {"statusCode": 401}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
        """Nothing."""


@dataclass
class Instance:
    """One host, and when it was there: killed ones are started again."""

    name: str
    process: HostProcess
    starts: int = 0
    paused: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Until it is ready; storage may be failing at that very moment."""
        while True:
            try:
                self.process.start()
            except ChildFailed:
                continue
            self.starts += 1
            return


class Stage:
    """Everything, started. A context manager; leave it to end it all."""

    def __init__(self, output: Path) -> None:
        """``output`` is for what the hosts print."""
        self._output = output
        self._resources = ExitStack()
        self._pause = threading.Event()

    def __enter__(self) -> Self:
        folders = [Path(self._resources.enter_context(tempfile.TemporaryDirectory())) for _ in range(3)]
        self.azurite = self._resources.enter_context(Azurite(folders[0]))
        self.servers = self._resources.enter_context(Counterparts(folders[1]))
        self.boxes: list[Box] = make_boxes(self.servers)
        services = ("blob", "queue", "table")
        self.storage = {
            name: self._resources.enter_context(Wire("127.0.0.1", port))
            for name, port in zip(services, self.azurite.ports, strict=True)
        }
        connection = self.azurite.connection_string
        for wire, port in zip(self.storage.values(), self.azurite.ports, strict=True):
            connection = re.sub(rf":{port}\b", f":{wire.port}", connection)
        settings = {
            "AzureWebJobsStorage": connection,
            "MAILCONNECTOR_PREFIX": PREFIX,
            "MAILCONNECTOR_LEASE_SECONDS": str(LEASE_SECONDS),
            "MAILCONNECTOR_RUN_SECONDS": str(_RUN_SECONDS),
            "MAILCONNECTOR_SECRET_MAILBOX": next(box.mailbox.given["secret"] for box in self.boxes),
            **self._identity(),
        }
        self.tables = Tables(self.azurite, PREFIX)
        self._output.mkdir(parents=True, exist_ok=True)
        self.hosts = [self._host(name, settings, folders[2]) for name in ("killed again and again", "never killed")]
        for host in self.hosts:
            host.start()
            self._resources.callback(host.process.kill)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for box in self.boxes:
            if box.wire:
                box.wire.__exit__(None, None, None)
        self._resources.close()

    def _host(self, name: str, settings: Mapping[str, str], folder: Path) -> Instance:
        log = self._output / f"{name.replace(' ', '-')}.log"
        log.unlink(missing_ok=True)
        return Instance(name, HostProcess(PROJECT, settings=settings, events=folder / name, log=log))

    def _identity(self) -> Mapping[str, str]:
        handler = type("_Bound", (_Identity,), {"tokens": self.servers.graph.tokens})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), name="identity", daemon=True).start()
        self._resources.callback(server.server_close)
        self._resources.callback(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}/msi/token"
        return {"IDENTITY_ENDPOINT": url, "IDENTITY_HEADER": _HEADER}

    @property
    def wires(self) -> dict[str, Wire]:
        """Every wire that can be cut, by what is behind it."""
        return {**{box.kind: box.wire for box in self.boxes if box.wire}, **self.storage}

    def call(self, method: str, path: str, body: object = None, *, until: Callable[[], bool]) -> Any:
        """An answer of the API, from whichever host gives one; None when ``until`` says so first."""
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        headers |= {"If-Match": "*"} if method == "PATCH" else {}
        turn = 0
        while True:
            host = self.hosts[turn % len(self.hosts)]
            turn += 1
            with suppress(httpx.HTTPError):
                answer = httpx.request(
                    method, host.process.url + path, json=body, headers=headers, timeout=_ANSWER_SECONDS
                )
                if answer.status_code < 300:
                    return answer.json() if answer.content else {}
                # Storage is away, or somebody changed the row over and over: once more. All else is our mistake.
                assert answer.status_code in (409, 412, 429, 500, 503), answer.text
            if until():
                return None
            self._pause.wait(0.3)


def rss_and_files(pid: int) -> tuple[float, int] | None:
    """MB of resident memory and open file descriptors of a process, or None where it is gone (Linux)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return None
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return (int(found[1]) / 1024, files) if found else None
