"""What must make no ticket at all. The default for doubt is a ticket: a guard speaks only of what it is sure of.

A guard is a function from a message, the job's settings and the circumstances to the sentence that says why not, or
None; ``_GUARDS`` has them by name, in their order.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from shared.model import Message, Reject, Verdict
from shared.routing.conditions import Circumstances
from shared.routing.nature import ANSWERS, Nature, name_of, nature_of
from shared.routing.patterns import like
from shared.routing.settings import Accept, GuardSettings

#: The header field that this product puts on whatever it sends itself.
OWN_MARK: Final = "X-Mail-Connector"

Guard = Callable[[Message, GuardSettings, Circumstances], str | None]


def guarded(
    message: Message, settings: GuardSettings, circumstances: Circumstances
) -> tuple[Reject | None, tuple[Verdict, ...]]:
    """What the first guard says that says no, or None; and what each that was asked found."""
    verdicts: list[Verdict] = []
    for name, guard in _GUARDS.items():
        reason = guard(message, settings, circumstances)
        verdicts.append(Verdict("guard", name, matched=reason is not None, evidence=reason or "nothing of the kind"))
        if reason:
            return Reject(reason), tuple(verdicts)
    return None, tuple(verdicts)


def _own(message: Message, settings: GuardSettings, _: Circumstances) -> str | None:
    """Our own mail that came back: a ticket of it could answer itself for ever."""
    mark = message.header(OWN_MARK)
    if mark is not None:
        return f"This message was sent by Mail Connector itself ({OWN_MARK}: {mark[:100]})."
    sender = message.sender.email if message.sender else ""
    for pattern in settings.own_addresses:
        if sender and like(pattern, sender):
            return f"This message is from {sender}, which is one of our own addresses (own_addresses: {pattern})."
    return None


def _circle(message: Message, settings: GuardSettings, _: Circumstances) -> str | None:
    """A message that servers or connectors pass on to each other: it comes to one mailbox twice, or never stops."""
    names = [name.lower() for name, _ in message.headers]
    hops = names.count("received")
    if hops > settings.max_hops:
        return f"This message runs in a circle: it passed {hops} servers (max_hops: {settings.max_hops})."
    arrivals = Counter(value.strip().lower() for name, value in message.headers if name.lower() == "delivered-to")
    address, times = max(arrivals.items(), key=lambda each: each[1], default=("", 0))
    if times > 1:
        return f"This message runs in a circle: it was delivered to {address[:100]} {times} times (Delivered-To)."
    return None


def _machine(message: Message, settings: GuardSettings, _: Circumstances) -> str | None:
    """What a program wrote, where the job wants none of that."""
    nature, sign = nature_of(message)
    if nature is Nature.PERSON or settings.accepts(nature) is not Accept.REJECT:
        return None
    return f"This is {name_of(nature)}, and this job takes none ({sign})."


def _too_many(message: Message, settings: GuardSettings, circumstances: Circumstances) -> str | None:
    """One sender that does not stop: whatever its messages say, something answers something."""
    sender = message.sender.email if message.sender else "A sender without a name"
    within = f"within {settings.window_minutes} minutes, and this job takes no more"
    most = settings.max_per_sender
    if most is not None and circumstances.of_sender >= most:
        return f"{sender} has sent {circumstances.of_sender} messages {within} (max_per_sender: {most})."
    most = settings.max_automatic
    if most is not None and nature_of(message)[0] in ANSWERS and circumstances.of_program >= most:
        return f"{sender} has sent {circumstances.of_program} automatic messages {within} (max_automatic: {most})."
    return None


_GUARDS: Final[dict[str, Guard]] = {
    "own mail": _own,
    "mail in a circle": _circle,
    "mail of programs": _machine,
    "too many": _too_many,
}
