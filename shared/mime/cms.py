"""What an S/MIME envelope holds without a key: the content of signed and of compressed data (RFC 5652, RFC 3274).

Only the way to the content is walked; signatures and certificates are not looked at, and nothing is trusted.
"""

import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.mime import limits


class Kind(StrEnum):
    """What a CMS object is."""

    SIGNED = "signed"
    ENCRYPTED = "encrypted"
    COMPRESSED = "compressed"
    UNKNOWN = "unknown"


_KINDS: Final = {
    bytes.fromhex("2a864886f70d010702"): Kind.SIGNED,
    bytes.fromhex("2a864886f70d010703"): Kind.ENCRYPTED,
    bytes.fromhex("2a864886f70d0109100117"): Kind.ENCRYPTED,  # authenticated as well (RFC 5083)
    bytes.fromhex("2a864886f70d0109100109"): Kind.COMPRESSED,
}
_SEQUENCE, _OID, _CONTEXT_0, _OCTETS, _MANY_OCTETS = 0x30, 0x06, 0xA0, 0x04, 0x24
_DEPTH: Final = 50


@dataclass(frozen=True, slots=True)
class Envelope:
    """``content`` is the MIME entity within, or None: encrypted, absent (certificates only), or not understood."""

    kind: Kind
    content: bytes | None = None


class _NotBerError(Exception):
    pass


def read(data: bytes, limit: int = limits.INFLATED_OCTETS) -> Envelope:
    """Open an envelope as far as it goes without a key. Never raises. Nothing is unpacked to more than ``limit``."""
    kind = Kind.UNKNOWN
    try:
        walk = _Walk(data)
        walk.enter(_SEQUENCE)
        kind = _KINDS.get(walk.value(_OID), Kind.UNKNOWN)
        if kind not in (Kind.SIGNED, Kind.COMPRESSED):
            return Envelope(kind)
        walk.enter(_CONTEXT_0)
        walk.enter(_SEQUENCE)
        walk.skip()  # version
        walk.skip()  # digest or compression algorithms
        walk.enter(_SEQUENCE)
        walk.value(_OID)
        if walk.at_end():
            return Envelope(kind)
        walk.enter(_CONTEXT_0)
        content = walk.octets()
    except _NotBerError:
        return Envelope(kind)
    return Envelope(kind, content if kind is Kind.SIGNED else _inflated(content, limit))


def _inflated(data: bytes, limit: int) -> bytes | None:
    """Whole or not at all: a bomb stays closed."""
    if limit <= 0:  # which would mean: without one
        return None
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(data, limit)
    except zlib.error:
        return None
    return content if unpacker.eof else None


class _Walk:
    """A position in BER, where lengths may be left open (ITU-T X.690 section 8.1.3.6)."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._end = len(data)

    def enter(self, tag: int) -> None:
        """Go to the first element within the one that is next."""
        length = self._head(tag)
        self._end = min(self._end, self._at + length) if length is not None else self._end

    def value(self, tag: int) -> bytes:
        """The octets of the next element, which is a plain one."""
        length = self._head(tag)
        if length is None:
            raise _NotBerError
        self._at += length
        return self._data[self._at - length : self._at]

    def at_end(self) -> bool:
        """Whether the element that was entered last has no more."""
        return self._at >= self._end or self._data[self._at : self._at + 2] == b"\0\0"

    def skip(self) -> None:
        """Pass over the next element."""
        open_ends = 0
        while True:
            tag, length = self._any()
            if length is None:
                open_ends += 1
            else:
                self._at += length
                open_ends -= not tag and not length
            if open_ends <= 0:
                return

    def octets(self) -> bytes:
        """A string of octets, in one piece or in many."""
        pieces: list[bytes] = []
        ends: list[int | None] = []
        while True:
            tag, length = self._any()
            if tag == _MANY_OCTETS and len(ends) < _DEPTH:
                ends.append(None if length is None else self._at + length)
            elif tag == _OCTETS and length is not None:
                pieces.append(self._data[self._at : self._at + length])
                self._at += length
            elif not tag and not length and ends and ends[-1] is None:
                ends.pop()
            else:
                raise _NotBerError
            while ends and (end := ends[-1]) is not None and self._at >= end:
                ends.pop()
            if not ends:
                return b"".join(pieces)

    def _head(self, tag: int) -> int | None:
        found, length = self._any()
        if found != tag:
            raise _NotBerError
        return length

    def _any(self) -> tuple[int, int | None]:
        """Tag and length of the next element; the position is then at its content."""
        head = self._data[self._at : min(self._at + 6, self._end)]
        if len(head) < 2 or head[0] & 0x1F == 0x1F:
            raise _NotBerError
        self._at += 2
        length = head[1]
        if length == 0x80:
            return head[0], None
        if length > 0x80:
            count = length - 0x80
            if count > 4 or len(head) < 2 + count:
                raise _NotBerError
            self._at += count
            length = int.from_bytes(head[2 : 2 + count], "big")
        if self._at + length > self._end:
            raise _NotBerError
        return head[0], length
