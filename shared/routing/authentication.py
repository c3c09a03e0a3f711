"""What the receiving mail server found about a sender: the Authentication-Results field (RFC 8601).

Anybody can write such a field into a mail. Only that of the server that received it for us counts: it is known by its
authserv-id (section 2.5), and that server removes fields of others that bear its own (section 5).
"""

import re
from typing import Final

from shared.model import Message

#: The methods that are looked at; a method that the server does not name has the result ``none``.
METHODS: Final = ("spf", "dkim", "dmarc")

#: For servers that name no id, such as Exchange Online: the topmost field counts, which the last server wrote.
TOPMOST: Final = "*"

_RESULT = re.compile(rf"\s*({'|'.join(METHODS)})(?:/\d+)?\s*=\s*([a-z]+)", re.IGNORECASE)


def results(message: Message, authserv_id: str) -> dict[str, frozenset[str]]:
    """The results by method, lower-case (``pass``, ``fail``, ...); a mail with two signatures has two for ``dkim``."""
    found: dict[str, set[str]] = {method: set() for method in METHODS}
    for name, value in message.headers:
        if name.lower() != "authentication-results":
            continue
        parts = _without_comments(value).split(";")
        if authserv_id != TOPMOST and parts[0].strip().partition(" ")[0].lower() != authserv_id.lower():
            continue
        for part in parts:
            if match := _RESULT.match(part):
                found[match[1].lower()].add(match[2].lower())
        break
    return {method: frozenset(each) or frozenset({"none"}) for method, each in found.items()}


def _without_comments(value: str) -> str:
    """Leave out what stands in parentheses, which may hold others (RFC 5322 section 3.2.2)."""
    kept, depth = [], 0
    for letter in value:
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth = max(0, depth - 1)
        elif not depth:
            kept.append(letter)
    return "".join(kept)
