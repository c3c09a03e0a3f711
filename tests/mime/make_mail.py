"""Writes those mails of the corpus that nobody types: `python -m tests.mime.make_mail`. The rest is written by hand."""

import base64
import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.mime import tnef_bytes as tnef

MAIL = Path(__file__).parents[1] / "data" / "mail"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HEAD = """From: Ann Example <ann@example.com>
To: help@example.org
Subject: {subject}
Date: Fri, 20 Nov 2026 10:00:00 +0100
Message-ID: <m1@example.com>
MIME-Version: 1.0
"""
MAILS: dict[str, Callable[[], bytes]] = {}
#: Written only where they are missing: what a compressor makes of the same octets differs from machine to machine.
PACKED = frozenset({"attachment-zip-bomb", "smime-compressed", "smime-compressed-bomb"})


def mail(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """A mail of the corpus, under the name of its function."""
    MAILS[make.__name__.replace("_", "-")] = make
    return make


def head(subject: str) -> bytes:
    """The header that most have, without its end."""
    return HEAD.format(subject=subject).encode()


def base64_part(content_type: str, data: bytes, *more: str) -> bytes:
    """The header and the body of a part in base64."""
    lines = [f"Content-Type: {content_type}", "Content-Transfer-Encoding: base64", *more, "", ""]
    return "\n".join(lines).encode() + base64.encodebytes(data)


def mixed(*parts: bytes, kind: str = "mixed", boundary: str = "b") -> bytes:
    """A multipart, from its Content-Type on."""
    line = f"--{boundary}".encode()
    opening = f"Content-Type: multipart/{kind}; boundary={boundary}\n\n".encode()
    return opening + b"".join(line + b"\n" + part.rstrip(b"\n") + b"\n" for part in parts) + line + b"--\n"


def with_winmail(data: bytes, text: str = "") -> bytes:
    """A mail with a winmail.dat, and a text beside it if there is one."""
    part = base64_part('application/ms-tnef; name="winmail.dat"', data)
    if not text:
        return head("From Outlook") + part
    return head("From Outlook") + mixed(b"Content-Type: text/plain; charset=utf-8\n\n" + text.encode(), part)


RTF_WITH_HTML = rb"""{\rtf1\ansi\ansicpg1252\fromhtml1 \fbidis \deff0{\fonttbl
{\f0\fswiss\fcharset0 Arial;}
{\f1\fmodern\fcharset204 Courier New;}}
{\colortbl\red0\green0\blue0;}
\uc1\pard\plain\deftab360 \f0\fs24
{\*\htmltag19 <html>}
{\*\htmltag34 <head>}
{\*\htmltag41 </head>}
{\*\htmltag50 <body>}\htmlrtf \lang1033 \htmlrtf0
{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 Gr\'fc\'dfe \u8364?5 {\*\htmltag84 &lt;}\htmlrtf <\htmlrtf0 {\f1\'ef\'f0\'e8\'e2\'e5\'f2} {\*\htmltag84 <b>}\htmlrtf {\b \htmlrtf0 bold{\*\htmltag92 </b>}\htmlrtf }\htmlrtf0
{\*\htmltag116 <br>}\htmlrtf \line\htmlrtf0 next & last
{\*\htmltag84 <img src="cid:pic@example.com">}\htmlrtf \par}\htmlrtf0
{\*\htmltag72 </p>}
{\*\htmltag58 </body>}
{\*\htmltag27 </html>}}"""


@mail
def winmail_html_in_rtf() -> bytes:
    """As Outlook sends it: plain text beside a winmail.dat whose RTF wraps the HTML, with a picture and a file."""
    data = tnef.winmail(
        tnef.named("urgent"),
        tnef.binary(0x1009, tnef.compressed(RTF_WITH_HTML)),
        files=[
            tnef.file("pic.png", PNG, content_type="image/png", content_id="pic@example.com"),
            tnef.file("Übersicht 2026.txt", b"one,two\n", content_type="text/plain"),
        ],
    )
    return with_winmail(data, "Grüße €5 < привет bold\nnext & last\n")


@mail
def winmail_only_text() -> bytes:
    """The whole message is a winmail.dat, with a text and no files."""
    return with_winmail(tnef.winmail(tnef.text(0x1000, "Hello from\r\nExchange\r\n")))


@mail
def winmail_html() -> bytes:
    """HTML as a property of its own, in a code page that another property names."""
    page = "<html><body><p>Привет, <i>мир</i></p><script>x()</script></body></html>".encode("cp1251")
    return with_winmail(tnef.winmail(tnef.number(0x3FDE, 1251), tnef.binary(0x1013, page)))


@mail
def winmail_plain_rtf() -> bytes:
    """Rich Text that was written as such."""
    rich = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fnil\fcharset0 Arial;}}{\info{\author nobody}}"
        rb"\pard\f0 First\tab line\par Second \{line\}\par\trowd a\cell b\cell\row{\pict 8950}}"
    )
    return with_winmail(tnef.winmail(tnef.binary(0x1009, tnef.compressed(rich))))


