"""What is promised of everything that comes out of `shared.mime`, whatever went in."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from html.parser import HTMLParser

from shared.mime import Sections, limits, sections
from shared.model import Message

_FORBIDDEN = re.compile('[\x00-\x1f\x7f-\x9f<>:"/\\\\|?*\u202a-\u202e\u2066-\u2069]')
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f]")
_TAGS = frozenset(
    [
        "a",
        "abbr",
        "address",
        "article",
        "aside",
        "b",
        "bdi",
        "bdo",
        "big",
        "blockquote",
        "br",
        "caption",
        "center",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "details",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "font",
        "footer",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "main",
        "mark",
        "nav",
        "ol",
        "p",
        "pre",
        "q",
        "rp",
        "rt",
        "ruby",
        "s",
        "samp",
        "section",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "time",
        "tr",
        "tt",
        "u",
        "ul",
        "var",
        "wbr",
    ]
)


def check(message: Message, raw: bytes) -> None:
    """Everything that is promised of a message, whatever it was made from."""
    assert not [defect for defect in message.defects if "could not be read" in defect], "a step raised"
    assert message.subject.strip()
    assert len(message.subject) <= limits.SUBJECT_CHARS
    assert len(message.headers) <= limits.HEADER_FIELDS
    assert len(message.attachments) <= limits.ATTACHMENTS + 1
    assert len(message.defects) <= limits.DEFECTS + 1
    assert message.size == len(raw)
    check_names([one.name for one in message.attachments])
    shown = [message.subject, message.text, message.html or "", message.message_id or "", *message.defects]
    shown += [part for field in message.headers for part in field]
    shown += [str(address) for address in (*message.to, *message.cc, *message.reply_to, message.sender)]
    for text in shown:
        text.encode()  # nothing that cannot be stored
        assert not _CONTROLS.search(text)
    check_html(message.html or "")
    check_sections(sections(message.text, message.subject), message.text)
    assert message.date is None or message.date.utcoffset() is not None
    if report := message.report:
        assert len(report.recipients) <= limits.REPORTED
        assert report.message_id not in report.references


def check_sections(found: Sections, text: str) -> None:
    """Every line of the text is in one of its sections, as often as in the text; something is new if anything is there."""
    kept = (line for part in (found.new, found.signature, found.history) for line in part.split("\n") if line.strip())
    assert Counter(kept) == Counter(line for line in text.split("\n") if line.strip())
    assert bool(found.new.strip()) == bool(text.strip())


def check_names(found: Iterable[str]) -> None:
    """File names that every system takes, and none twice."""
    names = list(found)
    for name in names:
        assert name == name.strip(" ")
        assert not name.startswith(".")
        assert not name.endswith(".")
        assert 0 < len(name.encode()) <= limits.NAME_BYTES
        assert not _FORBIDDEN.search(name)
        assert name.partition(".")[0].strip().upper() not in _RESERVED
    folded = [unicodedata.normalize("NFC", name.casefold()) for name in names]
    assert len(set(folded)) == len(folded)


class _Look(HTMLParser):
    """Looks at every tag of what was sanitised (which is well-formed)."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS, tag
        for name, given in attrs:
            value = re.sub("^[\x00-\x20]+|[\t\n\r]", "", given or "").lower()  # as a browser reads an address
            assert not name.startswith("on"), name
            assert name not in {"srcset", "background", "action", "class", "id"}, name
            if name == "src":
                assert tag == "img"
                assert value.startswith(("cid:", "data:image/")), value
            elif name == "href":
                assert not value or value.startswith(("http:", "https:", "mailto:", "tel:")), value
            elif name == "style":
                assert "url(" not in value, value


def check_html(html: str) -> None:
    """No script, no form, no event handler, nothing remote that loads by itself."""
    look = _Look()
    look.feed(html)
    look.close()
