"""What is wrong on the way to an EWS server: DNS, TCP, TLS, in plain words."""

import socket
import ssl

from shared.connectors._ews_text import readable
from shared.errors import ConfigInvalid, JobError, Unavailable, Unreachable

#: ``X509_V_ERR_*`` of OpenSSL (x509_vfy.h), as `ssl.SSLCertVerificationError.verify_code` has them.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_CA = frozenset({18, 19, 20, 21})
_WRONG_NAME = frozenset({62, 64})

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST"})
_OLD_TLS = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"})


class Lost(Unavailable):
    """The connection ended, or the answer made no sense, while an answer was awaited: perhaps the request's fault."""


def network_fault(fault: OSError, host: str, doing: str) -> JobError:
    """What an error of a socket with ``host`` means for the job; ``doing`` says what was going on."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return _certificate_fault(fault, host)
    if isinstance(fault, ssl.SSLError):
        return _tls_fault(fault, host, doing)
    if isinstance(fault, socket.gaierror):
        return Unreachable(
            f"The host name of {host} cannot be resolved.", remedy="Check the server name and the DNS of the app."
        )
    if isinstance(fault, ConnectionRefusedError):
        return Unreachable(
            f"{host} cannot be reached: connection refused.", remedy="Check the server name and that the server runs."
        )
    if isinstance(fault, TimeoutError):
        return Lost(f"{host} did not answer in time (while {doing}).")
    return Lost(f"The connection with {host} was lost while {doing}: {fault.strerror or type(fault).__name__}.")


def _tls_fault(fault: ssl.SSLError, host: str, doing: str) -> JobError:
    if fault.reason in _NO_TLS:
        return ConfigInvalid(f"{host} does not answer with TLS.", remedy="Check the port in service_url.")
    if fault.reason in _OLD_TLS:
        return ConfigInvalid(
            f"{host} speaks no TLS version that is still safe.", remedy="Have TLS 1.2 or newer enabled on it."
        )
    return Lost(f"The connection with {host} was lost while {doing}: {fault.reason or 'TLS'}.")


def _certificate_fault(fault: ssl.SSLCertVerificationError, host: str) -> JobError:
    code = fault.verify_code
    if code in _WRONG_NAME:
        return ConfigInvalid(
            f"The certificate of {host} was made for another host name.",
            remedy="Set service_url to a name that the certificate holds.",
        )
    if code == _EXPIRED:
        return Unavailable(f"The certificate of {host} has expired.", remedy="Have it renewed on the server.")
    if code == _NOT_YET_VALID:
        return Unavailable(f"The certificate of {host} is not valid yet.", remedy="Check the clock of the server.")
    if code in _UNKNOWN_CA:
        return ConfigInvalid(
            f"The certificate of {host} is signed by an authority that is not trusted here.",
            remedy="If it is the right server, set ca_file to a PEM file with its authority.",
        )
    return ConfigInvalid(f"The certificate of {host} cannot be trusted: {readable(fault.verify_message)}.")
