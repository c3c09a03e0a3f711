"""One credential of azure-identity behind our errors: made when it is first used, and made anew once it was refused."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigInvalid, JobError, Unavailable
from shared.signin.entra import AnyEntraSignIn, Certificate, ClientSecret, Cloud, ManagedIdentity, WorkloadIdentity
from shared.signin.faults import Answer, Subject, fault_of

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

#: azure-core's own retries would outlast a run (they sleep for as long as Retry-After says): one more try at a lost
#: connection, and none at an answer. The job's back-off does the rest.
_RETRIES: dict[str, Any] = {"retry_total": 1, "retry_connect": 1, "retry_read": 1, "retry_status": 0}
#: Seconds for a connection to something on this machine.
_NEARBY = 3.0


class EntraCredential:
    """An ``azure.core.credentials.TokenCredential`` whose ``get_token`` raises errors of ``shared.errors`` alone."""

    def __init__(self, sign_in: AnyEntraSignIn, cloud: Cloud, proof: tuple[bytes, ...]) -> None:
        self._sign_in = sign_in
        self._cloud = cloud
        self._proof = proof
        self._answer = Answer()
        self._lock = threading.Lock()
        self._inner: TokenCredential | None = None

    def get_token(self, *scopes: str, **options: Any) -> "AccessToken":
        """A token for ``scopes``, from the cache unless it is about to end; asks for another about 5 minutes before.

        Raises `AuthFailed`, `ConfigInvalid` or `Unavailable`.
        """
        from azure.core.exceptions import AzureError

        try:
            return self._credential().get_token(*scopes, **options)
        except JobError:
            raise
        except (AzureError, ValueError) as exc:
            subject = Subject.of(self._sign_in, self._cloud, " ".join(scopes))
            fault = fault_of(exc, subject, self._answer)
            if not isinstance(fault, Unavailable):
                # msal repeats a refusal for a minute from its memory; who has mended it wants to see that at once.
                self.forget()
            raise fault from exc

    def forget(self) -> None:
        """Have the next token issued anew: the last one was refused, or lacks what has been granted since."""
        self._inner = None

    def _credential(self) -> "TokenCredential":
        with self._lock:
            if self._inner is None:
                self._inner = _make(self._sign_in, self._cloud, self._proof, self._note)
            return self._inner

    def _note(self, response: Any) -> None:
        """Remember what came back last: msal keeps neither the status nor Retry-After."""
        answer = response.http_response
        wait = answer.headers.get("Retry-After", "")
        self._answer = Answer(answer.status_code, timedelta(seconds=int(wait)) if wait.isdecimal() else None)


def _make(
    sign_in: AnyEntraSignIn, cloud: Cloud, proof: tuple[bytes, ...], note: Callable[[Any], None]
) -> "TokenCredential":
    from azure.identity import (
        CertificateCredential,
        ClientAssertionCredential,
        ClientSecretCredential,
        ManagedIdentityCredential,
    )

    options: dict[str, Any] = {
        **_RETRIES,
        "raw_response_hook": note,
        "connection_timeout": cloud.patience,
        "read_timeout": cloud.patience,
        "connection_verify": cloud.ca_file or True,
    }
    if isinstance(sign_in, ManagedIdentity):
        # Its endpoint is on this machine, or nowhere.
        options["connection_timeout"] = min(_NEARBY, cloud.patience)
        return ManagedIdentityCredential(client_id=sign_in.client_id, **options)
    # Where the authority is stands in our own table, so nobody needs to be asked whether it is one.
    options |= {"authority": cloud.authority, "disable_instance_discovery": True}
    match sign_in:
        case ClientSecret():
            return ClientSecretCredential(sign_in.tenant_id, sign_in.client_id, proof[0].decode(), **options)
        case Certificate():
            try:
                return CertificateCredential(
                    sign_in.tenant_id,
                    sign_in.client_id,
                    certificate_data=proof[0],
                    password=proof[1] if len(proof) > 1 else None,
                    **options,
                )
            except (ValueError, TypeError) as exc:
                raise _unusable(sign_in, str(exc)) from exc
        case WorkloadIdentity():
            assertion = _assertion(sign_in, cloud)
            return ClientAssertionCredential(sign_in.tenant_id, sign_in.client_id, assertion, **options)


def _assertion(sign_in: WorkloadIdentity, cloud: Cloud) -> Callable[[], str]:
    if sign_in.managed_identity:
        identity = ManagedIdentity(method="managed_identity", client_id=sign_in.managed_identity)
        proving = EntraCredential(identity, cloud, ())
        return lambda: proving.get_token(f"{cloud.exchange}/.default").token
    path = Path(str(sign_in.token_file))

    def read() -> str:
        # Read anew each time: the platform replaces it, often every hour.
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as exc:
            raise ConfigInvalid(
                f"The token file {str(path)!r} cannot be read.",
                remedy="Give token_file the path at which the platform keeps the workload's token.",
            ) from exc

    return read


def _unusable(sign_in: Certificate, why: str) -> ConfigInvalid:
    """What was wrong with a certificate, judged by the words of the libraries, which say no more than a type."""
    source = (
        f"The secret {sign_in.certificate_secret!r}" if sign_in.certificate_secret else repr(sign_in.certificate_file)
    )
    words = why.lower()
    if "password" in words or "decrypt" in words:
        return ConfigInvalid(
            f"{source} holds a private key whose password is missing or wrong.",
            remedy="Name the secret with its password in password_secret, or leave that out where the key has none.",
        )
    if "rsa" in words:
        return ConfigInvalid(
            f"{source} holds a private key that is not RSA.", remedy="Make a certificate with an RSA key: 2048 bits."
        )
    return ConfigInvalid(
        f"{source} does not hold a certificate together with its private key.",
        remedy="Give both in one: PEM text with the two blocks, or PKCS#12 (.pfx), in base64 where it is a secret.",
    )
