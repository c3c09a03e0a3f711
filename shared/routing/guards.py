"""What must make no ticket at all. The default for doubt is a ticket: a guard speaks only of what it is sure of.

A guard is a function from a message to the sentence that says why not, or None; ``_GUARDS`` has them by name,
in their order.
"""

from collections.abc import Callable
from typing import Final

from shared.model import Message, Reject, Verdict

#: The header field that this product puts on whatever it sends itself.
OWN_MARK: Final = "X-Mail-Connector"

Guard = Callable[[Message], str | None]


def guarded(message: Message) -> tuple[Reject | None, tuple[Verdict, ...]]:
    """What the first guard says that says no, or None; and what each that was asked found."""
    verdicts: list[Verdict] = []
    for name, guard in _GUARDS.items():
        reason = guard(message)
        verdicts.append(Verdict("guard", name, matched=reason is not None, evidence=reason or "nothing of the kind"))
        if reason:
            return Reject(reason), tuple(verdicts)
    return None, tuple(verdicts)


def _own(message: Message) -> str | None:
    """Our own mail that came back: a ticket of it could answer itself for ever."""
    mark = message.header(OWN_MARK)
    return None if mark is None else f"This message was sent by Mail Connector itself ({OWN_MARK}: {mark[:100]})."


_GUARDS: Final[dict[str, Guard]] = {"own mail": _own}
