"""Eight mails from four mail programs through Dovecot: `python -m tests.run.conversation` writes docs/conversation.md.

Outlook, Thunderbird, Gmail and a telephone; answers above and between, a forward, an out-of-office and a bounce. They
arrive one by one, with a run after each, and become one ticket.
"""

import json
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dev.azurite import Azurite
from shared.api.views import ticket_view
from tests.mime.make_mail import base64_part, mixed
from tests.run.real import Real
from tests.servers.dovecot import Dovecot

PAGE = Path(__file__).parents[2] / "docs" / "conversation.md"
_HEAD = """# A conversation

Written by `python -m tests.run.conversation`: eight mails from four mail programs arrive at a Dovecot, one by one, with a
run after each. What became of them is one ticket: first as it reads, then as `GET /api/tickets/{id}` gives it (the ids and
the times of the run are replaced).

"""
_QUESTION = "Hello,\n\nthe printer on the third floor prints blank pages since this morning.\nCould you have a look?"


def head(number: int, sender: str, subject: str, *more: str, to: str = "help@example.org") -> bytes:
    """The header of one of them, up to its Content-Type."""
    lines = [
        f"From: {sender}",
        f"To: {to}",
        f"Subject: {subject}",
        f"Date: Fri, 20 Nov 2026 {8 + number:02}:00:00 +0100",
        f"Message-ID: <c{number}@example.com>",
        *more,
        "MIME-Version: 1.0",
        "",
    ]
    return "\n".join(lines).encode()


def answers(*numbers: int) -> tuple[str, str]:
    """In-Reply-To and References."""
    return f"In-Reply-To: <c{numbers[-1]}@example.com>", "References: " + " ".join(
        f"<c{n}@example.com>" for n in numbers
    )


def plain(text: str, *, flowed: bool = False) -> bytes:
    """A text as the body."""
    kind = "text/plain; charset=utf-8" + ("; format=flowed" if flowed else "")
    return f"Content-Type: {kind}\nContent-Transfer-Encoding: 8bit\n\n{text}\n".encode()


def outlook(text: str, below: str = "") -> bytes:
    """HTML as Outlook writes it."""
    paragraphs = "".join(f'<p class="MsoNormal">{part}<o:p></o:p></p>' for part in text.split("\n\n"))
    page = f'<html><body><div class="WordSection1">{paragraphs}{below}</div></body></html>'
    return base64_part("text/html; charset=utf-8", page.encode())


