"""What makes no ticket at all, and what a program wrote: told by its header, with the sign that tells it."""

import pytest

from shared.mime import parse
from shared.model import Message, Reject
from shared.routing import Circumstances, GuardSettings, screen
from shared.routing.nature import Nature, nature_of
from tests.builders import NOW

USUAL = GuardSettings()


def mail(header: str, sender: str = "ann@example.com") -> Message:
    """A message with these fields."""
    return parse(f"From: {sender}\nSubject: Hello\n{header}\n\nHi".encode())


def rejected(message: Message, guards: GuardSettings = USUAL) -> str:
    """The reason for which there is no ticket, or an empty text."""
    answer = screen(message, guards, (), Circumstances(NOW)).rejected
    assert answer is None or isinstance(answer, Reject)
    return answer.reason if answer else ""


@pytest.mark.parametrize(
    ("header", "nature"),
    [
        ("X-Mailer: any", Nature.PERSON),
        ("Auto-Submitted: no", Nature.PERSON),
        ("Auto-Submitted: No (people)", Nature.PERSON),
        ("X-Auto-Response-Suppress: All", Nature.PERSON),
        ("X-Autoreply: no", Nature.PERSON),
        ("Precedence: first-class", Nature.PERSON),
        ("Return-Path: <ann@example.com>", Nature.PERSON),
        ("Auto-Submitted: auto-replied (vacation)", Nature.AUTO_REPLY),
        ("Auto-Submitted: Auto-Replied; owner-email=a@b", Nature.AUTO_REPLY),
        ("Precedence: auto_reply", Nature.AUTO_REPLY),
        ("X-Autoreply: yes", Nature.AUTO_REPLY),
        ("X-Autorespond: Printer", Nature.AUTO_REPLY),
        (
            "Auto-Submitted: auto-generated\nX-MS-Exchange-Generated-Message-Source: Mailbox Rules Agent",
            Nature.AUTO_REPLY,
        ),
        ("Auto-Submitted: auto-generated", Nature.AUTOMATIC),
        ("Auto-Submitted: auto-notified", Nature.AUTOMATIC),
        ("Return-Path: <>", Nature.AUTOMATIC),
        ("Precedence: bulk", Nature.BULK),
        ("Precedence: junk", Nature.BULK),
        ("List-Id: <a.example>", Nature.BULK),
        ("List-Unsubscribe: <mailto:a@example>", Nature.BULK),
        ("List-Id: <a.example>\nAuto-Submitted: auto-replied", Nature.AUTO_REPLY),
    ],
)
def test_nature(header: str, nature: Nature) -> None:
    """By what the standards say; whatever is not said is a person's. The surest sign counts."""
    found, sign = nature_of(mail(header))
    assert found is nature
    assert bool(sign) is (nature is not Nature.PERSON)


@pytest.mark.parametrize("sender", ["MAILER-DAEMON@mx.example", "postmaster@mx.example", "Mailer-Daemon"])
def test_a_bounce_without_a_report(sender: str) -> None:
    """An empty return path and a mail server's name; a person called so with a return path is a person."""
    assert nature_of(mail("Return-Path: <>", sender))[0] is Nature.BOUNCE
    assert nature_of(mail("Return-Path: <a@b>", sender))[0] is Nature.PERSON


def test_own_mail_makes_no_ticket() -> None:
    """By our mark, or by an address of our own."""
    assert rejected(mail("X-Mail-Connector: ack")) == (
        "This message was sent by Mail Connector itself (X-Mail-Connector: ack)."
    )
    guards = GuardSettings(own_addresses=("*@desk.example",))
    assert "one of our own addresses" in rejected(mail("X: y", "Support@Desk.example"), guards)
    assert not rejected(mail("X: y"), guards)


def test_mail_in_a_circle_makes_no_ticket() -> None:
    """Delivered to one address twice, or passed on too often. Different addresses and a long way are no circle."""
    twice = "Delivered-To: support@a.example\nDelivered-To: support@b.example\nDelivered-To: Support@A.example"
    assert "delivered to support@a.example 2 times" in rejected(mail(twice))
    assert not rejected(mail("Delivered-To: a@a.example\nDelivered-To: b@b.example"))
    hops = "\n".join(f"Received: from {number}.example" for number in range(50))
    assert not rejected(mail(hops))
    assert "it passed 51 servers" in rejected(mail(f"{hops}\nReceived: from last.example"))


def test_every_guard_that_was_asked_is_on_record() -> None:
    """In their order, up to the one that said no."""
    asked = screen(mail("Delivered-To: a@b\nDelivered-To: a@b"), USUAL, (), Circumstances(NOW)).verdicts
    assert [(one.name, one.matched) for one in asked] == [("own mail", False), ("mail in a circle", True)]
