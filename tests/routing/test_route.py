"""Which ticket a message belongs to, and that the decision says why."""

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as within
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.mime import parse
from shared.model import Create, Decision, Message, Modify, Reject, TicketStatus, TicketSummary
from shared.routing import (
    Accept,
    Circumstances,
    GuardSettings,
    RepliesFrom,
    Requester,
    RoutingSettings,
    conversation,
    refers_to,
    route,
    screen,
)
from tests.builders import NOW

MAIL = Path(__file__).parents[1] / "data" / "mail"
USUAL = RoutingSettings()


def ticket(ticket_id: str, *participants: str, closed: bool = False, merged_into: str = "") -> TicketSummary:
    """A ticket as a target knows it."""
    status = TicketStatus.MERGED if merged_into else TicketStatus.CLOSED if closed else TicketStatus.OPEN
    return TicketSummary(ticket_id, status, frozenset(participants), merged_into)


def mail(*, subject: str = "Hello", sender: str = "ann@example.com", header: str = "") -> Message:
    """A message with what routing looks at."""
    return parse(f"From: {sender}\nSubject: {subject}\nMessage-ID: <me@x>\n{header}\nHi".encode())


def decide(
    message: Message,
    *tickets: TicketSummary,
    threads: Mapping[str, str] | None = None,
    settings: RoutingSettings = USUAL,
    guards: GuardSettings = GuardSettings(),  # noqa: B008 (frozen)
) -> Decision:
    """Route as a run does: only what the message refers to is looked up."""
    screened = screen(message, guards, (), Circumstances(NOW))
    if screened.rejected:
        return screened.rejected
    reference = refers_to(message, settings)
    known = {one: ticket for one, ticket in (threads or {}).items() if one in reference.message_ids}
    asked = {*reference.ticket_ids, *known.values()}
    merged = {one.merged_into for one in tickets}
    summaries = {one.ticket_id: one for one in tickets if one.ticket_id in asked | merged}
    return route(message, settings, reference=reference, threads=known, tickets=summaries, screened=screened)


def test_a_new_message_makes_a_ticket() -> None:
    """Without any reference: create, no links, and the reason."""
    assert decide(mail()) == Create(("The message refers to no known ticket.", "So it makes a new ticket."), ())


def test_the_tag_in_the_subject_leads_to_the_ticket() -> None:
    """A participant's message with the tag of an open ticket modifies it."""
    decision = decide(mail(subject="Re: [EXT] Printer [T-7K3F-9QXM]"), ticket("T-7K3F-9QXM", "ann@example.com"))
    assert decision == Modify(
        "T-7K3F-9QXM",
        (
            "The subject has the tag [EXT]. There is no such ticket.",
            "The subject has the tag [T-7K3F-9QXM].",
            "Ticket T-7K3F-9QXM is open and takes replies from ann@example.com.",
        ),
    )


def test_the_thread_leads_to_the_ticket() -> None:
    """Without a tag, the nearest Message-ID that is known decides."""
    message = mail(header="References: <old@x> <new@x>\n")
    threads = {"<old@x>": "1", "<new@x>": "2"}
    decision = decide(message, ticket("1", "ann@example.com"), ticket("2", "ann@example.com"), threads=threads)
    assert isinstance(decision, Modify)
    assert decision.ticket_id == "2"
    assert decision.evidence[0] == "The message refers to <new@x>, which belongs to ticket 2."


def test_the_tag_comes_before_the_thread() -> None:
    """Where tag and thread disagree, the tag wins: a person may have put it there."""
    message = mail(subject="[1]", header="In-Reply-To: <t@x>\n")
    decision = decide(message, ticket("1", "ann@example.com"), ticket("2", "ann@example.com"), threads={"<t@x>": "2"})
    assert isinstance(decision, Modify)
    assert decision.ticket_id == "1"


def test_the_first_valid_of_several_tags_wins() -> None:
    """Closed, foreign and unknown tickets are passed over on the way to the first one that is fit."""
    decision = decide(
        mail(subject="[1] [2] [3] [4] [5]"),
        ticket("2", "ann@example.com", closed=True),
        ticket("3", "bob@example.com"),
        ticket("4", "ann@example.com"),
        ticket("5", "ann@example.com"),
    )
    assert isinstance(decision, Modify)
    assert decision.ticket_id == "4"
    assert decision.evidence[:3] == (
        "The subject has the tag [1]. There is no such ticket.",
        "The subject has the tag [2]. That ticket is closed.",
        "The subject has the tag [3]. That ticket takes no replies from ann@example.com (replies_from: participants).",
    )


