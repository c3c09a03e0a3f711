"""Sends bytes that strangers wrote, so that no browser runs them."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import chain
from urllib.parse import quote

from fastapi.responses import StreamingResponse

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
#: What a browser might run if somebody talked it into showing the answer.
_ACTIVE = re.compile(r"html|xml|svg|script|multipart|mhtml|x-mixed|flash|java")
_ANY = "application/octet-stream"
#: Turn the direction of text round, so that ``fdp.exe`` looks like ``exe.pdf``.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def download(chunks: Iterator[bytes], *, name: str, content_type: str) -> StreamingResponse:
    """Stream ``chunks`` as a file to keep, never as a page to show.

    The first chunk is read before the status line is sent, so that storage that is away gives a proper problem.
    """
    first = next(chunks, b"")
    return StreamingResponse(
        chain([first], chunks),
        # As a header, because Starlette adds a charset of its own choice to a text media type.
        headers={"Content-Type": safe_type(content_type), "Content-Disposition": disposition(name)},
    )


def safe_type(content_type: str) -> str:
    """``content_type`` where it is well-formed and nothing that a browser runs, else plain octets."""
    lowered = content_type.lower()
    return lowered if _TYPE.fullmatch(lowered) and not _ACTIVE.search(lowered) else _ANY


def disposition(name: str) -> str:
    """The Content-Disposition value (RFC 6266, RFC 8187) for any ``name``, however hostile."""
    shown = "".join("_" if unsafe(char) else char for char in name).strip(" .") or "attachment"
    plain = "".join(char if " " <= char < "\x7f" else "_" for char in shown)
    encoded = quote(shown, safe="!#$&+-.^_`|~")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def unsafe(char: str) -> bool:
    """Whether ``char`` has no business in a file name that we hand out."""
    return char in '"\\/:*?<>|%' or char in _BIDI or unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}
