"""A local Azure Resource Manager over HTTPS: strict, for the two things that an app asks of its own site.

Tokens are those of `tests.servers.entra` and must be for this audience. What it refuses and how:
learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors and .../request-limits-and-throttling;
learn.microsoft.com/rest/api/appservice/web-apps/restart and .../sync-function-triggers (200 and 204).
"""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.servers.entra import Entra, https_server
from tests.servers.tls import HOST, Authority

SITE = "/subscriptions/6f0f6a52-1111-4222-8333-444455556666/resourceGroups/mail/providers/Microsoft.Web/sites/mail-connector"
ACTIONS = ("restart", "syncfunctiontriggers")

#: Where the real one has its audience; the clouds differ, and a test server has a name of its own.
_AUDIENCES = "'https://management.core.windows.net/','https://management.azure.com'"

_CHALLENGE = {"WWW-Authenticate": 'Bearer authorization_uri="https://login.windows.net/", error="invalid_token"'}


class Arm:
    """A running server with one site. Leave the context to end it."""

    def __init__(self, entra: Entra, folder: Path) -> None:
        self.entra = entra
        authority = Authority(folder)
        self.ca_file = authority.ca_file
        #: What the caller may do on the site.
        self.granted = set(ACTIONS)
        #: What was done, in order.
        self.done: list[str] = []
        #: Every request: its action and the status of the answer.
        self.asked: list[tuple[str, int]] = []
        #: Answers in place of the next ones: status, code, headers.
        self.script: list[tuple[int, str, dict[str, str]]] = []
        self._server = https_server(type("_Bound", (_Handler,), {"arm": self}), authority.issue())
        self.url = f"https://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, bearer: str, body: bytes) -> tuple[int, dict[str, Any] | None, dict[str, str]]:
        """Status, body and headers for a POST."""
        split = urlsplit(path)
        site, _, action = split.path.rpartition("/")
        if self.entra.claims(bearer.removeprefix("Bearer "), self.url) is None:
            words = (
                "The access token has been obtained for wrong audience or resource. It should exactly match with one "
                f"of the allowed audiences {_AUDIENCES}."
            )
            return 401, _error("InvalidAuthenticationTokenAudience", words), _CHALLENGE
        if "api-version" not in parse_qs(split.query):
            words = "The api-version query parameter (?api-version=) is required for all requests."
            return 400, _error("MissingApiVersionParameter", words), {}
        if self.script:
            status, code, headers = self.script.pop(0)
            return status, _error(code, "As the test has it."), headers
        return self._act(site, action, body)

    def _act(self, site: str, action: str, body: bytes) -> tuple[int, dict[str, Any] | None, dict[str, str]]:
        if site.lower() != SITE.lower():
            words = f"The Resource 'Microsoft.Web/sites/{site.rpartition('/')[2]}' under resource group 'mail' was not found."
            return 404, _error("ResourceNotFound", words), {}
        if action not in ACTIONS or body:
            return 400, _error("BadRequest", "No such action, or one that takes no body."), {}
        if action not in self.granted:
            words = (
                "The client '0b1c' with object id '0b1c' does not have authorization to perform action "
                f"'Microsoft.Web/sites/{action}/action' over scope '{SITE}' or the scope is invalid."
            )
            return 403, _error("AuthorizationFailed", words), {}
        self.done.append(action)
        return (200 if action == "restart" else 204), None, {}


def _error(code: str, words: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": words}}


class _Handler(BaseHTTPRequestHandler):
    arm: ClassVar[Arm]
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing: tests look at what was asked."""

    def do_POST(self) -> None:
        """Restart or sync."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, said, headers = self.arm.answer(self.path, self.headers.get("Authorization", ""), body)
        self.arm.asked.append((urlsplit(self.path).path.rpartition("/")[2], status))
        data = json.dumps(said).encode() if said else b""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def arm(entra: Entra, tmp_path: Path) -> Iterator[Arm]:
    """A server of the test's own."""
    with Arm(entra, tmp_path) as server:
        yield server
