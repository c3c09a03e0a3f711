"""The ``routing`` block of a job."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shared.ports import Settings


class RepliesFrom(StrEnum):
    """Whose messages may modify a ticket that they refer to; anybody else's makes a new one that links to it."""

    #: The requester, and everybody who was on the ticket's messages so far.
    PARTICIPANTS = "participants"
    #: Also anybody whose address has the domain of a participant. Not where participants use public mail services.
    SAME_DOMAIN = "same_domain"
    #: Whoever knows, or guesses, the ticket's id.
    ANYONE = "anyone"


class RoutingSettings(Settings):
    """How a message finds its ticket."""

    #: What stands before and after a ticket id in a subject: ``[T-7K3F-9QXM]``, or ``MessageID:1234#``.
    tag_prefix: Annotated[str, Field(min_length=1, max_length=32)] = "["
    tag_suffix: Annotated[str, Field(max_length=32)] = "]"
    replies_from: RepliesFrom = RepliesFrom.PARTICIPANTS
    authserv_id: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None,
        description="The name by which the server that receives the mail signs its Authentication-Results (RFC 8601); "
        "* where it gives none, as Exchange Online does.",
    )
