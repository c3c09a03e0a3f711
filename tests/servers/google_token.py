"""Google's token endpoint on this machine: service accounts with domain-wide delegation, and refresh tokens.

What it checks and how it refuses: developers.google.com/identity/protocols/oauth2/service-account (claims, signature,
delegation, error codes) and developers.google.com/identity/protocols/oauth2/web-server (refresh tokens).
"""

import json
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from shared.signin.google import SCOPE, Google
from tests.servers.entra import Scripted, https_server
from tests.servers.tls import HOST, Authority

_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(slots=True)
class ServiceAccount:
    """A service account with one key."""

    email: str
    key: rsa.RSAPrivateKey
    key_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    #: Users of the domain for whom it may act; others do not exist there.
    users: set[str] = field(default_factory=set)
    #: Whether the Admin console lists its client ID with the scope.
    delegated: bool = True

    def key_file(self) -> str:
        """The JSON file that one downloads once."""
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "mail",
                "private_key_id": self.key_id,
                "private_key": pem,
                "client_email": self.email,
                "client_id": "104290000000000000000",
                "token_uri": "https://oauth2.googleapis.com/token",
            }
        )


@dataclass(slots=True)
class Client:
    """An OAuth client and the refresh tokens that users gave it."""

    client_id: str
    secret: str
    #: Refresh token -> user.
    consents: dict[str, str] = field(default_factory=dict)


class GoogleRefused(Exception):
    """The answer to a request that is not granted (RFC 6749 section 5.2)."""

    def __init__(self, status: int, error: str, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.body = json.dumps({"error": error, "error_description": words})


class GoogleServer:
    """A running server. Leave the context to end it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="google-"))
        authority = Authority(self._folder)
        self._server = https_server(type("_Bound", (_Handler,), {"google": self}), authority.issue())
        self.place = Google(f"https://{HOST}:{self._server.server_port}/token", ca_file=str(authority.ca_file))
        self._accounts: dict[str, ServiceAccount] = {}
        self._clients: dict[str, Client] = {}
        #: Token -> the user whose mailbox it opens.
        self.issued: dict[str, str] = {}
        self.lifetime = 3599
        self.scripted: list[Scripted] = []
        self.asked: list[dict[str, str]] = []
        self.stop = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_account(self, *users: str) -> ServiceAccount:
        """A service account that may act for ``users``."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        account = ServiceAccount(f"mail-{uuid.uuid4().hex[:8]}@mail.iam.gserviceaccount.com", key, users=set(users))
        self._accounts[account.email] = account
        return account

    def new_client(self) -> Client:
        """An OAuth client."""
        client = Client(f"{uuid.uuid4().hex}.apps.googleusercontent.com", f"GOCSPX-{uuid.uuid4().hex}")
        self._clients[client.client_id] = client
        return client

    def grant(self, form: dict[str, str]) -> dict[str, Any]:
        """The answer to a token request. Raises `GoogleRefused`."""
        if form.get("grant_type") == _JWT_GRANT:
            user = self._acting_for(form["assertion"])
        elif form.get("grant_type") == "refresh_token":
            user = self._consenting(form)
        else:
            raise GoogleRefused(400, "unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type')}")
        token = f"ya29.{uuid.uuid4().hex}"
        self.issued[token] = user
        return {"access_token": token, "expires_in": self.lifetime, "scope": SCOPE, "token_type": "Bearer"}

    def _acting_for(self, assertion: str) -> str:
        told = jwt.decode(assertion, options={"verify_signature": False})
        account = self._accounts.get(told["iss"])
        if account is None:
            raise GoogleRefused(400, "invalid_grant", "Invalid grant: account not found")
        if jwt.get_unverified_header(assertion).get("kid") != account.key_id:
            raise GoogleRefused(400, "invalid_grant", "Invalid JWT Signature.")
        try:
            claims = jwt.decode(
                assertion, account.key.public_key(), algorithms=["RS256"], audience=self.place.token_url
            )
        except jwt.InvalidTokenError as exc:
            raise GoogleRefused(400, "invalid_grant", "Invalid JWT Signature.") from exc
        if claims["exp"] - claims["iat"] > 3600:
            words = (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your "
                "iat and exp values in the JWT claim."
            )
            raise GoogleRefused(400, "invalid_grant", words)
        if not account.delegated or claims["scope"] != SCOPE:
            words = (
                "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any "
                "of the scopes requested."
            )
            raise GoogleRefused(401, "unauthorized_client", words)
        if claims["sub"] not in account.users:
            raise GoogleRefused(400, "invalid_grant", "Invalid email or User ID")
        return str(claims["sub"])

    def _consenting(self, form: dict[str, str]) -> str:
        client = self._clients.get(form["client_id"])
        if client is None:
            raise GoogleRefused(401, "invalid_client", "The OAuth client was not found.")
        if client.secret != form["client_secret"]:
            raise GoogleRefused(401, "invalid_client", "The provided client secret is invalid.")
        refresh = form["refresh_token"]
        if refresh in client.consents:
            return client.consents[refresh]
        if any(refresh in other.consents for other in self._clients.values()):
            raise GoogleRefused(401, "unauthorized_client", "Unauthorized")
        raise GoogleRefused(400, "invalid_grant", "Token has been expired or revoked.")


class _Handler(BaseHTTPRequestHandler):
    google: ClassVar[GoogleServer]
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing: tests look at what was asked."""

    def do_POST(self) -> None:
        """A token request."""
        length = int(self.headers.get("Content-Length", "0"))
        form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
        self.google.asked.append(form)
        if self.google.scripted:
            scripted = self.google.scripted.pop(0)
            if scripted.then == "hang":
                self.google.stop.wait(30)
            if scripted.then == "answer":
                self._answer(scripted.status, scripted.body, dict(scripted.headers))
            return
        try:
            self._answer(200, json.dumps(self.google.grant(form)), {})
        except GoogleRefused as fault:
            self._answer(fault.status, fault.body, {})

    def _answer(self, status: int, body: str, headers: dict[str, str]) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleServer]:
    """One server for the module; each test makes accounts and clients of its own."""
    with GoogleServer() as server:
        yield server
