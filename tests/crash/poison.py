"""A message that cannot be read, so that the matrix has one that is parked. A module of its own: children import it."""

from shared.errors import Unreadable
from shared.mime import parse
from shared.model import Message

#: A message with this header field cannot be read.
POISON = "X-Poison"


def parse_unless_poison(raw: bytes, *, header_only: bool = False, size: int | None = None) -> Message:
    """Read a message as the product does, but one kind of it cannot be read."""
    message = parse(raw, header_only=header_only, size=size)
    if message.header(POISON) is not None and not header_only:
        raise Unreadable("This message cannot be read.")
    return message
