"""Sending one message by SMTP submission (RFC 6409; RFC 8314 for TLS from the start; RFC 4954 for the sign-in)."""

import base64
import binascii
import ipaddress
import logging
import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Literal

from shared.canary import Letter
from shared.connectors._dial import Line, tls_context
from shared.connectors._mail_server import MailHost
from shared.connectors._text import readable
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.ports import Deadline, Secrets
from shared.signin.entra import CLOUDS, Cloud, CloudName
from shared.signin.google import GOOGLE, Google
from shared.signin.mail import MailLogin, failure_in, mail_login

#: Seconds: for one exchange; for a polite goodbye.
_EXCHANGE, _GOODBYE = 45.0, 5.0
#: Exchange Online: "Authentication unsuccessful" because SMTP AUTH, or a password with it, is switched off.
_SWITCHED_OFF = "5.7.139"

_log = logging.getLogger(__name__)


class BySmtp(MailHost):
    """A mail server takes it in and sees that it gets to the mailbox, as it does with anybody's mail."""

    ports: ClassVar[tuple[int, int]] = (465, 587)

    by: Literal["smtp"]


class _Client(smtplib.SMTP):
    """The standard library's, over a connection of ours."""

    def __init__(self, line: Line, host: str) -> None:
        self._line = line
        self._greeted = host
        super().__init__(local_hostname=_own_name(line.connected))

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002 - it is connected
        return self._line.connected

    def greet(self) -> None:
        """Hear the greeting."""
        code, said = self.connect(self._greeted, 1)
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)
        self.ehlo_or_helo_if_needed()

    def secure(self, context: ssl.SSLContext) -> None:
        """STARTTLS (RFC 3207). What was said in plain text before counts no more."""
        code, said = self.docmd("STARTTLS")
        if code != 220:
            raise smtplib.SMTPResponseException(code, said)
        self._line.secure(context)
        self.sock, self.file = self._line.connected, None
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False
        self.ehlo_or_helo_if_needed()


