"""A worker that dies of reading one of its messages. Imported, not started: its reader must be found by its name."""

import json
import os
import sys
from dataclasses import replace
from typing import Any

from shared.mime import parse
from shared.model import Message
from shared.storage import open_storage
from shared.storage.open import utc_now
from tests.run.real import services_of
from tests.run.worker import drain, tell

#: In a message that stops whoever reads it.
POISON = b"X-Poison: exit"


def deadly(raw: bytes, **named: Any) -> Message:
    """Read a message, or die of it at once, without a word and without cleaning up."""
    if POISON in raw:
        os._exit(1)
    return parse(raw, **named)


def main() -> None:
    """Run the job that the first argument tells of, as `tests.run.worker` does."""
    given = json.loads(sys.argv[1])
    storage = open_storage(
        connection_string=given["connection_string"],
        prefix=given["prefix"],
        lease_seconds=float(given["lease_seconds"]),
    )
    services = replace(services_of(storage, given["password"], utc_now), parse=deadly)
    drain(services, given["job_id"])
    tell("drained")