def test_a_closed_ticket_is_linked() -> None:
    """A reply to a closed ticket makes a new one that links back."""
    decision = decide(mail(subject="[1]"), ticket("1", "ann@example.com", closed=True))
    assert isinstance(decision, Create)
    assert decision.links == ("1",)


def test_a_ticket_that_was_deleted_is_linked() -> None:
    """The thread remembers a ticket that the target no longer has: a new one that names it."""
    decision = decide(mail(header="In-Reply-To: <t@x>\n"), threads={"<t@x>": "9"})
    assert isinstance(decision, Create)
    assert decision.links == ("9",)
    assert "That ticket does not exist any more." in decision.evidence[0]


def test_an_unknown_tag_does_no_harm() -> None:
    """A tag that is no ticket is mentioned, not linked."""
    decision = decide(mail(subject="[EXT] Offer"))
    assert isinstance(decision, Create)
    assert decision.links == ()
    assert decision.evidence[0] == "The subject has the tag [EXT]. There is no such ticket."


@pytest.mark.parametrize("header", ["In-Reply-To: <t@x>\n", "References: <t@x>\n", ""])
def test_a_stranger_modifies_nothing(header: str) -> None:
    """Whoever only knows a tag or a Message-ID of somebody's ticket makes a new one that links to it."""
    message = mail(subject="[1]", sender="mallory@evil.example", header=header)
    decision = decide(message, ticket("1", "ann@example.com"), threads={"<t@x>": "1"})
    assert isinstance(decision, Create)
    assert decision.links == ("1",)


@pytest.mark.parametrize(
    ("sender", "policy", "allowed"),
    [
        ("ANN@Example.COM", RepliesFrom.PARTICIPANTS, True),
        ("bob@example.com", RepliesFrom.PARTICIPANTS, False),
        ("bob@example.com", RepliesFrom.SAME_DOMAIN, True),
        ("bob@sub.example.com", RepliesFrom.SAME_DOMAIN, False),
        ("bob@notexample.com", RepliesFrom.SAME_DOMAIN, False),
        ("bob", RepliesFrom.SAME_DOMAIN, False),
        ("<>", RepliesFrom.SAME_DOMAIN, False),
        ("<>", RepliesFrom.PARTICIPANTS, False),
        ("mallory@evil.example", RepliesFrom.ANYONE, True),
        ("<>", RepliesFrom.ANYONE, True),
    ],
)
def test_who_may_reply(sender: str, policy: RepliesFrom, *, allowed: bool) -> None:
    """The setting says whose messages modify a ticket; no sender is nobody's sender."""
    settings = RoutingSettings(replies_from=policy)
    decision = decide(mail(subject="[1]", sender=sender), ticket("1", "ann@example.com", "root"), settings=settings)
    assert isinstance(decision, Modify if allowed else Create)


def test_a_ticket_is_judged_once() -> None:
    """A ticket that several Message-IDs lead to is mentioned once."""
    message = mail(header="In-Reply-To: <b@x>\nReferences: <a@x> <b@x>\n")
    decision = decide(message, ticket("1", closed=True), threads={"<a@x>": "1", "<b@x>": "1"})
    assert isinstance(decision, Create)
    assert decision.links == ("1",)
    assert len(decision.evidence) == 2


def test_our_own_mail_makes_nothing() -> None:
    """A message with our mark is rejected, whatever else it says."""
    decision = decide(mail(subject="[1]", header="x-mail-connector: ack\n"), ticket("1", "ann@example.com"))
    assert decision == Reject("This message was sent by Mail Connector itself (X-Mail-Connector: ack).")


def test_human_mail_with_odd_headers_is_not_dropped() -> None:
    """Mail that a list or a program marked as not to be answered still makes a ticket."""
    message = parse((MAIL / "list-precedence-human.eml").read_bytes())
    assert isinstance(decide(message), Create)


def test_a_reply_of_the_corpus_finds_its_ticket() -> None:
    """A real-looking reply with [EXT], tag and thread modifies the ticket."""
    message = parse((MAIL / "reply-gmail.eml").read_bytes())
    decision = decide(message, ticket("T-7K3F-9QXM", "ann@example.com"), threads={"<t1@desk.example.org>": "other"})
    assert isinstance(decision, Modify)
    assert decision.ticket_id == "T-7K3F-9QXM"


