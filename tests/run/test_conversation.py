"""A conversation among people with four mail programs, and what it reads like."""

from dev.azurite import Azurite
from tests.run import conversation
from tests.servers.dovecot import Dovecot


def test_eight_mails_are_one_ticket_that_reads_well(dovecot: Dovecot, azurite: Azurite) -> None:
    """Answers above and between, an out-of-office, a forward, a bounce: one ticket, new text first, as docs show it."""
    body = conversation.ticket(dovecot, azurite)
    entries = body["entries"]
    assert [entry["action"] for entry in entries] == ["created"] + ["modified"] * 7
    assert [entry["message_id"] for entry in entries] == [f"<c{number}@example.com>" for number in range(1, 9)]
    assert entries[6]["new_text"] == "Back from my meeting. We turned it off and on, and now it prints."
    assert [bool(entry["history"]) for entry in entries] == [False, True, False, True, False, False, True, True]
    page = conversation.PAGE.read_text("utf-8")
    assert conversation.rendered(body) in page
    assert conversation.steady(body) in page
