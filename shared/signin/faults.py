"""What Microsoft Entra ID says when it gives no token, in words that help.

Codes: learn.microsoft.com/entra/identity-platform/reference-error-codes. Pure, apart from the types of azure-core.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Self
from urllib.parse import urlsplit

from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.signin.entra import AnyEntraSignIn, Certificate, ClientSecret, Cloud, ManagedIdentity

_CODE = re.compile(r"AADSTS(\d+)")
#: Entra's own words end where its ticket numbers begin.
_WORDS = re.compile(r"AADSTS\d+: (.{1,300}?)(?= Trace ID| Correlation ID| Timestamp|\s*$)")
#: How msal tells of an answer that it repeats, or did not read.
_STATUS = re.compile(r"HTTP Error: (\d{3})")
#: How azure-identity words the answer of App Service: ``Token request error: (invalid_scope) 400, No User ...``.
_IDENTITY_STATUS = re.compile(r"Token request error: \([^)]*\) (\d{3})")


@dataclass(frozen=True, slots=True)
class Answer:
    """The last HTTP answer: its status (0: none yet), and for how long it asks to be left alone."""

    status: int = 0
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Who wanted a token of whom, as the sentences name it."""

    app: str
    tenant: str
    authority: str
    #: Where the proof of identity is kept, like ``the secret 'graph'``.
    proof: str
    scope: str

    @classmethod
    def of(cls, sign_in: AnyEntraSignIn, cloud: Cloud, scope: str) -> Self:
        """From a sign-in. Secrets are named, never told."""
        match sign_in:
            case ClientSecret():
                proof = f"the secret {sign_in.client_secret!r}"
            case Certificate():
                secret, file = sign_in.certificate_secret, sign_in.certificate_file
                proof = f"the secret {secret!r}" if secret else f"the file {file!r}"
            case _:
                proof = "the federated credential"
        tenant = "" if isinstance(sign_in, ManagedIdentity) else sign_in.tenant_id
        host = urlsplit(cloud.authority).netloc
        return cls(app=sign_in.client_id or "", tenant=tenant, authority=host, proof=proof, scope=scope)


@dataclass(frozen=True, slots=True)
class _Meaning:
    kind: type[JobError]
    what: str
    remedy: str


_NO_CONSENT = _Meaning(
    AuthFailed,
    "Nobody has consented that the app {app} may use {scope} in the tenant {tenant}.",
    "Add the application permissions to the app registration and have an administrator grant consent for the tenant.",
)
_NOT_TRUSTED = _Meaning(
    AuthFailed,
    "The app {app} does not trust the token that was presented for it (no matching federated credential).",
    "Compare issuer, subject and audience of the app's federated credential with those of the token.",
)
_NO_TENANT = _Meaning(
    ConfigInvalid,
    "There is no tenant {tenant} at {authority}.",
    "Check tenant_id, and cloud: a tenant of a national cloud is known only there.",
)
_NO_RESOURCE = _Meaning(
    ConfigInvalid,
    "The tenant {tenant} does not know what the token is for ({scope}).",
    "Check cloud, and that the tenant has Exchange Online.",
)
_NO_APP = _Meaning(
    ConfigInvalid,
    "The app {app} is not known in the tenant {tenant}.",
    "Check client_id and tenant_id; an app of another tenant needs an administrator's consent in this one first.",
)
_BAD_CERTIFICATE = _Meaning(
    AuthFailed,
    "Microsoft Entra ID does not accept the certificate for the app {app}: it is not one of the app's certificates.",
    "Upload the certificate (without its key) to the app registration, or put the registered one into {proof}.",
)

_MEANINGS: Mapping[int, _Meaning] = {
    7000215: _Meaning(
        AuthFailed,
        "The client secret of the app {app} is wrong.",
        "Store the secret's value, not its ID, in {proof}.",
    ),
    7000222: _Meaning(
        AuthFailed,
        "The client secret of the app {app} has expired.",
        "Make a new client secret in the app registration and store its value in {proof}; no restart is needed.",
    ),
    700016: _NO_APP,
    7000229: _NO_APP,
    7000112: _Meaning(
        AuthFailed,
        "The app {app} is disabled in the tenant {tenant}.",
        "Have it enabled under Enterprise applications.",
    ),
    90002: _NO_TENANT,
    900021: _NO_TENANT,
    900023: _NO_TENANT,
    65001: _NO_CONSENT,
    650051: _NO_CONSENT,
    650056: _NO_CONSENT,
    650057: _NO_CONSENT,
    500011: _NO_RESOURCE,
    500014: _NO_RESOURCE,
    650052: _NO_RESOURCE,
    1002012: _NO_RESOURCE,
    70011: _NO_RESOURCE,
    700027: _BAD_CERTIFICATE,
    7000272: _BAD_CERTIFICATE,
    50012: _BAD_CERTIFICATE,
    700023: _BAD_CERTIFICATE,
    700024: _Meaning(
        AuthFailed,
        "The proof that the app {app} presented is not valid at this time.",
        "Check the clock of the machine, and that {proof} is not an old one.",
    ),
    70021: _NOT_TRUSTED,
    700211: _NOT_TRUSTED,
    700212: _NOT_TRUSTED,
    700213: _NOT_TRUSTED,
    53003: _Meaning(
        AuthFailed,
        "A Conditional Access policy of the tenant {tenant} refuses the app {app}.",
        "Have the policy for workload identities allow the addresses of this app.",
    ),
}
_EXPIRED_CERTIFICATE = _Meaning(
    AuthFailed,
    "The certificate of the app {app} has expired.",
    "Upload a new certificate to the app registration and put it with its key into {proof}; no restart is needed.",
)
_UNKNOWN = _Meaning(
    AuthFailed,
    "Microsoft Entra ID gave the app {app} no token for the tenant {tenant}.",
    "Look at the sign-in logs of the tenant (service principal sign-ins) for the cause.",
)


