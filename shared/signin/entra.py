"""Tokens of Microsoft Entra ID: how a job says who it is, where the clouds are, and one cached credential for each.

A credential lives as long as the process, so that its tokens serve run after run; azure-identity renews them about
five minutes before they end. Another value of the secret makes another credential: a rotation needs no restart.
"""

import base64
import binascii
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from shared.errors import ConfigInvalid
from shared.ports import Secrets, Settings

if TYPE_CHECKING:
    from shared.signin.credential import EntraCredential

# --- clouds ----------------------------------------------------------------------------------------------------------

CloudName = Literal["global", "usgov", "usgovhigh", "china"]


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where one of Microsoft's clouds answers. URLs have no slash at their end."""

    #: Issues the tokens.
    authority: str
    #: Root of Microsoft Graph, without the version.
    graph: str
    #: Root of Exchange Online: EWS, IMAP4 and POP3 answer on its host.
    outlook: str
    #: The audience of a token that proves an identity to Entra itself (workload identity federation).
    exchange: str
    #: PEM file with the CAs to trust at ``authority``; None: the usual ones.
    ca_file: str | None = None
    #: Seconds that ``authority`` may stay silent.
    patience: float = 20.0

    @property
    def graph_scope(self) -> str:
        """What to ask for to use Microsoft Graph."""
        return f"{self.graph}/.default"

    @property
    def outlook_scope(self) -> str:
        """What to ask for to use EWS, IMAP4 or POP3 on Exchange Online."""
        return f"{self.outlook}/.default"


#: Authorities: learn.microsoft.com/entra/identity-platform/authentication-national-cloud. Graph:
#: learn.microsoft.com/graph/deployments (``usgov`` is its L4, that is GCC High; ``usgovhigh`` its L5, that is DoD).
#: Exchange: learn.microsoft.com/microsoft-365/enterprise/microsoft-365-endpoints. Federation:
#: learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity.
CLOUDS: Mapping[CloudName, Cloud] = {
    "global": Cloud(
        authority="https://login.microsoftonline.com",
        graph="https://graph.microsoft.com",
        outlook="https://outlook.office365.com",
        exchange="api://AzureADTokenExchange",
    ),
    "usgov": Cloud(
        authority="https://login.microsoftonline.us",
        graph="https://graph.microsoft.us",
        outlook="https://outlook.office365.us",
        exchange="api://AzureADTokenExchangeUSGov",
    ),
    "usgovhigh": Cloud(
        authority="https://login.microsoftonline.us",
        graph="https://dod-graph.microsoft.us",
        outlook="https://outlook-dod.office365.us",
        exchange="api://AzureADTokenExchangeUSGov",
    ),
    "china": Cloud(
        authority="https://login.partner.microsoftonline.cn",
        graph="https://microsoftgraph.chinacloudapi.cn",
        outlook="https://partner.outlook.cn",
        exchange="api://AzureADTokenExchangeChina",
    ),
}

# --- settings --------------------------------------------------------------------------------------------------------


def _is_name(name: str) -> str:
    if not all(mark.isascii() and (mark.isalnum() or mark == "-") for mark in name):
        raise ValueError(
            "This is the name of a secret, not the secret itself: letters, digits and hyphens. Store the value as a "
            "secret, and write its name here."
        )
    return name


SecretName = Annotated[str, Field(min_length=1, max_length=127), AfterValidator(_is_name)]
_TenantId = Annotated[
    str,
    Field(
        pattern=r"^[0-9A-Za-z][0-9A-Za-z.-]*$",
        max_length=128,
        description="Directory (tenant) ID, or a domain of the tenant.",
    ),
]
_ClientId = Annotated[
    str,
    Field(pattern=r"^[0-9A-Za-z-]+$", max_length=64, description="Application (client) ID of the app registration."),
]


class ManagedIdentity(Settings):
    """The identity that Azure gave to this app: no secret at all. It reaches only the tenant of its subscription."""

    method: Literal["managed_identity"]
    client_id: _ClientId | None = Field(
        default=None, description="Client ID of a user-assigned identity. Left out: the app's system-assigned one."
    )

    def secret_names(self) -> frozenset[str]:
        """None: that is the point of it."""
        return frozenset()


class ClientSecret(Settings):
    """An app registration and one of its client secrets."""

    method: Literal["client_secret"]
    tenant_id: _TenantId
    client_id: _ClientId
    client_secret: SecretName = Field(description="The name of the secret that holds the client secret's value.")

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        return frozenset({self.client_secret})


class Certificate(Settings):
    """An app registration and a certificate with its private key (RSA)."""

    method: Literal["certificate"]
    tenant_id: _TenantId
    client_id: _ClientId
    certificate_secret: SecretName | None = Field(
        default=None, description="The name of the secret with certificate and key: PEM, or PKCS#12 in base64."
    )
    certificate_file: str | None = Field(
        default=None, min_length=1, description="Or the path of a PEM or PKCS#12 file that is deployed with the app."
    )
    password_secret: SecretName | None = Field(
        default=None, description="The name of the secret with the password of the private key, if it has one."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.certificate_secret is None) == (self.certificate_file is None):
            raise ValueError("Give either certificate_secret or certificate_file, and not both.")
        return self

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        return frozenset(filter(None, (self.certificate_secret, self.password_secret)))


