"""From the tree of parts to what a person reads and what is attached.

Each kind of part has a reader; ``_READERS`` says which. What undoes a form of its own (TNEF, S/MIME) is in a file of
its own, without knowledge of parts. Whatever has no reader is kept as an attachment.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Final

from shared.mime import cms, header, intext, invitation, limits, markup, names, rtf, structure, tnef
from shared.mime.charsets import decode
from shared.mime.readable import readable
from shared.mime.reading import Reading
from shared.mime.structure import Part
from shared.mime.text import clean, one_line, unflow
from shared.model import Attachment

#: HTML may name its charset within, where the header does not.
_META_CHARSET: Final = re.compile(
    rb"<meta\b[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE
)
#: Classes of a winmail.dat that are a message and nothing more; others (meetings, tasks) have fields of their own.
_PLAIN_CLASSES: Final = ("ipm.note", "ipm.microsoft mail.note")
_ENVELOPES: Final = {
    cms.Kind.SIGNED: "The message is signed (S/MIME); the signature was not checked.",
    cms.Kind.COMPRESSED: "A part was compressed (S/MIME); it was unpacked.",
    cms.Kind.ENCRYPTED: "The message is encrypted (S/MIME); it is kept as it came, in the attachments.",
}
_UNOPENED: Final = "A part is in S/MIME form but cannot be opened; it is kept as it came, in the attachments."
_PGP_SIGNED: Final = "The text is signed (PGP); the signature was not checked."
_PGP_ENCRYPTED: Final = "The text, or a part of it, is encrypted or armoured (PGP); it is shown as it came."
_TOO_LONG: Final = "The text is longer than can be shown; the rest is in the attached original only."


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the message's own text, in one form or in both."""

    text: str | None = None
    #: Sanitised.
    html: str | None = None

    @property
    def shown(self) -> str:
        """Readable text, whichever form there is."""
        if self.text is not None and (self.text.strip() or not self.html):
            return self.text
        return readable(self.html or "")


@dataclass(frozen=True, slots=True)
class Leaf:
    """Something to attach, before it has its safe and unique name."""

    given_name: str
    content_type: str
    data: bytes
    content_id: str | None = None


@dataclass(slots=True)
class Content:
    """What was found so far, in the order of the message."""

    pieces: list[Piece] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    #: What calendar parts are about, each line once.
    events: dict[str, None] = field(default_factory=dict)

    def joined(self) -> Piece:
        """All pieces as one. A form that no piece has stays None; where only some have it, the others are put in."""
        if len(self.pieces) <= 1:
            return self.pieces[0] if self.pieces else Piece()
        text = html = None
        if any(piece.text is not None for piece in self.pieces):
            text = "\n\n".join(shown for piece in self.pieces if (shown := piece.shown.strip("\n")))
        if any(piece.html for piece in self.pieces):
            html = "\n".join(piece.html or _as_html(piece.text or "") for piece in self.pieces)
        return Piece(text, html)

    def as_files(self, name: str) -> list[Leaf]:
        """What was found in an enclosed message that is no e-mail: its text as one more file beside its files."""
        piece = self.joined()
        if piece.html:
            return [Leaf(f"{name}.html", "text/html", piece.html.encode("utf-8", "replace")), *self.leaves]
        if piece.text:
            return [Leaf(f"{name}.txt", "text/plain", piece.text.encode("utf-8", "replace")), *self.leaves]
        return self.leaves


Reader = Callable[[Part, Content, Reading], None]


def collect(part: Part, content: Content, reading: Reading) -> None:
    """Add to ``content`` what ``part`` and the parts below it hold."""
    reader = _READERS.get(part.content_type)
    if part.content_type == "application/octet-stream":  # gateways forget the type
        reader = _BY_NAME.get(part.filename.lower())
    if reader is None and part.content_type.startswith("multipart/"):
        reader = _each
    elif reader is None or (reader in (_text, _html) and _beside(part)):
        reader = keep
    reader(part, content, reading)


def body(content: Content, reading: Reading) -> tuple[str, str | None]:
    """The text that a person reads, and the HTML if there is any."""
    if content.events:
        content.pieces.insert(0, Piece("\n".join(content.events)))
    piece = content.joined()
    text = piece.shown.rstrip()
    if len(text) > limits.TEXT_CHARS:
        reading.cut(_TOO_LONG)
    return text[: limits.TEXT_CHARS], piece.html or None


