"""Tokens of Google for mailboxes: a service account that acts for a user, or a user's own refresh token.

Two requests of RFC 6749 and RFC 7523, as developers.google.com/identity/protocols/oauth2/service-account and
.../oauth2/web-server describe them: too little for an SDK of its own. Tokens are kept for the life of the process and
renewed five minutes before they end.
"""

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from pydantic import Field

from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.ports import Secrets, Settings
from shared.signin.entra import SecretName

#: The only scope with which Gmail lets IMAP4 and POP3 in (developers.google.com/workspace/gmail/imap/xoauth2-protocol).
SCOPE = "https://mail.google.com/"
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: Seconds: how long before its end a token is renewed, and how long an assertion is good for.
_AHEAD, _ASSERTION = 300, 3600
_MOST = 1_000


class GoogleServiceAccount(Settings):
    """A service account with domain-wide delegation: one key, and it acts for any user of the Workspace domain."""

    method: Literal["google_service_account"]
    key_secret: SecretName = Field(description="The name of the secret with the service account's key: the JSON file.")

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        return frozenset({self.key_secret})


class GoogleRefreshToken(Settings):
    """One user's consent, given once in a browser to an OAuth client of one's own."""

    method: Literal["google_refresh_token"]
    client_id: str = Field(min_length=1, max_length=256, pattern=r"^[!-~]+$", description="Of the OAuth client.")
    client_secret: SecretName = Field(description="The name of the secret that holds the client secret's value.")
    refresh_token_secret: SecretName = Field(description="The name of the secret that holds the refresh token.")

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        return frozenset({self.client_secret, self.refresh_token_secret})


AnyGoogleSignIn = GoogleServiceAccount | GoogleRefreshToken


@dataclass(frozen=True, slots=True)
class Google:
    """Where Google issues tokens."""

    token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    #: PEM file with the CAs to trust there; None: the usual ones.
    ca_file: str | None = None
    #: Seconds that it may stay silent.
    patience: float = 20.0


GOOGLE = Google()


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    #: By `time.monotonic`.
    ends: float
    digest: bytes


_tokens: dict[tuple[AnyGoogleSignIn, str, Google], _Token] = {}
_lock = threading.Lock()


def google_token(sign_in: AnyGoogleSignIn, secrets: Secrets, user: str, google: Google = GOOGLE) -> str:
    """A valid access token for the mailbox of ``user``, from the cache where it can be. Safe to share between threads.

    Raises `AuthFailed`, `ConfigInvalid` or `Unavailable`.
    """
    values = [secrets.get(name) for name in sorted(sign_in.secret_names())]
    digest = hashlib.sha256("\0".join(values).encode("utf-8", "replace")).digest()
    key = (sign_in, user, google)
    with _lock:
        known = _tokens.get(key)
    now = time.monotonic()
    if known and known.digest != digest:
        known = None
    if known and known.ends - now > _AHEAD:
        return known.text
    try:
        answer = _ask(sign_in, _form(sign_in, secrets, user, google), user, google)
    except Unavailable:
        if known and known.ends > now:
            return known.text
        raise
    found = _Token(str(answer["access_token"]), now + int(answer.get("expires_in", _AHEAD)), digest)
    with _lock:
        if len(_tokens) >= _MOST:
            _tokens.clear()
        _tokens[key] = found
    return found.text


def forget(sign_in: AnyGoogleSignIn, user: str, google: Google = GOOGLE) -> None:
    """Have the next token issued anew: the last one was refused."""
    with _lock:
        _tokens.pop((sign_in, user, google), None)


def _form(sign_in: AnyGoogleSignIn, secrets: Secrets, user: str, google: Google) -> Mapping[str, str]:
    if isinstance(sign_in, GoogleServiceAccount):
        assertion = _assertion(sign_in, secrets.get(sign_in.key_secret), user, google)
        return {"grant_type": _JWT_GRANT, "assertion": assertion}
    return {
        "grant_type": "refresh_token",
        "client_id": sign_in.client_id,
        "client_secret": secrets.get(sign_in.client_secret).strip(),
        "refresh_token": secrets.get(sign_in.refresh_token_secret).strip(),
    }


