"""The mail of the demo: what people and their programs really send, and one that no program should."""

import base64
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP

SUPPORT = "support@example.com"

#: A grey square of one pixel.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mOoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
READINGS = "Zähler;Stand;Einheit\r\nWasser;1204,7;m³\r\nStrom;88213;kWh\r\n".encode("cp1252")
READINGS_NAME = "Zählerstände.csv"

PRINTER_ID = "<a1f3-printer@northwind.example>"
READINGS_ID = "<b27c-readings@hansen.example>"


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as it goes out: the sender of the envelope, and the bytes."""

    sender: str
    raw: bytes


def _letter(sender: str, name: str, subject: str, message_id: str, text: str) -> EmailMessage:
    letter = EmailMessage()
    letter["From"] = f"{name} <{sender}>"
    letter["To"] = f"Support <{SUPPORT}>"
    letter["Subject"] = subject
    letter["Message-ID"] = message_id
    letter["Date"] = "Mon, 23 Nov 2026 09:12:44 +0100"
    letter.set_content(text)
    return letter


def _sent(letter: EmailMessage, sender: str) -> Letter:
    return Letter(sender, letter.as_bytes(policy=SMTP))


def question() -> Letter:
    """A new request, as text and as HTML."""
    letter = _letter(
        "ann@northwind.example",
        "Ann Archer",
        "The printer on the third floor is on strike",
        PRINTER_ID,
        "Hello,\n\nsince this morning it prints every page twice.\nCan somebody have a look?\n\nAnn\n",
    )
    letter.add_alternative(
        "<html><body><p>Hello,</p><p>since this morning it prints every page <b>twice</b>.<br>"
        "Can somebody have a look?</p><p>Ann</p><script>alert('not in a ticket')</script></body></html>",
        subtype="html",
    )
    return _sent(letter, "ann@northwind.example")


def with_files() -> Letter:
    """An attachment with a name and content beyond ASCII, and a picture inside the text."""
    letter = _letter(
        "jens@hansen.example",
        "Jens Hansen",
        "Zählerstände November",
        READINGS_ID,
        "Guten Tag,\n\ndie Zählerstände als Tabelle, dazu ein Foto.\n\nJens Hansen\n",
    )
    letter.add_alternative(
        '<p>Guten Tag,</p><p>die Zählerstände als Tabelle, dazu ein Foto:</p><img src="cid:meter">', subtype="html"
    )
    if html := letter.get_body(("html",)):
        html.add_related(PICTURE, "image", "png", cid="<meter>", filename="meter.png", disposition="inline")
    letter.add_attachment(READINGS, "text", "csv", filename=READINGS_NAME)
    return _sent(letter, "jens@hansen.example")


def broken() -> Letter:
    """Raw 8-bit headers, a broken encoded word, a date that is none, an unknown charset, an end that is missing."""
    lines = (
        b"From: =?utf-8?Q?Caf=C3?= Z\xfcrich <caf\xe9@zuerich.example",
        b"To: undisclosed recipients:;",
        b"Subject: =?utf-8?B?V2Fzc2Vy?= im Keller \xe4\xf6\xfc =?iso-8859-1?Q?dringend!?=",
        b"Date: yesterday, around noon",
        b"Message-ID: <no end",
        b"MIME-Version: 1.0",
        b"Content-Type: multipart/mixed; boundary=never",
        b"",
        b"--never",
        b"Content-Type: text/plain; charset=martian-7",
        b"Content-Transfer-Encoding: 9bit",
        b"",
        b"Das Wasser steht 10 cm hoch. Gr\xfc\xdfe",
    )
    return Letter("", b"\r\n".join(lines))


def reply_by_references() -> Letter:
    """Ann answers from her mail program, which keeps the thread in the header."""
    letter = _letter(
        "ann@northwind.example",
        "Ann Archer",
        "Re: The printer on the third floor is on strike",
        "<a1f3-again@northwind.example>",
        "It prints every page three times now.\n\nAnn\n",
    )
    letter["In-Reply-To"] = PRINTER_ID
    letter["References"] = PRINTER_ID
    return _sent(letter, "ann@northwind.example")


def reply_by_tag(ticket_id: str) -> Letter:
    """Jens writes anew from his phone: nothing but the tag in the subject says what it belongs to."""
    letter = _letter(
        "jens@hansen.example",
        "Jens Hansen",
        f"Nachtrag [{ticket_id}]",
        "<b27c-phone@hansen.example>",
        "Der Strom war 88231, nicht 88213.\n\nVon unterwegs gesendet\n",
    )
    return _sent(letter, "jens@hansen.example")


def order(number: int) -> Letter:
    """One of the orders that a shop's program sends."""
    letter = _letter(
        "shop@orders.example",
        "Web shop",
        f"Order {1000 + number}",
        f"<order-{1000 + number}@orders.example>",
        f"Article 47-11, {number} pieces.\n",
    )
    return _sent(letter, "shop@orders.example")