class WorkloadIdentity(Settings):
    """An app registration that trusts tokens of somebody else (workload identity federation): no secret to rotate.

    That is also how a managed identity reaches a mailbox in another tenant.
    """

    method: Literal["workload_identity"]
    tenant_id: _TenantId
    client_id: _ClientId
    token_file: str | None = Field(
        default=None, min_length=1, description="Path of the file in which the platform keeps a fresh token."
    )
    managed_identity: _ClientId | None = Field(
        default=None, description="Or the client ID of the user-assigned managed identity that the app trusts."
    )

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        if (self.token_file is None) == (self.managed_identity is None):
            raise ValueError("Give either token_file or managed_identity, and not both.")
        return self

    def secret_names(self) -> frozenset[str]:
        """None: that is the point of it."""
        return frozenset()


AnyEntraSignIn = ManagedIdentity | ClientSecret | Certificate | WorkloadIdentity
#: One of the four, told apart by ``method``.
EntraSignIn = Annotated[AnyEntraSignIn, Field(discriminator="method")]

# --- credentials -----------------------------------------------------------------------------------------------------

#: More different sign-ins than one app has; beyond that the cache starts anew.
_MOST = 1_000
_credentials: dict[tuple[AnyEntraSignIn, Cloud], tuple[bytes, "EntraCredential"]] = {}
_lock = threading.Lock()


def credential_for(sign_in: AnyEntraSignIn, secrets: Secrets, cloud: Cloud) -> "EntraCredential":
    """The process's one credential for this sign-in: an ``azure.core.credentials.TokenCredential``.

    Its ``get_token`` raises errors of ``shared.errors`` alone, so it can be handed to any SDK; no request goes out
    before that. Safe to share between threads. Raises `ConfigInvalid` (a missing or unusable secret, certificate or
    file) or `Unavailable` (the vault is away).
    """
    from shared.signin.credential import EntraCredential

    proof = proof_of(sign_in, secrets)
    digest = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in proof)).digest()
    with _lock:
        known = _credentials.get((sign_in, cloud))
        if known and known[0] == digest:
            return known[1]
        credential = EntraCredential(sign_in, cloud, proof)
        if len(_credentials) >= _MOST:
            _credentials.clear()
        _credentials[sign_in, cloud] = digest, credential
        return credential


def token(credential: "EntraCredential", scope: str) -> str:
    """A valid access token for ``scope`` (like `Cloud.outlook_scope`), from the cache where it can be.

    Raises `AuthFailed`, `ConfigInvalid` or `Unavailable`.
    """
    return credential.get_token(scope).token


def claims_in(access_token: str) -> Mapping[str, Any]:
    """What a token says of itself (``roles``, ``aud``, ``exp``), for explaining a refusal; empty where it is opaque.

    Not verified: that is the business of the server for which the token is meant.
    """
    try:
        payload = access_token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def proof_of(sign_in: AnyEntraSignIn, secrets: Secrets) -> tuple[bytes, ...]:
    """What proves the identity, as far as it is ours to keep: the client secret, or certificate and password."""
    match sign_in:
        case ClientSecret():
            return (_line(secrets, sign_in.client_secret),)
        case Certificate():
            certificate = _certificate(sign_in, secrets)
            return (certificate, _line(secrets, sign_in.password_secret)) if sign_in.password_secret else (certificate,)
        case _:
            return ()


def _line(secrets: Secrets, name: str) -> bytes:
    value = secrets.get(name)
    if not value or any(ord(mark) < 32 or ord(mark) == 127 for mark in value):
        raise ConfigInvalid(
            f"The secret {name!r} is empty or has a control character in it.",
            remedy="Store it again without a line end.",
        )
    return value.encode("utf-8", "replace")


def _certificate(sign_in: Certificate, secrets: Secrets) -> bytes:
    if sign_in.certificate_file:
        try:
            return Path(sign_in.certificate_file).read_bytes()
        except OSError as exc:
            raise ConfigInvalid(
                f"The certificate file {sign_in.certificate_file!r} cannot be read: {exc.strerror}.",
                remedy="Give certificate_file the path of a PEM or PKCS#12 file that is deployed with the app.",
            ) from exc
    name = str(sign_in.certificate_secret)
    value = secrets.get(name)
    if "-----BEGIN" in value:
        return value.encode("utf-8", "replace")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ConfigInvalid(
            f"The secret {name!r} holds no certificate.",
            remedy="Store certificate and private key in it as PEM text, or a PKCS#12 file in base64.",
        ) from exc