def _assertion(sign_in: GoogleServiceAccount, key: str, user: str, google: Google) -> str:
    import jwt

    now = int(time.time())
    try:
        account = json.loads(key)
        claims = {
            "iss": account["client_email"],
            "sub": user,
            "scope": SCOPE,
            "aud": google.token_url,
            "iat": now,
            "exp": now + _ASSERTION,
        }
        headers = {"kid": str(account["private_key_id"])}
        return jwt.encode(claims, account["private_key"], algorithm="RS256", headers=headers)
    except (ValueError, KeyError, TypeError, jwt.PyJWTError):
        # The cause may quote the key, so it must not be seen.
        raise ConfigInvalid(
            f"The secret {sign_in.key_secret!r} holds no key of a Google service account.",
            remedy="Make a key of type JSON for the service account and store the whole file as the secret.",
        ) from None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    retry_after: str
    body: bytes


def _ask(sign_in: AnyGoogleSignIn, form: Mapping[str, str], user: str, google: Google) -> Mapping[str, Any]:
    where = urlsplit(google.token_url).netloc
    answer = _post(google, urlencode(form).encode(), where)
    if answer.status != HTTPStatus.OK:
        raise _refusal(sign_in, answer, user, where)
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found.get("access_token"):
        raise Unavailable(f"{where} gave an answer that makes no sense.")
    return found


def _post(google: Google, data: bytes, where: str) -> _Answer:
    import ssl
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    context = ssl.create_default_context(cafile=google.ca_file)
    request = Request(google.token_url, data=data)  # noqa: S310 - our own constant, https
    try:
        try:
            answer = urlopen(request, timeout=google.patience, context=context)  # noqa: S310 - see above
        except HTTPError as refusal:
            answer = refusal
        with answer:
            return _Answer(answer.status, answer.headers.get("Retry-After", ""), answer.read())
    except (OSError, HTTPException) as exc:
        raise Unavailable(
            f"{where} could not be reached, or did not answer in time.",
            remedy="Check DNS, proxy and firewall of the app's network.",
        ) from exc


def _refusal(sign_in: AnyGoogleSignIn, answer: _Answer, user: str, where: str) -> JobError:
    """What the error answer of RFC 6749 section 5.2 means here; Google's words tell apart what the code does not."""
    status, wait = answer.status, answer.retry_after
    if status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or status >= 500:
        after = timedelta(seconds=int(wait)) if wait.isdecimal() else None
        return Unavailable(f"{where} is busy or out of order (HTTP {status}).", retry_after=after)
    try:
        told = json.loads(answer.body)
        error, words = str(told.get("error", "")), str(told.get("error_description", ""))
    except (ValueError, AttributeError):
        error, words = f"HTTP {status}", ""
    if isinstance(sign_in, GoogleServiceAccount):
        return _account_refusal(sign_in, error, words, user)
    return _consent_refusal(sign_in, error, user)


def _account_refusal(sign_in: GoogleServiceAccount, error: str, words: str, user: str) -> JobError:
    said = words.lower()
    if error in {"unauthorized_client", "access_denied", "invalid_scope"}:
        return AuthFailed(
            f"The service account may not act for {user!r} ({error}).",
            remedy="In the Google Admin console, under Security > API controls > Domain-wide delegation, add the "
            f"service account's client ID with the scope {SCOPE}; it can take some minutes to count.",
        )
    if "email" in said or "user id" in said:
        return ConfigInvalid(
            f"Google knows no user {user!r} for whom the service account could act.",
            remedy="Give username the primary address of a user of the Workspace domain.",
        )
    if "timeframe" in said or "short-lived" in said:
        return AuthFailed(
            "Google finds the request of the service account too old or too new.",
            remedy="Check the clock of the machine.",
        )
    return AuthFailed(
        f"Google does not accept the key of the service account ({error}).",
        remedy=f"Make a new key for the service account and store the JSON file in the secret {sign_in.key_secret!r}.",
    )


def _consent_refusal(sign_in: GoogleRefreshToken, error: str, user: str) -> JobError:
    if error == "invalid_client":
        return AuthFailed(
            "Google does not accept the OAuth client: it was deleted, or its secret is wrong (invalid_client).",
            remedy=f"Check client_id, and the client secret in the secret {sign_in.client_secret!r}.",
        )
    if error == "unauthorized_client":
        return AuthFailed(
            "The refresh token belongs to another OAuth client (unauthorized_client).",
            remedy="Give client_id and client_secret the client with which the refresh token was made.",
        )
    return AuthFailed(
        f"The refresh token for {user!r} has expired or was revoked ({error}).",
        remedy="Give consent again and store the new token in the secret "
        f"{sign_in.refresh_token_secret!r}. Tokens of an OAuth app in testing end after 7 days: publish the app. "
        "A new password of the user ends them too.",
    )
