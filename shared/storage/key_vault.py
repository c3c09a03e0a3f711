"""Secrets in Azure Key Vault, each remembered for a bounded time, so that a rotation counts without a restart.

A certificate that was made in the vault is read as the secret of the same name: PKCS#12 in base64, or PEM
(learn.microsoft.com/azure/key-vault/certificates/about-certificates). An expired secret can still be read: the vault
enforces no dates on that (learn.microsoft.com/azure/key-vault/secrets/about-secrets).

Needs the role Key Vault Secrets User; to write, list and delete, Key Vault Secrets Officer.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from shared.errors import ConfigInvalid, JobError, Unavailable
from shared.model import Clock, SecretInfo

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import HttpResponseError
    from azure.keyvault.secrets import SecretClient, SecretProperties

T = TypeVar("T")

#: One more try at a lost connection, none at an answer: the SDK would sleep as long as Retry-After says.
_CALLS: dict[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 20,
    "retry_total": 1,
    "retry_connect": 1,
    "retry_read": 1,
    "retry_status": 0,
}
#: Seconds for a deleted secret to come back before a new value of it is written.
_RECOVERY = 20.0

_USER = "Grant the app's identity the role Key Vault Secrets User on the vault; it takes some minutes to count."
_OFFICER = "Grant the app's identity the role Key Vault Secrets Officer on the vault; it takes some minutes to count."


@dataclass(frozen=True, slots=True)
class _Kept:
    value: str
    read: datetime


class KeyVaultSecrets:
    """See `shared.ports.SecretStore`. No value is older than ``max_age``, and none is used when that cannot be had."""

    def __init__(self, url: str, credential: "TokenCredential", clock: Clock, *, max_age: timedelta) -> None:
        self._url = url
        self._credential = credential
        self._clock = clock
        self._max_age = max_age
        self._kept: dict[str, _Kept] = {}

    def get(self, name: str) -> str:
        """See the port."""
        now = self._clock()
        kept = self._kept.get(name.lower())
        if kept and timedelta(0) <= now - kept.read < self._max_age:
            return kept.value
        value = self._ask(f"reading secret {name!r}", _USER, lambda: self._client.get_secret(name).value)
        if not value:
            remedy = f"Store a value: PUT /api/secrets/{name}, or in the vault itself."
            what = "has no value" if value == "" else "does not exist"
            raise ConfigInvalid(f"Secret {name!r} {what} in the key vault {self._host}.", remedy=remedy)
        self._kept[name.lower()] = _Kept(value, now)
        return value

    def known(self) -> Sequence[SecretInfo]:
        """See the port."""
        listed = self._ask("listing secrets", _USER, lambda: list(self._client.list_properties_of_secrets())) or []
        return sorted(map(_info, listed), key=lambda secret: secret.name)

    def put(self, name: str, value: str, *, expires: datetime | None) -> SecretInfo:
        """See the port. One that was deleted, and lies in the vault's soft delete, comes back first."""
        from azure.core.exceptions import ResourceExistsError

        def write() -> SecretInfo:
            try:
                stored = self._client.set_secret(name, value, expires_on=expires)
            except ResourceExistsError:
                self._client.begin_recover_deleted_secret(name).wait(_RECOVERY)
                stored = self._client.set_secret(name, value, expires_on=expires)
            return _info(stored.properties)

        self._kept.pop(name.lower(), None)
        info = self._ask(f"storing secret {name!r}", _OFFICER, write)
        if info is None:
            raise Unavailable(f"Secret {name!r} vanished while it was stored.")
        self._kept.pop(name.lower(), None)
        return info

    def delete(self, name: str) -> bool:
        """See the port. It stays in the vault's soft delete for as long as that is set to."""
        self._kept.pop(name.lower(), None)
        poller = self._ask(f"deleting secret {name!r}", _OFFICER, lambda: self._client.begin_delete_secret(name))
        self._kept.pop(name.lower(), None)
        return poller is not None

    @property
    def _host(self) -> str:
        return urlsplit(self._url).netloc

    @cached_property
    def _client(self) -> "SecretClient":
        from azure.keyvault.secrets import SecretClient

        if not self._url.startswith("https://"):
            raise ConfigInvalid(
                "MAILCONNECTOR_KEY_VAULT_URI is no address of a key vault.",
                remedy="It is written https://<name>.vault.azure.net.",
            )
        return SecretClient(self._url, self._credential, **_CALLS)

    def _ask(self, doing: str, remedy: str, call: Callable[[], T]) -> T | None:
        """What ``call`` gives, or None where there is no such secret."""
        from azure.core.exceptions import (
            AzureError,
            ClientAuthenticationError,
            HttpResponseError,
            ResourceNotFoundError,
        )

        where = f"The key vault {self._host}"
        try:
            return call()
        except ResourceNotFoundError:
            return None
        except HttpResponseError as fault:
            if isinstance(fault, ClientAuthenticationError) and not fault.response:
                raise ConfigInvalid(
                    f"The app's identity got no token for the key vault {self._host} while {doing}.",
                    remedy="Give the app a managed identity. AzureWebJobsStorage__clientId names a user-assigned one.",
                ) from fault
            raise _refusal(where, doing, remedy, fault) from fault
        except AzureError as fault:
            raise Unavailable(f"{where} did not answer while {doing} ({type(fault).__name__}).") from fault
        except ValueError as fault:
            # The SDK checks that whoever asks for a token may have one for this host.
            raise ConfigInvalid(
                f"{where} asks for a sign-in that does not fit its name.",
                remedy="MAILCONNECTOR_KEY_VAULT_URI must be the vault's own address, https://<name>.vault.azure.net.",
            ) from fault


def _refusal(where: str, doing: str, remedy: str, fault: "HttpResponseError") -> JobError:
    """The vault's answer as one of our errors, by its status and codes; its sentences name callers and are left out."""
    code, inner = _codes(fault)
    said = f"{where} answered {fault.status_code} ({inner or code}) while {doing}."
    if inner == "SecretDisabled":
        return ConfigInvalid(said, remedy="The secret is switched off in the vault: enable it there, or store it anew.")
    if inner in {"ForbiddenByFirewall", "ForbiddenByConnection"}:
        return ConfigInvalid(said, remedy="The vault's network rules keep the app out: let its network in.")
    if fault.status_code in {401, 403}:
        return ConfigInvalid(said, remedy=remedy)
    if fault.status_code in {400, 405, 413}:
        return ConfigInvalid(said, remedy="A value may have 25 KB; a name has letters, digits and hyphens.")
    header = str(getattr(fault.response, "headers", {}).get("Retry-After", ""))
    return Unavailable(said, retry_after=timedelta(seconds=int(header)) if header.isdecimal() else None)


def _codes(fault: "HttpResponseError") -> tuple[str, str]:
    try:
        error = fault.response.json()["error"]  # type: ignore[union-attr]
        found = error.get("code"), (error.get("innererror") or {}).get("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        found = None, None
    code, inner = (text if isinstance(text, str) and re.fullmatch(r"\w{1,80}", text) else "" for text in found)
    return code or "no code", inner


def _info(properties: "SecretProperties") -> SecretInfo:
    return SecretInfo(
        name=properties.name or "",
        expires=properties.expires_on,
        changed=properties.updated_on,
        enabled=properties.enabled is not False,
    )
