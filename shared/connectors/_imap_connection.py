"""One signed-in IMAP4 connection: every exchange has a time limit, and every fault becomes one of ours."""

import imaplib
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from shared.connectors._dial import dial, tls_context, tls_fault
from shared.connectors._imap_text import TEMPORARY, code_in
from shared.connectors._text import readable
from shared.errors import AuthFailed, ConfigInvalid, Unavailable
from shared.ports import Deadline
from shared.signin.mail import MailLogin

#: Seconds: for a TCP connection to come up; for a server to say nothing; for one exchange as a whole.
_CONNECT, _SILENCE, _EXCHANGE = 30.0, 60.0, 240.0
#: With TLS and without, as a remedy names them.
_PORTS = (993, 143)
#: Seconds for a polite goodbye.
_GOODBYE = 5.0
#: Octets of one line, literals apart. A SEARCH answer is one line; imaplib itself gives up at 1,000,000 (100,000 UIDs).
_LONGEST_LINE = 16_000_000

#: What imapclient and imaplib raise, beside errors of their own, when an answer makes no sense to them.
_GARBLED = (imaplib.IMAP4.error, ValueError, LookupError, TypeError, ArithmeticError, RecursionError, MemoryError)

_log = logging.getLogger(__name__)


class Refusal(Unavailable):
    """The server answered NO or BAD, or something that makes no sense. Whoever knows what it means catches it."""

    def __init__(self, what: str, *, said: str) -> None:
        super().__init__(what)
        #: What the server said: one readable line, empty where there was only nonsense.
        self.said = said
        self.response_code = code_in(said)

    @property
    def temporary(self) -> bool:
        """Whether the server says that it would answer otherwise later (RFC 5530)."""
        return self.response_code in TEMPORARY


