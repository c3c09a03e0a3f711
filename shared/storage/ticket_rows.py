"""The rows of the tickets table, each noun written as columns and read back.

::

    PartitionKey "tickets"       one partition, so that a batch of tickets is one transaction
      done:{digest of the key}      the answer that this message got: what makes everything idempotent
      entry:{ticket}:{entry}        one message within a ticket
      recent:{newest first}         what listings show
      ticket:{ticket}               the ticket itself
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from shared.model import (
    Action,
    Address,
    Create,
    Delivered,
    Delivery,
    FieldValue,
    Message,
    StoredAttachment,
    Ticket,
    TicketEntry,
    TicketStatus,
    TicketSummary,
)
from shared.storage.keys import escape, newest_first, write_time
from shared.storage.limits import cut_to_units, utf16_units
from shared.storage.table import Row

PARTITION = "tickets"

#: A text that is longer than a property may be is kept as a blob, and the property shows its beginning.
TEXT_UNITS = 30_000
_PEOPLE = 200


def done_key(digest: str) -> str:
    """RowKey of the answer that a message got."""
    return f"done:{digest}"


def ticket_key(ticket_id: str) -> str:
    """RowKey of a ticket."""
    return f"ticket:{escape(ticket_id)}"


def recent_key(ticket_id: str, created: str) -> str:
    """RowKey of a ticket's line in listings."""
    return f"recent:{newest_first(created)}:{escape(ticket_id)}"


def entry_prefix(ticket_id: str) -> str:
    """What the RowKeys of a ticket's entries begin with."""
    return f"entry:{escape(ticket_id)}:"


def keys(row_key: str) -> Row:
    """The two keys of any row of this table."""
    return {"PartitionKey": PARTITION, "RowKey": row_key}


def people(message: Message) -> list[str]:
    """Everybody who takes part in a conversation by this message, lower-case, its sender first."""
    named = (message.sender, *message.reply_to, *message.to, *message.cc)
    return [address.email.lower() for address in named if address]


def done_row(delivery: Delivery, answer: Delivered) -> Row:
    """The answer for good."""
    return {
        **keys(done_key(delivery.key.digest)),
        "ticket_id": answer.ticket_id,
        "action": answer.action.value,
    }


def ticket_row(delivery: Delivery, ticket_id: str, now: datetime) -> Row:
    """A new ticket."""
    message, created = delivery.message, write_time(now)
    decision = delivery.decision if isinstance(delivery.decision, Create) else Create()
    return {
        **keys(ticket_key(ticket_id)),
        "ticket_id": ticket_id,
        "job_id": delivery.key.job_id,
        "subject": cut_to_units(message.subject, 1_000),
        "status": TicketStatus.OPEN.value,
        "requester": _addresses([message.sender] if message.sender and decision.with_requester else []),
        "created": created,
        "updated": created,
        "participants": write_people(people(message)),
        "links": json.dumps(decision.links),
    }


def recent_row(ticket: Row) -> Row:
    """A ticket's line in listings: the same columns under a key that sorts by time."""
    return {**ticket, **keys(recent_key(ticket["ticket_id"], ticket["created"]))}


def entry_row(
    delivery: Delivery,
    answer: Delivered,
    now: datetime,
    *,
    attachments: str,
    blobs: Mapping[str, str],
) -> Row:
    """One message within a ticket. ``blobs`` says where the parts are that are too long for a property."""
    message = delivery.message
    return {
        **keys(entry_prefix(answer.ticket_id) + delivery.key.digest[:16]),
        "entry_id": delivery.key.digest[:16],
        "action": answer.action.value,
        "sender": _addresses([message.sender] if message.sender else []),
        "to": _addresses(message.to),
        "cc": _addresses(message.cc),
        "subject": cut_to_units(message.subject, 25_000),
        "date": write_time(message.date or delivery.received or now),
        "added": write_time(now),
        "text": cut_to_units(message.text, TEXT_UNITS),
        "text_blob": blobs.get("text", ""),
        "html": cut_to_units(message.html or "", TEXT_UNITS),
        "html_blob": blobs.get("html", ""),
        "has_html": message.html is not None,
        "message_id": cut_to_units(message.message_id or "", 1_000),
        "attachments": "" if "attachments" in blobs else attachments,
        "attachments_blob": blobs.get("attachments", ""),
        "defects": _sentences(message.defects),
        "evidence": _sentences(delivery.decision.evidence),
        "fields": "" if "fields" in blobs else write_fields(delivery.decision.fields),
        "fields_blob": blobs.get("fields", ""),
        "notes": _sentences(delivery.decision.notes),
    }