def fault_of(error: Exception, subject: Subject, answer: Answer) -> JobError:
    """What ``error`` of azure-identity means for the job; ``answer`` is the last thing that was heard."""
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError
    from azure.identity import CredentialUnavailableError

    chain = list(_chain(error))
    text = " ".join(" ".join(str(one).split()) for one in chain)
    if code := _CODE.search(text):
        return _refusal(int(code[1]), text, subject, answer)
    if not subject.tenant and isinstance(error, CredentialUnavailableError):
        return _no_identity(text, subject, answer)
    if any(isinstance(one, ServiceRequestError | ServiceResponseError) for one in chain):
        return _unreachable(chain, subject)
    repeated = _STATUS.search(text)
    return _unclear(int(repeated[1]) if repeated else answer.status, subject, answer)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what lies under it: msal keeps the cause in the context of another error."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _refusal(code: int, text: str, subject: Subject, answer: Answer) -> JobError:
    if _busy(answer.status) and code not in _MEANINGS:
        return _unclear(answer.status, subject, answer)
    meaning = _MEANINGS.get(code, _UNKNOWN)
    if meaning is _BAD_CERTIFICATE and "expired" in text:
        meaning = _EXPIRED_CERTIFICATE
    words = _WORDS.search(text)
    said = f" It said: {words[1].strip().rstrip('.')}." if meaning is _UNKNOWN and words else ""
    return _told(meaning, subject, f" (AADSTS{code})", said)


def _told(meaning: _Meaning, subject: Subject, mark: str = "", said: str = "") -> JobError:
    facts = {name: getattr(subject, name) for name in ("app", "tenant", "authority", "proof", "scope")}
    what = meaning.what.format(**facts).removesuffix(".")
    return meaning.kind(f"{what}{mark}.{said}", remedy=meaning.remedy.format(**facts))


def _no_identity(text: str, subject: Subject, answer: Answer) -> JobError:
    status = _IDENTITY_STATUS.search(text)
    if _busy(int(status[1]) if status else answer.status):
        return Unavailable("The managed identity endpoint of this app is busy.", retry_after=answer.retry_after)
    which = f"the managed identity {subject.app}" if subject.app else "a system-assigned managed identity"
    if status or "has been assigned" in text:
        return ConfigInvalid(
            f"This app does not have {which}.",
            remedy="Assign the identity to the function app, and give client_id its client ID (not its object ID).",
        )
    return ConfigInvalid(
        "No managed identity can be had here: nothing answers at its endpoint.",
        remedy="Switch on an identity for the function app; outside Azure use client_secret or certificate.",
    )


def _unreachable(chain: list[BaseException], subject: Subject) -> Unavailable:
    where = subject.authority if subject.tenant else "The managed identity endpoint"
    if any("CERTIFICATE_VERIFY_FAILED" in str(one) for one in chain):
        return Unavailable(
            f"The certificate shown on the way to {subject.authority} is not trusted here.",
            remedy="Look for a proxy or firewall that opens TLS connections, and leave this host out of it.",
        )
    return Unavailable(
        f"{where} could not be reached, or did not answer in time.",
        remedy="Check DNS, proxy and firewall of the app's network.",
    )


def _unclear(status: int, subject: Subject, answer: Answer) -> JobError:
    where = subject.authority if subject.tenant else "The managed identity endpoint"
    if _busy(status):
        return Unavailable(f"{where} is busy or out of order (HTTP {status}).", retry_after=answer.retry_after)
    if status in {0, HTTPStatus.OK}:
        return Unavailable(f"{where} gave an answer that makes no sense.")
    return _told(_UNKNOWN, subject, f" (HTTP {status})")


def _busy(status: int) -> bool:
    return status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or status >= 500
