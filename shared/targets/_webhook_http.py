"""Sends the requests of a `webhook` target: signed in, signed, within the deadline, and only where they may go.

What the answer means: 2xx is done; 401 ends the run, since the sign-in is wrong for all; 408, 412, 425, 429 and 5xx end
it too, and it is tried again; every other answer is about this one message. A redirect is never followed: the next
address could be anywhere, and would be told our secrets.
"""

import base64
import hashlib
import hmac
import json
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import httpcore
import httpx

from shared.errors import AuthFailed, ConfigInvalid, JobError, MailConnectorError, Refused, Unavailable, Unreachable
from shared.ports import Deadline, Secrets
from shared.targets._json_path import find_first
from shared.targets._webhook_calls import Answer, Call, Where
from shared.targets._webhook_guard import Resolve, resolve
from shared.targets._webhook_sign_in import Basic, Header, OAuth2, Session
from shared.targets._webhook_transport import Transport

#: Seconds that a run waits for a system that asks for it; more, and the job comes back later.
_PATIENCE: Final = 20.0
_TRIES: Final = 3
_LATER: Final = "It is tried again by itself; nothing is lost."


class _Tokens:
    """Tokens of this process by what they were asked for with. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}

    def get(self, key: tuple[str, ...], ask: Callable[[], tuple[str, float]]) -> str:
        with self._lock:
            token, until = self._tokens.get(key, ("", 0.0))
            if time.monotonic() >= until:
                token, seconds = ask()
                self._tokens[key] = (token, time.monotonic() + seconds)
            return token

    def forget(self, key: tuple[str, ...]) -> None:
        with self._lock:
            self._tokens.pop(key, None)


_tokens = _Tokens()


class Http:
    """One run's connection with one system."""

    def __init__(
        self,
        where: Where,
        secrets: Secrets,
        deadline: Deadline,
        *,
        resolve: Resolve = resolve,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._where = where
        self._secrets = secrets
        self._deadline = deadline
        self._pause = pause
        self._used: set[str] = set()
        try:
            transport = Transport(where, resolve)
        except (OSError, ValueError) as error:
            raise ConfigInvalid(
                f"The file {where.ca_file!r} holds no certificates.", remedy="Give ca_file a PEM file."
            ) from error
        self._client = httpx.Client(transport=transport, trust_env=False, follow_redirects=False)
        self._host = httpx.URL(where.url).host
        # A target is never closed; its connections end with it.
        weakref.finalize(self, transport.close)

    def send(self, call: Call) -> Answer:
        """The answer of a 2xx, or of a 404 to a GET. Raises `Refused`, or a `JobError`."""
        renewed = False
        for tries in range(1, _TRIES + 1):
            answer = self._exchange(self._request(call))
            if answer.status_code == httpx.codes.UNAUTHORIZED and self._renewable and not renewed:
                renewed = True
                _tokens.forget(self._token_key)
                continue
            wait = _retry_after(answer) if answer.status_code in {429, 503} else None
            if tries == _TRIES or wait is None or not self._may_wait(wait):
                return self._judged(call, answer)
            self._pause(wait)
        raise AssertionError("unreachable")

    def _may_wait(self, seconds: float) -> bool:
        return seconds <= _PATIENCE and seconds + self._where.timeout < self._deadline.left.total_seconds()

    def _request(self, call: Call) -> httpx.Request:
        signed_in = self._signed_in()
        # As it travels: a token, or user and password in base64. What is sent may come back in a refusal.
        self._used |= {value.rpartition(" ")[2] for value in signed_in.values()} - {""}
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", **call.headers, **signed_in}
        headers |= {name: self._secret(secret) for name, secret in self._where.secret_headers.items()}
        if call.key and self._where.idempotency_header and call.method != "GET":
            headers[self._where.idempotency_header] = call.key
        content = call.content
        if call.json is not None:
            # ASCII, so that a lone surrogate of a broken mail is no reason to fail.
            content, headers["Content-Type"] = json.dumps(call.json).encode(), "application/json"
        try:
            request = self._client.build_request(
                call.method,
                self._where.url + call.path,
                params=_texts(call.query) or None,
                headers={name: _header(value) for name, value in headers.items()},
                data=_texts(call.form) if call.form is not None else None,
                files=cast("Any", call.files),
                content=content,
                timeout=self._timeout(),
            )
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise Refused(f"No request can be made of this message ({type(error).__name__}).") from error
        return self._with_signature(call, request)

    def _with_signature(self, call: Call, request: httpx.Request) -> httpx.Request:
        """Signed as Standard Webhooks has it (github.com/standard-webhooks/standard-webhooks, "Webhook signature")."""
        if not self._where.signature_secret:
            return request
        secret = self._secret(self._where.signature_secret)
        stamp = str(int(self._deadline.clock().timestamp()))
        name = call.key or hashlib.sha256(request.read()).hexdigest()
        signed = b".".join((name.encode(), stamp.encode(), request.read()))
        digest = hmac.new(_signing_key(secret), signed, hashlib.sha256).digest()
        request.headers["webhook-id"] = name
        request.headers["webhook-timestamp"] = stamp
        request.headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return request

    def _timeout(self) -> httpx.Timeout:
        left = self._deadline.left.total_seconds()
        if left < 1:
            raise Unavailable("The run's time is up.", remedy="The next run goes on.")
        seconds = min(self._where.timeout, left)
        return httpx.Timeout(seconds, connect=min(seconds, 10.0))

    def _exchange(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._client.send(request)
        except MailConnectorError:
            raise
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise ConfigInvalid(
                    f"The certificate of {request.url.host} is not trusted.",
                    remedy="Name a PEM file with the right CA in ca_file of the job's target block.",
                ) from error
            raise Unreachable(
                f"{request.url.host} cannot be reached ({str(error) or 'no answer'}).", remedy=_LATER
            ) from error
        except (
            httpcore.TimeoutException,
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
        ) as error:
            raise Unavailable(
                f"{request.url.host} gave no whole answer ({type(error).__name__}).", remedy=_LATER
            ) from error

    def _judged(self, call: Call, answer: httpx.Response) -> Answer:
        status, said = answer.status_code, self._said(answer)
        if answer.is_success or (status == httpx.codes.NOT_FOUND and call.method == "GET"):
            return Answer(status, answer.content)
        what = f"{self._host} answered {status} when asked to {call.doing}{said}"
        if status == httpx.codes.UNAUTHORIZED:
            raise AuthFailed(what, remedy="Check the sign-in of the job's target block and its secrets.")
        # 412: what a step read before (If-Match) has been changed since by somebody else.
        if status in {408, 412, 425, 429} or answer.is_server_error:
            wait = _retry_after(answer)
            raise Unavailable(what, remedy=_LATER, retry_after=timedelta(seconds=wait) if wait else None)
        if answer.is_redirect:
            raise ConfigInvalid(
                f"{self._host} answered {status} when asked to {call.doing}: it is somewhere else.",
                remedy="Redirects are not followed. Give the target's url the address that it points to.",
            )
        raise Refused(what, remedy="Mend it there, or change the job's target block.")

    def refused(self, doing: str, answer: Answer, why: str) -> Refused:
        """What to say of an answer that is none, though its status says so."""
        said = self._shown(answer.body.decode("utf-8", "replace"))
        return Refused(
            f"{self._host} answered {answer.status} when asked to {doing}, but {why}{said}",
            remedy="Mend it there, or change the job's target block.",
        )

    def _said(self, answer: httpx.Response) -> str:
        return self._shown(answer.text) if "json" in answer.headers.get("Content-Type", "") else "."

    def _shown(self, text: str) -> str:
        """The beginning of what a refusal says: it names fields, and is what an administrator needs to see."""
        text = " ".join(text.split())
        for secret in sorted(self._used, key=len, reverse=True):
            text = text.replace(secret, "***").replace(json.dumps(secret)[1:-1], "***")
        return f": {text[:200]}" if text else "."

    def _secret(self, name: str) -> str:
        """A secret, which no error may repeat from now on, whatever the other side says."""
        secret = self._secrets.get(name)
        if secret:
            self._used.add(secret)
        return secret

    # --- sign-in ------------------------------------------------------------------------------------------------------

    @property
    def _renewable(self) -> bool:
        return isinstance(self._where.sign_in, OAuth2 | Session)

    @property
    def _token_key(self) -> tuple[str, ...]:
        """What a token was asked for with; a changed secret asks for another one."""
        sign_in = self._where.sign_in
        if isinstance(sign_in, OAuth2):
            secret = self._secret(sign_in.client_secret)
            parts: tuple[str, ...] = (sign_in.token_url, sign_in.client_id, sign_in.scope)
        elif isinstance(sign_in, Session):
            secret, parts = self._secret(sign_in.secret), (self._where.url, sign_in.path)
        else:
            return ()
        return (sign_in.method, *parts, hashlib.sha256(secret.encode()).hexdigest())

    def _signed_in(self) -> dict[str, str]:
        match self._where.sign_in:
            case Basic() as basic:
                user = self._secret(basic.username_secret) if basic.username_secret else basic.username
                password = self._secret(basic.password_secret) if basic.password_secret else ""
                return {"Authorization": _basic(user, password)}
            case Header() as header:
                return {header.header: header.prefix + self._secret(header.secret)}
            case OAuth2() as oauth2:
                return {"Authorization": f"Bearer {_tokens.get(self._token_key, lambda: self._token(oauth2))}"}
            case Session() as session:
                return {session.token_header: _tokens.get(self._token_key, lambda: self._session(session))}
        return {}

    def _token(self, sign_in: OAuth2) -> tuple[str, float]:
        secret = self._secret(sign_in.client_secret)
        form = {"grant_type": "client_credentials", **({"scope": sign_in.scope} if sign_in.scope else {})}
        headers = {"Accept": "application/json"}
        if sign_in.client_auth == "basic":
            headers["Authorization"] = _basic(sign_in.client_id, secret)
        else:
            form |= {"client_id": sign_in.client_id, "client_secret": secret}
        request = self._client.build_request(
            "POST", sign_in.token_url, data=form, headers=headers, timeout=self._timeout()
        )
        answer = self._exchange(request)
        document = _document(answer)
        token = find_first("$.access_token", document)
        if not answer.is_success or not isinstance(token, str):
            raise _sign_in_fault(answer, request.url.host, str(find_first("$.error", document) or ""))
        lasts = find_first("$.expires_in", document)
        return token, max(0.0, float(lasts) - 60 if isinstance(lasts, int | float) else 240)

    def _session(self, sign_in: Session) -> tuple[str, float]:
        headers = {sign_in.header: sign_in.prefix + self._secret(sign_in.secret)}
        headers |= {name: self._secret(secret) for name, secret in self._where.secret_headers.items()}
        request = self._client.build_request(
            sign_in.verb, self._where.url + sign_in.path, headers=headers, timeout=self._timeout()
        )
        answer = self._exchange(request)
        token = find_first(sign_in.token, _document(answer))
        if not answer.is_success or not isinstance(token, str):
            raise _sign_in_fault(answer, request.url.host, "")
        return token, 600.0


def _sign_in_fault(answer: httpx.Response, host: str, code: str) -> JobError:
    if answer.is_server_error or answer.status_code in {408, 429}:
        return Unavailable(f"{host} answered {answer.status_code} when asked for a token.", remedy=_LATER)
    said = f" ({code[:60]})" if code.isascii() and code.isprintable() and code else ""
    return AuthFailed(
        f"{host} gave no token: it answered {answer.status_code}{said}.",
        remedy="Check the sign-in of the job's target block and its secret.",
    )


def _document(answer: httpx.Response) -> Any:
    return Answer(answer.status_code, answer.content).document


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _signing_key(secret: str) -> bytes:
    """A secret that begins with ``whsec_`` is base64 (Standard Webhooks); every other one is taken as it is."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            pass
    return secret.encode()


def _texts(texts: Mapping[str, str]) -> dict[str, str]:
    """Without what UTF-8 cannot carry."""
    return {name: text.encode("utf-8", "replace").decode() for name, text in texts.items()}


def _header(value: str) -> str:
    """One line of ASCII, whatever a mail put into it."""
    return "".join(mark if " " <= mark <= "~" else "?" for mark in value)


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds, from a number or a date (RFC 9110 section 10.2.3)."""
    said = answer.headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        at, now = parsedate_to_datetime(said), parsedate_to_datetime(answer.headers.get("Date", ""))
        return max(0.0, (at - now).total_seconds())
    except (ValueError, TypeError):
        return None