def attachments(content: Content, html: str | None, raw: bytes, reading: Reading) -> tuple[Attachment, ...]:
    """The leaves under safe and unique names; and the original, if something of it was left out."""
    shown = markup.referenced(html) if html else frozenset[str]()
    taken: set[str] = set()
    found: list[Attachment] = []
    for leaf in content.leaves[: limits.ATTACHMENTS]:
        name = names.unique(names.safe(leaf.given_name, leaf.content_type), taken)
        inline = leaf.content_id in shown
        found.append(Attachment(name, leaf.content_type, leaf.data, leaf.content_id, inline=inline))
    if len(content.leaves) > limits.ATTACHMENTS:
        reading.cut(
            f"The message has more than {limits.ATTACHMENTS} attachments; the rest is in the attached original."
        )
    if reading.incomplete:
        found.append(Attachment(names.unique("original.eml", taken), "message/rfc822", raw))
    return tuple(found)


def keep(part: Part, content: Content, reading: Reading) -> None:
    """Attach a part as it is."""
    content.leaves.append(Leaf(part.filename, part.content_type, part.decoded(reading), _content_id(part)))


def _content_id(part: Part) -> str | None:
    raw = header.first(part.fields, "content-id") or b""
    return one_line(header.characters(raw)).strip("<> ")[: limits.MESSAGE_ID_CHARS] or None


def _beside(part: Part) -> bool:
    """Whether a text part is a file rather than text of the message."""
    return part.disposition == "attachment" or bool(part.filename)


def _each(part: Part, content: Content, reading: Reading) -> None:
    """multipart/mixed and whatever else: one part after the other (RFC 2046 section 5.1.3)."""
    for child in part.children:
        collect(child, content, reading)


def _alternative(part: Part, content: Content, reading: Reading) -> None:
    """The same in several forms (RFC 2046 section 5.1.4): the first text and the last HTML; files are kept."""
    text = html = None
    for child in part.children:
        found = Content()
        collect(child, found, reading)
        piece = found.joined()
        text = piece.text if text is None else text
        html = piece.html or html
        content.leaves += found.leaves
        content.events |= found.events
    if text is not None or html:
        content.pieces.append(Piece(text, html))


def _text(part: Part, content: Content, reading: Reading) -> None:
    octets, files = intext.extract(part.decoded(reading))
    for file in files:
        if not file.whole:
            reading.note("A file within the text has no end.")
        content.leaves.append(Leaf(header.characters(file.name), "application/octet-stream", file.data))
    text = _characters(part, octets, reading)
    if "-----BEGIN PGP " in text:
        reading.note(_PGP_SIGNED if "-----BEGIN PGP SIGNED" in text else _PGP_ENCRYPTED)
    if part.type_parameters.get("format", "").lower() == "flowed":
        text = unflow(text, delsp=part.type_parameters.get("delsp", "").lower() == "yes")
    content.pieces.append(Piece(text=text))


def _html(part: Part, content: Content, reading: Reading) -> None:
    text = _characters(part, part.decoded(reading), reading)
    content.pieces.append(Piece(html=_safe(text, reading)))


def _safe(text: str, reading: Reading) -> str:
    """HTML sanitised, as much of it as the limits leave."""
    kept = text[: reading.html_left]
    if kept.count("&") > limits.AMPERSANDS:
        kept = kept[: -len(kept.split("&", limits.AMPERSANDS)[-1]) - 1]
    reading.html_left -= len(kept)
    if len(kept) < len(text):
        reading.cut(_TOO_LONG)
    return markup.sanitise(kept, reading)


def _characters(part: Part, data: bytes, reading: Reading) -> str:
    if len(data) > limits.TEXT_OCTETS:
        reading.cut(_TOO_LONG)
        data = data[: data.rfind(b"\n", 0, limits.TEXT_OCTETS) + 1] or data[: limits.TEXT_OCTETS]
    charset = part.charset
    if not charset and part.content_type == "text/html" and (named := _META_CHARSET.search(data, 0, 4_000)):
        charset = named[1].decode("ascii")
    text, defect = decode(data, charset)
    if defect:
        reading.note(defect)
    return clean(text)


def _enclosed(part: Part, content: Content, reading: Reading) -> None:
    """An enclosed message is kept whole, under its subject if it has no name."""
    data = part.decoded(reading)
    name = part.filename
    if not name:
        subject = header.first(structure.read_header(data[: limits.HEADER_BYTES], Reading()), "subject") or b""
        name = header.value(subject, Reading())[:100].replace("/", "_").replace("\\", "_")
    if name and not name.lower().endswith(".eml"):
        name += ".eml"
    content.leaves.append(Leaf(name, part.content_type, data))


def _signed(part: Part, content: Content, reading: Reading) -> None:
    """multipart/signed (RFC 1847): the content is shown, the signature kept."""
    reading.note("The message is signed; the signature was not checked.")
    _each(part, content, reading)


def _encrypted(part: Part, content: Content, reading: Reading) -> None:
    """multipart/encrypted (RFC 1847): all of it is kept."""
    reading.note("The message is encrypted; it is kept as it came, in the attachments.")
    for child in part.children:
        keep(child, content, reading)