def test_a_merged_ticket_leads_on() -> None:
    """A reply to a ticket that was merged, twice, modifies the one that is left, and says how it got there."""
    decision = decide(
        mail(subject="[1]"),
        ticket("1", "ann@example.com", merged_into="2"),
        ticket("2", merged_into="3"),
        ticket("3", "ann@example.com"),
    )
    assert isinstance(decision, Modify)
    assert decision.ticket_id == "3"
    assert decision.evidence[0] == (
        "The subject has the tag [1]. Ticket 1 was merged into 2. Ticket 2 was merged into 3."
    )


def test_merges_that_lead_nowhere() -> None:
    """In a circle, into a ticket that is gone, into a closed one: a new ticket that links to where it ended."""
    circle = decide(mail(subject="[1]"), ticket("1", merged_into="2"), ticket("2", merged_into="1"))
    gone = decide(mail(subject="[1]"), ticket("1", merged_into="9"))
    closed = decide(mail(subject="[1]"), ticket("1", merged_into="2"), ticket("2", "ann@example.com", closed=True))
    assert [one.links for one in (circle, gone, closed) if isinstance(one, Create)] == [("2",), ("9",), ("2",)]


def test_outlooks_conversation_is_the_last_hint() -> None:
    """It counts only where the job wants it, and where neither tag nor thread leads to a ticket."""
    header = f"Thread-Index: {base64.b64encode(bytes(range(27))).decode()}\nThread-Topic: Printer\n"
    settings, message = RoutingSettings(outlook_threads=True), mail(header=header)
    name = conversation(message)
    assert name
    known = (ticket("1", "ann@example.com"), ticket("2", "ann@example.com"))
    decision = decide(message, *known, threads={name: "1"}, settings=settings)
    assert isinstance(decision, Modify)
    assert decision.evidence[0] == "The message is of an Outlook conversation, which belongs to ticket 1."
    assert isinstance(decide(message, *known, threads={name: "1"}), Create)
    both = decide(
        mail(header=f"{header}References: <t@x>\n"), *known, threads={name: "1", "<t@x>": "2"}, settings=settings
    )
    assert isinstance(both, Modify)
    assert both.ticket_id == "2"


@pytest.mark.parametrize(
    ("index", "topic"),
    [
        ("AAAA", "Printer"),
        ("not base64 at all!", "Printer"),
        ("A" * 40, "Printer"),
        (base64.b64encode(bytes(range(22))).decode(), ""),
        ("", "Printer"),
    ],
)
def test_what_is_no_conversation(index: str, topic: str) -> None:
    """Too short, no base64, nothing but zeros, without a topic or an index: no name."""
    assert conversation(mail(header=f"Thread-Index: {index}\nThread-Topic: {topic}\n")) is None


def test_a_conversation_is_one_through_all_answers() -> None:
    """Answers add to the index, and may fold it; another topic is another conversation."""
    first, answer = bytes(range(22)), bytes(range(32))
    names = [
        conversation(mail(header=f"Thread-Index: {base64.b64encode(octets).decode()}\nThread-Topic: {topic}\n"))
        for octets, topic in ((first, "Printer"), (answer, "printer"), (answer, "Lamp"))
    ]
    assert names[0] == names[1]
    assert names[1] != names[2]


def test_known_senders_only() -> None:
    """Whoever is not known makes no new ticket, but still answers to one that takes the answer."""
    settings = RoutingSettings(requester=Requester.KNOWN_ONLY, known_senders=("*@example.com",))
    assert isinstance(decide(mail(), settings=settings), Create)
    stranger = mail(subject="[1]", sender="eve@evil.example")
    rejected = decide(stranger, settings=settings)
    assert isinstance(rejected, Reject)
    assert rejected.reason == "The sender (eve@evil.example) is not among the known senders (known_senders)."
    assert isinstance(decide(stranger, ticket("1", "eve@evil.example"), settings=settings), Modify)


def test_unknown_senders_are_no_requesters() -> None:
    """With requester: ignore, the ticket is made without one, and says so."""
    settings = RoutingSettings(requester=Requester.IGNORE, known_senders=("*@example.com",))
    known, unknown = decide(mail(), settings=settings), decide(mail(sender="eve@evil.example"), settings=settings)
    assert isinstance(known, Create)
    assert isinstance(unknown, Create)
    assert (known.with_requester, unknown.with_requester) == (True, False)
    assert "Its sender does not become the requester: eve@evil.example is not known." in unknown.evidence


