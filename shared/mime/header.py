"""Header fields: splitting them off, unfolding, encoded words (RFC 2047), parameters (RFC 2045, RFC 2231)."""

import binascii
import re
from email.message import Message as Compat32
from typing import Any, Final

from shared.mime import limits
from shared.mime.charsets import decode
from shared.mime.reading import Reading
from shared.mime.text import clean, one_line, shorten

#: Names as written, values as octets, unfolded.
Fields = tuple[tuple[str, bytes], ...]

_FIELD: Final = re.compile(rb"([!-9;-~]{1,200})[ \t]*:(.*)", re.DOTALL)
_WORD: Final = re.compile(r"=\?([^?\s]{1,60})\?([BbQq])\?(.{0,1000}?)\?=", re.DOTALL)
#: Lines that no header has, but that some programs put there.
_ENVELOPE: Final = re.compile(rb">?From ")


def split(block: bytes, reading: Reading) -> tuple[Fields, int]:
    """The fields of a header block, and the offset at which the body starts if it does so within the block.

    A line that is no field is skipped when fields follow it; otherwise the body starts there.
    """
    fields: list[tuple[str, list[bytes]]] = []
    strays: list[int] = []
    offset = 0
    for line in block.splitlines(keepends=True):
        content = line.rstrip(b"\r\n")
        if content[:1] in (b" ", b"\t") and fields and not strays:
            fields[-1][1].append(content.strip(b" \t"))
        elif match := _FIELD.fullmatch(content):
            if strays:
                reading.note("A line of the header is no header field; it was left out.")
                strays.clear()
            fields.append((match[1].decode("ascii"), [match[2].strip(b" \t")]))
        elif content.strip() and not _ENVELOPE.match(content):
            strays.append(offset)
        offset += len(line)
        if len(fields) > limits.HEADER_FIELDS:
            reading.note(f"The header has more than {limits.HEADER_FIELDS:,} fields; the rest was not read.")
            fields.pop()
            break
    joined = tuple((name, b" ".join(lines)) for name, lines in fields)
    if strays:
        reading.note("No blank line separates the header from the body.")
        return joined, strays[0]
    return joined, len(block)


def first(fields: Fields, name: str) -> bytes | None:
    """The value of the first field of that name (lower case), or None."""
    return next((value for key, value in fields if key.lower() == name), None)


def value(raw: bytes, reading: Reading) -> str:
    """A field's value for people: decoded, on one line."""
    return shorten(one_line(words(characters(raw[: limits.HEADER_BYTES]), reading)), limits.FIELD_CHARS)


def characters(raw: bytes) -> str:
    """Raw octets of a header: UTF-8 (RFC 6532), or else what western programs of old put there."""
    return clean(raw.decode("ascii") if raw.isascii() else decode(raw)[0])


def words(text: str, reading: Reading) -> str:
    """Decode encoded words. Neighbours of one charset are joined first, since some cut a character in two."""
    if "=?" not in text:
        return text
    out: list[str] = []
    pending = b""
    charset = ""
    end = 0
    for match in _WORD.finditer(text):
        between = text[end : match.start()]
        label = match[1].partition("*")[0].lower()  # RFC 2231 section 5: a language may follow
        adjacent = bool(end) and not between.strip()
        if pending and not (adjacent and label == charset):
            out.append(_decoded(pending, charset, reading))
            pending = b""
        if not adjacent:
            out.append(between)
        pending += _octets(match[2], match[3])
        charset = label
        end = match.end()
    out += [_decoded(pending, charset, reading), text[end:]]
    return "".join(out)


def _octets(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(data.replace(b"\n", b""), header=True)
    digits = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _decoded(data: bytes, charset: str, reading: Reading) -> str:
    text, defect = decode(data, charset)
    if defect:
        reading.note(f"In a header field: {defect}")
    return clean(text)


def parameters(raw: bytes | None, reading: Reading) -> tuple[str, dict[str, str]]:
    """The main value of a Content-* field in lower case, and its parameters by lower-case name.

    The standard library's compat32 policy does the reading (its newer policy raises on real headers); it joins and
    decodes RFC 2231 continuations.
    """
    if not raw:
        return "", {}
    if len(raw) > limits.PARAMETER_BYTES or raw.count(b";") > limits.PARAMETERS:
        reading.note("A Content field is absurdly long; only its beginning was read.")
        raw = b";".join(raw[: limits.PARAMETER_BYTES].split(b";")[: limits.PARAMETERS])
    field = Compat32()
    field["Content-Type"] = characters(raw)
    try:
        pairs: list[tuple[str, Any]] = [*(field.get_params() or ())]
    except (ValueError, TypeError, IndexError, LookupError):
        reading.note("The parameters of a Content field make no sense; they were left out.")
        return raw.partition(b";")[0].strip().decode("ascii", "replace").lower(), {}
    found: dict[str, str] = {}
    for name, given in pairs[1:]:
        if isinstance(given, tuple):  # RFC 2231: (charset, language, octets as latin-1)
            text = _decoded(given[2].encode("latin-1", "replace"), given[0] or "", reading)
        else:
            text = words(given, reading)
        found.setdefault(name.strip().lower(), one_line(text))
    return one_line(pairs[0][0]).lower() if pairs else "", found
