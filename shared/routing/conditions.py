"""The conditions of a rule: what a message must be like. All that are given must hold; of a list, any one suffices.

Each is answered with a sentence, so that a decision can say on what it rests, and a rule that did not match, why not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, model_validator

from shared.model import Address, Message
from shared.ports import Settings
from shared.routing.authentication import results
from shared.routing.patterns import Likes, Pattern, like, search

_KB = 1024
_SHOWN = 80
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
#: As a clock shows it; written so, times sort as texts.
ClockTime = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]


class Matches(Settings):
    """A regular expression instead of a text."""

    matches: Pattern


#: Contained in what is looked at, whatever the case of the letters.
Wanted = Annotated[str, Field(min_length=1, max_length=1000)] | Matches
Wants = Annotated[tuple[Wanted, ...], Field(max_length=100)]


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"There is no time zone {name!r}. Write an IANA name such as 'Europe/Berlin'.")
    return name


#: An IANA name.
TimeZone = Annotated[str, AfterValidator(_zone)]


class AttachmentLike(Settings):
    """One attachment that fits both lists; a list that is left out fits all."""

    name: Likes = ()
    type: Likes = ()


class ReceivedWithin(Settings):
    """When the server received the message, by the wall clock of a time zone."""

    days: tuple[Weekday, ...] = ()
    start: ClockTime = Field(default="00:00", description="Included.")
    end: ClockTime = Field(default="24:00", description="Not included. Before start: on the next day.")
    time_zone: TimeZone = "UTC"


Result = Literal["pass", "fail", "softfail", "neutral", "none", "temperror", "permerror", "policy"]


class Authentication(Settings):
    """What the receiving server found (Authentication-Results); ``none`` where it says nothing."""

    spf: tuple[Result, ...] = ()
    dkim: tuple[Result, ...] = ()
    dmarc: tuple[Result, ...] = ()


class When(Settings):
    """What a message must be like. Empty: like anything."""

    sender: Likes = Field(default=(), description="Addresses; an asterisk stands for any text: *@example.com.")
    recipient: Likes = Field(default=(), description="An address in To or Cc.")
    subject: Wants = Field(default=(), description="A text in it, or {matches: a regular expression}.")
    body: Wants = Field(default=(), description="The same, in the readable text.")
    header: dict[Annotated[str, Field(min_length=1, max_length=100)], Wants] = Field(
        default={}, max_length=20, description="The same, by header field; an empty list: the field is there."
    )
    min_kb: int | None = Field(default=None, ge=0, description="The whole message has so many KB or more.")
    max_kb: int | None = Field(default=None, ge=0, description="It has so many KB or fewer.")
    attachment: AttachmentLike | None = None
    received: ReceivedWithin | None = None
    authentication: Authentication | None = None

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.min_kb is not None and self.max_kb is not None and self.min_kb > self.max_kb:
            raise ValueError("No message has at least min_kb and at most max_kb: min_kb is the larger one.")
        return self

    @property
    def anything(self) -> bool:
        """Whether every message fits."""
        return self == When()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What conditions need to know besides the message."""

    received: datetime
    authserv_id: str | None = None
    #: Messages of the sender, and its automatic replies and reports, within the window of the job's guards.
    of_sender: int = 0
    of_program: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to one condition. ``sentence`` says what was found, without a full stop."""

    holds: bool
    sentence: str


def meets(message: Message, when: When, circumstances: Circumstances) -> tuple[bool, str]:
    """Whether every condition holds, and what was found: all of it, or of the first that does not hold."""
    sentences = []
    for found in _answers(message, when, circumstances):
        if not found.holds:
            return False, found.sentence
        sentences.append(found.sentence)
    return True, "; ".join(sentences) or "it is for every message"


def _answers(message: Message, when: When, circumstances: Circumstances) -> Iterator[Found]:
    """Cheap ones first; the body is looked at last."""
    if when.sender:
        yield _address(when.sender, "the sender", [message.sender] if message.sender else [])
    if when.recipient:
        yield _address(when.recipient, "a recipient", [*message.to, *message.cc])
    if when.subject:
        yield _text(when.subject, "the subject", message.subject)
    for name, wanted in when.header.items():
        yield _header(message, name, wanted)
    if when.min_kb is not None or when.max_kb is not None:
        yield _size(message, when)
    if when.attachment:
        yield _attachment(message, when.attachment)
    if when.received:
        yield _received(circumstances.received, when.received)
    if when.authentication:
        yield from _authentication(message, when.authentication, circumstances.authserv_id)
    if when.body:
        yield _text(when.body, "the text", message.text)


def _address(patterns: Likes, where: str, addresses: list[Address]) -> Found:
    for address in addresses:
        for pattern in patterns:
            if like(pattern, address.email):
                return Found(holds=True, sentence=f"{where} {address.email} is like {pattern}")
    given = ", ".join(address.email for address in addresses[:3]) or "nobody"
    return Found(holds=False, sentence=f"{where} is none of those asked for (it is {given})")


def _text(wanted: Wants, where: str, text: str) -> Found:
    folded = None
    for one in wanted:
        if isinstance(one, Matches):
            if match := search(one.matches, text):
                return Found(holds=True, sentence=f"{where} has {_shown(match.group(0))}, which matches {one.matches}")
            continue
        folded = text.casefold() if folded is None else folded
        if one.casefold() in folded:
            return Found(holds=True, sentence=f"{where} contains {_shown(one)}")
    return Found(holds=False, sentence=f"{where} has none of what is asked for")


def _header(message: Message, name: str, wanted: Wants) -> Found:
    values = [value for key, value in message.headers if key.lower() == name.lower()]
    if not values:
        return Found(holds=False, sentence=f"there is no header field {name}")
    if not wanted:
        return Found(holds=True, sentence=f"there is a header field {name}")
    answers = [_text(wanted, f"the header field {name}", value) for value in values]
    return next((answer for answer in answers if answer.holds), answers[0])


def _size(message: Message, when: When) -> Found:
    low = message.size >= (when.min_kb or 0) * _KB
    high = when.max_kb is None or message.size <= when.max_kb * _KB
    return Found(holds=low and high, sentence=f"it has {message.size / _KB:.1f} KB")


def _attachment(message: Message, wanted: AttachmentLike) -> Found:
    for one in message.attachments:
        if (not wanted.name or any(like(each, one.name) for each in wanted.name)) and (
            not wanted.type or any(like(each, one.content_type) for each in wanted.type)
        ):
            return Found(holds=True, sentence=f"it has the attachment {one.name} ({one.content_type})")
    return Found(holds=False, sentence="it has no such attachment")


def _received(instant: datetime, within: ReceivedWithin) -> Found:
    local = instant.astimezone(ZoneInfo(within.time_zone))
    now = f"{local:%H:%M}"
    over_midnight = within.start >= within.end
    fits = (now >= within.start or now < within.end) if over_midnight else within.start <= now < within.end
    day = _DAYS[local.weekday()]
    fits = fits and (not within.days or day in within.days)
    return Found(holds=fits, sentence=f"it was received on {day.capitalize()} at {now} ({within.time_zone})")


def _authentication(message: Message, wanted: Authentication, authserv_id: str | None) -> Iterator[Found]:
    given: Mapping[str, frozenset[str]] = results(message, authserv_id or "")
    asked: dict[str, Any] = wanted.model_dump()
    for method, accepted in asked.items():
        if accepted:
            said = " and ".join(sorted(given[method]))
            yield Found(holds=bool(given[method] & set(accepted)), sentence=f"{method} is {said}")


def _shown(text: str) -> str:
    """A text of the message within a sentence."""
    flat = " ".join(text.split())
    return f'"{flat if len(flat) <= _SHOWN else flat[:_SHOWN] + "..."}"'
