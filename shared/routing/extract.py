"""Fields out of messages: where a value stands, and what it has to be. Pure, and total: never raises for content.

A value that is not there, or is not what it should be, leaves its field unset (or at its default); the ticket says so
where the mail had something that could not be read.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from shared.model import FieldValue, Message, Verdict
from shared.ports import Settings
from shared.routing.conditions import Circumstances, TimeZone, When, meets
from shared.routing.patterns import Pattern, search
from shared.routing.rules import FieldName, Value

STRING_CHARS: Final = 1_000
#: A memo or an HTML value is cut there, and says so.
MEMO_CHARS: Final = 100_000
_DIGITS: Final = 15
_SHOWN: Final = 60

_TRUE: Final = frozenset({"true", "yes", "y", "on", "1", "x", "ja", "oui", "si", "sí", "sì", "tak", "wahr", "vrai"})
_FALSE: Final = frozenset({"false", "no", "n", "off", "0", "nein", "non", "nee", "nie", "falsch", "faux"})


class Kind(StrEnum):
    """What a field holds, and how it is written to the ticket."""

    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    #: An exact amount: a text such as ``1234.50``.
    CURRENCY = "currency"
    #: One line of at most 1,000 characters.
    STRING = "string"
    #: Several lines.
    MEMO = "memo"
    #: ``2026-11-23``
    DATE = "date"
    #: ISO 8601 in UTC: ``2026-11-23T12:00:00Z``
    DATETIME = "datetime"
    #: The id of something else: letters, digits and ``._/#:-``, no space.
    REFERENCE = "reference"
    #: Out of the sanitised HTML of the mail; the escaped text where it has none.
    HTML = "html"


class Source(StrEnum):
    """Where in the message to look."""

    SUBJECT = "subject"
    BODY = "body"
    SUBJECT_AND_BODY = "subject_and_body"
    SENDER = "sender"
    SENDER_NAME = "sender_name"
    HEADER = "header"


class Between(Settings):
    """What stands between two texts, whatever the case of their letters."""

    after: str = Field(min_length=1, max_length=200)
    before: str = Field(default="\n", min_length=1, max_length=200, description="Left out: the end of the line.")


class Position(Settings):
    """What stands at a place."""

    line: int | None = Field(default=None, ge=1, description="Counted from 1. Left out: all lines.")
    start: int = Field(default=1, ge=1, description="The first character, counted from 1.")
    length: int | None = Field(default=None, ge=1, description="Left out: to the end.")


class Extraction(Settings):
    """One field, and where in a message it stands."""

    field: FieldName
    kind: Kind = Kind.STRING
    source: Source = Source.BODY
    header: str | None = Field(default=None, min_length=1, max_length=100, description="With source: header.")
    between: Between | None = None
    position: Position | None = None
    matches: Pattern | None = Field(
        default=None, description="A regular expression; the value is its group named value, else its first, else all."
    )
    default: Value | None = Field(default=None, description="Where the message has no such value.")
    decimal_comma: bool = Field(default=False, description="Numbers are written 1.234,56 rather than 1,234.56.")
    format: str | None = Field(
        default=None,
        min_length=2,
        max_length=50,
        description="How a date is written, as in Python's strptime: %d.%m.%Y. Left out: ISO 8601.",
    )
    time_zone: TimeZone = "UTC"
    when: When = Field(default_factory=When, description="Look only in messages like this.")

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        if [self.between, self.position, self.matches].count(None) != 2:
            raise ValueError(f"Field {self.field!r}: say with one of between, position and matches where its value is.")
        if (self.source is Source.HEADER) != (self.header is not None):
            raise ValueError(f"Field {self.field!r}: source: header and header go together.")
        if self.kind is Kind.HTML and self.source is not Source.BODY:
            raise ValueError(f"Field {self.field!r}: only the body has HTML.")
        return self


@dataclass(frozen=True, slots=True)
class Extracted:
    """What the message says."""

    fields: dict[str, FieldValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


class _Unfit(Exception):
    """A text is no value of its kind."""


def extract(message: Message, wanted: Sequence[Extraction], circumstances: Circumstances) -> Extracted:
    """Look for each field. The first of several extractions of one field that finds a value gives it."""
    fields: dict[str, FieldValue] = {}
    notes: list[str] = []
    verdicts: list[Verdict] = []
    defaults: dict[str, FieldValue] = {}
    for one in wanted:
        if one.field in fields:
            continue
        meant, why = meets(message, one.when, circumstances)
        text = _locate(message, one) if meant else None
        if text is None:
            verdicts.append(Verdict("field", one.field, matched=False, evidence="not found" if meant else why))
        else:
            try:
                fields[one.field] = value = _READ[one.kind](text, one)
                shown = f"{_cut(text)} is {value!r}" if str(value) != text else f"it is {_cut(text)}"
                verdicts.append(Verdict("field", one.field, matched=True, evidence=shown))
            except _Unfit as fault:
                sentence = f"{_cut(text)} {fault}"
                verdicts.append(Verdict("field", one.field, matched=False, evidence=sentence))
                notes.append(f"Field {one.field} was not set: {sentence}.")
        if meant and one.default is not None:
            defaults.setdefault(one.field, one.default)
    return Extracted({**defaults, **fields}, tuple(notes), tuple(verdicts))


def _locate(message: Message, one: Extraction) -> str | None:
    """The raw text of the value, without white space around it; None where there is none or nothing but that."""
    for text in _texts(message, one):
        if one.between:
            found = _between(text, one.between)
        elif one.position:
            found = _at(text, one.position)
        else:
            match = search(one.matches or "", text)
            found = _group(match) if match else None
        if found and found.strip():
            return found.strip()
    return None


def _texts(message: Message, one: Extraction) -> list[str]:
    if one.kind is Kind.HTML:
        return [message.html if message.html is not None else html.escape(message.text)]
    if one.source is Source.HEADER:
        return [value for name, value in message.headers if name.lower() == (one.header or "").lower()]
    sender = message.sender
    return {
        Source.SUBJECT: [message.subject],
        Source.BODY: [message.text],
        Source.SUBJECT_AND_BODY: [message.subject, message.text],
        Source.SENDER: [sender.email] if sender else [],
        Source.SENDER_NAME: [sender.name] if sender else [],
    }[one.source]


def _between(text: str, tags: Between) -> str | None:
    begin = re.search(re.escape(tags.after), text, re.IGNORECASE)
    if begin is None:
        return None
    rest = text[begin.end() :]
    end = re.search(re.escape(tags.before), rest, re.IGNORECASE)
    if end:
        return rest[: end.start()]
    return rest if tags.before == "\n" else None


def _at(text: str, position: Position) -> str | None:
    if position.line is not None:
        lines = text.splitlines()
        if position.line > len(lines):
            return None
        text = lines[position.line - 1]
    start = position.start - 1
    return text[start : start + position.length] if position.length else text[start:]


def _group(match: Any) -> str | None:
    found: str | None = match.group("value" if "value" in match.re.groupindex else min(1, match.re.groups))
    return found


# --- kinds -----------------------------------------------------------------------------------------------------------


def _number(text: str, one: Extraction) -> Decimal:
    bare = re.sub(r"[\s'\u2019\u00a0\u202f]", "", text)
    thousands, point = (".", ",") if one.decimal_comma else (",", ".")
    bare = bare.replace(thousands, "").replace(point, ".").replace("\u2212", "-")
    try:
        if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", bare, re.ASCII):
            return Decimal(bare)
    except InvalidOperation:  # pragma: no cover (what the pattern lets through is a number)
        pass
    raise _Unfit("is no number")


def _integer(text: str, one: Extraction) -> FieldValue:
    number = _number(text, one)
    if number != number.to_integral_value():
        raise _Unfit("is no whole number")
    return int(_bounded(number))


def _bounded(number: Decimal) -> Decimal:
    if abs(number) >= Decimal(10) ** _DIGITS:
        raise _Unfit(f"has more than {_DIGITS} digits")
    return number


def _float(text: str, one: Extraction) -> FieldValue:
    return float(_bounded(_number(text, one)))


def _currency(text: str, one: Extraction) -> FieldValue:
    """Symbols and codes of currencies around the amount are left out."""
    amount = _bounded(_number(re.sub(r"^[^\d+.,\u2212-]+|[^\d.,]+$", "", text), one))
    return f"{amount:f}" if amount % Decimal("0.01") else f"{amount.quantize(Decimal('0.01')):f}"


def _boolean(text: str, _: Extraction) -> FieldValue:
    word = text.casefold()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise _Unfit("is neither yes nor no")


def _string(text: str, _: Extraction) -> FieldValue:
    line = " ".join(text.split())
    if len(line) > STRING_CHARS:
        raise _Unfit(f"has more than {STRING_CHARS} characters; kind: memo takes it")
    return line


def _memo(text: str, _: Extraction) -> FieldValue:
    return text if len(text) <= MEMO_CHARS else f"{text[:MEMO_CHARS]}\n[cut: it has {len(text)} characters]"


def _html(text: str, _: Extraction) -> FieldValue:
    """What was cut out of HTML is made whole again."""
    import nh3

    if len(text) > MEMO_CHARS:
        raise _Unfit(f"has more than {MEMO_CHARS} characters")
    return nh3.clean(text)


def _reference(text: str, _: Extraction) -> FieldValue:
    if re.fullmatch(r"[\w./#:-]{1,200}", text):
        return text
    raise _Unfit("is no id (it has spaces or other signs, or more than 200 characters)")


def _moment(text: str, one: Extraction) -> datetime:
    try:
        found = datetime.strptime(text, one.format) if one.format else datetime.fromisoformat(text)  # noqa: DTZ007
        return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(one.time_zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Unfit(f"is not written as {one.format or 'ISO 8601'} says") from None


def _datetime(text: str, one: Extraction) -> FieldValue:
    return f"{_moment(text, one):%Y-%m-%dT%H:%M:%SZ}"


def _date(text: str, one: Extraction) -> FieldValue:
    try:
        found = datetime.strptime(text, one.format).date() if one.format else date.fromisoformat(text)  # noqa: DTZ007
    except ValueError:
        raise _Unfit(f"is not written as {one.format or 'ISO 8601'} says") from None
    return found.isoformat()


_READ: Final = {
    Kind.INTEGER: _integer,
    Kind.FLOAT: _float,
    Kind.BOOLEAN: _boolean,
    Kind.CURRENCY: _currency,
    Kind.STRING: _string,
    Kind.MEMO: _memo,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
    Kind.REFERENCE: _reference,
    Kind.HTML: _html,
}


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return f'"{flat if len(flat) <= _SHOWN else flat[:_SHOWN] + "..."}"'
