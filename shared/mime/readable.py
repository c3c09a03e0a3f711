"""Plain text that reads well, made from sanitised HTML (which is well-formed, so that this is linear)."""

import re
from html.parser import HTMLParser
from typing import Final

_PARAGRAPHS: Final = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "pre", "blockquote"}
)
_LINES: Final = frozenset(
    {"div", "li", "tr", "dt", "dd", "address", "article", "aside", "caption", "center", "details", "figcaption"}
    | {"figure", "footer", "header", "main", "nav", "section", "summary"}
)
_MARKS: Final = frozenset({"br", "hr", "a", "img", "td", "th"})
#: Deeper quotations and lists look the same: a prefix for each level would be quadratic.
_LEVELS: Final = 8
_SPACE: Final = re.compile(r"[ \t\n\r\f]+")


def readable(html: str) -> str:
    """The text of sanitised HTML: paragraphs, lists, quotations, table rows as lines, links with their address."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line: list[str] = []
        self._bullet = ""
        self._gap = False
        self._quotes = 0
        self._level = 0  # of quotation, in the line before
        self._pre = 0
        self._lists: list[int | None] = []
        self._cell = False
        self._link: tuple[str, int] | None = None

    def text(self) -> str:
        self._break()
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._lines)).strip("\n")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _PARAGRAPHS:
            self._paragraph()
        elif tag in _LINES:
            self._break()
        if tag in _MARKS:
            self._mark(tag, dict(attrs))
        elif tag == "blockquote":
            self._quotes += 1
        elif tag == "pre":
            self._pre += 1
        elif tag in ("ul", "ol"):
            start = dict(attrs).get("start") or "1"
            first = int(start) if start.isdecimal() and len(start) < 6 else 1
            self._lists.append(first - 1 if tag == "ol" else None)
        elif tag == "li":
            self._bullet = self._next_bullet()

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._link:
            self._target(*self._link)
            self._link = None
        if tag in _PARAGRAPHS:
            self._paragraph()
        elif tag in _LINES:
            self._break()
        if tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)
        elif tag == "pre":
            self._pre = max(0, self._pre - 1)
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag in ("tr", "table"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if not self._pre:
            self._line.append(_SPACE.sub(" ", data).replace("\xa0", " "))
            return
        for index, line in enumerate(data.split("\n")):
            if index:
                self._break(always=True)
            self._line.append(line)

    def _mark(self, tag: str, given: dict[str, str | None]) -> None:
        """What leaves something in the line itself."""
        if tag == "br":
            self._break(always=True)
        elif tag == "hr":
            self._break()
            self._line.append("-" * 20)
            self._break()
        elif tag == "a":
            self._link = (given.get("href") or "", len(self._line))
        elif tag == "img" and (alt := (given.get("alt") or "").strip()):
            self._line.append(f"[{alt}]")
        elif tag in ("td", "th"):
            if self._cell and self._line and self._line[-1] != " | ":
                self._line.append(" | ")
            self._cell = True

    def _target(self, href: str, start: int) -> None:
        shown = "".join(self._line[start:]).strip()
        bare = href.removeprefix("mailto:").removeprefix("tel:")
        if bare and bare.rstrip("/") not in (shown.rstrip("/"), f"http://{shown}", f"https://{shown}"):
            self._line.append(f" <{bare}>" if shown else f"<{bare}>")

    def _next_bullet(self) -> str:
        indent = "  " * min(max(0, len(self._lists) - 1), _LEVELS)
        if not self._lists or self._lists[-1] is None:
            return f"{indent}- "
        self._lists[-1] += 1
        return f"{indent}{self._lists[-1]}. "

    def _break(self, *, always: bool = False) -> None:
        """End the line; an empty one only where it is wanted."""
        text = "".join(self._line)
        if not self._pre:
            text = _SPACE.sub(" ", text).strip().removesuffix("|").removeprefix("|").strip()
        self._line = []
        if self._link:
            self._link = (self._link[0], 0)
        if text.strip():
            text = self._bullet + text
            self._bullet = ""
        elif not always:
            return
        level = min(self._quotes, _LEVELS)
        if self._gap and self._lines:
            self._lines.append(("> " * min(level, self._level)).rstrip())
        self._gap = False
        self._level = level
        self._lines.append(("> " * level + text).rstrip())

    def _paragraph(self) -> None:
        """End the line; leave one blank before the next."""
        self._break()
        self._gap = True
