"""The ``routing`` and ``guards`` blocks of a job."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.ports import Settings
from shared.routing.nature import Nature
from shared.routing.patterns import Likes


class RepliesFrom(StrEnum):
    """Whose messages may modify a ticket that they refer to; anybody else's makes a new one that links to it."""

    #: The requester, and everybody who was on the ticket's messages so far.
    PARTICIPANTS = "participants"
    #: Also anybody whose address has the domain of a participant. Not where participants use public mail services.
    SAME_DOMAIN = "same_domain"
    #: Whoever knows, or guesses, the ticket's id.
    ANYONE = "anyone"


class Requester(StrEnum):
    """What becomes of a new message whose sender is not like any of ``known_senders``."""

    #: A ticket, and the sender is its requester.
    CREATE = "create"
    #: No ticket.
    KNOWN_ONLY = "known_only"
    #: A ticket without a requester.
    IGNORE = "ignore"


class RoutingSettings(Settings):
    """How a message finds its ticket."""

    #: What stands before and after a ticket id in a subject: ``[T-7K3F-9QXM]``, or ``MessageID:1234#``.
    tag_prefix: Annotated[str, Field(min_length=1, max_length=32)] = "["
    tag_suffix: Annotated[str, Field(max_length=32)] = "]"
    replies_from: RepliesFrom = RepliesFrom.PARTICIPANTS
    outlook_threads: bool = Field(
        default=False,
        description="Where neither a tag nor the thread leads to a ticket, let Outlook's Thread-Index and Thread-Topic "
        "do it.",
    )
    requester: Requester = Requester.CREATE
    known_senders: Likes = Field(
        default=(), description="Addresses; an asterisk stands for any text: *@example.com. See requester."
    )
    authserv_id: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None,
        description="The name by which the server that receives the mail signs its Authentication-Results (RFC 8601); "
        "* where it gives none, as Exchange Online does.",
    )

    @model_validator(mode="after")
    def _knows_somebody(self) -> Self:
        if self.requester is not Requester.CREATE and not self.known_senders:
            raise ValueError(f"requester is {self.requester}, so known_senders must say who is known.")
        return self


class Accept(StrEnum):
    """What becomes of messages that no person wrote."""

    #: As with any other; the ticket says what they are.
    TICKET = "ticket"
    #: They join the ticket to which they belong; without one they make none.
    REPLY = "reply"
    REJECT = "reject"


class GuardSettings(Settings):
    """What keeps machines from filling the tickets. Where it is in doubt, a message makes a ticket that says so."""

    own_addresses: Likes = Field(
        default=(), description="Messages from these addresses make no ticket: what the service desk itself sends."
    )
    auto_replies: Accept = Field(default=Accept.REPLY, description="Out of office, 'we have received your request'.")
    bounces: Accept = Field(default=Accept.TICKET, description="A message could not be delivered, or not yet.")
    receipts: Accept = Field(default=Accept.REPLY, description="A message was read, or deleted unread.")
    automatic: Accept = Field(default=Accept.TICKET, description="Alarms and notifications of other programs.")
    bulk: Accept = Field(default=Accept.TICKET, description="Mail of lists and newsletters.")
    max_hops: int = Field(
        default=50, ge=10, le=200, description="A message that passed more servers than this runs in a circle."
    )

    window_minutes: int = Field(default=60, ge=1, le=1440, description="Within which the numbers below are counted.")
    max_per_sender: int | None = Field(
        default=None, ge=1, le=100_000, description="Messages of one sender; more of them make nothing."
    )
    max_per_ticket: int | None = Field(
        default=None, ge=1, le=100_000, description="Messages in one ticket; more of them are not added."
    )
    max_automatic: int | None = Field(
        default=50,
        ge=1,
        le=100_000,
        description="Automatic replies, bounces and receipts of one sender; null: as many as there are.",
    )
    fold_after: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Of more messages alike (sender, subject but for numbers) each joins the last one's ticket.",
    )

    def accepts(self, nature: Nature) -> Accept:
        """What becomes of messages of this nature."""
        return {
            Nature.PERSON: Accept.TICKET,
            Nature.AUTO_REPLY: self.auto_replies,
            Nature.BOUNCE: self.bounces,
            Nature.RECEIPT: self.receipts,
            Nature.AUTOMATIC: self.automatic,
            Nature.BULK: self.bulk,
        }[nature]
