"""Reaching a mail server: TCP, TLS, and what is wrong with either, in plain words."""

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from urllib.parse import urlsplit

from shared.errors import ConfigInvalid, JobError, Unavailable, Unreachable
from shared.ports import Deadline, Endpoint

#: Seconds: for a TCP connection to come up; for a server to say nothing; for one exchange as a whole.
_CONNECT, _SILENCE, _EXCHANGE = 30.0, 60.0, 240.0
#: Octets that are read at once.
_READ = 65_536

#: ``X509_V_ERR_*`` of OpenSSL (x509_vfy.h), as `ssl.SSLCertVerificationError.verify_code` has them.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_CA = frozenset({18, 19, 20, 21})
_WRONG_NAME = frozenset({62, 64})

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST"})
_OLD_TLS = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"})

#: A service at a fixed address has no such fault of its own.
_BETWEEN = "Look for a proxy or firewall that opens TLS connections, and leave this host out of it."

_log = logging.getLogger(__name__)


class Line:
    """A TCP connection, with TLS or without, on which every exchange has a time limit. Once lost, it stays lost.

    ``ports`` are the usual ones of the protocol, with TLS and without, as a remedy names them; None: it is HTTPS.
    ``setting`` holds the address; empty where it is fixed.
    """

    def __init__(
        self, host: str, port: int, deadline: Deadline, *, ports: tuple[int, int] | None, setting: str = "host"
    ) -> None:
        self.address = f"{host}:{port}"
        self._host = host
        self._deadline = deadline
        self._ports = ports
        self._setting = setting
        self._doing = "connecting"
        self._lost = ""
        self._late = threading.Event()
        self._socket = dial(host, port, seconds=self._limit(_CONNECT))
        # A second handle on the same TCP connection: it can end an exchange from outside, whatever TLS wraps around.
        self._cord = self._socket.dup()
        self.reader = self._reader()

    @property
    def lost(self) -> bool:
        """Whether nothing can be said on it any more."""
        return bool(self._lost)

    @contextmanager
    def exchange(self, doing: str, *, seconds: float = _EXCHANGE) -> Iterator[None]:
        """Whatever is sent and read in the block is over in ``seconds``. ``doing`` says in a sentence what goes on.

        Raises `Unavailable` (lost, late) or `ConfigInvalid` (certificate).
        """
        if self._lost:
            raise Unavailable(self._lost)
        self._doing = doing
        limit = self._limit(seconds)
        self._socket.settimeout(min(_SILENCE, limit))
        alarm = threading.Timer(limit, self._cut)
        alarm.daemon = True
        alarm.start()
        try:
            yield
        except ssl.SSLError as exc:
            lost = self.lose(exc.reason or "TLS")
            raise lost if self._late.is_set() else self._tls_fault(exc) from exc
        except OSError as exc:
            raise self.lose(exc.strerror or type(exc).__name__) from exc
        finally:
            alarm.cancel()

    def secure(self, context: ssl.SSLContext) -> None:
        """Start TLS, within an exchange. What was sent in plain text before its time is not looked at."""
        self.reader.close()
        self._socket = context.wrap_socket(self._socket, server_hostname=self._host)
        self.reader = self._reader()

    def send(self, data: bytes) -> None:
        """Send, within an exchange."""
        self._socket.sendall(data)

    def lose(self, why: str) -> Unavailable:
        """Give the connection up; the error to raise."""
        if self._late.is_set():
            self._lost = f"{self.address} did not finish {self._doing} in time."
        else:
            self._lost = f"The connection with {self.address} was lost while {self._doing}: {why}."
        return Unavailable(self._lost)

    def close(self) -> None:
        """Let go of the connection. Never raises."""
        self._lost = self._lost or f"The connection with {self.address} is closed."
        for part in (self.reader, self._socket, self._cord):
            try:
                part.close()
            except OSError as exc:
                _log.debug("The connection with %s was closed already: %s", self.address, type(exc).__name__)

    @property
    def connected(self) -> socket.socket:
        """The socket as it is now; a `ssl.SSLSocket` once `secure` is through."""
        return self._socket

    def _tls_fault(self, fault: ssl.SSLError) -> JobError:
        return tls_fault(fault, self.address, ports=self._ports, setting=self._setting)

    def _reader(self) -> BufferedReader:
        return BufferedReader(self._socket.makefile("rb", 0), _READ)

    def _limit(self, most: float) -> float:
        left = self._deadline.left.total_seconds()
        if left <= 0:
            raise Unavailable(f"The time of the run was up before {self._doing} ({self.address}).")
        return min(most, left)

    def _cut(self) -> None:
        self._late.set()
        try:
            self._cord.shutdown(socket.SHUT_RDWR)
        except OSError as exc:
            _log.debug("The connection with %s was closed already: %s", self.address, exc)


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """TLS 1.2 or newer with certificate and host name checked, trusting ``ca_file`` or else the system's CAs.

    Raises `ConfigInvalid` for a file that is missing or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as exc:
        raise ConfigInvalid(
            f"The CA file {ca_file!r} cannot be used: {type(exc).__name__}.",
            remedy="Give ca_file the path of a PEM file that is deployed with the app, or leave it out.",
        ) from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def https_endpoint(url: str, *, setting: str = "", ca_file: str | None = None) -> Endpoint:
    """The server of ``url``; one of plain HTTP (a simulator) is in plain text. ``setting`` is where the URL stands."""
    split = urlsplit(url)
    secure = split.scheme == "https"
    return Endpoint(
        host=split.hostname or "",
        port=split.port or (443 if secure else 80),
        tls="at once" if secure else "none",
        ca_file=ca_file,
        setting=setting,
    )


def no_such_host(address: str) -> Unreachable:
    """DNS knows no address for it, or does not answer."""
    return Unreachable(
        f"The host name of {address} cannot be resolved.", remedy="Check the server name and the DNS of the app."
    )


def dial(host: str, port: int, *, seconds: float) -> socket.socket:
    """A TCP connection whose time limit is ``seconds``. Raises `Unreachable`."""
    address = f"{host}:{port}"
    try:
        return socket.create_connection((host, port), timeout=seconds)
    except (socket.gaierror, UnicodeError) as exc:
        raise no_such_host(address) from exc
    except TimeoutError as exc:
        raise Unreachable(
            f"{address} did not answer within {seconds:.0f} seconds.",
            remedy="Check the port and that a firewall lets the app through.",
        ) from exc
    except OSError as exc:
        raise Unreachable(
            f"{address} cannot be reached: {exc.strerror or type(exc).__name__}.",
            remedy="Check the server name and port, and that the server runs.",
        ) from exc


def tls_fault(fault: ssl.SSLError, address: str, *, ports: tuple[int, int] | None, setting: str = "host") -> JobError:
    """What a failed TLS handshake with ``address`` means for the job. ``ports``, ``setting``: see `Line`."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return _certificate_fault(fault, address, setting)
    if fault.reason in _NO_TLS:
        remedy = f"Check the port in {setting}." if setting else _BETWEEN
        if ports:
            remedy = (
                f"Use security 'tls' with the TLS port ({ports[0]}), or 'starttls' with the plain one ({ports[1]})."
            )
        return ConfigInvalid(f"{address} does not answer with TLS.", remedy=remedy)
    if fault.reason in _OLD_TLS:
        return ConfigInvalid(
            f"{address} speaks no TLS version that is still safe.",
            remedy="Have TLS 1.2 or newer enabled on the server.",
        )
    return Unavailable(f"The TLS connection with {address} failed: {fault.reason or type(fault).__name__}.")


def _certificate_fault(fault: ssl.SSLCertVerificationError, address: str, setting: str) -> JobError:
    code = fault.verify_code
    if code in _WRONG_NAME:
        return ConfigInvalid(
            f"The certificate of {address} was made for another host name.",
            remedy=f"Set {setting} to a name that the certificate holds." if setting else _BETWEEN,
        )
    if code == _EXPIRED:
        return Unavailable(f"The certificate of {address} has expired.", remedy="Have it renewed on the server.")
    if code == _NOT_YET_VALID:
        return Unavailable(
            f"The certificate of {address} is not valid yet.", remedy="Check the clock and certificate of the server."
        )
    if code in _UNKNOWN_CA:
        return ConfigInvalid(
            f"The certificate of {address} was signed by an authority that is not trusted here.",
            remedy="Set ca_file to a PEM file with that authority's certificate, if the server is the right one."
            if setting
            else _BETWEEN,
        )
    return ConfigInvalid(
        f"The certificate of {address} was not accepted: {fault.verify_message}.",
        remedy="Have it mended on the server, or check ca_file.",
    )
