"""Reports that machines send about a message: bounces and delays (RFC 3464), read receipts (RFC 8098).

Three forms are in use: multipart/report (RFC 6522: Postfix, Exchange, Gmail, today's Exim, mail programs), and the
plain texts of qmail (https://cr.yp.to/proto/qsbmf.txt) and of older Exim.
"""

import re
from collections.abc import Iterator
from typing import Final

from shared.mime import envelope, header, limits, structure
from shared.mime.addresses import addresses
from shared.mime.header import Fields, characters, first
from shared.mime.reading import Reading
from shared.mime.structure import Part
from shared.mime.text import shorten
from shared.model import Report, ReportAction, ReportedRecipient, ReportKind

_KINDS: Final = {
    "message/delivery-status": ReportKind.DELIVERY,
    "message/global-delivery-status": ReportKind.DELIVERY,
    "message/disposition-notification": ReportKind.DISPOSITION,
    "message/global-disposition-notification": ReportKind.DISPOSITION,
}
_ORIGINALS: Final = frozenset(
    {"message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers", "message/global-headers"}
)
_BLANK: Final = re.compile(rb"\r*\n[ \t]*\r*\n|\r\r")
_STATUS: Final = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_TYPED: Final = re.compile(rb"[ \t]*[A-Za-z0-9-]{1,40}[ \t]*;")
_DIAGNOSTIC_CHARS: Final = 500

#: Where an original begins in a plain bounce: qmail, Exim (two wordings).
_COPY: Final = re.compile(r"^-{2,}(?: Below this line is a copy| This is a copy of)[^\n]{0,100}$", re.MULTILINE)
_QMAIL: Final = re.compile(
    r"^Hi\. This is the [^\n]{1,100}\n(?:.{0,4000}?\n)?<([^<>\s]{3,320})>:\n([^\n]{0,500})", re.DOTALL
)
_DAEMON: Final = re.compile(r"(?:mailer-daemon|postmaster)@", re.IGNORECASE)


def report(message: Part, text: str, reading: Reading) -> Report | None:
    """What ``message`` reports, or None when it is no report. ``text`` is its readable text."""
    for part in _walk(message):
        if part.content_type == "multipart/report":
            for child in part.children:
                if kind := _KINDS.get(child.content_type):
                    return _standard(message, part, child, kind, reading)
    return _plain(message, text, reading)


def _walk(part: Part) -> Iterator[Part]:
    """The part and all below it; not into enclosed messages, whose reports are not this message's."""
    pending = [part]
    while pending:
        part = pending.pop()
        yield part
        pending += reversed(part.children)


def _standard(message: Part, report: Part, machine: Part, kind: ReportKind, reading: Reading) -> Report:
    recipients: list[ReportedRecipient] = []
    named: str | None = None
    for block in _BLANK.split(machine.decoded(reading)[: limits.HEADER_BYTES]):
        fields = header.split(block.strip(b"\r\n"), Reading())[0]
        named = named or next(iter(envelope.message_ids(fields, "Original-Message-ID", reading)), None)
        recipient = _recipient(fields, kind, reading)
        if recipient and len(recipients) < limits.REPORTED:
            recipients.append(recipient)
    original: Fields = ()
    for child in report.children:
        if child.content_type in _ORIGINALS and child is not machine:
            original = structure.read_header(child.decoded(reading)[: limits.HEADER_BYTES], Reading())
            break
    return _concerning(message, original, kind, tuple(recipients), reading, named=named)


def _recipient(fields: Fields, kind: ReportKind, reading: Reading) -> ReportedRecipient | None:
    given = first(fields, "original-recipient") or first(fields, "final-recipient")
    if given is None:
        return None
    typed = _TYPED.match(given)
    found = addresses(given[typed.end() if typed else 0 :], "The recipient of a report", reading)
    if kind is ReportKind.DISPOSITION:  # automatic-action/MDN-sent-automatically; displayed/error
        said = characters(first(fields, "disposition") or b"").rpartition(";")[2].partition("/")[0]
    else:
        said = characters(first(fields, "action") or b"")
    status = _STATUS.search(characters(first(fields, "status") or b""))
    diagnostic = first(fields, "diagnostic-code") or b""
    typed = _TYPED.match(diagnostic)
    return ReportedRecipient(
        address=found[0].email if found else "",
        action=_action(said),
        status=status[1] if status else "",
        diagnostic=shorten(header.value(diagnostic[typed.end() if typed else 0 :], reading), _DIAGNOSTIC_CHARS),
    )


def _action(said: str) -> ReportAction:
    word = said.partition("(")[0].strip().lower()
    return ReportAction(word) if word in set(ReportAction) else ReportAction.UNKNOWN


def _concerning(
    message: Part,
    original: Fields,
    kind: ReportKind,
    recipients: tuple[ReportedRecipient, ...],
    reading: Reading,
    *,
    named: str | None = None,
) -> Report:
    """The report, with what it says of the message that it is about; Exchange names that by In-Reply-To alone."""
    replied = envelope.message_ids(message.fields, "In-Reply-To", reading)
    thread = dict.fromkeys(
        (
            *envelope.message_ids(original, "In-Reply-To", reading),
            *reversed(envelope.message_ids(original, "References", reading)),
            *replied,
            *reversed(envelope.message_ids(message.fields, "References", reading)),
        )
    )
    concerned = named or envelope.message_id(original, reading) or (replied[0] if replied else None)
    thread.pop(concerned or "", None)
    return Report(
        kind=kind,
        recipients=recipients,
        message_id=concerned,
        references=tuple(thread)[: limits.MESSAGE_IDS],
        subject=shorten(header.value(first(original, "subject") or b"", reading), limits.SUBJECT_CHARS),
    )


def _plain(message: Part, text: str, reading: Reading) -> Report | None:
    """A bounce without parts. Only what comes from a mail system's own address is one: people quote such texts."""
    sender = envelope.people(message.fields, "From", Reading())
    if not sender or not _DAEMON.match(sender[0].email):
        return None
    recipients: tuple[ReportedRecipient, ...] = ()
    if (failed := first(message.fields, "x-failed-recipients")) is not None:
        recipients = tuple(
            ReportedRecipient(one.email, ReportAction.FAILED)
            for one in addresses(failed, "X-Failed-Recipients", reading)[: limits.REPORTED]
        )
    elif qmail := _QMAIL.match(text[:10_000]):
        status = _STATUS.search(qmail[2])
        recipients = (
            ReportedRecipient(qmail[1].lower(), ReportAction.FAILED, status[1] if status else "", qmail[2].strip()),
        )
    if not recipients:
        return None
    copy = _COPY.search(text)
    block = text[copy.end() : copy.end() + limits.HEADER_BYTES] if copy else ""
    original = structure.read_header(block.lstrip("\n").encode("utf-8", "replace"), Reading())
    return _concerning(message, original, ReportKind.DELIVERY, recipients, reading)
