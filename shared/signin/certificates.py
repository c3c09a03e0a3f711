"""When a certificate ends, by what it says of itself."""

from datetime import datetime

from shared.errors import ConfigInvalid
from shared.ports import Secrets
from shared.signin.entra import Certificate, proof_of


def certificate_end(sign_in: Certificate, secrets: Secrets) -> datetime:
    """``notAfter`` of the certificate that signs in (RFC 5280, section 4.1.2.5).

    Raises `ConfigInvalid` (it is not there, or is none) or `Unavailable` (the vault is away).
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import pkcs12

    data, *password = proof_of(sign_in, secrets)
    try:
        if b"-----BEGIN" in data:
            # The certificate comes first, its issuers after it (RFC 8446, section 4.4.2).
            return x509.load_pem_x509_certificates(data)[0].not_valid_after_utc
        certificate = pkcs12.load_pkcs12(data, password[0] if password else None).cert
    except ValueError as fault:
        raise ConfigInvalid("There is no certificate to be read.") from fault
    if certificate is None:
        raise ConfigInvalid("There is a key, but no certificate.")
    return certificate.certificate.not_valid_after_utc
