"""Reaching a mail server: TCP, TLS, and what is wrong with either, in plain words."""

import socket
import ssl

from shared.errors import ConfigInvalid, JobError, Unavailable

#: ``X509_V_ERR_*`` of OpenSSL (x509_vfy.h), as `ssl.SSLCertVerificationError.verify_code` has them.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_CA = frozenset({18, 19, 20, 21})
_WRONG_NAME = frozenset({62, 64})

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST"})
_OLD_TLS = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"})


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


def dial(host: str, port: int, *, seconds: float) -> socket.socket:
    """A TCP connection whose time limit is ``seconds``. Raises `Unavailable`."""
    address = f"{host}:{port}"
    try:
        return socket.create_connection((host, port), timeout=seconds)
    except (socket.gaierror, UnicodeError) as exc:
        raise Unavailable(
            f"The host name of {address} cannot be resolved.", remedy="Check the server name and the DNS of the app."
        ) from exc
    except TimeoutError as exc:
        raise Unavailable(
            f"{address} did not answer within {seconds:.0f} seconds.",
            remedy="Check the port and that a firewall lets the app through.",
        ) from exc
    except OSError as exc:
        raise Unavailable(
            f"{address} cannot be reached: {exc.strerror or type(exc).__name__}.",
            remedy="Check the server name and port, and that the server runs.",
        ) from exc


def tls_fault(fault: ssl.SSLError, address: str) -> JobError:
    """What a failed TLS handshake with ``address`` means for the job."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return _certificate_fault(fault, address)
    if fault.reason in _NO_TLS:
        return ConfigInvalid(
            f"{address} does not answer with TLS.",
            remedy="Use security 'tls' with the TLS port (993), or 'starttls' with the plain one (143).",
        )
    if fault.reason in _OLD_TLS:
        return ConfigInvalid(
            f"{address} speaks no TLS version that is still safe.",
            remedy="Have TLS 1.2 or newer enabled on the server.",
        )
    return Unavailable(f"The TLS connection with {address} failed: {fault.reason or type(fault).__name__}.")


def _certificate_fault(fault: ssl.SSLCertVerificationError, address: str) -> JobError:
    code = fault.verify_code
    if code in _WRONG_NAME:
        return ConfigInvalid(
            f"The certificate of {address} was made for another host name.",
            remedy="Set host to a name that the certificate holds.",
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
            remedy="Set ca_file to a PEM file with that authority's certificate, if the server is the right one.",
        )
    return ConfigInvalid(
        f"The certificate of {address} was not accepted: {fault.verify_message}.",
        remedy="Have it mended on the server, or check ca_file.",
    )
