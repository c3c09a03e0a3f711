"""Who may sign in to the EWS simulator: by Basic, by NTLM, and with a token of Microsoft Entra's form."""

import base64
import binascii
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import spnego
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

#: What a token for EWS in Exchange Online says (how-to-authenticate-an-ews-application-by-using-oauth).
AUDIENCE, ROLE = "https://outlook.office365.com", "full_access_as_app"

_KEY = b"the simulator's own signing key"


@dataclass
class Person:
    """An account: its password, its own mailbox, and whose others it may open or act for."""

    password: str
    mailbox: str = ""
    full_access: set[str] = field(default_factory=set)
    may_act_for: set[str] = field(default_factory=set)
    may_write: bool = True


class Denied(Exception):
    """401 with these headers."""

    def __init__(self, *headers: tuple[str, str]) -> None:
        super().__init__(headers)
        self.headers = headers


def token(**claims: Any) -> str:
    """An access token as Entra would give for these claims; without any, a good one."""
    body = {"aud": AUDIENCE, "roles": [ROLE], "appid": "app", "exp": int(time.time()) + 3600, **claims}
    head = _encode(b'{"alg":"HS256","typ":"JWT"}') + "." + _encode(json.dumps(body).encode())
    return head + "." + _encode(hmac.digest(_KEY, head.encode(), "sha256"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def check_token(text: str) -> str:
    """Whose token it is. Signature, audience, time and role, told apart as Exchange does in x-ms-diagnostics."""
    head, _, signature = text.rpartition(".")
    if not hmac.compare_digest(signature, _encode(hmac.digest(_KEY, head.encode(), "sha256"))):
        raise _no_token("2000001", "The token is not signed by a trusted issuer.", "invalid_issuer")
    body = head.partition(".")[2]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    if claims["aud"].rstrip("/") != AUDIENCE:
        raise _no_token("2000003", f"The audience claim value is invalid '{claims['aud']}'.", "invalid_resource")
    if claims["exp"] < time.time():
        raise _no_token("2000005", "The token has expired.", "invalid_lifetime")
    if ROLE not in claims["roles"]:
        why = "The token contains no permissions, or permissions can not be understood."
        raise _no_token("2000008", why, "invalid_grant")
    return str(claims["appid"])


def _no_token(code: str, reason: str, category: str) -> Denied:
    return Denied(
        ("WWW-Authenticate", 'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", error="invalid_token"'),
        ("x-ms-diagnostics", f'{code};reason="{reason}";error_category="{category}"'),
    )


class Door:
    """What one connection has shown so far: NTLM signs in the connection, not the request ([MS-NTHT])."""

    def __init__(self, people: Mapping[str, Person], schemes: set[str], certificate: Path) -> None:
        self._people = people
        self._schemes = schemes
        self._certificate = certificate
        self._ntlm: Any = None
        self._user = ""

    def enter(self, authorization: str) -> str:
        """The user's name. Raises `Denied`."""
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() not in self._schemes and not (self._user and not authorization):
            raise self._ask_for_sign_in()
        if not authorization:
            return self._user
        if scheme.lower() == "basic":
            return self._basic(value)
        if scheme.lower() == "ntlm":
            return self._ntlm_step(value)
        return check_token(value)

    def _ask_for_sign_in(self) -> Denied:
        offers = {"basic": 'Basic realm="mail"', "ntlm": "NTLM", "bearer": "Bearer client_id=x, authorization_uri=x"}
        return Denied(*(("WWW-Authenticate", offers[scheme]) for scheme in sorted(self._schemes)))

    def _basic(self, value: str) -> str:
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise self._ask_for_sign_in() from None
        if user not in self._people or self._people[user].password != password:
            raise self._ask_for_sign_in()
        return user

    def _ntlm_step(self, value: str) -> str:
        """A whole NTLMv2 exchange by pyspnego: the proof of the password and the binding to our certificate are checked.

        pyspnego takes the passwords from the file named in NTLM_USER_FILE; see `write_passwords`.
        """
        try:
            if self._ntlm is None:
                der = ssl.PEM_cert_to_DER_cert(self._certificate.read_text().partition("-----END")[0] + _END)
                bound = GssChannelBindings(application_data=b"tls-server-end-point:" + hashlib.sha256(der).digest())
                self._ntlm = spnego.server("", "http", channel_bindings=bound, protocol="ntlm")
            answer = self._ntlm.step(base64.b64decode(value))
        except SpnegoError:
            self._ntlm = None
            raise self._ask_for_sign_in() from None
        if not self._ntlm.complete:
            challenge = base64.b64encode(answer or b"").decode()
            raise Denied(("WWW-Authenticate", f"NTLM {challenge}"))
        self._user = str(self._ntlm.client_principal)
        self._ntlm = None
        return self._user


_END = "-----END CERTIFICATE-----\n"


def write_passwords(path: Path, people: Mapping[str, Person]) -> None:
    """The file that NTLM_USER_FILE must name, in its ``DOMAIN:USER:PASSWORD`` form."""
    lines = []
    for user, person in people.items():
        domain, _, name = user.rpartition("\\")
        lines.append(f"{domain}:{name}:{person.password}\n")
    path.write_text("".join(lines))
