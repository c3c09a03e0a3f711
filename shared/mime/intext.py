"""Files within a text, as was usual before MIME: uuencode (POSIX) and yEnc (http://www.yenc.org/yenc-draft.1.3.txt)."""

import binascii
import re
from dataclasses import dataclass
from typing import Final

from shared.mime import limits

_BEGIN: Final = re.compile(rb"begin(?:-base64)? [0-7]{3,4} ([^\r\n]{1,250})|=ybegin ([^\r\n]{1,500})")
_NAME: Final = re.compile(rb"\bname=([^\r\n]{1,250})")
_SHIFTED: Final = bytes((octet - 42) & 255 for octet in range(256))
_ESCAPED: Final = re.compile(rb"=(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FileInText:
    """A file that stood in a text. ``whole`` is False when its end is missing."""

    name: bytes
    data: bytes
    whole: bool


def extract(data: bytes) -> tuple[bytes, list[FileInText]]:
    """The text without the files, and the files. What only looks like one stays in the text."""
    if b"begin" not in data or data.count(b"\n") > limits.LINES_WITH_FILES:
        return data, []
    files: list[FileInText] = []
    kept: list[bytes] = []
    lines = data.splitlines(keepends=True)
    at = 0
    while at < len(lines):
        begin = _BEGIN.match(lines[at])
        found = _file(lines, at, begin) if begin else None
        if found is None:
            kept.append(lines[at])
            at += 1
        else:
            file, at = found
            files.append(file)
    return b"".join(kept) if files else data, files


def _file(lines: list[bytes], begin: int, match: re.Match[bytes]) -> tuple[FileInText, int] | None:
    """The file that begins there, and the line after it; None where there is none."""
    if match[2] is not None:
        name = _NAME.search(match[2])
        return _yenc(lines, begin + 1, name[1].strip() if name else b"")
    if lines[begin].startswith(b"begin-base64"):
        return None
    return _uuencoded(lines, begin + 1, match[1].strip())


def _uuencoded(lines: list[bytes], at: int, name: bytes) -> tuple[FileInText, int] | None:
    pieces: list[bytes] = []
    while at < len(lines):
        line = lines[at].rstrip(b"\r\n")
        if line == b"end":
            return (FileInText(name, b"".join(pieces), whole=True), at + 1) if pieces else None
        try:
            octets = binascii.a2b_uu(line) if line.strip(b" `") else b""
        except binascii.Error:
            break
        if line and line[0] not in b" `" and len(line) < len(octets):
            break
        pieces.append(octets)
        at += 1
    if not any(pieces):
        return None
    return FileInText(name, b"".join(pieces), whole=False), at


def _yenc(lines: list[bytes], at: int, name: bytes) -> tuple[FileInText, int] | None:
    pieces: list[bytes] = []
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith(b"=yend"):
            data = b"".join(pieces)
            plain = _ESCAPED.sub(lambda escaped: bytes([(escaped[1][0] - 64) & 255]), data)
            return FileInText(name, plain.translate(_SHIFTED), whole=True), at
        if not line.startswith(b"=ypart "):
            pieces.append(line.rstrip(b"\r\n"))
    return None
