"""Ids of tickets that we name ourselves."""

from collections.abc import Iterator

from shared.model import MessageKey

#: Crockford's base 32: digits and letters without I, L, O and U, so that an id survives the telephone.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUP = 4


def ticket_ids(key: MessageKey) -> Iterator[str]:
    """The ids that a message's ticket may have, best first: ``T-7K3F-9QXM``, then longer ones.

    Derived from the message key alone, so that making the ticket twice makes it once, without a counter.
    """
    number = int(key.digest, 16)
    letters = "".join(_ALPHABET[(number >> shift) & 31] for shift in range(0, 160, 5))
    groups = [letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP)]
    for count in range(2, len(groups) + 1):
        yield "-".join(("T", *groups[:count]))
