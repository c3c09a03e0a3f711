"""Address lists as people's programs write them (RFC 5322 section 3.4, leniently), in one linear pass."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.mime import limits
from shared.mime.header import characters, words
from shared.mime.reading import Reading
from shared.mime.text import one_line
from shared.model import Address

_SPACE: Final = re.compile(r"\s")
#: Stands for a space within quotes until it is known whether it is of an address. For private use: no text needs it.
_QUOTED_SPACE: Final = "\ue000"
_SPECIALS: Final = re.compile(r'([\\"(),:;<>])')


@dataclass(slots=True)
class _Mailbox:
    """One address while it is read: what stands outside, within <> and within ()."""

    plain: list[str] = field(default_factory=list)
    angle: list[str] | None = None
    comment: list[str] = field(default_factory=list)


def addresses(raw: bytes, name: str, reading: Reading) -> tuple[Address, ...]:
    """The mailboxes of a field; groups are dissolved, empty ones left out. ``name`` is the field's, for defects."""
    found: list[Address] = []
    for mailbox in _mailboxes(characters(raw)):
        address = _address(mailbox, name, reading)
        if address is None:
            continue
        if len(found) == limits.ADDRESSES:
            reading.note(f"{name} has more than {limits.ADDRESSES:,} addresses; the rest was not read.")
            break
        found.append(address)
    return tuple(found)


def _mailboxes(text: str) -> Iterator[_Mailbox]:
    mailbox = _Mailbox()
    for kind, mark in _marks(text):
        if kind == "comment":
            mailbox.comment.append(mark)
        elif kind == "quoted":
            (mailbox.plain if mailbox.angle is None else mailbox.angle).append(_SPACE.sub(_QUOTED_SPACE, mark))
        elif kind == "text" or (mark == ":" and mailbox.angle is not None):
            (mailbox.plain if mailbox.angle is None else mailbox.angle).append(mark)
        elif mark == "<":
            mailbox.angle = []
        else:
            if mark != ":":  # what stands before a colon is the name of a group
                yield mailbox
            mailbox = _Mailbox()
    yield mailbox


def _marks(text: str) -> Iterator[tuple[str, str]]:
    """Pairs of "text", "quoted", "comment" or "special" and the characters; quotes and parentheses are taken off."""
    quoted = escaped = False
    depth = 0  # of comments
    for mark in _SPECIALS.split(text):
        if escaped:
            yield "comment" if depth else "quoted" if quoted else "text", mark
            escaped = not mark
        elif mark == "\\":
            escaped = True
        elif depth or (mark == "(" and not quoted):
            depth += (mark == "(") - (mark == ")")
            if mark not in "()":
                yield "comment", mark
        elif mark == '"':
            quoted = not quoted
        elif quoted or mark not in "<>,;:)":
            yield "quoted" if quoted else "text", mark
        elif mark in "<>,;:" and mark:
            yield "special", mark


def _address(mailbox: _Mailbox, name: str, reading: Reading) -> Address | None:
    display = "".join(mailbox.plain)
    if mailbox.angle is None:
        email, display = display, "".join(mailbox.comment)
    else:
        email = "".join("".join(mailbox.angle).split())
        display = display or "".join(mailbox.comment)
    email = one_line(words(email, reading))
    if " " in email:  # a name without <>: the word with the @ is the address
        name_too = email
        email = max(email.split(), key=lambda word: "@" in word)
        if "@" not in email:
            return None
        display = display or name_too.replace(email, "")
    email = email.strip("'<>")
    if _QUOTED_SPACE in email:  # "ann b"@example.com is neither annb nor b
        local, _, domain = email.replace(_QUOTED_SPACE, " ").rpartition("@")
        email = f'"{local.strip()}"@{domain.strip()}' if local.strip() else ""
    if not email:
        return None
    if len(email) > limits.ADDRESS_CHARS:
        reading.note(f"{name} has an address of more than {limits.ADDRESS_CHARS} characters; it was left out.")
        return None
    shown = one_line(words(display.replace(_QUOTED_SPACE, " "), reading)).strip("'\" ")[: limits.ADDRESS_CHARS]
    return Address(email.lower(), "" if shown.lower() == email.lower() else shown)
