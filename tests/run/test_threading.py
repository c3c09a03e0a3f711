"""How each of eight mails of four programs finds its ticket: by thread, by tag, by what a report is about."""

from email.utils import format_datetime

from tests.builders import NOW
from tests.run.world import World

_WHEN = format_datetime(NOW)
_PLAIN = "Content-Type: text/plain; charset=utf-8\r\n"


def _mail(
    sender: str, subject: str, message_id: str, header: str, body: str, *, to: str = "support@mail.example"
) -> bytes:
    """A mail of any program."""
    head = f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: {_WHEN}\r\nMessage-ID: {message_id}\r\n{header}"
    return f"{head}\r\n{body}".replace("\n", "\r\n").replace("\r\r\n", "\r\n").encode()


FIRST = _mail(
    "Ann <ann@customer.example>",
    "Printer on the second floor",
    "<1@outlook.example>",
    f"X-Mailer: Microsoft Outlook 16.0\r\nThread-Topic: Printer on the second floor\r\n"
    f"Thread-Index: AQHb1234567890abcdefghijklmnopqr\r\nCc: Bob <bob@customer.example>, Tina <tina@desk.example>\r\n{_PLAIN}",
    "It prints nothing.\n\nAnn",
)
GMAIL = _mail(
    "Bob <bob@customer.example>",
    "Re: Printer on the second floor",
    "<CA+2@mail.gmail.example>",
    f"In-Reply-To: <1@outlook.example>\r\nReferences: <1@outlook.example>\r\n{_PLAIN}",
    "Nor does the one beside it.\n\nOn Mon, Nov 23, 2026 at 1:00 PM Ann <ann@customer.example> wrote:\n> It prints nothing.",
)
THUNDERBIRD = _mail(
    "Tina <tina@desk.example>",
    "Re: Printer on the second floor",
    "<3@desk.example>",
    f"User-Agent: Mozilla Thunderbird\r\nReferences: <1@outlook.example> <CA+2@mail.gmail.example>\r\n{_PLAIN}",
    "Which of the two is it?",
    to="ann@customer.example, support@mail.example",
)
APPLE = _mail(
    "Ann <ann@customer.example>",
    "Re: Printer on the second floor",
    "<4@icloud.example>",
    f"X-Mailer: Apple Mail (2.3)\r\nIn-Reply-To: <CA+2@mail.gmail.example>\r\n{_PLAIN}",
    "The left one.\n\nSent from my iPhone",
)
AWAY = _mail(
    "Bob <bob@customer.example>",
    "Automatic reply: Printer on the second floor",
    "<5@outlook.example>",
    f"Auto-Submitted: auto-replied\r\nX-Auto-Response-Suppress: All\r\nIn-Reply-To: <4@icloud.example>\r\n{_PLAIN}",
    "I am away until Monday.",
)
#: Outlook keeps no reference in a forward; the tag that somebody put into the subject is all there is.
FORWARD = "FW: Printer on the second floor [{ticket}]"
BOUNCE = (
    "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.desk.example\r\nTo: support@mail.example\r\n"
    f"Subject: Undelivered Mail Returned to Sender\r\nDate: {_WHEN}\r\nMessage-ID: <7@mx.desk.example>\r\n"
    "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;"
    ' boundary="b"\r\n\r\n--b\r\n\r\nIt could not be delivered.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n'
    "Reporting-MTA: dns; mx.desk.example\r\n\r\nFinal-Recipient: rfc822; bob@customer.example\r\nAction: failed\r\n"
    "Status: 5.2.2\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: tina@desk.example\r\n"
    "To: bob@customer.example\r\nMessage-ID: <sent@desk.example>\r\nIn-Reply-To: <CA+2@mail.gmail.example>\r\n"
    "Subject: Re: Printer on the second floor\r\n\r\n--b--\r\n"
).encode()
LAST = _mail(
    "Ann <ann@customer.example>",
    "AW: Printer on the second floor",
    "<8@outlook.example>",
    f"In-Reply-To: <3@desk.example>\r\nReferences: <1@outlook.example> <3@desk.example>\r\n{_PLAIN}",
    "It prints again. Thank you!",
)


def test_each_of_eight_mails_finds_the_ticket() -> None:
    """In three runs, by tag, by thread and by what a report is about; what programs wrote is marked, people's mail is not."""
    world = World()
    world.deliver(FIRST, GMAIL)
    world.report()
    (ticket,) = world.tickets()
    forward = FORWARD.format(ticket=ticket.ticket_id)
    passed_on = _mail("Tina <tina@desk.example>", forward, "<6@outlook.example>", _PLAIN, "Please have a look.")
    world.deliver(THUNDERBIRD, APPLE, AWAY)
    world.report()
    world.deliver(passed_on, BOUNCE, LAST)
    report = world.report()
    assert (report.created, report.updated, report.rejected, report.errors) == (0, 3, 0, 0)
    (ticket,) = world.tickets()
    assert [(entry.message_id, entry.notes) for entry in ticket.entries] == [
        ("<1@outlook.example>", ()),
        ("<CA+2@mail.gmail.example>", ()),
        ("<3@desk.example>", ()),
        ("<4@icloud.example>", ()),
        ("<5@outlook.example>", ("This is an automatic reply (Auto-Submitted: auto-replied).",)),
        ("<6@outlook.example>", ()),
        ("<7@mx.desk.example>", ("This is a delivery report (it reports on a message (delivery)).",)),
        ("<8@outlook.example>", ()),
    ]
    ways = [entry.evidence[0].partition(" has the tag ")[0].partition(",")[0] for entry in ticket.entries]
    assert ways == [
        "The message refers to no known ticket.",
        "The message refers to <1@outlook.example>",
        "The message refers to <CA+2@mail.gmail.example>",
        "The message refers to <CA+2@mail.gmail.example>",
        "The message refers to <4@icloud.example>",
        "The subject",
        "The message refers to <CA+2@mail.gmail.example>",
        "The message refers to <3@desk.example>",
    ]
