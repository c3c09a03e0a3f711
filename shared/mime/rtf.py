r"""Rich Text as Outlook sends it, to the HTML that is wrapped in it, or else to plain text.

Outlook keeps an HTML message as RTF of which ``{\*\htmltag64 <p>}`` groups are the HTML and ``\htmlrtf ... \htmlrtf0``
is for RTF readers alone (MS-OXRTFEX). Compressed RTF is LZFu (MS-OXRTFCP). One linear pass each; nothing of it raises.
"""

import re
from dataclasses import dataclass, replace
from html import escape
from typing import Final

from shared.mime.charsets import decode

#: What the dictionary of the compression holds at first (MS-OXRTFCP section 2.1.2.1).
_FIRST: Final = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_RING: Final = 4096
_DEPTH: Final = 500
_TOKEN: Final = re.compile(
    rb"\\([A-Za-z]{1,32})(-?[0-9]{1,9})? ?|\\'([0-9A-Fa-f]{2})|\\([^A-Za-z])|([{}])|([^\\{}\r\n]+)|[\r\n]+", re.DOTALL
)
#: Groups that are no text (RTF 1.9.1); whatever begins with ``\*`` and is not known is none either.
_DESTINATIONS: Final = frozenset(
    b"colortbl stylesheet info pict object objdata listtable listoverridetable rsidtbl generator header footer headerl "
    b"headerr footerl footerr footnote themedata datastore xmlnstbl pntext pntxta pntxtb bkmkstart bkmkend".split()
)
_CHARACTERS: Final = {
    b"tab": "\t",
    b"bullet": "\u2022",
    b"endash": "\u2013",
    b"emdash": "\u2014",
    b"lquote": "\u2018",
    b"rquote": "\u2019",
    b"ldblquote": "\u201c",
    b"rdblquote": "\u201d",
}
_BREAKS: Final = {b"par": "\n", b"line": "\n", b"sect": "\n", b"page": "\n", b"row": "\n", b"cell": " | "}
_SYMBOLS: Final = {b"~": "\u00a0", b"_": "\u2011", b"-": "", b"\n": "\n", b"\r": "\n"}
#: Code pages by the number of a font's character set.
_FONT_SETS: Final = {
    128: "cp932",
    129: "cp949",
    134: "gb18030",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
}


def decompress(data: bytes, limit: int) -> bytes | None:
    """Compressed RTF as RTF, of which at most about ``limit`` octets; None where it is no such thing."""
    kind, body = data[8:12], data[16:]
    if kind == b"MELA":
        return body[: min(limit, int.from_bytes(data[4:8], "little"))]
    if kind != b"LZFu":
        return None
    out = bytearray(_FIRST.ljust(_RING) + _FIRST)
    begin = len(out)
    at = 0
    while at < len(body) and len(out) - begin < limit:
        control = body[at]
        at += 1
        for bit in range(8):
            if not control >> bit & 1:
                out += body[at : at + 1]
                at += 1
                continue
            token = int.from_bytes(body[at : at + 2], "big")
            at += 2
            here, offset, length = len(out), token >> 4, (token & 15) + 2
            back = (here - offset) % _RING
            if at > len(body) or not back:
                return bytes(out[begin:])
            while length:  # what is copied may run into itself
                piece = out[here - back : here - back + min(length, back)]
                out += piece
                here += len(piece)
                length -= len(piece)
    return bytes(out[begin:])


@dataclass(frozen=True, slots=True)
class _Group:
    """What holds until the group ends."""

    skipped: bool = False
    #: Within ``\\htmlrtf``: for RTF readers alone.
    suppressed: bool = False
    #: Within ``\\htmltag``: HTML as it is.
    tag: bool = False
    fonts: bool = False
    #: Characters after ``\\u`` that stand for those who do not know it.
    fallback: int = 1
    codec: str = ""


