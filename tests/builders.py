"""Data for tests: every builder gives a sensible whole, and a test names only what it is about."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.ledger import LedgerEntry, Stage
from shared.model import (
    Address,
    Attachment,
    Create,
    Delivery,
    Health,
    JobRecord,
    JobState,
    Message,
    MessageKey,
    MessageRef,
    Modify,
    ParkedMessage,
    PurgedMessage,
    RawMessage,
    RunOutcome,
    RunReport,
    Trigger,
)
from shared.ports import Claim, NewTicket, RunEnding

#: The present of the tests.
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def make_mailbox(job_id: str = "support") -> str:
    """The mailbox that the other builders give to a job of this id."""
    return f"imap4://{job_id}@mail.example/INBOX"


def make_state(**changes: Any) -> JobState:
    """The state of a job that never ran."""
    return replace(JobState(created=NOW), **changes)


def make_record(job_id: str = "support", **changes: Any) -> JobRecord:
    """An enabled job that is not due."""
    record = JobRecord(
        job_id=job_id,
        config=f'{{"id": "{job_id}", "name": "Mail Connector"}}',
        revision=f"{job_id}-1",
        ncrontab="7 */5 * * * *",
        enabled=True,
        mailbox=make_mailbox(job_id),
        state=make_state(),
        name="Mail Connector",
    )
    return replace(record, **changes)


def make_item(uid: int, uidvalidity: int = 1700000000) -> str:
    """An item as IMAP4 keys have it: it sorts as the mailbox does."""
    return f"{uidvalidity:010}.{uid:010}"


def make_key(uid: int = 1, job_id: str = "support", **changes: Any) -> MessageKey:
    """The key of message ``uid`` in the mailbox of this job."""
    return replace(MessageKey(job_id, make_mailbox(job_id), make_item(uid)), **changes)


def make_ref(uid: int = 1, job_id: str = "support", **changes: Any) -> MessageRef:
    """Message ``uid`` as the mailbox of this job lists it."""
    return replace(MessageRef(make_key(uid, job_id), handle=str(uid), size=1000, received=NOW), **changes)


def make_entry(uid: int = 1, job_id: str = "support", **changes: Any) -> LedgerEntry:
    """The ledger entry of message ``uid``: claimed by ``run-1`` for the first time."""
    entry = LedgerEntry(make_key(uid, job_id), handle=str(uid), stage=Stage.CLAIMED, attempts=1, run_id="run-1")
    return replace(entry, **changes)


def make_run_id(started: datetime, name: str = "") -> str:
    """An id that begins with the run's time, as the ids of real runs do, so that ids sort as runs do."""
    return f"{started:%Y%m%dT%H%M%S%f}-{name}"


def make_claim(run_id: str = "run-1", **changes: Any) -> Claim:
    """What a timer's run writes when it takes up the occurrence of this instant."""
    claim = Claim(run_id=run_id, trigger=Trigger.TIMER, last_occurrence=NOW, next_due=NOW.replace(minute=5))
    return replace(claim, **changes)


def make_report(run_id: str = "run-1", job_id: str = "support", **changes: Any) -> RunReport:
    """The record of a run that found nothing."""
    report = RunReport(
        run_id=run_id,
        job_id=job_id,
        job_name="Mail Connector",
        trigger=Trigger.TIMER,
        outcome=RunOutcome.COMPLETED,
        started=NOW,
        ended=NOW.replace(second=2),
    )
    return replace(report, **changes)


def make_ending(run_id: str = "run-1", job_id: str = "support", **changes: Any) -> RunEnding:
    """What a run leaves behind that found nothing and leaves nothing open."""
    ending = RunEnding(
        report=make_report(run_id, job_id),
        next_due=None,
        failures=0,
        health=Health.HEALTHY,
        last_error="",
        waiting_since=None,
        unfinished=False,
        cursor=None,
    )
    return replace(ending, **changes)