@mail
def winmail_cut_short() -> bytes:
    """It ends within its second file."""
    data = tnef.winmail(tnef.text(0x1000, "Two files"), files=[tnef.file("a.txt", b"a"), tnef.file("b.txt", b"b" * 99)])
    return with_winmail(data[:-120])


@mail
def winmail_message_within() -> bytes:
    """A message is enclosed, itself in Outlook's form, with a file of its own."""
    inner = tnef.winmail(tnef.text(0x1000, "The inner text"), files=[tnef.file("in.txt", b"in")])
    data = tnef.winmail(tnef.text(0x1000, "The outer text"), files=[tnef.enclosed("Minutes of Monday", inner)])
    return with_winmail(data)


@mail
def winmail_meeting() -> bytes:
    """A meeting: more than a message, so that the winmail.dat is kept beside what is shown."""
    data = tnef.winmail(tnef.text(0x1000, "Shall we meet?"), message_class="IPM.Microsoft Schedule.MtgReq")
    return with_winmail(data)


@mail
def winmail_without_its_type() -> bytes:
    """A gateway made application/octet-stream of it; the name is left."""
    data = tnef.winmail(tnef.text(0x1000, "Named only"), files=[tnef.file("a.txt", b"a", content_type="nonsense")])
    return head("From Outlook") + base64_part("application/octet-stream; name=WINMAIL.DAT", data)


@mail
def winmail_not_one() -> bytes:
    """It has the name and the type, and is none."""
    return with_winmail(b"PK\x03\x04 surely not", "See attachment")


# --- replies of the common mail programs, by language ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tongue:
    """How mail programs put things in one language."""

    text: str
    closing: str
    #: Gmail's line above a quotation.
    wrote: str
    #: Outlook's labels: from, sent, to, subject.
    labels: tuple[str, str, str, str]


TONGUES = {
    "en": Tongue(
        "It works again.",
        "Kind regards,",
        "On Thu, 19 Nov 2026 at 16:05, Desk <help@example.org> wrote:",
        ("From:", "Sent:", "To:", "Subject:"),
    ),
    "de": Tongue(
        "Es geht wieder, schöne Grüße auch an alle.",
        "Mit freundlichen Grüßen",
        "Am Do., 19. Nov. 2026 um 16:05 Uhr schrieb Desk <\nhelp@example.org>:",
        ("Von:", "Gesendet:", "An:", "Betreff:"),
    ),
    "fr": Tongue(
        "Ça marche à nouveau.",
        "Cordialement,",
        "Le jeu. 19 nov. 2026 à 16:05, Desk <help@example.org> a écrit :",
        ("De :", "Envoyé :", "À :", "Objet :"),
    ),
    "es": Tongue(
        "Ya funciona.",
        "Un saludo,",
        "El jue, 19 nov 2026 a las 16:05, Desk (<help@example.org>) escribió:",
        ("De:", "Enviado el:", "Para:", "Asunto:"),
    ),
    "nl": Tongue(
        "Het werkt weer.",
        "Met vriendelijke groet,",
        "Op do 19 nov 2026 om 16:05 schreef Desk <help@example.org>:",
        ("Van:", "Verzonden:", "Aan:", "Onderwerp:"),
    ),
    "it": Tongue(
        "Funziona di nuovo.",
        "Cordiali saluti",
        "Il giorno gio 19 nov 2026 alle ore 16:05 Desk <help@example.org> ha\nscritto:",
        ("Da:", "Inviato:", "A:", "Oggetto:"),
    ),
    "pl": Tongue(
        "Znowu działa.",
        "Pozdrawiam",
        "czw., 19 lis 2026 o 16:05 Desk <help@example.org> napisał(a):",
        ("Od:", "Wysłano:", "Do:", "Temat:"),
    ),
}