def _smime(part: Part, content: Content, reading: Reading) -> None:
    """application/pkcs7-mime (RFC 8551): what is within is shown where that takes no key; all of it is kept."""
    envelope = cms.read(part.decoded(reading), reading.inflated_left)
    if envelope.kind is cms.Kind.COMPRESSED:  # a bomb takes all that was left, so that no further one is tried
        reading.inflated_left -= len(envelope.content) if envelope.content is not None else reading.inflated_left
    if envelope.content is not None and reading.unpacking < limits.UNPACKED_DEPTH:
        reading.unpacking += 1
        collect(structure.read_entity(envelope.content, reading), content, reading)
        reading.unpacking -= 1
        opened = True
    else:
        opened = False
    reading.note(_ENVELOPES[envelope.kind] if opened or envelope.kind is cms.Kind.ENCRYPTED else _UNOPENED)
    keep(part, content, reading)


def _calendar(part: Part, content: Content, reading: Reading) -> None:
    """text/calendar: kept, and one line about it goes before the text."""
    text = decode(part.decoded(reading)[: limits.TEXT_OCTETS], part.charset or "utf-8")[0]
    if line := invitation.summary(clean(text)):
        content.events[line] = None
    keep(part, content, reading)


def _tnef(part: Part, content: Content, reading: Reading) -> None:
    """application/ms-tnef, better known as winmail.dat: unpacked; kept as it came where that does not bring out all."""
    _unpack(part.decoded(reading), part.filename, content, reading)


def _unpack(data: bytes, name: str, content: Content, reading: Reading) -> None:
    found = tnef.read(data) if reading.unpacking < limits.UNPACKED_DEPTH else None
    if found is None:
        reading.note("A part is in Outlook's own form (winmail.dat) but cannot be read; it is kept in the attachments.")
        content.leaves.append(Leaf(name or "winmail.dat", "application/ms-tnef", data))
        return
    reading.note("A part was in Outlook's own form (winmail.dat); it was unpacked.")
    _unpacked_text(found, content, reading)
    for file in found.files:
        if file.message:
            inner = Content()
            reading.unpacking += 1
            _unpack(file.data, file.name, inner, reading)
            reading.unpacking -= 1
            content.leaves += inner.as_files(file.name or "message")
        else:
            kind = file.content_type if structure.is_type(file.content_type) else "application/octet-stream"
            content.leaves.append(Leaf(file.name, kind, file.data, file.content_id[: limits.MESSAGE_ID_CHARS] or None))
    more = found.message_class and not found.message_class.lower().startswith(_PLAIN_CLASSES)
    if found.damaged or more or found == tnef.Tnef(message_class=found.message_class):
        reading.note("Not all of winmail.dat is shown: it is damaged, or more than a message; it is kept as well.")
        content.leaves.append(Leaf(name or "winmail.dat", "application/ms-tnef", data))


def _unpacked_text(found: tnef.Tnef, content: Content, reading: Reading) -> None:
    """The text of a winmail.dat: what the message itself has not yet."""
    text, page = found.text, found.html
    if page is None and found.rtf is not None:
        rich = rtf.decompress(found.rtf, reading.rtf_left)
        if rich is not None and len(rich) >= reading.rtf_left:
            reading.cut(_TOO_LONG)
        reading.rtf_left = max(0, reading.rtf_left - len(rich or b""))
        in_rtf, page = rtf.read(rich) if rich is not None else (None, None)
        text = text if text is not None else in_rtf
    page = page and clean(page)
    before = content.pieces[-1] if content.pieces else None
    if before is not None and before.text and before.text.strip():  # the same, as the sender's server made it plain
        if page and not before.html:
            content.pieces[-1] = Piece(before.text, _safe(page, reading) or None)
    elif text is not None or page:
        content.pieces.append(Piece(text and clean(text), _safe(page, reading) if page else None))


def _as_html(text: str) -> str:
    return "<div>" + escape(text.strip("\n"), quote=False).replace("\n", "<br>\n") + "</div>"


_READERS: Final[Mapping[str, Reader]] = {
    "multipart/alternative": _alternative,
    "multipart/signed": _signed,
    "multipart/encrypted": _encrypted,
    "text/plain": _text,
    "text/html": _html,
    "message/rfc822": _enclosed,
    "message/global": _enclosed,
    "application/pkcs7-mime": _smime,
    "application/x-pkcs7-mime": _smime,
    "text/calendar": _calendar,
    "application/ics": _calendar,
    "application/ms-tnef": _tnef,
    "application/vnd.ms-tnef": _tnef,
}
_BY_NAME: Final[Mapping[str, Reader]] = {"winmail.dat": _tnef, "smime.p7m": _smime}
