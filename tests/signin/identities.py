"""Sign-ins for tests, and the certificates and tokens that prove them."""

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from shared.errors import ConfigInvalid
from shared.signin.entra import Certificate, ClientSecret, WorkloadIdentity
from tests.servers.entra import App

#: Values that must never be seen in an error.
SECRET = "Gd78Q~correct-horse-battery"
WRONG = "Zz99Q~wrong-horse-battery"


class SecretsOf:
    """A secret store with these values in it."""

    def __init__(self, values: Mapping[str, str] | None = None, **more: str) -> None:
        self.values = {**(values or {}), **more}

    def get(self, name: str) -> str:
        """See `Secrets.get`."""
        if name not in self.values:
            raise ConfigInvalid(f"There is no secret {name!r}.")
        return self.values[name]


def by_secret(app: App) -> ClientSecret:
    """A sign-in with the client secret ``graph``."""
    return ClientSecret(method="client_secret", tenant_id=app.tenant, client_id=app.client_id, client_secret="graph")


def by_certificate(app: App, **fields: str) -> Certificate:
    """A sign-in with the certificate in the secret ``cert``, unless ``fields`` say otherwise."""
    source = fields if "certificate_file" in fields else {"certificate_secret": "cert", **fields}
    return Certificate(method="certificate", tenant_id=app.tenant, client_id=app.client_id, **source)


def by_workload(app: App, **fields: str) -> WorkloadIdentity:
    """A sign-in with somebody else's token."""
    return WorkloadIdentity(method="workload_identity", tenant_id=app.tenant, client_id=app.client_id, **fields)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: Any

    def pem(self, password: str = "") -> str:
        """Both as PEM text."""
        kept = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, kept)
        return f"{key.decode()}{self.certificate.public_bytes(Encoding.PEM).decode()}"

    def pfx(self, password: str = "") -> bytes:
        """Both as PKCS#12."""
        kept = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        return pkcs12.serialize_key_and_certificates(b"graph", self.key, self.certificate, None, kept)

    def pfx_text(self) -> str:
        """PKCS#12 in base64, as Key Vault keeps it."""
        return base64.b64encode(self.pfx()).decode()


def new_pair(*, days: int = 30, elliptic: bool = False) -> Pair:
    """A self-signed certificate that ends in ``days`` (negative: it has ended)."""
    key: Any = (
        ec.generate_private_key(ec.SECP256R1())
        if elliptic
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail-connector")])
    ends = datetime.now(UTC) + timedelta(days=days)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(ends - timedelta(days=60)).not_valid_after(ends)
    return Pair(built.sign(key, hashes.SHA256()), key)


def federated_token(key: Any, issuer: str, subject: str, *, lifetime: int = 600) -> str:
    """What a platform writes into the token file of a workload."""
    now = int(time.time())
    claims = {"iss": issuer, "sub": subject, "aud": "api://AzureADTokenExchange", "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, key, algorithm="RS256")