def gmail(tongue: Tongue) -> bytes:
    """Text and HTML; the quotation marked in both."""
    text = f"{tongue.text}\n\n{tongue.closing}\nAnn\n\n{tongue.wrote}\n\n> Did you try it off and on?\n>\n> Desk\n"
    wrote = tongue.wrote.replace("\n", " ").replace("<", "&lt;").replace(">", "&gt;")
    page = (
        f'<div dir="ltr"><div>{tongue.text}</div><div><br></div><div>{tongue.closing}</div><div>Ann</div></div><br>'
        f'<div class="gmail_quote"><div dir="ltr" class="gmail_attr">{wrote}<br></div>'
        '<blockquote class="gmail_quote" style="margin:0">Did you try it off and on?<br><br>Desk</blockquote></div>'
    )
    return head("Re: Printer") + mixed(
        b"Content-Type: text/plain; charset=utf-8\n\n" + text.encode(),
        b"Content-Type: text/html; charset=utf-8\n\n" + page.encode(),
        kind="alternative",
    )


def outlook(tongue: Tongue) -> bytes:
    """HTML alone; below it the header of what it answers to."""
    sender, sent, to, subject = tongue.labels
    page = (
        f'<html><body><div class="WordSection1"><p class="MsoNormal">{tongue.text}<o:p></o:p></p>'
        f'<p class="MsoNormal">&nbsp;</p><p class="MsoNormal">{tongue.closing}<br>Ann</p><div><div style="border:none;'
        f'border-top:solid #E1E1E1 1.0pt"><p class="MsoNormal"><b>{sender}</b> Desk &lt;help@example.org&gt; <br>'
        f"<b>{sent}</b> 2026-11-19 16:05<br><b>{to}</b> Ann &lt;ann@example.com&gt;<br><b>{subject}</b> Printer</p></div>"
        "</div><p>Did you try it off and on?</p></div></body></html>"
    )
    return head("RE: Printer") + base64_part("text/html; charset=utf-8", page.encode())


for language, tongue in TONGUES.items():
    MAILS[f"reply-gmail-{language}"] = partial(gmail, tongue)
    MAILS[f"reply-outlook-{language}"] = partial(outlook, tongue)


# --- S/MIME -----------------------------------------------------------------------------------------------------------

INNER = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>Signed <b>text</b></p>\r\n"
_SIGNED = bytes.fromhex("06092a864886f70d010702")
_DATA = bytes.fromhex("06092a864886f70d010701")
_COMPRESSED = bytes.fromhex("060b2a864886f70d0109100109")
_ENVELOPED = bytes.fromhex("06092a864886f70d010703")


def der(tag: int, *contents: bytes) -> bytes:
    """One element with its length."""
    content = b"".join(contents)
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def ber(tag: int, *contents: bytes) -> bytes:
    """One element of open length."""
    return bytes([tag, 0x80]) + b"".join(contents) + b"\0\0"


def envelope(kind: bytes, octets: bytes, *, wrap: Callable[..., bytes] = der) -> bytes:
    """Signed or compressed data around what is given, without certificates and signers."""
    version, algorithms = b"\x02\x01\x01", der(0x30 if kind == _COMPRESSED else 0x31)
    inner = wrap(0x30, _DATA, wrap(0xA0, octets)) if octets else wrap(0x30, _DATA)
    return wrap(0x30, kind, wrap(0xA0, wrap(0x30, version, algorithms, inner, der(0x31))))


def smime(data: bytes, kind: str, name: str = "smime.p7m") -> bytes:
    """A whole S/MIME mail."""
    return head("Signed") + base64_part(f"application/pkcs7-mime; smime-type={kind}; name={name}", data)


@mail
def smime_opaque_in_pieces() -> bytes:
    """BER with open lengths, the text in pieces within pieces, as some mail programs stream it."""
    pieces = [ber(0x24, der(0x04, INNER[:20]), der(0x24, der(0x04, INNER[20:25]), der(0x04, INNER[25:])))]
    return smime(envelope(_SIGNED, *pieces, wrap=ber), "signed-data")


