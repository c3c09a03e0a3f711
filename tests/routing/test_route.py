"""Which ticket a message belongs to, and that the decision says why."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mime import parse
from shared.model import Create, Decision, Message, Modify, Reject, TicketStatus, TicketSummary
from shared.routing import Circumstances, RepliesFrom, RoutingSettings, refers_to, route, screen
from tests.builders import NOW

MAIL = Path(__file__).parents[1] / "data" / "mail"
USUAL = RoutingSettings()


def ticket(ticket_id: str, *participants: str, closed: bool = False) -> TicketSummary:
    """A ticket as a target knows it."""
    status = TicketStatus.CLOSED if closed else TicketStatus.OPEN
    return TicketSummary(ticket_id, status, frozenset(participants))


def mail(*, subject: str = "Hello", sender: str = "ann@example.com", header: str = "") -> Message:
    """A message with what routing looks at."""
    return parse(f"From: {sender}\nSubject: {subject}\nMessage-ID: <me@x>\n{header}\nHi".encode())


def decide(
    message: Message,
    *tickets: TicketSummary,
    threads: Mapping[str, str] | None = None,
    settings: RoutingSettings = USUAL,
) -> Decision:
    """Route as a run does: only what the message refers to is looked up."""
    screened = screen(message, (), Circumstances(NOW))
    if screened.rejected:
        return screened.rejected
    reference = refers_to(message, settings)
    known = {one: ticket for one, ticket in (threads or {}).items() if one in reference.message_ids}
    asked = {*reference.ticket_ids, *known.values()}
    summaries = {one.ticket_id: one for one in tickets if one.ticket_id in asked}
    return route(message, settings, reference=reference, threads=known, tickets=summaries)


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


def test_an_automatic_reply_to_nothing_says_so() -> None:
    """It still makes a ticket, for it may be a person's; the evidence names it."""
    decision = decide(mail(header="Auto-Submitted: auto-replied (vacation)\n"))
    assert isinstance(decision, Create)
    assert "It is an automatic message (Auto-Submitted: auto-replied (vacation))." in decision.evidence
    assert "automatic" not in " ".join(decide(mail(header="Auto-Submitted: no\n")).evidence)


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


PEOPLE = st.sampled_from(["ann@example.com", "bob@example.com", "eve@evil.example"])
TICKETS = st.dictionaries(st.sampled_from("12345"), st.tuples(st.booleans(), st.frozensets(PEOPLE)), max_size=5)


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
