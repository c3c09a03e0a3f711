"""Which ticket a message belongs to, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.model import Create, Message, Modify, TicketStatus, TicketSummary
from shared.routing.references import Reference
from shared.routing.screen import Screened
from shared.routing.settings import RepliesFrom, RoutingSettings

#: For a message of which neither guards nor rules have anything to say.
NOTHING_SAID: Final = Screened()


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a ticket id was found."""

    sentence: str
    from_tag: bool


def route(
    message: Message,
    settings: RoutingSettings,
    *,
    reference: Reference,
    threads: Mapping[str, str],
    tickets: Mapping[str, TicketSummary],
    screened: Screened = NOTHING_SAID,
) -> Create | Modify:
    """Decide, in this order: tags in the subject, the thread; the first ticket that is fit is modified.

    ``reference`` is what `refers_to` gave; ``threads`` has the ticket ids by Message-ID that are known; ``tickets`` the
    tickets that exist, of all ids that these two name; ``screened`` what `screen` gave, which rejected nothing. Every
    decision carries the sentences that led to it.
    """
    evidence: list[str] = []
    links: dict[str, None] = {}
    for ticket_id, source in _candidates(reference, settings, threads).items():
        ticket = tickets.get(ticket_id)
        if ticket is None and source.from_tag:
            evidence.append(f"{source.sentence} There is no such ticket.")
            continue
        obstacle = _obstacle(message, ticket, settings)
        if obstacle is None:
            right = f"Ticket {ticket_id} is open and takes replies from {_who(message)}."
            why = (*screened.sentences, *evidence, source.sentence, right)
            return Modify(ticket_id, why, screened.fields, screened.notes)
        links[ticket_id] = None
        evidence.append(f"{source.sentence} {obstacle}")
    if not evidence:
        evidence.append("The message refers to no known ticket.")
    automatic = message.header("Auto-Submitted")
    if automatic and automatic.partition(";")[0].strip().lower() != "no":
        evidence.append(f"It is an automatic message (Auto-Submitted: {automatic[:100]}).")
    why = (*screened.sentences, *evidence, "So it makes a new ticket.")
    return Create(why, tuple(links), screened.fields, screened.notes)


def _candidates(reference: Reference, settings: RoutingSettings, threads: Mapping[str, str]) -> dict[str, _Source]:
    """Every ticket id that is in question, best first, with where it was found first."""
    found: dict[str, _Source] = {}
    for ticket_id in reference.ticket_ids:
        tag = f"{settings.tag_prefix}{ticket_id}{settings.tag_suffix}"
        found.setdefault(ticket_id, _Source(f"The subject has the tag {tag}.", from_tag=True))
    for message_id in reference.message_ids:
        if ticket := threads.get(message_id):
            sentence = f"The message refers to {message_id}, which belongs to ticket {ticket}."
            if ticket not in found:
                found[ticket] = _Source(sentence, from_tag=False)
    return found


def _obstacle(message: Message, ticket: TicketSummary | None, settings: RoutingSettings) -> str | None:
    """Why the message may not modify the ticket, as a sentence, or None when it may."""
    if ticket is None:
        return "That ticket does not exist any more."
    if ticket.status is not TicketStatus.OPEN:
        return f"That ticket is {ticket.status}."
    if not _may_reply(message, ticket, settings):
        return f"That ticket takes no replies from {_who(message)} (replies_from: {settings.replies_from})."
    return None


def _may_reply(message: Message, ticket: TicketSummary, settings: RoutingSettings) -> bool:
    if settings.replies_from is RepliesFrom.ANYONE:
        return True
    if message.sender is None:
        return False
    sender = message.sender.email.lower()
    if sender in ticket.participants:
        return True
    domain = _domain(sender)
    return (
        settings.replies_from is RepliesFrom.SAME_DOMAIN
        and bool(domain)
        and any(_domain(participant) == domain for participant in ticket.participants)
    )


def _domain(email: str) -> str:
    return email.rpartition("@")[2] if "@" in email else ""


def _who(message: Message) -> str:
    return message.sender.email if message.sender else "an unknown sender"