@mail
def smime_opaque_by_name() -> bytes:
    """A gateway took the type away."""
    data = envelope(_SIGNED, der(0x04, b"\r\nPlain within\r\n"))
    return head("Signed") + base64_part('application/octet-stream; name="smime.p7m"', data)


@mail
def smime_signed_twice() -> bytes:
    """Signed by a person, and once more by a gateway."""
    once = base64_part("application/pkcs7-mime; name=smime.p7m", envelope(_SIGNED, der(0x04, INNER)))
    return smime(envelope(_SIGNED, der(0x04, once)), "signed-data")


@mail
def smime_signed_too_often() -> bytes:
    """Signed over and over: opened as deep as the limit allows."""
    data = INNER
    for _ in range(7):
        data = base64_part("application/pkcs7-mime", envelope(_SIGNED, der(0x04, data)))
    return head("Signed") + data


@mail
def smime_certificates_only() -> bytes:
    """Nothing is signed; it carries certificates."""
    return smime(envelope(_SIGNED, b""), "certs-only", "smime.p7c")


@mail
def smime_encrypted() -> bytes:
    """Enveloped data."""
    return smime(der(0x30, _ENVELOPED, der(0xA0, der(0x30, b"\x02\x01\x00", der(0x31)))), "enveloped-data")


@mail
def smime_compressed() -> bytes:
    """Compressed data (RFC 3274)."""
    return smime(envelope(_COMPRESSED, der(0x04, zlib.compress(INNER))), "compressed-data", "smime.p7z")


@mail
def smime_compressed_bomb() -> bytes:
    """Twenty-one megabytes of nothing, in twenty kilobytes: stays closed."""
    data = zlib.compress(bytes(21_000_000), 9)
    return smime(envelope(_COMPRESSED, der(0x04, data)), "compressed-data", "smime.p7z")


@mail
def smime_damaged() -> bytes:
    """Cut off within the content."""
    return smime(envelope(_SIGNED, der(0x04, INNER))[:-40], "signed-data")


# --- much of one thing ------------------------------------------------------------------------------------------------


@mail
def cc_twelve_hundred() -> bytes:
    """More recipients than are read."""
    everybody = ",\n ".join(f"n{number}@example.net" for number in range(1_200))
    return head("To everybody") + f"Cc: {everybody}\n\nhello\n".encode()


@mail
def multipart_sixty_levels() -> bytes:
    """Parts within parts, deeper than is read."""
    inner = b"Content-Type: text/plain\n\ncore\n"
    for level in range(60):
        inner = mixed(inner, boundary=f"l{level}x")
    return head("Nested") + inner


@mail
def multipart_two_thousand_empty_parts() -> bytes:
    """More parts than are read, with nothing in them."""
    return head("Empty") + b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 2_000 + b"--b--\n"


@mail
def related_thirty_logos() -> bytes:
    """The same logo thirty times, each shown by the HTML."""
    page = "".join(f'<img src="cid:logo{number}@example.com">' for number in range(30))
    logos = [
        base64_part("image/png; name=logo.png", PNG, f"Content-ID: <logo{number}@example.com>") for number in range(30)
    ]
    return head("Logos") + mixed(b"Content-Type: text/html\n\n" + page.encode(), *logos, kind="related")


@mail
def attachment_zip_bomb() -> bytes:
    """A ZIP file of a few kilobytes that claims megabytes: kept, never unpacked."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("zeros.bin", (2026, 11, 20, 10, 0, 0)), bytes(5_000_000), zipfile.ZIP_DEFLATED)
    return head("Zip") + base64_part("application/zip; name=bomb.zip", packed.getvalue())


@mail
def html_deep_tables() -> bytes:
    """Tables within tables, deeper than a parser likes."""
    page = "<table><tr><td>" * 400 + "bottom"
    return head("Tables") + b"Content-Type: text/html; charset=utf-8\n\n" + page.encode() + b"\n"


def main() -> None:
    """Write them all."""
    for name, make in MAILS.items():
        path = MAIL / f"{name}.eml"
        if name not in PACKED or not path.exists():
            path.write_bytes(make())


if __name__ == "__main__":
    main()