def mails() -> Iterator[bytes]:
    """The eight, in the order in which they arrive."""
    ann, bob = "Ann Example <ann@customer.example>", "Bob Desk <bob@example.org>"
    everybody = "help@example.org, Ann Example <ann@customer.example>, Carl <carl@customer.example>"
    yield head(1, ann, "Printer prints blank pages", "Cc: Carl <carl@customer.example>, bob@example.org") + outlook(
        _QUESTION.replace("\n", "<br>").replace("<br><br>", "\n\n") + "\n\nKind regards,<br>Ann"
    )
    yield head(2, bob, "Re: Printer prints blank pages", *answers(1), to=everybody) + plain(
        "On 20/11/2026 09:00, Ann Example wrote:\n> Hello,\n>\n> the printer on the third floor prints blank pages since "
        "this \n> morning.\n\nDoes it say anything on its display? And is \nthere toner in it?\n\n-- \nBob\nService Desk",
        flowed=True,
    )
    away = ("Auto-Submitted: auto-replied", "X-Auto-Response-Suppress: All")
    yield head(3, ann, "Automatic reply: Printer prints blank pages", *answers(1, 2), *away) + outlook(
        "I am in a meeting until noon."
    )
    text = (
        "Carl here, I sit beside it.\n\nOn Fri, 20 Nov 2026 at 10:00, Bob Desk <bob@example.org> wrote:\n\n"
        "> Does it say anything on its display?\n\nYes: 7B.\n\n> And is there toner in it?\n\nThere is.\n\n> Bob\n> Service Desk\n"
    )
    page = (
        '<div dir="ltr">Carl here, I sit beside it.</div><br><div class="gmail_quote"><div class="gmail_attr">On Fri, 20 Nov '
        "2026 at 10:00, Bob Desk &lt;bob@example.org&gt; wrote:<br></div><blockquote>Does it say anything on its display?"
        "</blockquote><div>Yes: 7B.</div><blockquote>And is there toner in it?</blockquote><div>There is.</div>"
        "<blockquote>Bob<br>Service Desk</blockquote></div>"
    )
    yield head(4, "Carl <carl@customer.example>", "Re: Printer prints blank pages", *answers(1, 2)) + mixed(
        plain(text), b"Content-Type: text/html; charset=utf-8\n\n" + page.encode(), kind="alternative"
    )
    yield head(5, bob, "Fwd: Error 7B", *answers(1, 2, 4), to="help@example.org, Dora <dora@vendor.example>") + plain(
        "Dora, what is 7B? The printer is under warranty.\n\n-------- Forwarded Message --------\nSubject: Re: Printer prints "
        "blank pages\nDate: Fri, 20 Nov 2026 12:00:00 +0100\nFrom: Carl <carl@customer.example>\nTo: help@example.org\n\n"
        "It says 7B."
    )
    machine = b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\n"
    machine += b"Final-Recipient: rfc822; dora@vendor.example\nAction: failed\nStatus: 5.2.2\n"
    machine += b"Diagnostic-Code: smtp; 552 5.2.2 Mailbox full\n"
    daemon = "Mail Delivery System <MAILER-DAEMON@mx.example.org>"
    yield head(
        6, daemon, "Undelivered Mail Returned to Sender", "Return-Path: <>", "Auto-Submitted: auto-replied"
    ) + mixed(
        plain("Your message to dora@vendor.example could not be delivered: her mailbox is full."),
        machine,
        b"Content-Type: text/rfc822-headers\n\nMessage-ID: <c5@example.com>\nSubject: Fwd: Error 7B\n",
        kind="report; report-type=delivery-status",
    )
    below = (
        '<div style="border-top:solid #E1E1E1 1.0pt"><p class="MsoNormal"><b>From:</b> Carl &lt;carl@customer.example&gt;<br>'
        "<b>Sent:</b> Friday, 20 November 2026 12:00<br><b>To:</b> help@example.org<br><b>Subject:</b> Re: Printer prints blank "
        "pages</p></div><p>Yes: 7B.</p>"
    )
    yield head(7, ann, "RE: Printer prints blank pages", *answers(1, 2, 4)) + outlook(
        "Back from my meeting. We turned it off and on, and now it prints.\n\nKind regards,<br>Ann", below
    )
    yield head(8, "Carl <carl@customer.example>", "Re: Printer prints blank pages", *answers(1, 2, 4, 7)) + plain(
        "I can confirm. Thank you all!\n\nSent from my iPhone\n\n> On 20 Nov 2026, at 15:00, Ann Example "
        "<ann@customer.example> wrote:\n> \n> Back from my meeting. We turned it off and on, and now it prints."
    )


def ticket(dovecot: Dovecot, azurite: Azurite) -> dict[str, Any]:
    """The one ticket that became of them, as the API gives it."""
    real = Real(dovecot, azurite, f"t{uuid.uuid4().hex[:12]}")
    real.job(on_success={"mark_as_read": True})
    for mail in mails():
        real.deliver(mail)
        real.later()
    (row,) = real.tables.rows("tickets", "ticket:")
    found = real.storage.tickets.ticket(row["ticket_id"])
    assert found
    return ticket_view(found).body()


def rendered(body: dict[str, Any]) -> str:
    """As a person reads it: new text first, the rest folded away."""
    out = [f"## {body['subject']}\n"]
    for entry in body["entries"]:
        sender = entry["sender"]["name"] or entry["sender"]["email"]
        out.append(f"**{sender}** ({entry['action']})\n")
        out.append("\n".join(f"> {line}".rstrip() for line in entry["new_text"].split("\n")) + "\n")
        kept = [f"{name} of {len(entry[name].splitlines())} lines" for name in ("signature", "history") if entry[name]]
        files = [one["name"] for one in entry["attachments"]]
        notes = [*entry["notes"], *([f"kept: {', '.join(kept)}"] if kept else [])]
        out += [f"*{note}*\n" for note in [*notes, *([f"attached: {', '.join(files)}"] if files else [])]]
    return "\n".join(out)


def steady(body: dict[str, Any]) -> str:
    """As JSON, without what differs from run to run."""
    text = json.dumps(body, ensure_ascii=False, indent=2)
    text = text.replace(body["id"], "T-XXXX-XXXX")
    for number, entry in enumerate(body["entries"], 1):
        text = text.replace(entry["id"], f"entry-{number}")
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "2026-11-20T12:00:00Z", text)


def main() -> None:
    """Write the page."""
    with Azurite() as azurite, Dovecot() as dovecot:
        body = ticket(dovecot, azurite)
    PAGE.write_text(f"{_HEAD}{rendered(body)}\n## The same as JSON\n\n```json\n{steady(body)}\n```\n", "utf-8")
    sys.stdout.write(rendered(body))


if __name__ == "__main__":
    main()
