"""What targets for systems outside share."""

from shared.model import Message


def participants(message: Message) -> frozenset[str]:
    """Everybody who takes part in a ticket by this message, lower-case."""
    named = (message.sender, *message.reply_to, *message.to, *message.cc)
    return frozenset(address.email.lower() for address in named if address)
