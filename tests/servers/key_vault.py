"""A local Azure Key Vault over HTTPS: secrets only, strict, with the real answers' shapes.

Tokens are those of `tests.servers.entra`. The first request of a client is answered by the challenge, which names whom
to ask for a token and for what. The SDK insists that the vault's host lies within what the token is for, as
``box.vault.azure.net`` lies within ``vault.azure.net``; ``127.0.0.1:port`` lies within ``0.0.1:port`` by that rule, so
the check stays on. Sources: learn.microsoft.com/rest/api/keyvault/secrets, .../azure/key-vault/general/
rest-error-codes, .../authentication-requests-and-responses, .../soft-delete-overview.
"""

import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.keyvault.secrets._shared import http_challenge_cache

from tests.servers.entra import Entra, https_server
from tests.servers.tls import HOST, Authority

OPERATIONS = frozenset({"get", "set", "list", "delete", "recover"})
_PAGE = 25
_MOST = 25 * 1024


class Refusal(Exception):
    """The answer to a request that is not granted."""

    def __init__(self, status: int, code: str, words: str, inner: str = "", **headers: str) -> None:
        super().__init__(words)
        self.status = status
        more = {"innererror": {"code": inner}} if inner else {}
        self.body = {"error": {"code": code, "message": words, **more}}
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(slots=True)
class Stored:
    """One secret: its newest version."""

    name: str
    value: str
    enabled: bool = True
    expires: int | None = None
    content_type: str | None = None
    managed: bool = False
    version: str = field(default_factory=lambda: uuid.uuid4().hex)
    updated: int = field(default_factory=lambda: int(time.time()))


