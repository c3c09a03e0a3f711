"""Who or what wrote a message: a person, or a program, and which. Judged by what the standards say, and by little else.

``X-Auto-Response-Suppress`` (MS-OXCMAIL 2.1.3.2.19) only asks for no automatic answer, and people's mail has it too, so
it says nothing here; nor does a word in a subject.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from shared.model import Message, ReportKind


class Nature(StrEnum):
    """What a message is, as far as its header tells."""

    PERSON = "person"
    #: An answer that a program gave to a message: out of office, "we have received your request".
    AUTO_REPLY = "auto_reply"
    #: Says that a message could not be delivered, or not yet.
    BOUNCE = "bounce"
    #: Says that a message was read, or deleted unread.
    RECEIPT = "receipt"
    #: Sent by a program of its own accord: alarms, notifications.
    AUTOMATIC = "automatic"
    #: Sent to many: lists, newsletters.
    BULK = "bulk"


#: What programs send in answer to something, so that two of them may never end.
ANSWERS: Final = frozenset({Nature.AUTO_REPLY, Nature.BOUNCE, Nature.RECEIPT})

_NAMES: Final = {
    Nature.PERSON: "a person's message",
    Nature.AUTO_REPLY: "an automatic reply",
    Nature.BOUNCE: "a delivery report",
    Nature.RECEIPT: "a read receipt",
    Nature.AUTOMATIC: "an automatic message",
    Nature.BULK: "a message to many",
}

#: Fields that only programs write which answer by themselves; any value counts but "no".
_ANSWERING: Final = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Auto-Reply-From", "X-Mail-Autoreply")
_BULK: Final = frozenset({"bulk", "list", "junk"})
_DAEMON: Final = re.compile(r"(mailer-daemon|postmaster|mail-daemon)(@|$)", re.IGNORECASE)
_SHOWN: Final = 100


def nature_of(message: Message) -> tuple[Nature, str]:
    """What wrote the message, and on what evidence, which is empty for a person's."""
    return next(_signs(message), (Nature.PERSON, ""))


def name_of(nature: Nature) -> str:
    """As it stands within a sentence."""
    return _NAMES[nature]


def _signs(message: Message) -> Iterator[tuple[Nature, str]]:
    """What speaks against a person, the surest first."""
    yield from _reporting(message)
    yield from _answering(message)
    if _by_program(message):
        yield Nature.AUTOMATIC, _field(message, "Auto-Submitted")
    if _word(message, "Precedence") in _BULK:  # RFC 2076 section 3.9
        yield Nature.BULK, _field(message, "Precedence")
    for name in ("List-Id", "List-Unsubscribe"):  # RFC 2919, RFC 2369
        if message.header(name) is not None:
            yield Nature.BULK, _field(message, name)
    if _returns_nowhere(message):
        yield Nature.AUTOMATIC, "its return path is empty"


def _reporting(message: Message) -> Iterator[tuple[Nature, str]]:
    if message.report:
        kind = message.report.kind
        yield Nature.BOUNCE if kind is ReportKind.DELIVERY else Nature.RECEIPT, f"it reports on a message ({kind})"
    if _returns_nowhere(message) and message.sender and _DAEMON.match(message.sender.email):
        yield Nature.BOUNCE, f"its return path is empty and {message.sender.email} wrote it"


def _answering(message: Message) -> Iterator[tuple[Nature, str]]:
    if _word(message, "Auto-Submitted") == "auto-replied":  # RFC 3834 section 5
        yield Nature.AUTO_REPLY, _field(message, "Auto-Submitted")
    if _word(message, "Precedence") == "auto_reply":
        yield Nature.AUTO_REPLY, _field(message, "Precedence")
    for name in _ANSWERING:
        if _word(message, name) not in {"", "no"}:
            yield Nature.AUTO_REPLY, _field(message, name)
    source = "X-MS-Exchange-Generated-Message-Source"
    if _by_program(message) and message.header(source) == "Mailbox Rules Agent":
        yield Nature.AUTO_REPLY, _field(message, source)


def _by_program(message: Message) -> bool:
    return _word(message, "Auto-Submitted") not in {"", "no"}


def _returns_nowhere(message: Message) -> bool:
    """An empty return path: no server may answer to it (RFC 5321 section 4.5.5)."""
    return "".join((message.header("Return-Path") or "").split()) == "<>"


def _word(message: Message, name: str) -> str:
    """The first word of a field, without parameters and comments; empty where there is none."""
    return re.split(r"[;(\s]", (message.header(name) or "").strip(), maxsplit=1)[0].lower()


def _field(message: Message, name: str) -> str:
    return f"{name}: {' '.join((message.header(name) or '').split())[:_SHOWN]}"
