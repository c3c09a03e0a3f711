"""The Config API over fakes, served over a real socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.api import ApiServices, create_app
from shared.api.views import ProblemView
from shared.ports import Mailbox, OpenRequest
from shared.rehearsal import Stage
from shared.targets.table import TableTarget
from tests.builders import NOW
from tests.fakes.clock import FakeClock
from tests.fakes.mailbox import FakeFolder, FakeMailbox
from tests.fakes.secrets import FakeSecrets
from tests.fakes.storage import FakeStorage

#: What the secret of every job in these tests is; it may never be seen again.
PASSWORD = "hunter2-Zx81-marked"


class Away:
    """A port of any kind whose storage does not answer."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_args: object, **_keywords: object) -> None:
            raise self._error

        return fail


class Switch:
    """Serves whichever application the present test has made."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on."""
        await self.app(scope, receive, send)


@dataclass
class World:
    """A client of the API, and what stands behind the API."""

    client: httpx.Client
    switch: Switch
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    secrets: FakeSecrets = field(default_factory=lambda: FakeSecrets({"support-mailbox": PASSWORD}))
    healthy: bool = True

    def __post_init__(self) -> None:
        self.storage = FakeStorage(self.clock)
        #: What every job of these tests finds in its mailbox.
        self.folder = FakeFolder(self.clock)
        self.serve()

    def serve(self, **ports: Any) -> None:
        """Serve the API over the fakes, some ``ports`` of which may be others."""
        usual: dict[str, Any] = {
            "jobs": self.storage.jobs,
            "tickets": self.storage.tickets,
            "parked": self.storage.parked,
            "purged": self.storage.purged,
            "whys": self.storage.whys,
            "queue": self.storage.queue,
            "secrets": self.secrets,
            "vault": self.secrets,
            "clock": self.clock,
            "version": "1.2.3",
            "healthy": lambda: self.healthy,
            "stage": Stage(
                threads=self.storage.threads,
                open_target=lambda _job, _deadline, _name: TableTarget(self.storage.tickets),
                secrets=self.secrets,
                open_mailbox=self._open_mailbox,
            ),
        }
        self.switch.app = create_app(ApiServices(**{**usual, **ports}))

    def _open_mailbox(self, request: OpenRequest) -> Mailbox:
        return FakeMailbox(self.folder, job_id=request.job_id, identity=request.settings.identity())

    def lose_storage(self, error: Exception) -> None:
        """Let every port of storage raise ``error`` from now on."""
        away = cast("Any", Away(error))
        self.serve(jobs=away, tickets=away, parked=away, purged=away, whys=away, queue=away)

    def create(self, **changes: Any) -> httpx.Response:
        """Create a job, and give the answer."""
        answer = self.client.post("/api/jobs", json=make_job(**changes))
        assert answer.status_code == 201, answer.text
        return answer


def make_job(**changes: Any) -> dict[str, Any]:
    """A config as an administrator writes it."""
    job_id = changes.get("id", "support")
    job: dict[str, Any] = {
        "id": job_id,
        "name": "Support mailbox",
        "server": {
            "type": "imap4",
            "host": "mail.example",
            "username": f"{job_id}@mail.example",
            "password_secret": "support-mailbox",
        },
    }
    return {**job, **changes}


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The body of an answer that must be this problem (RFC 9457)."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body: dict[str, Any] = answer.json()
    ProblemView.model_validate(body)
    assert body["type"] == f"urn:mail-connector:problem:{kind}"
    assert (body["status"], body["instance"]) == (
        status,
        unquote(answer.request.url.raw_path.decode().partition("?")[0]),
    )
    return body


@contextmanager
def serving(app: ASGIApp) -> Iterator[httpx.Client]:
    """Serve ``app`` on a free port of this machine and give a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            port = listening.getsockname()[1]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
