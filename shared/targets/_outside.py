"""What targets for systems outside share."""

from shared.mime.replies import sections
from shared.model import Create, Delivery, Message


def participants(message: Message) -> frozenset[str]:
    """Everybody who takes part in a ticket by this message, lower-case."""
    named = (message.sender, *message.reply_to, *message.to, *message.cc)
    return frozenset(address.email.lower() for address in named if address)


def apart(message: Message) -> dict[str, str]:
    """What is new in the text, and what it only carries along: see `shared.mime.sections`."""
    found = sections(message.text, message.subject)
    return {"new_text": found.new, "signature": found.signature, "history": found.history}


def has_requester(delivery: Delivery) -> bool:
    """Whether the sender becomes the requester of the ticket that is made."""
    return not isinstance(delivery.decision, Create) or delivery.decision.with_requester
