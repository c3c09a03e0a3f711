"""A worker that dies of reading one of its messages. Imported, not started: its reader must be found by its name.

Three ways to die, by the value of a header field: ``exit`` at once, without a word; ``loop`` for ever, until the platform
stops the worker at its time-out; ``memory`` without end, until the kernel stops it.
"""

import json
import os
import resource
import signal
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.mime import parse
from shared.model import Message
from shared.storage import open_storage
from shared.storage.open import utc_now
from tests.run.real import services_of
from tests.run.worker import drain, tell

#: Begins a header field of a message that stops whoever reads it.
POISON = b"X-Poison: "
KINDS = ("exit", "loop", "memory")

_GB = 1024**3


def deadly(raw: bytes, **named: Any) -> Message:
    """Read a message, or die of it."""
    _, found, rest = raw.partition(POISON)
    kind = rest.partition(b"\r\n")[0].decode() if found else ""
    while kind == "loop":
        pass
    if kind == "memory":
        _hoard()
    if kind:
        os._exit(1)
    return parse(raw, **named)


def _hoard() -> None:
    try:
        bytearray(4 * _GB)
    except MemoryError:
        if _in_worker():
            os.kill(os.getpid(), signal.SIGKILL)
        raise


def _in_worker() -> bool:
    """Whether this process stands for a worker on a platform, whose kernel kills where ours only refuses."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] == 3 * _GB


def main() -> None:
    """Run the job that the first argument tells of, as `tests.run.worker` does."""
    resource.setrlimit(resource.RLIMIT_AS, (3 * _GB, resource.getrlimit(resource.RLIMIT_AS)[1]))
    given = json.loads(sys.argv[1])
    storage = open_storage(
        connection_string=given["connection_string"],
        prefix=given["prefix"],
        lease_seconds=float(given["lease_seconds"]),
    )
    services = services_of(storage, given["password"], utc_now)
    drain(replace(services, parse=deadly, budget=timedelta(seconds=given["budget"])), given["job_id"])
    tell("drained")