class _Reader:
    def __init__(self, *, html: bool) -> None:
        self._html = html
        self.out: list[str] = []
        self._octets = bytearray()
        self._group = _Group()
        self._above: list[_Group] = []
        self._overflow = 0
        self._ignorable = False  # after \*
        self._skip = 0  # characters after \u
        self._page = "cp1252"
        self._font = ""
        self._fonts: dict[str, str] = {}
        self._surrogate = 0

    def read(self, rtf: bytes) -> str:
        for token in _TOKEN.finditer(rtf):
            word, number, octet, symbol, brace, text = token.groups()
            if brace:
                self._brace(opens=brace == b"{")
            elif word:
                self._word(word, int(number) if number else None)
            elif octet:
                self._put(bytes.fromhex(octet.decode("ascii")))
            elif symbol == b"*":
                self._ignorable = True
            elif symbol:
                self._symbol(symbol)
            elif text:
                self._put(text)
        self._flush()
        return "".join(self.out)

    def _brace(self, *, opens: bool) -> None:
        self._flush()
        self._skip = 0
        self._ignorable = False
        if opens and len(self._above) < _DEPTH:
            self._above.append(self._group)
        elif opens:
            self._overflow += 1
        elif self._overflow:
            self._overflow -= 1
        elif self._above:
            self._group = self._above.pop()

    def _word(self, word: bytes, number: int | None) -> None:
        ignorable, self._ignorable = self._ignorable, False
        if word == b"u" and number is not None:
            self._unicode(number & 0xFFFF)
        elif word == b"htmltag" and ignorable:
            self._change(tag=True, skipped=self._group.skipped or not self._html)
        elif ignorable or word in _DESTINATIONS:
            self._change(skipped=True)
        elif word in _CHARACTERS:
            self._say(_CHARACTERS[word])
        elif word in _BREAKS:
            self._say("<br>\n" if self._html and word == b"line" and not self._group.tag else _BREAKS[word], raw=True)
        else:
            self._setting(word, number)

    def _setting(self, word: bytes, number: int | None) -> None:
        if word == b"uc":
            self._change(fallback=min(number or 0, 100))
        elif word == b"htmlrtf":
            self._change(suppressed=number != 0)
        elif word == b"fonttbl":
            self._change(fonts=True, skipped=True)
        elif word == b"ansicpg" and number:
            self._page = f"cp{number}" if number != 65001 else "utf-8"
        elif word in (b"f", b"fcharset"):
            self._of_font(word, number)

    def _change(self, **changes: bool | int | str) -> None:
        self._flush()
        self._group = replace(self._group, **changes)  # type: ignore[arg-type]  # the names are ours

    def _of_font(self, word: bytes, number: int | None) -> None:
        if word == b"fcharset":
            if self._group.fonts and len(self._fonts) < 1_000:
                self._fonts[self._font] = _FONT_SETS.get(number or 0, "")
            return
        self._font = str(number)
        if not self._group.fonts:
            self._change(codec=self._fonts.get(self._font, ""))

    def _unicode(self, code: int) -> None:
        if 0xD800 <= code < 0xDC00:
            self._surrogate = code
        else:
            if 0xDC00 <= code < 0xE000 and self._surrogate:
                code = 0x10000 + ((self._surrogate - 0xD800) << 10) + (code - 0xDC00)
            self._surrogate = 0
            self._say(chr(code))
        self._skip = self._group.fallback

    def _symbol(self, symbol: bytes) -> None:
        if symbol in _SYMBOLS:
            self._say(_SYMBOLS[symbol])
        else:
            self._put(symbol)  # \\ \{ \}

    def _put(self, octets: bytes) -> None:
        if self._skip:
            passed = min(self._skip, len(octets))
            self._skip -= passed
            octets = octets[passed:]
        if not self._group.skipped and not self._group.suppressed:
            self._octets += octets

    def _say(self, text: str, *, raw: bool = False) -> None:
        self._flush()
        if not self._group.skipped and not self._group.suppressed:
            self.out.append(text if raw or self._group.tag or not self._html else escape(text, quote=False))

    def _flush(self) -> None:
        if self._octets:
            text = decode(bytes(self._octets), self._group.codec or self._page)[0]
            self._octets.clear()
            self.out.append(text if self._group.tag or not self._html else escape(text, quote=False))


def read(rtf: bytes) -> tuple[str | None, str | None]:
    """The text, or else the HTML that is wrapped in it (not yet sanitised): one of the two, or neither."""
    if not rtf.lstrip().startswith(b"{\\rtf"):
        return None, None
    html = b"\\fromhtml" in rtf[:4_000]
    read = _Reader(html=html).read(rtf)
    return (None, read) if html else (read.replace(" | \n", "\n").strip("\n"), None)
