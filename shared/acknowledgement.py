"""The acknowledgement: the answer that tells a sender which ticket was made of a message (RFC 3834). Pure.

Where it is in doubt, nobody is answered: a person has the ticket all the same, and two programs that answer each other
never stop.
"""

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from shared.canary import HEADER as CANARY
from shared.canary import Letter
from shared.connectors import ByGraph, BySmtp
from shared.model import Create, Decision, Message
from shared.ports import Settings
from shared.routing import RoutingSettings
from shared.routing.authentication import results
from shared.routing.guards import OWN_MARK
from shared.routing.nature import Nature, nature_of
from shared.routing.patterns import like

_ADDRESS: Final = r"^[!-?A-~]+@[!-?A-~]+$"
#: A dot-atom at a host name (RFC 5322 section 3.4.1): nothing in it ends a header field or an SMTP command.
_USABLE: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)
#: Behind these nobody reads (RFC 3834 section 2, RFC 2142).
_ROBOT: Final = re.compile(
    r"(mailer-daemon|mail-daemon|postmaster|no[._-]?reply|do[._-]?not[._-]?reply|bounces?|listserv|majordomo|owner-.*"
    r"|.*-(request|owner|bounces?|noreply))([+=-].*)?",
    re.IGNORECASE,
)
_MESSAGE_ID: Final = re.compile(r"<[!-;=?-~]{1,900}>", re.ASCII)
#: Begins what a header decodes (RFC 2047), line ends included: nothing that a message says may bring it there.
_ENCODED: Final = "=?"
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_NAMES: Final = frozenset({"tag", "ticket_id", "subject", "name"})
_SUBJECT, _NAME, _ID = 200, 100, 100


def _is_template(text: str) -> str:
    if unknown := sorted(set(_PLACEHOLDER.findall(text)) - _NAMES):
        raise ValueError(f"There is no {{{unknown[0]}}}; use {', '.join(f'{{{name}}}' for name in sorted(_NAMES))}.")
    return text


def _has_tag(text: str) -> str:
    if not re.search(r"\{tag\}(\s|$)", text):
        raise ValueError("The subject needs {tag}, followed by a space: answers find their ticket by it.")
    return text


Template = Annotated[str, AfterValidator(_is_template)]


class Acknowledge(Settings):
    """An answer to the sender of each message that made a new ticket."""

    send: Annotated[BySmtp | ByGraph, Field(discriminator="by")]
    sender: str | None = Field(
        default=None,
        pattern=_ADDRESS,
        max_length=254,
        description="Whom it comes from. Left out: the address of the mailbox, where the server block tells it.",
    )
    subject: Annotated[Template, AfterValidator(_has_tag)] = Field(
        default="Auto: {tag} {subject}",
        max_length=200,
        description="{tag} is the ticket's id as routing recognises it in a subject, and must be there. Also "
        "{ticket_id}, {subject} and {name}: the message's subject, and its sender's name or address.",
    )
    text: Template = Field(
        default='Hello {name},\n\nyour message "{subject}" has arrived and is ticket {ticket_id}.\n'
        "To add something, answer this message and leave {tag} in its subject.\n\n"
        "This message was sent by a program.\n",
        min_length=1,
        max_length=10_000,
        description="Plain text, with the same placeholders.",
    )
    max_per_sender: int = Field(
        default=1, ge=1, le=100, description="To one address within guards.window_minutes; more are not sent."
    )
    max_per_job: int = Field(
        default=60, ge=1, le=10_000, description="Of this job within guards.window_minutes; more are not sent."
    )
    max_age_hours: int = Field(
        default=24, ge=1, le=720, description="A message that arrived earlier is not acknowledged any more."
    )
    null_sender: bool = Field(
        default=True,
        description="By SMTP, leave the envelope without a sender (RFC 3834 section 3.3), so that nothing ever bounces "
        "back. Off: sender, where the server takes no mail without.",
    )

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        return self.send.secret_names() if isinstance(self.send, BySmtp) else frozenset()

    @property
    def max_age(self) -> timedelta:
        """How long after its arrival a message is acknowledged."""
        return timedelta(hours=self.max_age_hours)


def recipient_of(message: Message, decision: Decision, *, own: Collection[str], routing: RoutingSettings) -> str:
    """Where an acknowledgement of the message goes, or empty where there is to be none.

    To its return path, or where the server wrote none, to its sender (RFC 3834 section 4). ``own`` are addresses, or
    patterns of them, that are never answered.
    """
    if not isinstance(decision, Create) or decision.links or message.in_reply_to or message.references:
        return ""
    if nature_of(message)[0] is not Nature.PERSON or _asks_for_none(message) or _is_forged(message, routing):
        return ""
    sender = message.sender.email if message.sender else ""
    return_path = message.header("Return-Path")
    recipient = sender if return_path is None else return_path.strip().removeprefix("<").removesuffix(">").lower()
    return recipient if all(_answerable(address, own) for address in (sender, recipient)) else ""


def _answerable(address: str, own: Collection[str]) -> bool:
    if not _USABLE.fullmatch(address) or _ENCODED in address or _ROBOT.fullmatch(address.partition("@")[0]):
        return False
    return not any(like(pattern, address) for pattern in own)


def _asks_for_none(message: Message) -> bool:
    """Our own mark, any job's canary, or Exchange's wish (MS-OXCMAIL 2.1.3.2.19)."""
    if message.header(OWN_MARK) is not None or message.header(CANARY) is not None:
        return True
    wishes = re.split(r"[,;\s]+", (message.header("X-Auto-Response-Suppress") or "").lower())
    return not {"all", "autoreply"}.isdisjoint(wishes)


def _is_forged(message: Message, routing: RoutingSettings) -> bool:
    """The server that received it says that it is not from whom it says: the answer would go to somebody else."""
    return routing.authserv_id is not None and "fail" in results(message, routing.authserv_id)["dmarc"]


def acknowledgement(
    message: Message,
    ticket_id: str,
    settings: Acknowledge,
    routing: RoutingSettings,
    *,
    sender: str,
    recipient: str,
    number: str,
    now: datetime,
) -> Letter:
    """The answer itself. ``number``: the same for the same message, so that even two copies have one Message-ID."""
    shown_id = _plain(ticket_id, _ID)
    values = {
        "tag": f"{routing.tag_prefix}{shown_id}{routing.tag_suffix}",
        "ticket_id": shown_id,
        "subject": _plain(message.subject, _SUBJECT),
        "name": _plain(message.sender.name or message.sender.email, _NAME) if message.sender else recipient,
    }
    named = message.message_id or ""
    fit = _MESSAGE_ID.fullmatch(named) and _ENCODED not in named
    thread = {"In-Reply-To": named, "References": named} if fit else {}
    return Letter(
        sender=sender,
        recipient=recipient,
        subject=_plain(_filled(settings.subject, values), 2 * _SUBJECT),
        text=_filled(settings.text, values),
        sent=now,
        message_id=f"<acknowledgement-{number}@{sender.rpartition('@')[2]}>",
        headers={
            **thread,
            "Auto-Submitted": "auto-replied",
            "X-Auto-Response-Suppress": "All",
            OWN_MARK: "acknowledgement",
        },
        answers=True,
        null_sender=settings.null_sender,
    )


def _filled(template: str, values: dict[str, str]) -> str:
    """In one pass: what a value says is never a placeholder."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)


def _plain(text: str, length: int) -> str:
    """On one line, without what does not print, or what a header would decode once more."""
    printed = "".join(mark if mark.isprintable() else " " for mark in text)
    return " ".join(printed.replace(_ENCODED, "= ?").split())[:length]