def is_long(text: str | None) -> bool:
    """Whether a text needs a blob of its own."""
    return text is not None and utf16_units(text) > TEXT_UNITS


def write_people(emails: Iterable[str]) -> str:
    """Participants, first come first kept, bounded: a mail to thousands must not outgrow a property."""
    return _sentences(list(dict.fromkeys(emails))[:_PEOPLE])


def read_people(text: str) -> list[str]:
    """The reverse."""
    people: list[str] = json.loads(text)
    return people


def read_answer(row: Row) -> Delivered:
    """The answer that a message got."""
    return Delivered(row["ticket_id"], Action(row["action"]))


def read_summary(row: Row) -> TicketSummary:
    """What routing needs of a ticket."""
    return TicketSummary(
        row["ticket_id"],
        TicketStatus(row["status"]),
        frozenset(read_people(row["participants"])),
        row.get("merged_into", ""),
    )


def read_ticket(row: Row, entries: Iterable[TicketEntry] = ()) -> Ticket:
    """A ticket, from its own row or its line in listings."""
    requester = _read_addresses(row["requester"])
    return Ticket(
        ticket_id=row["ticket_id"],
        job_id=row["job_id"],
        subject=row["subject"],
        status=TicketStatus(row["status"]),
        requester=requester[0] if requester else None,
        created=datetime.fromisoformat(row["created"]),
        updated=datetime.fromisoformat(row["updated"]),
        participants=frozenset(read_people(row["participants"])),
        links=tuple(json.loads(row["links"])),
        merged_into=row.get("merged_into", ""),
        entries=tuple(entries),
    )


def read_entry(row: Row, long: Mapping[str, str] | None = None) -> TicketEntry:
    """An entry. ``long`` holds the parts that have a blob, where the row only shows their beginning or nothing."""
    parts = {
        "text": row["text"],
        "html": row["html"],
        "attachments": row["attachments"] or "[]",
        "fields": row.get("fields") or "{}",
        **(long or {}),
    }
    sender = _read_addresses(row["sender"])
    return TicketEntry(
        entry_id=row["entry_id"],
        action=Action(row["action"]),
        sender=sender[0] if sender else None,
        to=_read_addresses(row["to"]),
        cc=_read_addresses(row["cc"]),
        subject=row["subject"],
        date=datetime.fromisoformat(row["date"]),
        text=parts["text"],
        html=parts["html"] if row["has_html"] else None,
        message_id=row["message_id"] or None,
        attachments=tuple(StoredAttachment(**attachment) for attachment in json.loads(parts["attachments"])),
        defects=tuple(json.loads(row["defects"])),
        evidence=tuple(json.loads(row["evidence"])),
        fields=json.loads(parts["fields"]),
        notes=tuple(json.loads(row.get("notes", "[]"))),
    )


def write_fields(fields: Mapping[str, FieldValue]) -> str:
    """The fields that came with an entry."""
    return _json(dict(fields))


def write_attachments(attachments: Iterable[StoredAttachment]) -> str:
    """The list of an entry's attachments."""
    return _json([asdict(attachment) for attachment in attachments])


def _addresses(addresses: Iterable[Address]) -> str:
    shown = [[cut_to_units(address.email, 320), cut_to_units(address.name, 100)] for address in addresses][:_PEOPLE]
    while utf16_units(_json(shown)) > TEXT_UNITS:
        shown = shown[: len(shown) // 2]
    return _json(shown)


def _read_addresses(text: str) -> tuple[Address, ...]:
    return tuple(Address(email, name) for email, name in json.loads(text))


def _sentences(sentences: Iterable[str]) -> str:
    kept = [cut_to_units(sentence, 500) for sentence in sentences]
    while utf16_units(_json(kept)) > TEXT_UNITS:
        kept = kept[: len(kept) // 2]
    return _json(kept)


def _json(value: Any) -> str:
    """JSON for one property; callers bound its length."""
    return json.dumps(value)