class _Session:
    """One connection, from the greeting to the goodbye."""

    def __init__(self, settings: BySmtp, deadline: Deadline) -> None:
        self._settings = settings
        # What is wrong with the CA file is told before anybody is bothered.
        self._context = None if settings.security == "none" else tls_context(settings.ca_file)
        port = settings.effective_port
        self._line = Line(settings.host, port, deadline, ports=settings.ports, setting="send.host")
        self.address = self._line.address

    def begin(self) -> None:
        """Greet, and make the connection secure as the settings say."""
        security = self._settings.security
        with self._doing("greeting"):
            if self._context and security == "tls":
                self._line.secure(self._context)
            self._client = _Client(self._line, self._settings.host)
            self._client.greet()
        if self._context and security != "tls":
            if self._client.has_extn("starttls"):
                with self._doing("starting TLS"):
                    self._client.secure(self._context)
            elif security == "starttls":
                raise ConfigInvalid(
                    f"{self.address} does not offer STARTTLS, so nothing secret was sent.",
                    remedy="Use security 'tls' with the TLS port (465), or have STARTTLS enabled on the server.",
                )

    def sign_in(self, user: str, password: str, *, secret: str) -> None:
        """By AUTH PLAIN (RFC 4616), or by LOGIN where that alone is offered. One try: more may lock the account."""
        if not password or any(ord(mark) < 32 or ord(mark) == 127 for mark in password):
            raise ConfigInvalid(
                f"The secret {secret!r} holds no usable password: it is empty or has a control character in it.",
                remedy="Store it again without a line end.",
            )
        offered = self._mechanisms()
        with self._doing("signing in"):
            if "PLAIN" in offered:
                code, said = self._authenticate("PLAIN", _base64(f"\0{user}\0{password}"))
            elif "LOGIN" in offered:
                code, said = self._authenticate("LOGIN", _base64(user), _base64(password))
            else:
                raise ConfigInvalid(
                    f"{self.address} takes no passwords on this connection, so none was sent.",
                    remedy="Use security 'tls' or 'starttls'; where it still says so, it wants another way to sign in.",
                )
        if code == 235:
            return
        if 400 <= code < 500:
            raise Unavailable(f"{self.address} takes no sign-in just now: {code} {readable(said)}.")
        # Some servers repeat what they refuse.
        words = readable(said)
        words = "" if any(part in words for part in (password, _base64(password))) else words
        remedy = f"Check the user name and the secret {secret!r}; some providers want an app password instead."
        if _SWITCHED_OFF in words:
            remedy = (
                "Exchange Online takes passwords for SMTP only where an administrator allows it, and not for long: use "
                f"sign_in, or see Set-CASMailbox {user} -SmtpClientAuthenticationDisabled $false."
            )
        raise AuthFailed(
            f"{self.address} refused the sign-in of {user!r}: {code} {words}".rstrip() + ".", remedy=remedy
        )

    def sign_in_by_token(self, login: MailLogin) -> None:
        """By AUTH XOAUTH2."""
        if "XOAUTH2" not in self._mechanisms():
            raise ConfigInvalid(
                f"{self.address} takes no tokens (it does not offer AUTH XOAUTH2), so none was sent.",
                remedy="Use password_secret in place of sign_in, or check host.",
            )
        failure = ""
        with self._doing("signing in"):
            code, said = self._authenticate("XOAUTH2", login.line)
            if code == 334:
                failure = failure_in(_decoded(said))
                code, said = self._client.docmd("")
        if code == 235:
            return
        if 400 <= code < 500:
            raise Unavailable(f"{self.address} takes no sign-in just now: {code} {readable(said)}.")
        raise login.refused(f"{code} {readable(said)}", failure=failure, address=self.address)

    def send(self, letter: Letter) -> None:
        """Hand it over. Once it was taken, the server answers for it."""
        with self._doing("sending"):
            returns = "" if letter.null_sender else letter.sender
            self._client.sendmail(returns, [letter.recipient], letter.raw())

    def close(self) -> None:
        """Say goodbye where that is still possible. Never raises."""
        if not self._line.lost and hasattr(self, "_client"):
            try:
                with self._doing("leaving", seconds=_GOODBYE):
                    self._client.docmd("QUIT")
            except JobError as fault:
                _log.debug("%s did not hear the goodbye: %s", self.address, fault)
        if hasattr(self, "_client"):
            self._client.close()
        self._line.close()

    def _authenticate(self, mechanism: str, *answers: str) -> tuple[int, bytes]:
        """Never with an initial response: a token is too long for a command (RFC 4954 section 4)."""
        code, said = self._client.docmd("AUTH", mechanism)
        for answer in answers:
            if code == 334:
                code, said = self._client.docmd(answer)
        return code, said

    def _mechanisms(self) -> set[str]:
        return set(str(self._client.esmtp_features.get("auth", "")).upper().split())

    @contextmanager
    def _doing(self, doing: str, *, seconds: float = _EXCHANGE) -> Iterator[None]:
        """An exchange within its time limit, whose faults become ours."""
        with self._line.exchange(doing, seconds=seconds):
            try:
                yield
            except smtplib.SMTPServerDisconnected as exc:
                raise self._line.lose(
                    "no answer" if isinstance(exc.__context__, TimeoutError) else "it was closed"
                ) from exc
            except smtplib.SMTPRecipientsRefused as exc:
                code, said = next(iter(exc.recipients.values()))
                raise self._refused(doing, code, said) from None
            except smtplib.SMTPResponseException as exc:
                raise self._refused(doing, exc.smtp_code, exc.smtp_error) from None
            except smtplib.SMTPException as exc:
                raise Unavailable(f"{self.address} gave an answer that makes no sense (while {doing}).") from exc

    def _refused(self, doing: str, code: int, said: bytes | str) -> JobError:
        what = f"{self.address} answered {code} {readable(said)} (while {doing})."
        if 500 <= code < 600:
            remedy = "Check the address and sender that the job gives, and whether this account may use them."
            return ConfigInvalid(what, remedy=remedy)
        return Unavailable(what)


def post_by_smtp(
    settings: BySmtp,
    letter: Letter,
    *,
    secrets: Secrets,
    deadline: Deadline,
    clouds: Mapping[CloudName, Cloud] = CLOUDS,
    google: Google = GOOGLE,
) -> None:
    """Send the message. Raises `ConfigInvalid`, `AuthFailed` or `Unavailable`; it may be sent all the same then."""
    user = settings.username
    login, password = None, ""
    if settings.sign_in:
        cloud = clouds[settings.cloud]
        login = mail_login(settings.sign_in, user=user, protocol="SMTP", secrets=secrets, cloud=cloud, google=google)
    else:
        password = secrets.get(str(settings.password_secret))
    session = _Session(settings, deadline)
    try:
        session.begin()
        if login:
            session.sign_in_by_token(login)
        else:
            session.sign_in(user, password, secret=str(settings.password_secret))
        session.send(letter)
    finally:
        session.close()


def _own_name(connected: socket.socket) -> str:
    """What we call ourselves: the address (RFC 5321 section 4.1.3). No server needs the name of the machine."""
    own = ipaddress.ip_address(str(connected.getsockname()[0]).partition("%")[0])
    return f"[IPv6:{own}]" if own.version == 6 else f"[{own}]"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(said: bytes) -> bytes:
    try:
        return base64.b64decode(said)
    except binascii.Error:
        return said
