"""What must make no ticket at all. The default for doubt is a ticket: a guard speaks only of what it is sure of.

A guard is a function from a message to the sentence that says why not, or None; ``_GUARDS`` is their order.
"""

from collections.abc import Callable
from typing import Final

from shared.model import Message, Reject

#: The header field that this product puts on whatever it sends itself.
OWN_MARK: Final = "X-Mail-Connector"

Guard = Callable[[Message], str | None]


def guarded(message: Message) -> Reject | None:
    """The verdict of the first guard that says no, or None."""
    for guard in _GUARDS:
        if reason := guard(message):
            return Reject(reason)
    return None


def _own(message: Message) -> str | None:
    """Our own mail that came back: a ticket of it could answer itself for ever."""
    mark = message.header(OWN_MARK)
    return None if mark is None else f"This message was sent by Mail Connector itself ({OWN_MARK}: {mark[:100]})."


_GUARDS: Final[tuple[Guard, ...]] = (_own,)
