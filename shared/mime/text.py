"""Characters made fit to keep and to read: line ends, control characters, format=flowed, whole lines of a header."""

import re
from typing import Final

_LINE_ENDS: Final = re.compile(r"\r+\n|\r|\u2028|\u2029")
_CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_SPACE: Final = re.compile(r"\s+")


def clean(text: str) -> str:
    """Line ends as LF, no control characters but tab and line end, nothing that UTF-8 cannot hold."""
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", _LINE_ENDS.sub("\n", text)))


def one_line(text: str) -> str:
    """The same on one line, with single spaces."""
    return _SPACE.sub(" ", clean(text)).strip()


def shorten(text: str, length: int) -> str:
    """At most ``length`` characters; an ellipsis stands for what is gone."""
    return text if len(text) <= length else text[: length - 1] + "…"


def unflow(text: str, *, delsp: bool) -> str:
    """Undo format=flowed: join soft-broken lines, remove space-stuffing (RFC 3676 sections 4.1 to 4.4)."""
    lines: list[tuple[int, list[str]]] = []
    flowing = False
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")
        signature = content == "-- "
        soft = content.endswith(" ") and not signature
        if soft and delsp:
            content = content[:-1]
        if flowing and not signature and lines[-1][0] == depth:
            lines[-1][1].append(content)
        else:
            lines.append((depth, [content]))
        flowing = soft
    return "\n".join((">" * depth + " " if depth else "") + "".join(content) for depth, content in lines)
