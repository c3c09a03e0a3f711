"""A job's rules within its runs: what they reject makes no ticket, what they set is on the ticket."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from shared.jobs import Job
from shared.model import TicketStatus, TicketSummary
from tests.run.world import ScriptedTarget, World, mail, reply

RULES: list[dict[str, Any]] = [
    {"name": "No offers", "when": {"subject": ["offer"]}, "reject": "We take no offers."},
    {"name": "Printers", "when": {"subject": ["printer"]}, "fields": {"team": "hardware"}, "note": "By rule."},
]


def test_a_rule_rejects_and_sets_fields() -> None:
    """One message makes no ticket and stays as it is; the other's ticket has the fields and the note."""
    world = World(rules=RULES)
    world.deliver(mail("Offer"), mail("Printer"), mail("Lamp"))
    report = world.report()
    assert (report.created, report.rejected) == (2, 1)
    assert world.flags() == {1: "untouched", 2: "seen", 3: "seen"}
    assert world.ledger()[1].reason == "We take no offers."
    shown = {ticket.subject: ticket.entries[0] for ticket in world.tickets()}
    assert (shown["Printer"].fields, shown["Printer"].notes) == ({"team": "hardware"}, ("By rule.",))
    assert shown["Printer"].evidence[0] == "Rule 'Printers' matched: the subject contains \"printer\"."
    assert (shown["Lamp"].fields, shown["Lamp"].notes) == ({}, ())


def test_a_reply_is_asked_too() -> None:
    """A reply that a rule rejects does not reach its ticket; one with fields brings them along."""
    world = World(rules=RULES)
    world.deliver(mail("Lamp"), reply("Re: offer", to="Lamp"), reply("Re: printer", to="Lamp"))
    world.report()
    assert world.subjects() == [["Lamp", "Re: printer"]]
    assert world.tickets()[0].entries[1].fields == {"team": "hardware"}


def job(**config: Any) -> Job:
    """A job as the API takes it."""
    server = {"type": "imap4", "host": "mail.example", "username": "support", "password_secret": "support"}
    return Job.model_validate({"id": "support", "server": server, **config})


def test_two_rules_of_one_name_are_refused() -> None:
    """A name must say which rule decided."""
    with pytest.raises(ValidationError, match="Two rules are called 'No offers'"):
        job(rules=[RULES[0], RULES[0]])


def test_authentication_needs_to_know_whose_word_counts() -> None:
    """A rule on Authentication-Results without the server's name is refused: anybody could have written them."""
    rules = [{"name": "Forged", "when": {"authentication": {"dmarc": ["fail"]}}, "reject": "Forged."}]
    with pytest.raises(ValidationError, match=r"routing\.authserv_id"):
        job(rules=rules)
    assert job(rules=rules, routing={"authserv_id": "mx.example"}).rules


def test_rules_that_never_count_are_pointed_out() -> None:
    """A rule for every message that stops, with others after it."""
    last = {"name": "All", "fields": {"a": 1}}
    assert job(rules=[*RULES, last]).warnings() == []
    assert job(rules=[last, *RULES]).warnings() == [
        "Rule 'All' matches every message and stops: the 2 after it never count."
    ]


def test_a_conversation_of_outlook_is_one_ticket() -> None:
    """Where the job wants it, a message that shares nothing but the conversation joins the ticket; else it does not."""
    index = {"Thread_Index": "AdYxAAECAwQFBgcICQoLDA0ODxAREg==", "Thread_Topic": "Printer"}
    for wanted, expected in ((True, [["Printer", "Re: printer"]]), (False, [["Printer"], ["Re: printer"]])):
        world = World(routing={"outlook_threads": wanted})
        world.deliver(mail("Printer", **index))
        world.report()
        world.deliver(mail("Re: printer", **index))
        world.report()
        assert world.subjects() == expected


class MergedTarget(ScriptedTarget):
    """The ``table`` target, in which one ticket was merged into another one."""

    merged: ClassVar[dict[str, str]] = {}

    def look_up(self, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        """See `Target.look_up`."""
        return {
            one: replace(summary, status=TicketStatus.MERGED, merged_into=self.merged[one])
            if one in self.merged
            else summary
            for one, summary in super().look_up(ticket_ids).items()
        }


def test_a_reply_follows_a_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is asked for the ticket into which the one was merged that the reply names."""
    world = World(target=MergedTarget)
    world.deliver(mail("One"), mail("Two"))
    world.report()
    one, two = sorted(world.tickets(), key=lambda ticket: ticket.subject)
    monkeypatch.setitem(MergedTarget.merged, one.ticket_id, two.ticket_id)
    world.deliver(reply("Re: One", to="One"))
    world.report()
    assert world.subjects() == [["One"], ["Two", "Re: One"]]


def test_fields_and_attachments_of_a_mail() -> None:
    """What is extracted is on the ticket; what is left out is not, and the ticket says so."""
    world = World(
        extract=[{"field": "number", "kind": "integer", "source": "subject", "matches": "order ([0-9]+)"}],
        attachments={"deny": ["*.exe"]},
    )
    boundary = 'Content-Type: multipart/mixed; boundary="b"\r\n'
    head = mail("Order 4711").decode().partition("Content-Type:")[0]
    body = "--b\r\n\r\nHi\r\n--b\r\nContent-Disposition: attachment; filename=a.exe\r\n\r\nMZ\r\n--b--\r\n"
    world.deliver(f"{head}{boundary}\r\n{body}".encode())
    world.report()
    (entry,) = world.tickets()[0].entries
    assert entry.fields == {"number": 4711}
    assert entry.attachments == ()
    assert entry.notes == ("The attachment a.exe (0.0 KB) was left out: its name is denied (*.exe).",)
