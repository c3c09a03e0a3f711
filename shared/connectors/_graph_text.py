"""The texts of Graph mail as pure functions: folder paths, addresses of requests, MIME out of a batch, headers."""

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

#: https://learn.microsoft.com/graph/api/resources/mailfolder: names that work in every language of a mailbox.
_WELL_KNOWN = {
    name: name
    for name in ("archive", "clutter", "conversationhistory", "deleteditems", "drafts", "inbox", "junkemail", "outbox")
} | {"sentitems": "sentitems", "junk": "junkemail", "sent": "sentitems"}

#: PidTagMessageSize, the octets that the message takes in the store: [MS-OXPROPS]; asked for as
#: https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-get describes. Its MIME may be larger.
_SIZE = "Long 0x0E08"
_FACTS = {"select": "id,receivedDateTime", "expand": f"singleValueExtendedProperties($filter=id eq '{_SIZE}')"}
#: What a header can be made of, where the message itself is too large to fetch.
_ENVELOPE = "internetMessageHeaders,internetMessageId,subject,sentDateTime,from,replyTo,toRecipients,ccRecipients"

_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]*=*\s*")
_FIELD_NAME = re.compile(r"[!-9;-~]+")
_LINE_END = re.compile(r"\s*[\r\n\x00]+\s*")


def query(**options: str | int) -> str:
    """``?$top=5&...`` of ``top=5``; values are quoted."""
    return "?" + "&".join(f"${name}={quote(str(value), safe='(),$')}" for name, value in options.items())


def facts_query(**options: str | int) -> str:
    """Ask for id, date of arrival and size, beside ``options``."""
    return query(**_FACTS, **options)


def envelope_query() -> str:
    """Ask for what `header_from` takes."""
    return query(select=_ENVELOPE)


def instant(moment: datetime) -> str:
    """As a filter has it: UTC, whole seconds, which is how precise ``receivedDateTime`` is."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def received_in(message: Mapping[str, Any]) -> datetime | None:
    """When the server received it, in UTC, or None."""
    try:
        return datetime.fromisoformat(str(message.get("receivedDateTime"))).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def size_in(message: Mapping[str, Any]) -> int | None:
    """Octets in the store, or None. The id may come back in another spelling (``Long 0xe08``)."""
    for one in message.get("singleValueExtendedProperties") or ():
        kind, _, tag = str(one.get("id")).partition(" ")
        if kind.lower() == "long" and tag.lower().removeprefix("0x").lstrip("0") == "e08":
            value = str(one.get("value"))
            return int(value) if value.isdecimal() else None
    return None


def steps_of(path: str) -> list[str]:
    """The names on the way to a folder: ``Inbox/Support`` is two."""
    return [step for step in (part.strip() for part in unicodedata.normalize("NFC", path).split("/")) if step]


def well_known(step: str) -> str | None:
    """The well-known name that a person means by the first step (``Sent Items``), or None."""
    return _WELL_KNOWN.get(same(step).replace(" ", ""))


def same(name: str) -> str:
    """One text for all spellings of a folder's name: Exchange does not tell capitals apart."""
    return unicodedata.normalize("NFC", name).casefold().strip()


def mime_in(text: object) -> bytes | None:
    """The octets of a message that came within a batch; None where they cannot be told exactly.

    Graph gives base64; the OData standard (JSON format 4.01 section 19.2) lets it give plain text, of which only ASCII
    is sure to be what the message was. A message has a colon in its first line, base64 has none.
    """
    if not isinstance(text, str):
        return None
    if _BASE64.fullmatch(text):
        try:
            packed = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
            return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
        except (binascii.Error, ValueError):
            return None
    return text.encode() if text.isascii() else None


def header_of(message: bytes) -> bytes:
    """The header of a raw message with the empty line that ends it."""
    ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (at := message.find(mark)) >= 0]
    return message[: min(ends)] if ends else message


def header_from(message: Mapping[str, Any]) -> bytes:
    """A header made of what Graph tells of a message, where it is not fetched itself.

    ``internetMessageHeaders`` are those it was sent with; a message that never left the organisation has none of them.
    """
    fields = [(str(one.get("name")), str(one.get("value"))) for one in message.get("internetMessageHeaders") or ()]
    there = {name.lower() for name, _ in fields}
    fields += [(name, value) for name, value in _envelope(message) if value and name.lower() not in there]
    lines = [f"{name}: {_LINE_END.sub(' ', value)}" for name, value in fields if _FIELD_NAME.fullmatch(name)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "replace")


def _envelope(message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "From", _addresses([message.get("from") or {}])
    yield "To", _addresses(message.get("toRecipients") or ())
    yield "Cc", _addresses(message.get("ccRecipients") or ())
    yield "Reply-To", _addresses(message.get("replyTo") or ())
    yield "Subject", str(message.get("subject") or "")
    yield "Message-ID", str(message.get("internetMessageId") or "")
    try:
        yield "Date", f"{datetime.fromisoformat(str(message.get('sentDateTime'))):%a, %d %b %Y %H:%M:%S +0000}"
    except ValueError:
        return


def _addresses(recipients: Sequence[Mapping[str, Any]]) -> str:
    found = [one.get("emailAddress") or {} for one in recipients]
    return ", ".join(_address(str(one.get("name") or ""), str(one["address"])) for one in found if one.get("address"))


def _address(name: str, address: str) -> str:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>' if name and name != address else f"<{address}>"
