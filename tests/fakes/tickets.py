"""The ticket store and the threads in memory."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.errors import MessageError, Refused
from shared.model import (
    Action,
    Address,
    Create,
    Delivered,
    Delivery,
    StoredAttachment,
    Ticket,
    TicketEntry,
    TicketStatus,
    TicketSummary,
)
from shared.ports import NewTicket
from tests.fakes.parked import chunks
from tests.fakes.rows import Rows, page_of


class FakeTickets:
    """See `shared.ports.TicketStore`. Each addition is a write of its own."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._tickets: dict[str, Ticket] = {}
        #: By the digest of the message's key: what was answered once is answered for ever.
        self._answers: dict[str, Delivered] = {}
        self._contents: dict[str, bytes] = {}

    def add(self, additions: Sequence[NewTicket]) -> Sequence[Delivered | MessageError]:
        """See the port."""
        answers: list[Delivered | MessageError] = []
        for addition in additions:
            with self._rows.writing("tickets.add"):
                answers.append(self._answers.get(addition.delivery.key.digest) or self._apply(addition))
        return answers

    def summaries(self, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        """See the port."""
        with self._rows.lock:
            found = [self._tickets[one] for one in set(ticket_ids) if one in self._tickets]
        return {
            one.ticket_id: TicketSummary(one.ticket_id, one.status, one.participants, one.merged_into) for one in found
        }

    def ticket(self, ticket_id: str) -> Ticket | None:
        """See the port."""
        return self._tickets.get(ticket_id)

    def page(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        job_id: str | None = None,
        status: TicketStatus | None = None,
        requester: str | None = None,
        changed_since: datetime | None = None,
    ) -> tuple[list[Ticket], str | None]:
        """See the port."""
        with self._rows.lock:
            found = [
                replace(one, entries=())
                for one in self._tickets.values()
                if job_id in (None, one.job_id)
                and status in (None, one.status)
                and (requester is None or (one.requester and one.requester.email.lower() == requester.lower()))
                and (changed_since is None or one.updated >= changed_since)
            ]
        return page_of((([-one.created.timestamp(), one.ticket_id], one) for one in found), limit, cursor)

    def set_open(self, ticket_id: str, *, is_open: bool) -> Ticket | None:
        """See the port."""
        status = TicketStatus.OPEN if is_open else TicketStatus.CLOSED
        with self._rows.writing("tickets.set_open"):
            one = self._tickets.get(ticket_id)
            if one and one.status is not status:
                one = replace(one, status=status, merged_into="", updated=self._rows.clock())
                self._tickets[ticket_id] = one
        return replace(one, entries=()) if one else None

    def merge(self, ticket_id: str, into: str) -> Ticket | None:
        """See the port."""
        with self._rows.writing("tickets.merge"):
            one, other = self._tickets.get(ticket_id), self._tickets.get(into)
            while other and other.merged_into:
                other = self._tickets[other.merged_into]
            if one is None or other is None or other.ticket_id == ticket_id:
                return None
            now = self._rows.clock()
            merged = replace(one, status=TicketStatus.MERGED, merged_into=other.ticket_id, updated=now)
            self._tickets[ticket_id] = merged
            self._tickets[other.ticket_id] = replace(
                other,
                participants=other.participants | one.participants,
                links=tuple(dict.fromkeys((*other.links, ticket_id))),
                updated=now,
            )
        return replace(merged, entries=())

    def attachment(self, ticket_id: str, entry_id: str, index: int) -> tuple[StoredAttachment, Iterator[bytes]] | None:
        """See the port."""
        one = self._tickets.get(ticket_id)
        entry = next((entry for entry in one.entries if entry.entry_id == entry_id), None) if one else None
        if entry is None or not 0 <= index < len(entry.attachments):
            return None
        stored = entry.attachments[index]
        return stored, chunks(self._contents[stored.blob])

    def _apply(self, addition: NewTicket) -> Delivered | MessageError:
        decision = addition.delivery.decision
        if isinstance(decision, Create):
            ticket_id = next((one for one in addition.ticket_ids if one not in self._tickets), None)
            if ticket_id is None:
                return Refused("Every id that this message's ticket may have belongs to another one.")
            action = Action.CREATED
            self._tickets[ticket_id] = self._begin(ticket_id, addition.delivery, decision)
        else:
            ticket_id, action = decision.ticket_id, Action.MODIFIED
            if ticket_id not in self._tickets:
                return Refused(f"There is no ticket {ticket_id!r} to modify.")
        self._append(ticket_id, addition.delivery, action)
        delivered = self._answers[addition.delivery.key.digest] = Delivered(ticket_id, action)
        return delivered

    def _begin(self, ticket_id: str, delivery: Delivery, decision: Create) -> Ticket:
        now = self._rows.clock()
        return Ticket(
            ticket_id=ticket_id,
            job_id=delivery.key.job_id,
            subject=delivery.message.subject,
            status=TicketStatus.OPEN,
            requester=delivery.message.sender if decision.with_requester else None,
            created=now,
            updated=now,
            links=decision.links,
        )

    def _append(self, ticket_id: str, delivery: Delivery, action: Action) -> None:
        one, message, entry_id = self._tickets[ticket_id], delivery.message, delivery.key.digest[:20]
        stored = tuple(
            StoredAttachment(
                name=part.name,
                content_type=part.content_type,
                size=len(part.data),
                sha256=part.sha256,
                blob=f"{ticket_id}/{entry_id}/{index}",
                content_id=part.content_id,
                inline=part.inline,
            )
            for index, part in enumerate(message.attachments)
        )
        self._contents.update({kept.blob: part.data for kept, part in zip(stored, message.attachments, strict=True)})
        entry = TicketEntry(
            entry_id=entry_id,
            action=action,
            sender=message.sender,
            to=message.to,
            cc=message.cc,
            subject=message.subject,
            date=message.date or delivery.received or self._rows.clock(),
            text=message.text,
            html=message.html,
            message_id=message.message_id,
            attachments=stored,
            defects=message.defects,
            evidence=delivery.decision.evidence,
            fields=dict(delivery.decision.fields),
            notes=delivery.decision.notes,
        )
        self._tickets[ticket_id] = replace(
            one,
            updated=self._rows.clock(),
            entries=(*one.entries, entry),
            participants=one.participants | emails(message.sender, *message.to, *message.cc),
        )


class FakeThreads:
    """See `shared.ports.Threads`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._tickets: dict[tuple[str, str], str] = {}

    def find(self, scope: str, message_ids: Sequence[str]) -> Mapping[str, str]:
        """See the port."""
        with self._rows.lock:
            return {one: self._tickets[scope, one] for one in message_ids if (scope, one) in self._tickets}

    def remember(self, scope: str, tickets: Mapping[str, str]) -> None:
        """See the port."""
        with self._rows.writing("threads.remember"):
            for message_id, ticket_id in tickets.items():
                self._tickets.setdefault((scope, message_id), ticket_id)


def emails(*addresses: Address | None) -> frozenset[str]:
    """The addresses in lower case."""
    return frozenset(one.email.lower() for one in addresses if one)