class KeyVault:
    """A running vault. Leave the context to end it."""

    def __init__(self, entra: Entra, folder: Path) -> None:
        self.entra = entra
        folder.mkdir(exist_ok=True)
        authority = Authority(folder)
        self.ca_file = authority.ca_file
        #: What the caller may do.
        self.granted = set(OPERATIONS)
        #: By name in lower case.
        self.secrets: dict[str, Stored] = {}
        self.deleted: dict[str, Stored] = {}
        #: Every request: method, path, status of the answer.
        self.asked: list[tuple[str, str, int]] = []
        #: Answers in place of the next ones that came with a good token.
        self.script: list[Refusal] = []
        self._server = https_server(type("_Bound", (_Handler,), {"vault": self}), authority.issue())
        self.url = f"https://{HOST}:{self._server.server_port}"
        #: What tokens must be for.
        self.resource = f"https://{HOST.partition('.')[2]}:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def store(self, name: str, value: str, **fields: Any) -> None:
        """As an administrator does in the portal."""
        self.secrets[name.lower()] = Stored(name, value, **fields)

    def reads(self, name: str) -> int:
        """How often the value of a secret was given out."""
        return sum(
            method == "GET" and path.strip("/") == f"secrets/{name}" and status == 200
            for method, path, status in self.asked
        )

    def answer(self, method: str, target: str, bearer: str, body: bytes) -> dict[str, Any]:
        """The body of a success. Raises `Refusal`."""
        split = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        challenge = f'Bearer authorization="{self.entra.url}/tenant", resource="{self.resource}"'
        if not bearer.startswith("Bearer "):
            words = "AKV10000: Request is missing a Bearer or PoP token."
            raise Refusal(401, "Unauthorized", words, WWW_Authenticate=challenge)
        if self.entra.claims(bearer.removeprefix("Bearer "), self.resource) is None:
            words = f"AKV10022: Invalid audience. Expected {self.resource}, found: another."
            raise Refusal(401, "Unauthorized", words, WWW_Authenticate=f'{challenge}, error="invalid_token"')
        if "api-version" not in query:
            raise Refusal(400, "BadParameter", "api-version must be specified")
        if self.script:
            raise self.script.pop(0)
        parts = split.path.strip("/").split("/")
        match method, parts:
            case "GET", ["secrets"]:
                return self._list(query)
            case "GET", ["secrets", name]:
                return self._get(name)
            case "PUT", ["secrets", name]:
                return self._set(name, json.loads(body))
            case "DELETE", ["secrets", name]:
                return self._delete(name)
            case "GET", ["deletedsecrets", name] if name.lower() in self.deleted:
                return self._deleted_bundle(self.deleted[name.lower()])
            case "POST", ["deletedsecrets", name, "recover"]:
                return self._recover(name)
        raise Refusal(404, "NotFound", "There is nothing here.")

    def _may(self, operation: str, name: str = "") -> None:
        if operation not in self.granted:
            words = (
                "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or "
                "role definitions were changed recently, please observe propagation time.\r\nCaller: appid=1c;oid=2d;"
                f"iss=https://sts.windows.net/t/\r\nAction: 'Microsoft.KeyVault/vaults/secrets/{operation}Secret/action'"
                f"\r\nResource: '.../secrets/{name}'\r\nAssignment: (not found)\r\n"
            )
            raise Refusal(403, "Forbidden", words, "ForbiddenByRbac")

    def _existing(self, name: str) -> Stored:
        if name.lower() not in self.secrets:
            words = (
                f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret "
                "you may be able to recover it using the correct recovery command."
            )
            raise Refusal(404, "SecretNotFound", words)
        return self.secrets[name.lower()]

    def _get(self, name: str) -> dict[str, Any]:
        self._may("get", name)
        stored = self._existing(name)
        if not stored.enabled:
            raise Refusal(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return {"value": stored.value, **self._item(stored)}

    def _list(self, query: dict[str, str]) -> dict[str, Any]:
        self._may("list")
        names = sorted(self.secrets)
        start = int(query.get("$skiptoken", "0"))
        page = [self._item(self.secrets[name]) for name in names[start : start + _PAGE]]
        more = f"{self.url}/secrets?api-version={query['api-version']}&$skiptoken={start + _PAGE}"
        return {"value": page, "nextLink": more if start + _PAGE < len(names) else None}

    def _set(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self._may("set", name)
        if not re.fullmatch(r"[0-9a-zA-Z-]{1,127}", name):
            raise Refusal(400, "BadParameter", "The request URI contains an invalid name: it is too odd.")
        if not isinstance(body.get("value"), str) or len(body["value"]) > _MOST:
            raise Refusal(400, "BadParameter", "The value of the secret is too long or missing.")
        if name.lower() in self.deleted:
            words = (
                f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this "
                "state, the secret can only be recovered or purged."
            )
            raise Refusal(409, "Conflict", words, "ObjectIsDeletedButRecoverable")
        attributes = body.get("attributes") or {}
        self.store(name, body["value"], expires=attributes.get("exp"), enabled=attributes.get("enabled", True))
        return self._get_unchecked(name)

    def _get_unchecked(self, name: str) -> dict[str, Any]:
        stored = self.secrets[name.lower()]
        return {"value": stored.value, **self._item(stored)}

    def _delete(self, name: str) -> dict[str, Any]:
        self._may("delete", name)
        stored = self._existing(name)
        self.deleted[name.lower()] = self.secrets.pop(name.lower())
        return self._deleted_bundle(stored)

    def _recover(self, name: str) -> dict[str, Any]:
        self._may("recover", name)
        if name.lower() not in self.deleted:
            raise Refusal(404, "SecretNotFound", f"A deleted secret {name} was not found.")
        stored = self.secrets[name.lower()] = self.deleted.pop(name.lower())
        return self._item(stored)

    def _item(self, stored: Stored) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "enabled": stored.enabled,
            "created": stored.updated,
            "updated": stored.updated,
            "recoveryLevel": "Recoverable",
            "recoverableDays": 90,
        }
        if stored.expires is not None:
            attributes["exp"] = stored.expires
        item: dict[str, Any] = {
            "id": f"{self.url}/secrets/{stored.name}/{stored.version}",
            "attributes": attributes,
            "tags": {},
        }
        if stored.content_type:
            item["contentType"] = stored.content_type
        if stored.managed:
            item |= {"managed": True, "kid": f"{self.url}/keys/{stored.name}/{stored.version}"}
        return item

    def _deleted_bundle(self, stored: Stored) -> dict[str, Any]:
        now = int(time.time())
        return {
            **self._item(stored),
            "recoveryId": f"{self.url}/deletedsecrets/{stored.name}",
            "deletedDate": now,
            "scheduledPurgeDate": now + 90 * 86_400,
        }


class _Handler(BaseHTTPRequestHandler):
    vault: ClassVar[KeyVault]
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing: tests look at what was asked."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers: dict[str, str] = {}
        try:
            said = self.vault.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            status = 200
        except Refusal as refusal:
            status, said, headers = refusal.status, refusal.body, refusal.headers
        self.vault.asked.append((self.command, urlsplit(self.path).path, status))
        data = json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_DELETE = do_POST = _serve  # noqa: N815 - the library's names


@pytest.fixture
def key_vault(entra: Entra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyVault]:
    """A vault of the test's own, and a process that has an identity which may do everything in it."""
    # The SDK remembers challenges by host and port for the whole process, and ports come again.
    http_challenge_cache.clear()
    with KeyVault(entra, tmp_path / "vault") as server:
        both = tmp_path / "vault" / "both.pem"
        both.write_text(server.ca_file.read_text() + Path(str(entra.cloud.ca_file)).read_text())
        for name, value in {**entra.environment, "REQUESTS_CA_BUNDLE": str(both)}.items():
            monkeypatch.setenv(name, value)
        entra.identities.clear()
        entra.identities[""] = "tenant-of-the-app"
        yield server
