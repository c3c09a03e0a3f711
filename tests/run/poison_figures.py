"""One message among a hundred that stops whoever reads it: ``python -m tests.run.poison_figures``.

Workers are started one after the other, as the platform does, until one comes through; one that says nothing any more is
stopped, as the platform does at its time-out. Judged from outside: tickets in the tables, marks in the mailbox, and the
parked message as people find it.
"""

import json
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from azure.core.exceptions import ResourceNotFoundError

from dev.azurite import Azurite
from dev.child import Child, ChildFailed
from shared.api.records import check_job, save
from shared.model import ParkedMessage
from shared.storage import open_storage
from shared.storage.open import utc_now
from tests.run.poison import KINDS, POISON
from tests.run.real import Tables, job_document, subject_of
from tests.run.world import mail
from tests.servers.dovecot import Dovecot

_ROOT = Path(__file__).resolve().parents[2]

MESSAGES = 100
#: The one that is poison.
BAD = 40
_WORKERS = 6


@dataclass
class Figures:
    """What came of it."""

    kind: str
    #: How each worker ended: its exit status, negative for a signal.
    ended: list[int] = field(default_factory=list)
    #: Subjects with a ticket once each worker had ended.
    tickets: list[list[str]] = field(default_factory=list)
    parked: list[ParkedMessage] = field(default_factory=list)
    #: The raw copy of what was parked, and the message as it was sent.
    copy: bytes = b""
    sent: bytes = b""
    #: Subjects of what is unread in the mailbox.
    unread: list[str] = field(default_factory=list)


def poisoned(dovecot: Dovecot, azurite: Azurite, kind: str, *, patience: float, budget: float) -> Figures:
    """Let workers handle a mailbox with one such message. ``patience``: seconds that a worker is given at most.

    ``budget``: seconds for a run, in which it must end of itself.
    """
    figures = Figures(kind)
    user, prefix = dovecot.new_mailbox(), f"t{uuid.uuid4().hex[:12]}"
    letters = [mail(f"m{number}") for number in range(MESSAGES)]
    letters[BAD] = letters[BAD].replace(b"Subject:", POISON + kind.encode() + b"\r\nSubject:")
    dovecot.append(user, "INBOX", letters)
    storage = open_storage(connection_string=azurite.connection_string, prefix=prefix)
    document = job_document(dovecot, user, enabled=False, on_success={"mark_as_read": True}, max_attempts=3)
    save(storage.jobs, check_job(document), before=None, now=utc_now())
    given = {
        "connection_string": azurite.connection_string,
        "prefix": prefix,
        "job_id": "support",
        "password": user.password,
        "lease_seconds": "1.5",
        "budget": budget,
    }
    tables = Tables(azurite, prefix)
    while len(figures.ended) < _WORKERS and figures.ended[-1:] != [0]:
        start = "from tests.run.poison import main; main()"
        worker = Child("the worker", [sys.executable, "-c", start, json.dumps(given)], cwd=_ROOT)
        try:
            figures.ended.append(worker.wait(timeout=patience))
        except ChildFailed:
            figures.ended.append(worker.kill())
        else:
            worker.kill()
        figures.tickets.append(_subjects(tables))
    figures.parked, _ = storage.parked.page("support", limit=9)
    for one in figures.parked:
        figures.copy += b"".join(storage.parked.raw("support", one.parked_id) or ())
    figures.sent = letters[BAD]
    figures.unread = [subject_of(one.data) for one in dovecot.messages(user) if r"\Seen" not in one.flags]
    return figures


def _subjects(tables: Tables) -> list[str]:
    try:
        return tables.subjects()
    except ResourceNotFoundError:
        # The first worker died before its first ticket, so nobody has made the table.
        return []


def row(figures: Figures) -> str:
    """One line of the table."""
    workers = ", ".join(map(_how, figures.ended))
    tickets = ", ".join(str(len(one)) for one in figures.tickets)
    twice = len(figures.tickets[-1]) - len(set(figures.tickets[-1]))
    reasons = " ".join(one.reason for one in figures.parked)
    return f"| {figures.kind} | {workers} | {tickets} | {twice} | {len(figures.parked)} | {reasons} |"


def _how(status: int) -> str:
    return {0: "came through", -9: "killed"}.get(status, f"exit {status}")


def main() -> int:
    """All three kinds, as a table."""
    with Dovecot() as dovecot, Azurite(in_memory=True) as azurite:
        found = [poisoned(dovecot, azurite, kind, patience=75, budget=40) for kind in KINDS]
    print("| poison | workers, one after the other | tickets after each | doubled | parked | its reason |")  # noqa: T201
    print("|---|---|---|---|---|---|")  # noqa: T201 (a table for people)
    print(*map(row, found), sep="\n")  # noqa: T201
    whole = all(
        one.ended[-1] == 0 and len(set(one.tickets[-1])) == MESSAGES - 1 == len(one.tickets[-1]) for one in found
    )
    return 0 if whole and all(len(one.parked) == 1 for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
