"""A certificate authority for test servers on 127.0.0.1, with certificates good and bad."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

#: What a test server may be called.
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of one server: ``chain`` (certificate and issuers) and ``key``."""

    chain: Path
    key: Path


class Authority:
    """A certificate authority whose files live in ``folder``; clients trust ``ca_file``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca_file))

    def issue(self, name: str = HOST, *, expired: bool = False) -> Certificate:
        """A certificate for the host ``name``; an expired one ended yesterday."""
        yesterday = datetime.now(UTC) - timedelta(days=1)
        began, ended = (yesterday - timedelta(days=30), yesterday) if expired else (None, None)
        issued = self._ca.issue_cert(name, not_before=began, not_after=ended)
        label = f"{name.replace('*', '_')}-{'expired' if expired else 'good'}"
        chain, key = self._folder / f"{label}.pem", self._folder / f"{label}.key"
        chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return Certificate(chain, key)
