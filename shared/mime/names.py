"""File names that are safe on any system, whatever a sender wrote, and unique within their message."""

import re
import unicodedata
from typing import Final

from shared.mime import limits

#: By type, for parts that were given no name. Ours, because the standard library's table depends on the machine.
_EXTENSIONS: Final = {
    "application/gzip": ".gz",
    "application/json": ".json",
    "application/msword": ".doc",
    "application/pdf": ".pdf",
    "application/pgp-encrypted": ".asc",
    "application/pgp-signature": ".asc",
    "application/pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
    "application/rtf": ".rtf",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/x-pkcs7-mime": ".p7m",
    "application/x-pkcs7-signature": ".p7s",
    "application/xml": ".xml",
    "application/zip": ".zip",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/tiff": ".tif",
    "image/webp": ".webp",
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "message/rfc822": ".eml",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/rfc822-headers": ".txt",
    "text/rtf": ".rtf",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "video/mp4": ".mp4",
}

_STEMS: Final = {"application": "attachment", "text/calendar": "invitation"}

#: Not allowed by Windows; and what turns a name around so that ``gpj.exe`` reads as a picture (Unicode TR 36).
_FORBIDDEN: Final = re.compile('[\x00-\x1f\x7f-\x9f<>:"|?*\ud800-\udfff\ufffe\uffff]')
_INVISIBLE: Final = re.compile("[\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_RESERVED: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]) *(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)


def safe(given: str, content_type: str) -> str:
    """``given`` without paths, controls and reserved names, at most `limits.NAME_BYTES` long; made up if need be."""
    name = unicodedata.normalize("NFC", given[-4_096:]).replace("\\", "/").rpartition("/")[2]
    name = _tidy(_FORBIDDEN.sub("_", _INVISIBLE.sub("", name)))
    if not name.strip("_ ."):
        kind, _, subtype = content_type.partition("/")
        stem = subtype if kind == "message" else _STEMS.get(content_type) or _STEMS.get(kind, kind)
        name = _tidy(_FORBIDDEN.sub("_", stem + _EXTENSIONS.get(content_type, ".bin")))
    if _RESERVED.fullmatch(name):
        name = "_" + name
    return _bounded(name, "")


def unique(name: str, taken: set[str]) -> str:
    """``name``, or ``name (2)`` and so on; adds it to ``taken``. Names that differ in case only count as the same."""
    number = 1
    candidate = name
    while (folded := _folded(candidate)) in taken:
        number += 1
        candidate = _bounded(name, f" ({number})")
    taken.add(folded)
    return candidate


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _tidy(name: str) -> str:
    """No white space but single spaces; no dot or space at either end: hidden there, and lost here by Windows."""
    return re.sub(r"\s+", " ", name).strip(" .")


def _bounded(name: str, suffix: str) -> str:
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > 20:
        stem, dot, extension = name, "", ""
    tail = f"{suffix}{dot}{extension}"
    room = limits.NAME_BYTES - len(tail.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .") + tail
