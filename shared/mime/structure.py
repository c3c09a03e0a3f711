"""The parts of a message, as slices of its bytes (RFC 2045, RFC 2046).

The standard library's parser is not used for this: it recurses without end (1,000 nested multiparts raise), looks at
every line once for each level it is in, copies a body several times, and loses the exact bytes of an enclosed message.
Here a part is an offset and an end in the one buffer, and every loop runs against a limit.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.mime import header, limits, transfer
from shared.mime.header import Fields
from shared.mime.reading import Reading

#: A blank line: also where each line ends in CR CR LF, or in CR alone.
_BLANK_LINE: Final = re.compile(rb"\n\r*\n|\r\r(?!\n)")
_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
_MORE_HEADER: Final = re.compile(rb"(?:From|To|Subject|Date|MIME-Version|Received|Message-ID):", re.IGNORECASE)
_DELIMITER_END: Final = re.compile(rb"(--)?[ \t]*(?:\r*\n|\r|$)")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its header, where its body is, and the parts that it is made of."""

    fields: Fields
    content_type: str
    type_parameters: dict[str, str]
    disposition: str
    disposition_parameters: dict[str, str]
    whole: bytes
    start: int
    end: int
    children: tuple["Part", ...] = ()

    @property
    def body(self) -> bytes:
        """Its octets as they came, still encoded."""
        return self.whole[self.start : self.end]

    @property
    def filename(self) -> str:
        """The file name that it was given, as it was given, or ""."""
        return self.disposition_parameters.get("filename") or self.type_parameters.get("name") or ""

    @property
    def charset(self) -> str:
        """The label of its characters, or ""."""
        return self.type_parameters.get("charset", "")

    def decoded(self, reading: Reading) -> bytes:
        """Its octets, with the transfer encoding undone."""
        encoding = header.first(self.fields, "content-transfer-encoding") or b""
        return transfer.decode(self.body, encoding.decode("ascii", "replace"), reading)


def is_type(text: str) -> bool:
    """Whether it is a ``type/subtype`` in lower case."""
    return bool(_TYPE.fullmatch(text))


def read(raw: bytes, reading: Reading) -> Part:
    """The tree of parts of a whole message."""
    start = len(raw) - len(raw.lstrip(b"\r\n"))
    if start:
        reading.note("The message begins with blank lines; they were left out.")
    return _part(raw, start, len(raw), reading, depth=0, default="text/plain")


def read_entity(raw: bytes, reading: Reading) -> Part:
    """The tree of parts of a MIME entity that is no message of its own: what stood in an envelope."""
    return _part(raw, 0, len(raw), reading, depth=1, default="text/plain")


def read_header(raw: bytes, reading: Reading) -> Fields:
    """The fields of a message of which only the header is at hand, or looked at."""
    return _fields(raw, len(raw) - len(raw.lstrip(b"\r\n")), len(raw), reading)[0]


def _fields(raw: bytes, start: int, end: int, reading: Reading) -> tuple[Fields, int]:
    """The header that begins at ``start``, and where the body begins."""
    opening = raw[start : min(start + 2, end)]
    if not opening:
        return (), start
    if opening[:1] == b"\n" or opening == b"\r\n":
        return (), start + 1 + (opening == b"\r\n")
    blank = _BLANK_LINE.search(raw, start, end)
    header_end, body = (blank.start() + 1, blank.end()) if blank else (end, end)
    block = raw[start : min(header_end, start + limits.HEADER_BYTES)]
    if header_end - start > limits.HEADER_BYTES:
        block = block[: block.rfind(b"\n") + 1] or block
    fields, rest = header.split(block, reading)
    if rest < len(block):
        return fields, start + rest
    if header_end - start > limits.HEADER_BYTES:
        reading.cut(f"The header is longer than {limits.HEADER_BYTES:,} octets; the rest was not read.")
    return fields, body


def _part(raw: bytes, start: int, end: int, reading: Reading, *, depth: int, default: str) -> Part:
    reading.parts += 1
    fields, body = _fields(raw, start, end, reading)
    if not depth and header.first(fields, "from") is None and _MORE_HEADER.match(raw, body, end):
        reading.note("A blank line stands within the header; it was left out.")
        more, body = _fields(raw, body, end, reading)
        fields += more
    declared, parameters = header.parameters(header.first(fields, "content-type"), reading)
    disposition, disposition_parameters = header.parameters(header.first(fields, "content-disposition"), reading)
    declared = declared.partition(" ")[0]
    content_type = declared if _TYPE.fullmatch(declared) else "application/octet-stream" if "/" in declared else default
    children: tuple[Part, ...] = ()
    if content_type.startswith("multipart/"):
        boundary = _boundary(parameters, raw, body, end, reading)
        if depth == limits.DEPTH:
            reading.cut(f"Parts more than {limits.DEPTH} levels deep were left out.")
        elif boundary:
            inner = "message/rfc822" if content_type == "multipart/digest" else "text/plain"
            children = tuple(
                _part(raw, child_start, child_end, reading, depth=depth + 1, default=inner)
                for child_start, child_end in _split(raw, body, end, boundary, reading)
            )
        if not children and depth < limits.DEPTH:
            reading.note("A multipart has no parts; it was read as text.")
            content_type = "text/plain"
    return Part(fields, content_type, parameters, disposition, disposition_parameters, raw, body, end, children)


def _boundary(parameters: dict[str, str], raw: bytes, body: int, end: int, reading: Reading) -> bytes:
    given = parameters.get("boundary", "").rstrip()
    if given:
        return given.encode("utf-8", "replace")[: limits.PARAMETER_BYTES]
    reading.note("A multipart does not name its boundary.")
    line = raw[body : min(end, body + 2_000)].lstrip(b"\r\n").partition(b"\n")[0].rstrip()
    return line[2:] if line.startswith(b"--") else b""


def _split(raw: bytes, start: int, end: int, boundary: bytes, reading: Reading) -> Iterator[tuple[int, int]]:
    """Where the parts between the boundary lines begin and end (RFC 2046 section 5.1.1)."""
    delimiter = b"--" + boundary
    part: int | None = None
    position = start
    while (found := raw.find(delimiter, position, end)) >= 0:
        position = found + len(delimiter)
        reading.boundary_lines += 1
        if reading.boundary_lines > limits.BOUNDARY_LINES:
            reading.cut(f"More than {limits.BOUNDARY_LINES:,} lines look like boundaries; the rest was left out.")
            return
        match = _DELIMITER_END.match(raw, position, end)
        if match is None or (found > start and raw[found - 1] not in b"\r\n"):
            continue
        if part is not None:
            yield part, max(part, _without_line_end(raw, part, found))
        if match[1]:
            return
        if reading.parts >= limits.PARTS:
            reading.cut(f"The message has more than {limits.PARTS:,} parts; the rest was left out.")
            return
        part = position = match.end()
    if part is not None:
        reading.note("The closing boundary of a multipart is missing.")
        yield part, end


def _without_line_end(raw: bytes, start: int, end: int) -> int:
    """The line end before a boundary line belongs to the boundary."""
    if raw[end - 1 : end] == b"\n":
        end -= 1
    if end > start and raw[end - 1 : end] == b"\r":
        end -= 1
    return end
