"""What a message says of itself in its header: people, subject, date, identity, thread."""

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz
from typing import Final

from shared.mime import limits
from shared.mime.addresses import addresses
from shared.mime.header import Fields, characters, first, value
from shared.mime.reading import Reading
from shared.mime.text import one_line, shorten
from shared.model import Address

NO_SUBJECT: Final = "(no subject)"

#: Years outside are absurd: no mail program in use is older, and two-digit years end there (RFC 5322 section 4.3).
_YEARS: Final = range(1990, 2069)
#: With one comment within.
_COMMENT: Final = re.compile(r"\s*\((?:[^()]|\([^()]*\))*\)")
_BRACKETED: Final = re.compile(r"<([^<>]*)>")


def people(fields: Fields, name: str, reading: Reading) -> tuple[Address, ...]:
    """All addresses of the fields of that name (From, To, Cc, Reply-To), at most as many as the limit allows."""
    raw = b", ".join(given for key, given in fields if key.lower() == name.lower())
    return addresses(raw, name, reading) if raw.strip() else ()


def subject(fields: Fields, reading: Reading) -> str:
    """The subject on one line; never empty."""
    text = value(first(fields, "subject") or b"", reading)
    if len(text) > limits.SUBJECT_CHARS:
        reading.note(f"The subject is longer than {limits.SUBJECT_CHARS:,} characters; it was cut.")
    return shorten(text, limits.SUBJECT_CHARS) or NO_SUBJECT


def date(fields: Fields, reading: Reading) -> datetime | None:
    """The instant of the Date field in UTC, or None where it is missing or absurd (RFC 5322 section 3.3)."""
    raw = first(fields, "date")
    if raw is None:
        return None
    try:
        read = parsedate_tz(_COMMENT.sub("", characters(raw[:200])))
        if read is None:
            raise ValueError  # noqa: TRY301 - one way out for every date that makes no sense
        offset = timedelta(seconds=read[9] or 0)
        if abs(offset) > timedelta(hours=14):  # no place on earth is further from UTC
            raise ValueError  # noqa: TRY301 - as above
        seconds = min(read[5], 59)  # 60 is a leap second
        instant = datetime(*read[:5], seconds, tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        reading.note("The Date field makes no sense; it was left out.")
        return None
    if instant.year not in _YEARS:
        reading.note(f"The Date field says {instant.year}; it was left out.")
        return None
    return instant


def message_id(fields: Fields, reading: Reading) -> str | None:
    """The first Message-ID, odd ones as they are (RFC 5322 section 3.6.4), or None."""
    raw = first(fields, "message-id")
    if raw is None:
        return None
    found = _ids(raw, reading)
    return found[0] if found else one_line(characters(raw)).strip("<> ")[: limits.MESSAGE_ID_CHARS] or None


def message_ids(fields: Fields, name: str, reading: Reading) -> tuple[str, ...]:
    """The Message-IDs of an In-Reply-To or References field in their order; of very many the last ones."""
    found = dict.fromkeys(one for key, raw in fields if key.lower() == name.lower() for one in _ids(raw, reading))
    ids = tuple(found)
    if len(ids) > limits.MESSAGE_IDS:
        reading.note(f"{name} has more than {limits.MESSAGE_IDS} Message-IDs; the first ones were left out.")
    return ids[-limits.MESSAGE_IDS :]


def _ids(raw: bytes, reading: Reading) -> list[str]:
    """Every ``<...>``, without the white space that folding brought in; without brackets, every word with an @."""
    text = characters(raw)
    found = [f"<{''.join(inner.split())}>" for inner in _BRACKETED.findall(text)]
    if not found:
        found = [word for word in text.split() if "@" in word]
    usable = [one for one in found if one != "<>" and len(one) <= limits.MESSAGE_ID_CHARS]
    if any(len(one) > limits.MESSAGE_ID_CHARS for one in found):
        reading.note(f"A Message-ID of more than {limits.MESSAGE_ID_CHARS} characters was left out.")
    return usable
