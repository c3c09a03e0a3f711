"""Content-Transfer-Encoding undone (RFC 2045 section 6): what can be read is read, the rest is said."""

import binascii
from typing import Final

from shared.mime.intext import extract
from shared.mime.reading import Reading

_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_SPACES: Final = (b"\r", b"\n", b"\t", b" ")
_UUENCODE: Final = frozenset({"uuencode", "x-uuencode", "x-uue", "uue", "x-uu"})
_IDENTITY: Final = frozenset({"", "7bit", "8bit", "binary"})


def decode(data: bytes, encoding: str, reading: Reading) -> bytes:
    """The octets of a body. ``encoding`` is the field's value, however it is written. Never raises."""
    name = encoding.partition(";")[0].strip(" \t'\"").lower()
    if name == "base64":
        return _base64(data, reading)
    if name == "quoted-printable":
        return binascii.a2b_qp(data)
    if name in _UUENCODE and (files := extract(data)[1]):
        return files[0].data
    if name not in _IDENTITY:
        reading.note(f"The transfer encoding {name[:40]!r} is not known; the part is kept as it came.")
    return data


def _base64(data: bytes, reading: Reading) -> bytes:
    if _is_clean(data):  # without the copies that mending takes: an attachment may be as large as the message may be
        return binascii.a2b_base64(data)
    digits, padding, rest = data.partition(b"=")
    if rest.strip(b"=\r\n\t "):
        reading.note("What follows the end of base64 data was left out.")
    kept = digits.translate(None, b"\r\n\t ")
    clean = kept if _all_base64(kept) else kept.translate(None, bytes(set(range(256)) - set(_BASE64)))
    if len(clean) < len(kept):
        reading.note("Characters that do not belong into base64 data were skipped.")
    if len(clean) % 4 == 1 or bool(padding) is not bool(len(clean) % 4):
        reading.note("Base64 data has a wrong length; its end may be missing.")
    clean = clean[: len(clean) - (len(clean) % 4 == 1)]
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def _is_clean(data: bytes) -> bool:
    """Nothing but base64 and white space, and as much padding at its end as there should be."""
    found = data.find(b"=")
    end = found if found >= 0 else len(data)
    padding = data[end:].translate(None, b"\r\n\t ")
    digits = end - sum(data.count(space, 0, end) for space in _SPACES)
    return padding == b"=" * (-digits % 4) and digits % 4 != 1 and _all_base64(data, b"=\r\n\t ")


def _all_base64(data: bytes, besides: bytes = b"") -> bool:
    return not data.translate(None, _BASE64 + besides)