class Connection:
    """``client`` is imapclient's, to be called through ``ask`` alone. Once the connection is lost, every call fails."""

    client: Any

    def __init__(self, host: str, port: int, deadline: Deadline) -> None:
        self.address = f"{host}:{port}"
        self._host = host
        self._port = port
        self._deadline = deadline
        self._lost = ""
        self._late = threading.Event()
        self._login: MailLogin | None = None
        #: What the server said when it took the token.
        self._admission = ""
        self._socket = dial(host, port, seconds=self._limit("connecting", _CONNECT))
        # A second handle on the same TCP connection: it can end an exchange from outside, whatever TLS wraps around.
        self._cord = self._socket.dup()

    def ask(self, doing: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """The answer of ``call``, within the time limit. ``doing`` says in a sentence what is going on.

        Raises `Refusal` (answered NO or nonsense), `Unavailable` (lost, late), `ConfigInvalid` (certificate, no right).
        """
        if self._lost:
            raise Unavailable(self._lost)
        limit = self._limit(doing, _EXCHANGE)
        self._socket.settimeout(min(_SILENCE, limit))
        alarm = threading.Timer(limit, self._cut)
        alarm.daemon = True
        alarm.start()
        try:
            return call(*args, **options)
        except ssl.SSLError as exc:
            lost = self._lose(doing, exc.reason or "TLS")
            raise lost if self._late.is_set() else tls_fault(exc, self.address, ports=_PORTS) from exc
        except TimeoutError as exc:
            self._late.set()
            raise self._lose(doing, "no answer in time") from exc
        except OSError as exc:
            raise self._lose(doing, exc.strerror or type(exc).__name__) from exc
        except _GARBLED as exc:
            raise self._fault(doing, exc) from exc
        finally:
            alarm.cancel()

    def _fault(self, doing: str, fault: Exception) -> Unavailable | ConfigInvalid:
        # imapclient makes one error of all that fails at the sign-in, a lost connection too: look at its cause.
        root = fault.__context__ if isinstance(fault.__context__, imaplib.IMAP4.error) else fault
        if isinstance(root, imaplib.IMAP4.readonly):
            return ConfigInvalid(
                f"The folder on {self.address} can only be read by this account.",
                remedy="Give the account the right to write, or have the job leave messages as they are.",
            )
        if isinstance(root, (imaplib.IMAP4.abort, MemoryError, ArithmeticError)):
            # imaplib repeats what it did not understand, which may be part of a message.
            return self._lose(doing, readable(root).partition(": b'")[0] or "no reason given")
        # Words of a parser may quote a message: only what the server itself said as NO or BAD is passed on.
        said = readable(root.args[0]) if type(root) is imaplib.IMAP4.error and root.args else ""
        if self._login and (closed := self._login.closed(said, address=self.address)):
            return closed
        meaning = f"answered: {said}" if said else "gave an answer that makes no sense"
        return Refusal(f"{self.address} {meaning} (while {doing}).", said=said)

    def _lose(self, doing: str, why: str) -> Unavailable:
        if self._late.is_set():
            self._lost = f"{self.address} did not finish {doing} in time."
        else:
            self._lost = f"The connection with {self.address} was lost while {doing}: {why}."
        return Unavailable(self._lost)

    def _limit(self, doing: str, most: float) -> float:
        left = self._deadline.left.total_seconds()
        if left <= 0:
            raise Unavailable(f"The time of the run was up before {doing} ({self.address}).")
        return min(most, left)

    def _cut(self) -> None:
        self._late.set()
        try:
            self._cord.shutdown(socket.SHUT_RDWR)
        except OSError as exc:
            _log.debug("The connection with %s was closed already: %s", self.address, exc)

    def greet(self, context: ssl.SSLContext | None) -> None:
        """Hear the greeting, with TLS from the first octet where ``context`` is given."""

        def meet() -> Any:
            if context:
                self._socket = context.wrap_socket(self._socket, server_hostname=self._host)
            return _client(self._host, self._port, self._socket, secure=context is not None)

        self.client = self.ask("greeting", meet)
        if "PREAUTH" in str(self.client.welcome).upper().split():
            raise ConfigInvalid(
                f"{self.address} takes us for somebody who has signed in already (PREAUTH).",
                remedy="Use a port where the server asks who is calling.",
            )

    def secure(self, context: ssl.SSLContext, *, required: bool) -> None:
        """STARTTLS. Where it is not ``required`` and not offered, go on in plain text; where offered, it must work."""
        if self.ask("asking for STARTTLS", self.client.has_capability, "STARTTLS"):
            self.ask("starting TLS", self.client.starttls, context)
            self._socket = self.client.socket()
        elif required:
            raise ConfigInvalid(
                f"{self.address} does not offer STARTTLS, so nothing secret was sent.",
                remedy="Use security 'tls' with the TLS port (993), or have STARTTLS enabled on the server.",
            )

    def sign_in(self, username: str, password: str, *, secret: str) -> None:
        """Sign in by LOGIN, or by AUTHENTICATE PLAIN where LOGIN cannot. ``secret`` is the name of the password."""
        if not password or any(ord(mark) < 32 or ord(mark) == 127 for mark in password):
            raise ConfigInvalid(
                f"The secret {secret!r} holds no usable password: it is empty or has a control character in it.",
                remedy="Store it again without a line end.",
            )
        offered = self.ask("asking for capabilities", self.client.capabilities)
        plain = b"AUTH=PLAIN" in offered
        if b"LOGINDISABLED" in offered and not plain:
            raise ConfigInvalid(
                f"{self.address} takes no passwords on this connection, so none was sent.",
                remedy="Use security 'tls' or 'starttls'; a server that still says so wants another way to sign in.",
            )
        ascii_only = (username + password).isascii()
        if not ascii_only and not plain:
            raise ConfigInvalid(
                f"{self.address} takes only ASCII in user names and passwords.", remedy="Choose a password in ASCII."
            )
        login = self.client.login if ascii_only and b"LOGINDISABLED" not in offered else self.client.plain_login
        try:
            self.ask("signing in", login, username, password)
        except Refusal as refusal:
            if refusal.temporary:
                raise
            # Some servers repeat the command that they refuse, so the refusal itself must not be seen.
            said = refusal.said.replace(password, "(the password)") or "no reason given"
            raise AuthFailed(
                f"{self.address} refused the sign-in of {username!r}: {said}.",
                remedy=f"Check the user name and the secret {secret!r}; some providers want an app password instead.",
            ) from None

    def sign_in_by_token(self, login: MailLogin) -> None:
        """Sign in by AUTHENTICATE XOAUTH2. From then on what the server says of a closed mailbox is understood."""
        if b"AUTH=XOAUTH2" not in self.ask("asking for capabilities", self.client.capabilities):
            raise ConfigInvalid(
                f"{self.address} takes no tokens (it does not offer AUTH=XOAUTH2), so none was sent.",
                remedy="Use password_secret in place of sign_in, or check host.",
            )
        dialogue = login.dialogue()
        try:
            answer = self.ask("signing in", self.client.sasl_login, "XOAUTH2", dialogue.answer)
        except Refusal as refusal:
            if refusal.temporary:
                raise
            # Some servers repeat what they refuse, so the refusal itself must not be seen.
            raise login.refused(refusal.said, failure=dialogue.failure, address=self.address) from None
        self._login, self._admission = login, readable(answer)

    def enter(self) -> None:
        """After the sign-in: see that it opens the mailbox, and ask once what the server can do."""
        # Exchange Online says OK also to a token that does not open the mailbox, with the reason beside it.
        if self._login and (closed := self._login.closed(self._admission, address=self.address)):
            raise closed
        # Taken from the answer to the sign-in where it is there: opening a folder would forget it, and ask again later.
        self.ask("asking for capabilities", self.client.capabilities)

    def close(self) -> None:
        """Say goodbye where that is still possible, and let go of the sockets. Never raises."""
        client = getattr(self, "client", None)
        if client:
            for part in (client.shutdown,) if self._lost else (client.logout, client.shutdown):
                try:
                    self._socket.settimeout(_GOODBYE)
                    part()
                    break
                except (OSError, *_GARBLED) as exc:
                    _log.debug("%s did not hear the goodbye: %s", self.address, type(exc).__name__)
        self._socket.close()
        self._cord.close()


def _client(host: str, port: int, connected: socket.socket, *, secure: bool) -> Any:
    """An imapclient over a socket of ours. Its import is paid for here, by the jobs that need it."""
    from imapclient import IMAPClient

    imaplib._MAXLINE = max(_LONGEST_LINE, imaplib._MAXLINE)  # type: ignore[attr-defined] # noqa: SLF001 - the only way to it

    class Protocol(imaplib.IMAP4):
        def _create_socket(self, timeout: float | None) -> socket.socket:  # noqa: ARG002 - the socket has its limit
            return connected

    class Client(IMAPClient):  # type: ignore[misc] # the SDK is untyped
        def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802 - the SDK's name
            return Protocol(host, port)

    client = Client(host, port, ssl=secure, timeout=connected.gettimeout())
    # The SDK has every line of the protocol formatted for a debug log; lines may hold parts of mail.
    client._imap.debug = 0  # noqa: SLF001 - the only way to turn it off
    client.normalise_times = False
    return client


def connect(
    *, host: str, port: int, security: str, ca_file: str | None, deadline: Deadline, prove: Callable[[Connection], None]
) -> Connection:
    """A connection in the wanted security mode on which ``prove`` has signed in. Nothing stays open when it raises."""
    context = tls_context(ca_file) if security != "none" else None
    connection = Connection(host, port, deadline)
    try:
        connection.greet(context if security == "tls" else None)
        if context and security != "tls":
            connection.secure(context, required=security == "starttls")
        prove(connection)
    except BaseException:
        connection.close()
        raise
    return connection
