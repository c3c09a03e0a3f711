"""A local Microsoft Entra ID over HTTPS: strict about what it is asked, and it refuses with the real answers' shapes.

It serves the token endpoint of any number of tenants, and the managed identity endpoint of App Service. Another suite
uses it by ``from tests.servers.entra import entra``: a fixture, one server per module.

What it rejects and how: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow (requests),
.../certificate-credentials (assertions), .../reference-error-codes (codes), learn.microsoft.com/azure/app-service/
overview-managed-identity#rest-endpoint-reference (managed identity).
"""

import base64
import json
import shutil
import ssl
import sys
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.signin.entra import CLOUDS, Cloud
from tests.servers.tls import HOST, Authority, Certificate

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_EXCHANGE = "api://AzureADTokenExchange"
#: What the platform puts into IDENTITY_HEADER, so that only the app itself can ask.
IDENTITY_HEADER = "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a"


@dataclass(slots=True)
class App:
    """An app registration of one tenant. Change its fields as an administrator would."""

    tenant: str
    client_id: str
    #: Values of client secrets, and whether each is still valid.
    secrets: dict[str, bool] = field(default_factory=dict)
    certificates: list[x509.Certificate] = field(default_factory=list)
    #: (issuer, subject) -> the key with which that issuer signs.
    federated: dict[tuple[str, str], Any] = field(default_factory=dict)
    #: Consented application permissions.
    roles: tuple[str, ...] = ("IMAP.AccessAsApp", "POP.AccessAsApp", "full_access_as_app", "Mail.ReadWrite")


@dataclass(frozen=True, slots=True)
class Scripted:
    """The next answer of a tenant's token endpoint, whatever it is asked."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    #: ``hang``: say nothing; ``close``: hang up.
    then: Literal["answer", "hang", "close"] = "answer"


class Refused(Exception):
    """The answer to a request that is not granted."""

    def __init__(self, status: int, error: str, code: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.body = refusal(error, code, words)


def refusal(error: str, code: int, words: str) -> str:
    """An error answer as the token endpoint gives it."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    described = f"AADSTS{code}: {words} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
    return json.dumps(
        {
            "error": error,
            "error_description": described,
            "error_codes": [code],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={code}",
        }
    )


