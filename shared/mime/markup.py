"""HTML made safe to show: no script, no form, nothing that calls home; pictures of the message itself stay.

Two passes. `balance` is ours and linear: it reads tags as a browser would, drops what nobody may keep, and writes a
well-formed, shallow text. Only then nh3 (an HTML5 parser) decides what is safe. Without the first pass nh3 can be kept
busy for minutes by a megabyte of unclosed tags: its time is elements times depth.
"""

import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from shared.mime import limits
from shared.mime.reading import Reading

if TYPE_CHECKING:
    import nh3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VOID: Final = frozenset({"br", "hr", "img", "wbr", "col"})
_TABLE: Final = frozenset({"table", "tbody", "thead", "tfoot", "tr", "td", "th", "caption", "colgroup"})
#: An element that ends where the next of its kind begins.
_SELF_ENDING: Final = frozenset({"p", "li", "tr", "td", "th", "dt", "dd"})
#: What a browser carries over into the next block when it was left open: many of these multiply.
_FORMATTING: Final = _words("a b big code em font i s small strike strong tt u")
_FORMATTING_DEPTH: Final = 8
#: What ends an open paragraph.
_BLOCKS: Final = _words(
    "address article aside blockquote center details dd div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr "
    "li main nav ol p pre section summary table ul"
)
#: Elements of which not even the content is kept.
_DROPPED: Final = frozenset(
    {"script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "template", "object"}
    | {"svg", "math", "audio", "video", "canvas", "map"}
)
_TAGS: Final = (
    _VOID
    | _TABLE
    | _words(
        "a abbr address article aside b bdi bdo big blockquote center cite code dd del details dfn div dl dt em "
        "figcaption figure font footer h1 h2 h3 h4 h5 h6 header i ins kbd li main mark nav ol p pre q rp rt ruby s "
        "samp section small span strike strong sub summary sup time tt u ul var"
    )
)
_SIZES: Final = frozenset({"align", "valign", "width", "height", "bgcolor"})
_ATTRIBUTES: Final = {
    "*": frozenset({"dir", "lang", "style", "title"}),
    "a": frozenset({"href"}),
    "font": frozenset({"color", "face", "size"}),
    "img": frozenset({"src", "alt", "width", "height"}),
    "ol": frozenset({"start", "type"}),
    "table": _SIZES | {"border", "cellpadding", "cellspacing"},
    "tr": _SIZES,
    "td": _SIZES | {"colspan", "rowspan"},
    "th": _SIZES | {"colspan", "rowspan"},
    "p": frozenset({"align"}),
    "div": frozenset({"align"}),
}
_STYLES: Final = _words(
    "color background-color font-family font-size font-style font-weight text-align text-decoration text-indent "
    "line-height vertical-align white-space width max-width border border-collapse border-color border-style "
    "border-width border-left border-right border-top border-bottom margin margin-left margin-right margin-top "
    "margin-bottom padding padding-left padding-right padding-top padding-bottom list-style-type"
)
_PICTURE: Final = re.compile(r"cid:\S|data:image/(?:png|jpe?g|gif|webp);base64,", re.IGNORECASE)
#: What a browser leaves out of an address, before it and in it (WHATWG URL).
_UNSEEN: Final = re.compile("^[\x00-\x20]+|[\t\n\r]")
_ATTRIBUTE_CHARS: Final = 2_000

_NAME: Final = re.compile(r"[a-zA-Z][^\s/>]*")
_ATTRIBUTE: Final = re.compile(r"""[\s/]*([^\s/>=][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"'][^\s>]*)))?""")
_CID: Final = re.compile(r'<img [^>]*?src="cid:([^">]*)"', re.IGNORECASE)


def sanitise(html: str, reading: Reading) -> str:
    """Safe HTML of ``html``. Pictures are kept only as ``cid:`` or as embedded data; nothing remote is loaded."""
    return _cleaner().clean(balance(html, reading)).strip()


def referenced(html: str) -> frozenset[str]:
    """The Content-IDs that sanitised HTML shows as pictures (RFC 2392)."""
    return frozenset(unquote(found.replace("&amp;", "&")) for found in _CID.findall(html))


@cache
def _cleaner() -> "nh3.Cleaner":
    import nh3

    return nh3.Cleaner(
        tags=set(_TAGS),
        clean_content_tags=set(_DROPPED),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        attribute_filter=_keep,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
        url_relative="deny",
        filter_style_properties=set(_STYLES),
    )


def _keep(tag: str, name: str, value: str) -> str | None:
    if name == "src":
        return value if tag == "img" and _PICTURE.match(value) else None
    if name == "href":
        return None if _UNSEEN.sub("", value).lower().startswith(("cid:", "data:")) else value
    return value


class _Writer:
    """Well-formed output: every element is closed within its parent, and none lies deeper than the limit."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self._open: list[str] = []
        self._formatting = 0
        self._flattened: Counter[str] = Counter()

    def start(self, tag: str, attributes: str) -> None:
        if tag in _BLOCKS and "p" in self._open:
            self.end("p")
        if tag == "a" or (tag in _SELF_ENDING and self._open and self._open[-1] == tag):
            self.end(tag)
        if tag not in _VOID:
            if len(self._open) >= limits.HTML_DEPTH or (tag in _FORMATTING and self._formatting >= _FORMATTING_DEPTH):
                self._flattened[tag] += 1
                return
            self._open.append(tag)
            self._formatting += tag in _FORMATTING
        self.out.append(f"<{tag}{attributes}>")

    def end(self, tag: str) -> None:
        if self._flattened[tag]:
            self._flattened[tag] -= 1
            return
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index] == tag:
                while len(self._open) > index:
                    self._close()
                return
            if self._open[index] in _TABLE and tag not in _TABLE:  # a cell's stray end tag closes nothing outside
                return
            if self._open[index] in _BLOCKS and tag not in _BLOCKS | _TABLE:  # nor does </b> close a paragraph
                return

    def finish(self) -> str:
        while self._open:
            self._close()
        return "".join(self.out)

    def _close(self) -> None:
        tag = self._open.pop()
        self._formatting -= tag in _FORMATTING
        self.out.append(f"</{tag}>")


def balance(html: str, reading: Reading) -> str:
    """The allowed elements of ``html`` as a well-formed text, in linear time. Not yet safe: nh3 decides that."""
    writer = _Writer()
    position = 0
    while (found := html.find("<", position)) >= 0:
        writer.out.append(html[position:found])
        position = _markup(html, found, writer)
        if position < 0:  # as a browser reads it
            reading.cut("The HTML ends within a tag, a comment or a script; what is there was left out.")
            return writer.finish()
    writer.out.append(html[position:])
    return writer.finish()


def _markup(html: str, at: int, writer: _Writer) -> int:
    """Read what begins with the ``<`` at ``at``; where it ends, or -1 where it does not."""
    if html.startswith("<!--", at):
        return _past("-->", html, at + 2)
    if html.startswith(("<!", "<?"), at):
        return _past(">", html, at)
    closing = html.startswith("/", at + 1)
    name = _NAME.match(html, at + 1 + closing)
    if name is None:
        writer.out.append("&lt;")
        return at + 1
    tag = name[0].lower()
    if closing:
        if tag in _TAGS:
            writer.end(tag)
        return _past(">", html, name.end())
    attributes, end = _attributes(html, name.end(), tag)
    if end > 0 and tag in _DROPPED:
        closed = _end_of(tag).search(html, end)
        return _past(">", html, closed.end()) if closed else -1
    if end > 0 and tag in _TAGS:
        writer.start(tag, attributes)
    return end


def _past(text: str, html: str, position: int) -> int:
    found = html.find(text, position)
    return found + len(text) if found >= 0 else -1


@cache
def _end_of(tag: str) -> re.Pattern[str]:
    return re.compile(rf"</{tag}(?![^\s/>])", re.IGNORECASE)


def _attributes(html: str, position: int, tag: str) -> tuple[str, int]:
    """The allowed attributes of a tag, ready to write, and where the tag ends, or -1 where it does not."""
    allowed = _ATTRIBUTES.get(tag, frozenset()) | _ATTRIBUTES["*"] if tag in _TAGS else frozenset()
    found: dict[str, str] = {}
    while match := _ATTRIBUTE.match(html, position):
        position = match.end()
        name = match[1].lower()
        if name in allowed and name not in found:
            given = match[2] or match[3] or match[4] or ""
            if name == "src" or len(given) <= _ATTRIBUTE_CHARS:
                found[name] = given.replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f' {name}="{given}"' for name, given in found.items()), _past(">", html, position)
