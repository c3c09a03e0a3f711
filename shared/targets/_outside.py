"""What targets for systems outside share."""

from shared.model import Create, Delivery, Message


def participants(message: Message) -> frozenset[str]:
    """Everybody who takes part in a ticket by this message, lower-case."""
    named = (message.sender, *message.reply_to, *message.to, *message.cc)
    return frozenset(address.email.lower() for address in named if address)


def has_requester(delivery: Delivery) -> bool:
    """Whether the sender becomes the requester of the ticket that is made."""
    return not isinstance(delivery.decision, Create) or delivery.decision.with_requester
