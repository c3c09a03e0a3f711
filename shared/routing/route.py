"""Which ticket a message belongs to, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.model import Create, Decision, Message, Modify, Reject, TicketStatus, TicketSummary
from shared.routing.nature import Nature
from shared.routing.patterns import like
from shared.routing.references import CONVERSATION, Reference
from shared.routing.screen import Screened
from shared.routing.settings import RepliesFrom, Requester, RoutingSettings

#: For a message of which neither guards nor rules have anything to say.
NOTHING_SAID: Final = Screened()

_REPORTS: Final = frozenset({Nature.BOUNCE, Nature.RECEIPT})


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
) -> Decision:
    """Decide, in this order: tags in the subject, the thread; the first ticket that is fit is modified.

    ``reference`` is what `refers_to` gave; ``threads`` has the ticket ids by Message-ID that are known; ``tickets`` the
    tickets that exist, of all ids that these two name, and those into which these were merged; ``screened`` what
    `screen` gave, which rejected nothing. Every decision carries the sentences that led to it.
    """
    evidence: list[str] = []
    links: dict[str, None] = {}
    for named, source in _candidates(reference, settings, threads).items():
        ticket_id, merged = _present(named, tickets)
        ticket = tickets.get(ticket_id)
        found = " ".join((source.sentence, *merged))
        if ticket is None and source.from_tag and not merged:
            evidence.append(f"{found} There is no such ticket.")
            continue
        obstacle = _obstacle(message, ticket, settings, screened.nature)
        if ticket and not obstacle:
            right = f"Ticket {ticket_id} is open and takes replies from {_who(message)}."
            if screened.nature in _REPORTS and not _may_reply(message, ticket, settings):
                right = f"Ticket {ticket_id} is open, and the report is about somebody who takes part in it."
            why = (*screened.sentences, *evidence, found, right)
            return Modify(ticket_id, why, screened.fields, screened.notes)
        links[ticket_id] = None
        evidence.append(f"{found} {obstacle}")
    if not evidence:
        evidence.append("The message refers to no known ticket.")
    return _create(message, settings, screened, (*screened.sentences, *evidence), tuple(links))


def _create(
    message: Message, settings: RoutingSettings, screened: Screened, evidence: tuple[str, ...], links: tuple[str, ...]
) -> Create | Reject:
    """A new ticket, where the message may make one."""
    if screened.only_joins:
        return Reject(f"{screened.only_joins}, and it belongs to no ticket that it may join.", evidence)
    known = settings.requester is Requester.CREATE or (
        message.sender is not None and any(like(each, message.sender.email) for each in settings.known_senders)
    )
    if not known and settings.requester is Requester.KNOWN_ONLY:
        return Reject(f"The sender ({_who(message)}) is not among the known senders (known_senders).", evidence)
    if not known:
        evidence = (*evidence, f"Its sender does not become the requester: {_who(message)} is not known.")
    why = (*evidence, "So it makes a new ticket.")
    return Create(why, links, screened.fields, screened.notes, with_requester=known)


def _present(ticket_id: str, tickets: Mapping[str, TicketSummary]) -> tuple[str, list[str]]:
    """The ticket that stands for ``ticket_id`` by now, and a sentence for each merge on the way to it."""
    sentences: list[str] = []
    passed = {ticket_id}
    while (ticket := tickets.get(ticket_id)) and ticket.status is TicketStatus.MERGED and ticket.merged_into:
        if ticket.merged_into in passed:
            break
        sentences.append(f"Ticket {ticket_id} was merged into {ticket.merged_into}.")
        ticket_id = ticket.merged_into
        passed.add(ticket_id)
    return ticket_id, sentences


def _candidates(reference: Reference, settings: RoutingSettings, threads: Mapping[str, str]) -> dict[str, _Source]:
    """Every ticket id that is in question, best first, with where it was found first."""
    found: dict[str, _Source] = {}
    for ticket_id in reference.ticket_ids:
        tag = f"{settings.tag_prefix}{ticket_id}{settings.tag_suffix}"
        found.setdefault(ticket_id, _Source(f"The subject has the tag {tag}.", from_tag=True))
    for message_id in reference.message_ids:
        if ticket := threads.get(message_id):
            what = "is of an Outlook conversation" if message_id.startswith(CONVERSATION) else f"refers to {message_id}"
            sentence = f"The message {what}, which belongs to ticket {ticket}."
            if ticket not in found:
                found[ticket] = _Source(sentence, from_tag=False)
    return found


def _obstacle(message: Message, ticket: TicketSummary | None, settings: RoutingSettings, nature: Nature) -> str:
    """Why the message may not modify the ticket, as a sentence; empty when it may."""
    if ticket is None:
        return "That ticket does not exist any more."
    if ticket.status is not TicketStatus.OPEN:
        return f"That ticket is {ticket.status}."
    if nature in _REPORTS and _concerns(message, ticket):
        return ""
    if not _may_reply(message, ticket, settings):
        return f"That ticket takes no replies from {_who(message)} (replies_from: {settings.replies_from})."
    return ""


def _concerns(message: Message, ticket: TicketSummary) -> bool:
    """Whether a report tells of somebody who takes part in the ticket: mail servers themselves never do."""
    return message.report is not None and any(
        recipient.address in ticket.participants for recipient in message.report.recipients
    )


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
