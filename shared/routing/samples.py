"""Rule tests: sample mails that a job carries, each with what is to become of it. Run whenever the job is saved."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from shared.model import TicketStatus
from shared.ports import Settings
from shared.routing.rules import FieldName, Value


class KnownTicket(Settings):
    """A ticket that is there for the test."""

    id: str = Field(min_length=1, max_length=64)
    participants: tuple[Annotated[str, Field(max_length=320)], ...] = Field(default=(), max_length=50)
    status: TicketStatus = TicketStatus.OPEN
    message_ids: tuple[Annotated[str, Field(max_length=998)], ...] = Field(
        default=(), max_length=20, description="Of the messages in it, with their angle brackets."
    )


class Expected(Settings):
    """What is to become of the mail. What is left out may be anything."""

    outcome: Literal["created", "modified", "rejected"] | None = None
    rule: str | None = Field(default=None, max_length=100, description="The name of the rule that decides.")
    reason: str | None = Field(default=None, max_length=500, description="A text in the reason of a rejection.")
    ticket: str | None = Field(default=None, max_length=64, description="The ticket to which it is added.")
    fields: dict[FieldName, Value] = Field(default={}, max_length=50, description="These fields have these values.")
    note: str | None = Field(default=None, max_length=500, description="A text in one of the notes.")
    attachments: tuple[str, ...] | None = Field(default=None, max_length=100, description="The names of all taken.")

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if not self.model_dump(exclude_defaults=True):
            raise ValueError("expect says nothing, so the test could not fail: give outcome, rule, fields, ...")
        return self


class RuleTest(Settings):
    """One sample mail and what is expected of it."""

    name: str = Field(min_length=1, max_length=100)
    message: str = Field(min_length=1, max_length=50_000, description="The mail as it travels, as a text: an .eml.")
    received: AwareDatetime = Field(
        default_factory=lambda: datetime.fromisoformat("2026-01-01T12:00:00+00:00"),
        description="When the server is to have received it.",
    )
    tickets: tuple[KnownTicket, ...] = Field(default=(), max_length=20)
    expect: Expected
