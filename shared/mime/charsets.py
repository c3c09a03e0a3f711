"""Octets to characters, whatever the label says: aliases, supersets, and repair of labels that are plainly wrong.

Only the codecs of real mail are let in: Python has others under a charset's guise (punycode, unicode_escape) that take
quadratic time or raise. Supersets follow the WHATWG Encoding standard (iso-8859-1 is read as windows-1252), because
that is what mail programs mean by these labels.
"""

import codecs
import re
from functools import lru_cache
from typing import Final

#: Labels that say nothing.
_UNLABELLED: Final = frozenset(
    {"", "unknown-8bit", "x-unknown", "unknown", "default", "8bit", "7bit", "binary", "none"}
)

#: Labels that Python does not know, or that are better read as their superset.
_ALIASES: Final = {
    "us-ascii": "ascii",
    "ansi_x3.4-1968": "ascii",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "ansi": "cp1252",
    "x-ansi": "cp1252",
    "x-cp1252": "cp1252",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "x-windows-874": "cp874",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "x-utf-8": "utf-8",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "ks_c_5601": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "x-euc-jp": "euc_jp",
    "big5": "big5hkscs",
    "big5-hkscs": "big5hkscs",
    "macintosh": "mac-roman",
    "x-mac-roman": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-mac-ce": "mac-latin2",
    "koi8-ru": "koi8-u",
}

_MAIL_CODECS: Final = re.compile(
    r"ascii|utf-(?:7|8|16|32)(?:-[bl]e)?|iso8859-\d+|cp(?:12\d\d|437|7(?:20|37|75)|85\d|86\d|874|932|949|950)"
    r"|koi8-[rut]|kz1048|ptcp154|mac-\w+|big5|big5hkscs|gb2312|gbk|gb18030|hz|euc_\w+|iso2022_\w+|shift_jis\w*|johab"
    r"|tis-620|hp-roman8"
)


@lru_cache(maxsize=256)
def codec(label: str) -> str | None:
    """Python's name of the codec that ``label`` means; "" where it says nothing, None where nobody knows it."""
    name = re.sub(r"[^a-z0-9._:+-].*", "", label.strip(" \t\r\n\"'").lower())[:64]
    if name in _UNLABELLED:
        return ""
    if spelled := re.fullmatch(r"(?:x-)?(?:cp|ibm|windows|win|dos)[-_]?(\d{3,4})", name):
        name = _ALIASES.get(name, f"cp{spelled[1]}")
    try:
        found = codecs.lookup(_ALIASES.get(name, name)).name
    except (LookupError, ValueError):
        return None
    return found if _MAIL_CODECS.fullmatch(found) else None


def decode(data: bytes, label: str = "") -> tuple[str, str]:
    """The text of ``data``, and a sentence about what was wrong with its label, or "". Never raises."""
    name = codec(label)
    if not name:
        text, read_as = _guess(data)
        return text, "" if name == "" else f"The charset {label[:40]!r} is not known; the text was read as {read_as}."
    try:
        return data.decode(name).removeprefix("\ufeff"), ""
    except UnicodeError:
        pass
    if name == "ascii":
        text, read_as = _guess(data)
        return text, f"The text says it is us-ascii but is not; it was read as {read_as}."
    if name == "cp1252":  # five octets have no character there; as iso-8859-1 they are invisible controls
        return data.decode("latin-1"), ""
    text = data.decode(name, "replace").removeprefix("\ufeff")
    if name == "utf-8" and _mostly_wrong(text):
        return _western(data), "The text says it is utf-8 but is not; it was read as windows-1252."
    return text, f"Some octets make no sense in the charset {label[:40]!r}; they show as \ufffd."


def _guess(data: bytes) -> tuple[str, str]:
    try:
        return data.decode("utf-8").removeprefix("\ufeff"), "utf-8"
    except UnicodeDecodeError:
        return _western(data), "windows-1252"


def _western(data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _mostly_wrong(text: str) -> bool:
    wrong = text.count("\ufffd")
    return wrong > sum(character > "\x7f" for character in text) - wrong
