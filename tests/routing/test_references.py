"""What a message says it belongs to."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from shared.mime import parse
from shared.model import Report, ReportKind
from shared.routing import Reference, RoutingSettings, refers_to

USUAL = RoutingSettings()


def ids(subject: str, settings: RoutingSettings = USUAL) -> tuple[str, ...]:
    """The ticket ids that a subject names."""
    return refers_to(parse(f"Subject: {subject}\n\n".encode()), settings).ticket_ids


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("Printer", ()),
        ("Re: [T-7K3F-9QXM] Printer", ("T-7K3F-9QXM",)),
        ("Re: Printer [INC0012345]", ("INC0012345",)),
        ("[EXT] [1234] [1234] [T-7K3F-9QXM-ABCD]", ("EXT", "1234", "T-7K3F-9QXM-ABCD")),
        ("[[1234]]", ("1234",)),
        ("[not a tag] [-x] [] [" + "x" * 65 + "]", ()),
        ("=?utf-8?q?AW=3A_=5B1234=5D?=", ("1234",)),
    ],
)
def test_tags_in_the_subject(subject: str, expected: tuple[str, ...]) -> None:
    """Everything between prefix and suffix that can be an id, in its order, once."""
    assert ids(subject) == expected


def test_prefix_and_suffix_are_taken_literally() -> None:
    """Other tags than the usual ones, with characters that mean something in a pattern."""
    settings = RoutingSettings(tag_prefix="MessageID:", tag_suffix="#")
    assert ids("Re: MessageID:T01234# [1234]", settings) == ("T01234",)
    assert ids("(*1234*) (+1+)", RoutingSettings(tag_prefix="(*", tag_suffix="*)")) == ("1234",)


def test_without_a_suffix_the_full_stop_is_not_the_ids() -> None:
    """An id at the end of a sentence is found without the stop."""
    assert ids("About Ticket#1234.", RoutingSettings(tag_prefix="Ticket#", tag_suffix="")) == ("1234",)


def test_a_tag_needs_a_prefix() -> None:
    """Without a prefix every word would be a ticket id: that is refused."""
    with pytest.raises(ValidationError, match="tag_prefix"):
        RoutingSettings(tag_prefix="")


def test_message_ids_come_nearest_first() -> None:
    """In-Reply-To, then References from the newest to the oldest, each once, without the message's own."""
    raw = b"Message-ID: <me@x>\nIn-Reply-To: <b@x>\nReferences: <a@x> <me@x> <b@x> <c@x>\n\n"
    assert refers_to(parse(raw), USUAL).message_ids == ("<b@x>", "<c@x>", "<a@x>")


def test_no_more_than_ten_of_each() -> None:
    """A message cannot make us look up more than ten ids of a kind."""
    many = " ".join(f"[{number}]" for number in range(40))
    thread = " ".join(f"<{number}@x>" for number in range(40))
    found = refers_to(parse(f"Subject: {many}\nReferences: {thread}\n\n".encode()), USUAL)
    assert found.ticket_ids == tuple(str(number) for number in range(10))
    assert found.message_ids == tuple(f"<{number}@x>" for number in range(39, 29, -1))


def test_a_report_refers_to_what_its_message_is() -> None:
    """First the message that a bounce is about, then what that one referred to, then what the bounce says itself."""
    report = Report(ReportKind.DELIVERY, (), "<sent@x>", ("<asked@x>",), "Re: [77] Printer")
    message = replace(parse(b"Subject: Undeliverable [5]\nReferences: <own@x>\n\n"), report=report)
    assert refers_to(message, USUAL) == Reference(("77", "5"), ("<sent@x>", "<asked@x>", "<own@x>"))


def test_nothing_to_refer_to() -> None:
    """A new message refers to nothing."""
    assert refers_to(parse(b"Subject: new\nMessage-ID: <me@x>\n\n"), USUAL) == Reference((), ())