def test_somebody_must_be_known() -> None:
    """Known senders only, and nobody is known: that is refused when the job is saved."""
    with pytest.raises(ValidationError, match="known_senders must say who is known"):
        RoutingSettings(requester=Requester.KNOWN_ONLY)


@pytest.mark.parametrize("name", ["report-postfix", "report-exchange-online", "report-read-outlook"])
def test_a_report_goes_to_the_ticket_that_it_concerns(name: str) -> None:
    """Bounces and read receipts of a message that has a ticket join it, if they are about somebody who is on it."""
    message = parse((MAIL / f"{name}.eml").read_bytes())
    assert message.report
    assert message.report.message_id
    about = message.report.recipients[0].address
    threads = {message.report.message_id: "1"}
    decision = decide(message, ticket("1", about), threads=threads)
    assert isinstance(decision, Modify)
    assert decision.notes[0].startswith(("This is a delivery report", "This is a read receipt"))
    assert not isinstance(decide(message, ticket("1", "somebody@else.example"), threads=threads), Modify)


def test_a_bounce_of_nothing_known_makes_a_ticket_and_a_receipt_none() -> None:
    """Somebody should see what did not arrive; that something was read needs no ticket."""
    bounce = decide(parse((MAIL / "report-postfix.eml").read_bytes()))
    receipt = decide(parse((MAIL / "report-read-outlook.eml").read_bytes()))
    assert isinstance(bounce, Create)
    assert isinstance(receipt, Reject)
    assert "This is a read receipt" in receipt.reason


def test_an_out_of_office_joins_its_ticket_or_none() -> None:
    """It is kept where it belongs, marked; it makes no ticket of its own unless the job says so."""
    message = parse((MAIL / "auto-reply-out-of-office.eml").read_bytes())
    joined = decide(message, ticket("T-7K3F-9QXM", "ann@example.com"))
    assert isinstance(joined, Modify)
    assert joined.notes == ("This is an automatic reply (Auto-Submitted: auto-replied).",)
    assert decide(message) == Reject(
        "This is an automatic reply (Auto-Submitted: auto-replied), and it belongs to no ticket that it may join.",
        ("The subject has the tag [T-7K3F-9QXM]. There is no such ticket.",),
    )
    assert isinstance(decide(message, guards=GuardSettings(auto_replies=Accept.TICKET)), Create)
    assert isinstance(decide(message, guards=GuardSettings(auto_replies=Accept.REJECT)), Reject)


def test_human_mail_through_a_list_is_marked() -> None:
    """Where it is in doubt, there is a ticket, and it says what speaks for a program."""
    decision = decide(parse((MAIL / "list-precedence-human.eml").read_bytes()))
    assert isinstance(decision, Create)
    assert decision.notes == ("This is a message to many (Precedence: list).",)


PEOPLE = st.sampled_from(["ann@example.com", "bob@example.com", "eve@evil.example"])
TICKETS = st.dictionaries(st.sampled_from("12345"), st.tuples(st.booleans(), st.frozensets(PEOPLE)), max_size=5)


@within(deadline=None)
@given(st.lists(st.sampled_from("1234567")), st.lists(st.sampled_from("abcd")), TICKETS, PEOPLE)
def test_only_an_open_ticket_of_the_sender_is_ever_modified(
    tags: list[str], thread: list[str], tickets: dict[str, tuple[bool, frozenset[str]]], sender: str
) -> None:
    """Whatever a message refers to: it modifies a known, open ticket of the sender's, or makes one and says why."""
    message = mail(
        subject=" ".join(f"[{tag}]" for tag in tags) or "x",
        sender=sender,
        header=f"References: {' '.join(f'<{one}@x>' for one in thread)}\n",
    )
    known = [ticket(one, *people, closed=closed) for one, (closed, people) in tickets.items()]
    decision = decide(message, *known, threads={"<a@x>": "1", "<b@x>": "2", "<c@x>": "7"})
    assert decision.evidence
    fit = {one for one, (closed, people) in tickets.items() if not closed and sender in people}
    referred = {*tags, *({"a": "1", "b": "2", "c": "7"}.get(one, "") for one in thread)}
    if isinstance(decision, Modify):
        assert decision.ticket_id in fit & referred
    else:
        assert isinstance(decision, Create)
        assert not fit & referred
        assert set(decision.links) <= referred
