"""The way to a server, step by step, for the connection test: its addresses, a TCP connection, its certificate."""

import socket
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from shared.connectors._dial import Line, no_such_host, tls_context
from shared.errors import ConfigInvalid, JobError, Unavailable
from shared.ports import Deadline, Endpoint

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name

#: Seconds for a greeting and a handshake; and for a second look at a certificate that was not accepted.
_HANDSHAKE, _SECOND_LOOK = 15.0, 5.0
#: Octets of one line, and lines of one answer, before TLS.
_LONGEST_LINE, _MOST_LINES = 8_192, 100
#: A certificate that ends sooner gives a warning.
_SOON = timedelta(days=30)
#: How many names or addresses a sentence has.
_NAMES = 4


@dataclass(frozen=True, slots=True)
class Found:
    """What a step found, as a sentence each. ``applies`` False: there was nothing to do."""

    detail: str
    warning: str = ""
    applies: bool = True


class Approach:
    """Take the steps in their order; each raises `ConfigInvalid` or `Unavailable` where it fails. ``close`` at the end.

    Nothing secret is sent.
    """

    def __init__(self, endpoint: Endpoint, deadline: Deadline) -> None:
        self._endpoint = endpoint
        self._deadline = deadline
        self._line: Line | None = None
        #: What the certificate says of itself, also when it was not accepted.
        self.certificate = ""

    def resolve(self) -> Found:
        """Ask DNS for all addresses."""
        host, port = self._endpoint.host, self._endpoint.port
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as exc:
            raise no_such_host(f"{host}:{port}") from exc
        addresses = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
        return Found(f"{_count(len(addresses), 'address', 'addresses')}: {_some(addresses)}.")

    def connect(self) -> Found:
        """Make a TCP connection."""
        self._line = self._dial()
        address, port = self._line.connected.getpeername()[:2]
        return Found(f"Connected with {address}, port {port}.")

    def secure(self) -> Found:
        """Begin TLS as the endpoint does, with certificate and host name checked."""
        if self._endpoint.tls == "none":
            return Found("The connection is in plain text.", applies=False)
        context = tls_context(self._endpoint.ca_file)
        line = self._line or self._dial()
        if not self._begin(line, context):
            return Found(
                f"{line.address} does not offer STARTTLS.", "The connection stays in plain text.", applies=False
            )
        connected = cast("ssl.SSLSocket", line.connected)
        certificate = _read(connected)
        until = certificate.not_valid_after_utc
        self.certificate = _describe(certificate)
        version = (connected.version() or "TLS").replace("TLSv", "TLS ")
        return Found(
            f"{version}, certificate for {_some(_names(certificate))} until {until:%Y-%m-%d}.", self._soon(until)
        )

    def close(self) -> None:
        """Let go of the connection. Never raises."""
        if self._line:
            self._line.close()

    def _dial(self) -> Line:
        to = self._endpoint
        return Line(to.host, to.port, self._deadline, ports=to.ports, setting=to.setting)

    def _begin(self, line: Line, context: ssl.SSLContext) -> bool:
        """TLS is on; False where STARTTLS is not offered and need not be."""
        try:
            if self._endpoint.tls != "at once" and not self._asked_for_tls(line):
                return False
            with line.exchange("starting TLS", seconds=_HANDSHAKE):
                line.secure(context)
        except JobError as fault:
            if isinstance(fault.__cause__, ssl.SSLCertVerificationError):
                self.certificate = self._second_look()
            raise
        return True

    def _asked_for_tls(self, line: Line) -> bool:
        """STARTTLS (RFC 3501 section 6.2.1) or STLS (RFC 2595 section 4); False where it is not offered."""
        imap = self._endpoint.tls == "imap4"
        protocol, ports = ("IMAP4", "143") if imap else ("POP3", "110")
        try:
            with line.exchange("greeting", seconds=_HANDSHAKE):
                greeting = _line(line)
                offered = greeting.startswith("* OK" if imap else "+OK") and (_imap_offer if imap else _pop_offer)(line)
                strange = not greeting.startswith("* OK" if imap else "+OK")
                answer = ""
                if offered:
                    line.send(b"s STARTTLS\r\n" if imap else b"STLS\r\n")
                    answer = _line(line)
        except Unavailable as silent:
            raise Unavailable(
                silent.what, remedy=silent.remedy or f"Check the port: the usual one of {protocol} is {ports}."
            ) from silent
        if strange:
            raise ConfigInvalid(
                f"{line.address} does not greet as {protocol} servers do.",
                remedy=f"Check host and port: the usual port of {protocol} with STARTTLS is {ports}.",
            )
        if offered and not answer.startswith("s OK" if imap else "+OK"):
            raise Unavailable(f"{line.address} offers STARTTLS but refuses to begin.")
        if not offered and not self._endpoint.tls_optional:
            with_tls = (self._endpoint.ports or (0,))[0]
            raise ConfigInvalid(
                f"{line.address} does not offer STARTTLS{'' if imap else ' (STLS)'}, so nothing secret was sent.",
                remedy=f"Use security 'tls' with the TLS port ({with_tls}), or have STARTTLS enabled on the server.",
            )
        return offered

    def _second_look(self) -> str:
        """What a certificate that was not accepted says of itself: read on a connection on which nothing is said."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        line = None
        try:
            line = self._dial()
            if self._endpoint.tls != "at once":
                self._asked_for_tls(line)
            with line.exchange("starting TLS", seconds=_SECOND_LOOK):
                line.secure(context)
            return _describe(_read(cast("ssl.SSLSocket", line.connected)))
        except (JobError, ValueError):
            return ""
        finally:
            if line:
                line.close()

    def _soon(self, until: datetime) -> str:
        left = until - self._deadline.clock()
        if left >= _SOON:
            return ""
        return f"The certificate ends in {_count(max(0, left.days), 'day', 'days')}, on {until:%Y-%m-%d}."


def _line(line: Line) -> str:
    said = line.reader.readline(_LONGEST_LINE)
    if not said:
        raise line.lose("the server closed it")
    return said.decode("latin-1").strip()


def _imap_offer(line: Line) -> bool:
    line.send(b"c CAPABILITY\r\n")
    offered = False
    for _ in range(_MOST_LINES):
        said = _line(line).upper()
        offered = offered or (said.startswith("* CAPABILITY ") and "STARTTLS" in said.split())
        if said.startswith("C "):
            break
    return offered


def _pop_offer(line: Line) -> bool:
    line.send(b"CAPA\r\n")
    if not _line(line).startswith("+OK"):
        return False
    offered = False
    for _ in range(_MOST_LINES):
        said = _line(line).upper()
        if said == ".":
            break
        offered = offered or said.split()[:1] == ["STLS"]
    return offered


def _read(connected: ssl.SSLSocket) -> "Certificate":
    from cryptography.x509 import load_der_x509_certificate

    return load_der_x509_certificate(connected.getpeercert(binary_form=True) or b"")


def _describe(certificate: "Certificate") -> str:
    began, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    signer = _words(certificate.issuer)
    signed = "signed by itself" if certificate.issuer == certificate.subject else f"signed by {signer!r}"
    names = _some(_names(certificate))
    return f"The certificate is for {names}, {signed}, valid from {began:%Y-%m-%d} to {until:%Y-%m-%d}."


def _names(certificate: "Certificate") -> list[str]:
    """The names and addresses that it is for; what it calls its owner where it has none (RFC 9525 section 6.3)."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return [_words(certificate.subject)]
    names = found.get_values_for_type(x509.DNSName)
    return [*names, *map(str, found.get_values_for_type(x509.IPAddress))] or [_words(certificate.subject)]


def _words(name: "Name") -> str:
    return ", ".join(str(part.value) for part in name) or "nobody"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
