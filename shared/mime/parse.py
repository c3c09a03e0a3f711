"""Raw bytes to a `Message`, whatever they are."""

import hashlib

from shared.mime import envelope, header, structure
from shared.mime.content import Content, attachments, body, collect
from shared.mime.header import Fields
from shared.mime.reading import Reading
from shared.mime.reports import report
from shared.mime.structure import Part
from shared.model import Message


def parse(raw: bytes, *, header_only: bool = False, size: int | None = None) -> Message:
    """Read a message. Never raises: what made no sense, or was too much (``shared.mime.limits``), is in ``defects``.

    ``size`` is the number of octets of the whole message where ``raw`` is not all of it. With ``header_only``, ``raw``
    is the bare header of a message over the size limit; the text then says so in one sentence.

    Pure: no I/O, no clock. When something of the body had to be left out, the original is the last attachment.
    """
    reading = Reading()
    content = Content()
    part: Part | None = None
    if header_only:
        fields: Fields = reading.guard("The header", (), structure.read_header, raw, reading)
        text, html = _over_the_limit(size), None
    else:
        part = reading.guard("The structure of the message", None, structure.read, raw, reading)
        fields = part.fields if part else ()
        if part:
            reading.guard("The content", None, collect, part, content, reading)
        text, html = reading.guard("The text", ("", None), body, content, reading)
    sender = reading.guard("From", (), envelope.people, fields, "From", reading)
    if not sender:
        reading.note("The header names no sender.")
    return Message(
        subject=reading.guard("Subject", envelope.NO_SUBJECT, envelope.subject, fields, reading),
        sender=sender[0] if sender else None,
        reply_to=reading.guard("Reply-To", (), envelope.people, fields, "Reply-To", reading),
        to=reading.guard("To", (), envelope.people, fields, "To", reading),
        cc=reading.guard("Cc", (), envelope.people, fields, "Cc", reading),
        date=reading.guard("Date", None, envelope.date, fields, reading),
        message_id=reading.guard("Message-ID", None, envelope.message_id, fields, reading),
        in_reply_to=reading.guard("In-Reply-To", (), envelope.message_ids, fields, "In-Reply-To", reading),
        references=reading.guard("References", (), envelope.message_ids, fields, "References", reading),
        text=text,
        html=html,
        headers=reading.guard("The header", (), _for_people, fields, reading),
        report=reading.guard("The report", None, report, part, text, reading) if part else None,
        attachments=reading.guard("The attachments", (), attachments, content, html, raw, reading),
        defects=reading.defects,
        size=len(raw) if size is None else size,
        sha256=hashlib.sha256(raw).hexdigest(),
        header_only=header_only,
    )


def _for_people(fields: Fields, reading: Reading) -> tuple[tuple[str, str], ...]:
    return tuple((name, header.value(value, reading)) for name, value in fields)


def _over_the_limit(size: int | None) -> str:
    of = f" of {max(size / 1_000_000, 0.1):.1f} MB".replace(".0 ", " ") if size is not None else ""
    return f"This message{of} is over the size limit; only its header was read."