def make_attachment(name: str = "printer.txt", data: bytes = b"Paper jam.", **changes: Any) -> Attachment:
    """A small text file."""
    return replace(Attachment(name=name, content_type="text/plain", data=data), **changes)


def make_message(uid: int = 1, **changes: Any) -> Message:
    """A plain question from ann to the mailbox of the ``support`` job."""
    message = Message(
        subject=f"Printer {uid} is on fire",
        sender=Address("ann@customer.example", "Ann"),
        reply_to=(),
        to=(Address("support@mail.example"),),
        cc=(),
        date=NOW,
        message_id=f"<{uid}@customer.example>",
        in_reply_to=(),
        references=(),
        text=f"Please come and look at printer {uid}.",
        html=None,
        attachments=(),
        headers=(("Subject", f"Printer {uid} is on fire"),),
        defects=(),
        size=1000,
        sha256=hashlib.sha256(str(uid).encode()).hexdigest(),
    )
    return replace(message, **changes)


def make_raw(uid: int = 1, job_id: str = "support", body: str = "Please come and look.") -> RawMessage:
    """The same question as bytes from a server."""
    lines = (
        "From: Ann <ann@customer.example>",
        f"To: {job_id}@mail.example",
        f"Subject: Printer {uid} is on fire",
        "Date: Mon, 23 Nov 2026 12:00:00 +0000",
        f"Message-ID: <{uid}@customer.example>",
        "Content-Type: text/plain; charset=utf-8",
        "",
        body,
        "",
    )
    data = "\r\n".join(lines).encode()
    return RawMessage(make_ref(uid, job_id), data, size=len(data))


def make_delivery(uid: int = 1, job_id: str = "support", **changes: Any) -> Delivery:
    """Message ``uid``, to become a new ticket."""
    delivery = Delivery(make_key(uid, job_id), make_message(uid), Create(evidence=("No ticket is named.",)), NOW)
    return replace(delivery, **changes)


def make_new_ticket(uid: int = 1, job_id: str = "support", **changes: Any) -> NewTicket:
    """Message ``uid`` for the ticket store, with ids that no other message of these builders has."""
    delivery = make_delivery(uid, job_id, **changes)
    digest = delivery.key.digest.upper()
    return NewTicket(delivery, (f"T{digest[:8]}", f"T{digest[:16]}"))


def make_reply(uid: int, ticket_id: str, job_id: str = "support", **changes: Any) -> NewTicket:
    """Message ``uid`` for the ticket store, as a reply that modifies ``ticket_id``."""
    decision = Modify(ticket_id, evidence=("Its subject names the ticket.",))
    return make_new_ticket(uid, job_id, **{"decision": decision, **changes})


def make_parked(uid: int = 1, job_id: str = "support", **changes: Any) -> ParkedMessage:
    """The listing of message ``uid`` after its last attempt."""
    parked = ParkedMessage(
        parked_id=f"parked-{uid}",
        job_id=job_id,
        item=make_item(uid),
        mailbox=make_mailbox(job_id),
        reason="The target refused it five times.",
        parked_at=NOW,
        attempts=5,
        size=1000,
        subject=f"Printer {uid} is on fire",
        sender="ann@customer.example",
        message_id=f"<{uid}@customer.example>",
    )
    return replace(parked, **changes)


def make_purged(uid: int = 1, job_id: str = "support", **changes: Any) -> PurgedMessage:
    """The listing of message ``uid`` whose original goes now, kept for two days; `Ledger.keep` says where."""
    purged = PurgedMessage(
        purged_id=f"purged-{uid}",
        key=make_key(uid, job_id),
        purged_at=NOW,
        expires_at=NOW.replace(hour=0) + timedelta(days=3),
        size=1000,
        sha256=hashlib.sha256(str(uid).encode()).hexdigest(),
        ticket_id=f"T-{uid}",
        subject=f"Printer {uid} is on fire",
        sender="ann@customer.example",
        message_id=f"<{uid}@customer.example>",
    )
    return replace(purged, **changes)
