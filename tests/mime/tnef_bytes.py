"""Writes winmail.dat (MS-OXTNEF), as far as tests and the corpus need it."""

from collections.abc import Iterable

SIGNATURE = b"\x78\x9f\x3e\x22\x01\x00"
IID_IMESSAGE = bytes.fromhex("0703020000000000c000000000000046")


def u16(number: int) -> bytes:
    """Two octets, little-endian."""
    return number.to_bytes(2, "little")


def u32(number: int) -> bytes:
    """Four octets, little-endian."""
    return number.to_bytes(4, "little")


def attribute(level: int, number: int, data: bytes) -> bytes:
    """One attribute with its checksum; ``number`` holds the type too."""
    return bytes([level]) + u32(number) + u32(len(data)) + data + u16(sum(data) & 0xFFFF)


def padded(data: bytes) -> bytes:
    """Filled up to a multiple of four octets."""
    return data + bytes(-len(data) % 4)


def text(name: int, value: str) -> bytes:
    """A Unicode property."""
    data = value.encode("utf-16-le") + b"\0\0"
    return u16(0x1F) + u16(name) + u32(1) + u32(len(data)) + padded(data)


def binary(name: int, value: bytes, kind: int = 0x0102) -> bytes:
    """A binary property, or an object."""
    return u16(kind) + u16(name) + u32(1) + u32(len(value)) + padded(value)


def number(name: int, value: int) -> bytes:
    """An integer property."""
    return u16(3) + u16(name) + u32(value)


def named(value: str) -> bytes:
    """A property with a name of its own, in several values."""
    data = "Keywords\0".encode("utf-16-le")
    one = value.encode("utf-16-le") + b"\0\0"
    return (
        u16(0x101F) + u16(0x8001) + bytes(16) + u32(1) + u32(len(data)) + padded(data)
        + u32(2) + (u32(len(one)) + padded(one)) * 2
    )  # fmt: skip


def properties(*given: bytes) -> bytes:
    """A list of properties."""
    return u32(len(given)) + b"".join(given)


def file(name: str, data: bytes, *, content_type: str = "", content_id: str = "") -> bytes:
    """An attachment."""
    more = [text(0x3707, name)]
    if content_type:
        more.append(text(0x370E, content_type))
    if content_id:
        more.append(text(0x3712, content_id))
    return (
        attribute(2, 0x00069002, bytes(14))
        + attribute(2, 0x00018010, name.encode("ascii", "replace")[:12] + b"\0")
        + attribute(2, 0x0006800F, data)
        + attribute(2, 0x00069005, properties(*more))
    )


def enclosed(name: str, message: bytes) -> bytes:
    """A message within the message."""
    return attribute(2, 0x00069002, bytes(14)) + attribute(
        2, 0x00069005, properties(text(0x3707, name), binary(0x3701, IID_IMESSAGE + message, kind=0x0D))
    )


def winmail(
    *properties_given: bytes, files: Iterable[bytes] = (), message_class: str = "IPM.Microsoft Mail.Note"
) -> bytes:
    """A whole winmail.dat."""
    return (
        SIGNATURE
        + attribute(1, 0x00089006, u32(0x10000))
        + attribute(1, 0x00069007, u32(1252) + u32(0))
        + attribute(1, 0x00078008, message_class.encode("ascii") + b"\0")
        + attribute(1, 0x00069003, properties(*properties_given))
        + b"".join(files)
    )


def compressed(rtf: bytes) -> bytes:
    """Compressed RTF without any compression: nothing but literals (MS-OXRTFCP)."""
    body = b"".join(b"\x00" + rtf[at : at + 8] for at in range(0, len(rtf), 8))
    return u32(len(body) + 12) + u32(len(rtf)) + b"LZFu" + bytes(4) + body
