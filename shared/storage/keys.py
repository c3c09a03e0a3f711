r"""Keys of Table Storage: safe for every text, and sorted as we read them.

PartitionKey and RowKey hold up to 1,024 UTF-16 units, without ``/ \ # ?`` and control characters
(learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model).
"""

import hashlib
import re
from datetime import datetime

#: Partitions over which jobs are spread. One takes about 2,000 entities a second, an account about 20,000: with sixteen
#: the account is the bound. The sweep and the import read each of them once, however many jobs there are.
BUCKETS = tuple("0123456789abcdef")

#: Longer texts are cut and told apart by a hash.
_LONGEST = 400

_UNSAFE = re.compile(r"[^A-Za-z0-9.@_+=-]")
_COMPLEMENT = str.maketrans("0123456789", "9876543210")


def bucket(job_id: str) -> str:
    """The partition of everything that belongs to one job."""
    return hashlib.sha256(job_id.encode()).hexdigest()[0]


def escape(text: str) -> str:
    """Write any text with safe characters only, reversibly and without two texts meeting.

    Unsafe characters become ``!`` and the hex of their UTF-8 octets, each octet apart, so that digits and letters keep
    their order. A text that grows too long is cut and closed with ``!~`` and its SHA-256.
    """
    safe = _UNSAFE.sub(lambda m: "".join(f"!{octet:02x}" for octet in m[0].encode("utf-8", "surrogatepass")), text)
    if len(safe) <= _LONGEST:
        return safe
    return f"{safe[:_LONGEST]}!~{digest(text)}"


def digest(text: str) -> str:
    """64 hex digits for texts that only need to be found again, not read."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def newest_first(text: str) -> str:
    """Turn a text that begins with a time written in digits so that later ones sort first. Its own reverse."""
    return text.translate(_COMPLEMENT)


def prefix_end(prefix: str) -> str:
    """The first key after every key that begins with ``prefix``, which must end in ``:``."""
    return prefix.removesuffix(":") + ";"


def write_time(instant: datetime | None) -> str:
    """An instant as text that sorts; empty for None."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if instant else ""


def read_time(text: str) -> datetime | None:
    """The reverse of `write_time`."""
    return datetime.fromisoformat(text) if text else None