class _HttpsServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hangs up is a client's right.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def https_server(handler: type[BaseHTTPRequestHandler], certificate: Certificate) -> ThreadingHTTPServer:
    """An HTTPS server on a free port that has begun to serve; ``shutdown()`` and ``server_close()`` end it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    server = _HttpsServer((HOST, 0), handler)
    # The handshake belongs to the thread of the connection: a client that is slow to greet must not stop others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


class Entra:
    """A running server. Leave the context to end it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="entra-"))
        authority = Authority(self._folder)
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._apps: dict[tuple[str, str], App] = {}
        #: Client ids of user-assigned identities of "this" function app; ``""`` is its system-assigned one.
        self.identities: dict[str, str] = {}
        #: Seconds for which tokens are valid.
        self.lifetime = 3599
        self._scripts: dict[str, list[Scripted]] = defaultdict(list)
        #: Every token request: the tenant (or ``msi``) and the form fields.
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.stop = threading.Event()
        self._server = https_server(type("_Bound", (_Handler,), {"entra": self}), authority.issue())
        self.url = f"https://{HOST}:{self._server.server_port}"
        self.cloud = Cloud(
            authority=self.url,
            graph=CLOUDS["global"].graph,
            outlook=CLOUDS["global"].outlook,
            exchange=_EXCHANGE,
            ca_file=str(authority.ca_file),
            patience=20.0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def register(self, *, tenant: str = "", **fields: Any) -> App:
        """A new app registration, in a tenant of its own unless ``tenant`` says otherwise."""
        app = App(tenant or str(uuid.uuid4()), str(uuid.uuid4()), **fields)
        self._apps[app.tenant, app.client_id] = app
        return app

    def script(self, app: App, *answers: Scripted) -> None:
        """What the token endpoint of the app's tenant answers next, in their order."""
        self._scripts[app.tenant].extend(answers)

    def requests(self, app: App) -> int:
        """How often a token was asked for in the app's tenant."""
        return sum(tenant == app.tenant for tenant, _ in self.asked)

    @property
    def environment(self) -> dict[str, str]:
        """What App Service sets for an app that has a managed identity."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": IDENTITY_HEADER}

    def claims(self, token: str, audience: str) -> dict[str, Any] | None:
        """What a token of ours says, or None where a service with that ``audience`` must refuse it."""
        try:
            return jwt.decode(token, self._key.public_key(), algorithms=["RS256"], audience=audience)
        except jwt.InvalidTokenError:
            return None

    def issue(self, app: App, audience: str, *, lifetime: int | None = None) -> str:
        """A token as the app would get it; with a negative ``lifetime`` it has expired."""
        claims = {"appid": app.client_id, "tid": app.tenant, "roles": list(app.roles), "ver": "1.0"}
        return self._sign({**claims, "iss": f"https://sts.windows.net/{app.tenant}/", "aud": audience}, lifetime)

    def _sign(self, claims: dict[str, Any], lifetime: int | None = None) -> str:
        now = int(time.time())
        span = self.lifetime if lifetime is None else lifetime
        # `uti` makes each token another one, as it does at Microsoft.
        claims = {**claims, "iat": now, "nbf": min(now, now + span), "exp": now + span, "uti": uuid.uuid4().hex}
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": "local"})

    def tenant_known(self, tenant: str) -> bool:
        """Whether any app is registered there."""
        return any(known == tenant for known, _ in self._apps)

    def next_scripted(self, tenant: str) -> Scripted | None:
        """What a test wrote down for this request."""
        return self._scripts[tenant].pop(0) if self._scripts[tenant] else None

    def grant(self, tenant: str, form: dict[str, str]) -> dict[str, Any]:
        """The answer to a token request. Raises `Refused`."""
        if not self.tenant_known(tenant):
            raise _no_tenant(tenant)
        app = self._apps.get((tenant, form.get("client_id", "")))
        if app is None:
            words = f"Application with identifier '{form.get('client_id')}' was not found in the directory '{tenant}'."
            raise Refused(400, "unauthorized_client", 700016, words)
        if form.get("grant_type") != "client_credentials":
            raise Refused(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        resource, dot, default = form.get("scope", "").partition("/.default")
        if not dot or default:
            raise Refused(
                400, "invalid_scope", 1002012, f"The provided value for scope {form.get('scope')} is not valid."
            )
        if "client_assertion" in form:
            self._check_assertion(app, form)
        else:
            self._check_secret(app, form.get("client_secret", ""))
        if resource not in {self.cloud.graph, self.cloud.outlook, _EXCHANGE}:
            words = f"The resource principal named {resource} was not found in the tenant named {tenant}."
            raise Refused(400, "invalid_resource", 500011, words)
        return {
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "ext_expires_in": self.lifetime,
            "access_token": self.issue(app, resource),
        }

    def _check_secret(self, app: App, secret: str) -> None:
        if secret not in app.secrets:
            words = (
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{app.client_id}'."
            )
            raise Refused(401, "invalid_client", 7000215, words)
        if not app.secrets[secret]:
            words = f"The provided client secret keys for app '{app.client_id}' are expired."
            raise Refused(401, "invalid_client", 7000222, words)

    def _check_assertion(self, app: App, form: dict[str, str]) -> None:
        assertion = form["client_assertion"]
        assert form.get("client_assertion_type") == _ASSERTION, form
        claims = jwt.decode(assertion, options={"verify_signature": False})
        if claims.get("iss") == app.client_id:
            self._check_certificate(app, assertion)
            return
        key = app.federated.get((claims.get("iss", ""), claims.get("sub", "")))
        if key is None or claims.get("aud") != _EXCHANGE:
            words = (
                f"No matching federated identity record found for presented assertion subject '{claims.get('sub')}'."
            )
            raise Refused(401, "invalid_client", 700213, words)
        try:
            jwt.decode(assertion, key, algorithms=["RS256"], audience=_EXCHANGE)
        except jwt.InvalidTokenError as exc:
            words = "Client assertion is not within its valid time range."
            raise Refused(401, "invalid_client", 700024, words) from exc

    def _check_certificate(self, app: App, assertion: str) -> None:
        head = jwt.get_unverified_header(assertion)
        for certificate in app.certificates:
            thumbprints = {certificate.fingerprint(hashes.SHA1()), certificate.fingerprint(hashes.SHA256())}  # noqa: S303 - as x5t has it
            presented = head.get("x5t") or head.get("x5t#S256") or ""
            if base64.urlsafe_b64decode(presented + "=" * (-len(presented) % 4)) not in thumbprints:
                continue
            if certificate.not_valid_after_utc < datetime.now(UTC):
                raise _bad_certificate("The key used is expired.")
            audience = f"{self.url}/{app.tenant}/oauth2/v2.0/token"
            try:
                key: Any = certificate.public_key()
                jwt.decode(assertion, key, algorithms=["RS256", "PS256"], audience=audience, subject=app.client_id)
            except jwt.InvalidTokenError as exc:
                raise _bad_certificate("The provided signature value did not match the expected one.") from exc
            return
        raise _bad_certificate("The key was not found.")

    def grant_identity(self, header: str | None, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """The answer of the managed identity endpoint: status and body."""
        if header != IDENTITY_HEADER or query.get("api-version") != "2019-08-01":
            return 401, {"statusCode": 401, "message": "Unauthorized"}
        client_id = query.get("client_id", "")
        if client_id not in self.identities:
            message = (
                "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
            )
            return 400, {"statusCode": 400, "message": message}
        tenant = self.identities[client_id]
        resource = query["resource"]
        claims = {"iss": self.issuer(tenant), "aud": resource, "sub": client_id or "system", "tid": tenant}
        expires = int(time.time()) + self.lifetime
        token = self._sign(claims)
        return 200, {"access_token": token, "expires_on": str(expires), "resource": resource, "token_type": "Bearer"}

    def issuer(self, tenant: str) -> str:
        """What stands as ``iss`` in tokens of managed identities."""
        return f"{self.url}/{tenant}/v2.0"

    @property
    def public_key(self) -> Any:
        """The key with which our tokens can be checked."""
        return self._key.public_key()


def _no_tenant(tenant: str) -> Refused:
    words = f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
    return Refused(400, "invalid_tenant", 90002, words)


def _bad_certificate(reason: str) -> Refused:
    words = f"The certificate with identifier used to sign the client assertion is not registered on application. [Reason - {reason}]"
    return Refused(401, "invalid_client", 700027, words)


class _Handler(BaseHTTPRequestHandler):
    entra: ClassVar[Entra]
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing: tests look at what was asked."""

    def do_GET(self) -> None:
        """The OpenID configuration of a tenant, or a token of a managed identity."""
        split = urlsplit(self.path)
        if split.path == "/msi/token":
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            self.entra.asked.append(("msi", query))
            scripted = self.entra.next_scripted("msi")
            if scripted:
                self._answer(scripted.status, scripted.body, scripted.headers)
                return
            status, body = self.entra.grant_identity(self.headers.get("X-IDENTITY-HEADER"), query)
            self._answer(status, json.dumps(body))
            return
        tenant, _, rest = split.path.strip("/").partition("/")
        if rest != "v2.0/.well-known/openid-configuration":
            self._answer(404, "{}")
        elif not self.entra.tenant_known(tenant):
            fault = _no_tenant(tenant)
            self._answer(fault.status, fault.body)
        else:
            root = f"{self.entra.url}/{tenant}"
            config = {
                "issuer": f"{root}/v2.0",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "jwks_uri": f"{root}/discovery/v2.0/keys",
            }
            self._answer(200, json.dumps(config))

    def do_POST(self) -> None:
        """A token request."""
        length = int(self.headers.get("Content-Length", "0"))
        form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
        tenant, _, rest = urlsplit(self.path).path.strip("/").partition("/")
        assert rest == "oauth2/v2.0/token", self.path
        self.entra.asked.append((tenant, form))
        scripted = self.entra.next_scripted(tenant)
        if scripted:
            if scripted.then == "hang":
                self.entra.stop.wait(30)
            if scripted.then != "answer":
                self.close_connection = True
                return
            self._answer(scripted.status, scripted.body, scripted.headers)
            return
        try:
            self._answer(200, json.dumps(self.entra.grant(tenant, form)))
        except Refused as fault:
            self._answer(fault.status, fault.body)

    def _answer(self, status: int, body: str, headers: Mapping[str, str] | None = None) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture(scope="module")
def entra() -> Iterator[Entra]:
    """One server for the module; each test registers apps of its own."""
    with Entra() as server:
        yield server
