"""Answers that no decent IMAP server gives: no message is lost over them, none is touched that is not ours."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.connectors._imap_mailbox import ImapMailbox
from shared.errors import ConfigInvalid, MessageError, MessageGone, Unavailable, Unreadable
from shared.model import Disposition, Pick, Picking
from shared.ports import Fetched
from tests.connectors.imap_jobs import open_scripted, ref_to
from tests.servers.scripted_imap import ScriptedImap, Step, found, opened, signed_in

BOTH = Disposition(read=True, deleted=True)
UNREAD = Picking(Pick.UNREAD, since=datetime(2026, 1, 1, tzinfo=UTC))
OK = "{tag} OK done\r\n"


def body(seq: int, uid: int, data: str = "", *, part: str = "BODY[]") -> str:
    """One FETCH response with a literal."""
    data = data or f"Subject: m{uid}\r\n\r\n"
    return f"* {seq} FETCH (UID {uid} {part} {{{len(data)}}}\r\n{data})\r\n"


def fetching(*uids: int, answer: str | None = None, then: Any = "go on") -> Step:
    """A FETCH of the whole messages, answered with each of them or as ``answer`` says."""
    said = "".join(body(uid, uid) for uid in uids) if answer is None else answer
    return Step(
        rf"UID FETCH {','.join(map(str, uids))} \(BODY\.PEEK\[\]\)", said if then == "close" else said + OK, then
    )


def fetch(mailbox: ImapMailbox, *uids: int, size: int = 20, max_bytes: int = 1_000) -> list[Fetched]:
    """Fetch messages of a known size."""
    return list(mailbox.fetch([ref_to(mailbox, uid, size=size) for uid in uids], max_bytes=max_bytes))


def kinds(answers: Sequence[Any]) -> list[type | None]:
    """The kinds of the errors in the answers; None for success."""
    return [type(one.error) if one.error else None for one in answers]


def test_unsolicited_and_doubled_responses_do_not_disturb() -> None:
    """FETCH twice for one UID, one without UID, one for a stranger, EXISTS and EXPUNGE in between."""
    answer = (
        "* 9 EXISTS\r\n"
        + body(1, 5)
        + "* 1 FETCH (UID 5 FLAGS (\\Seen))\r\n* 6 FETCH (FLAGS ())\r\n* 3 EXPUNGE\r\n"
        + body(4, 99)
        + body(2, 6)
    )
    with (
        ScriptedImap([*signed_in(), opened(), fetching(5, 6, answer=answer)]) as server,
        open_scripted(server) as mailbox,
    ):
        answers = fetch(mailbox, 5, 6)
        assert [one.raw.data for one in answers if one.raw] == [b"Subject: m5\r\n\r\n", b"Subject: m6\r\n\r\n"]


def test_what_is_left_out_is_gone_only_if_a_search_agrees() -> None:
    """A server that skips what it cannot read must not make us believe that the message was removed."""
    talk = [*signed_in(), opened(), fetching(1, 2, 3, answer=body(1, 1)), found("UID 2:3", 3)]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        assert kinds(fetch(mailbox, 1, 2, 3)) == [None, MessageGone, Unreadable]


@pytest.mark.parametrize("nothing", ["NIL", '""', "{0}\r\n", "12345"])
def test_a_body_that_is_announced_but_not_given_is_unreadable(nothing: str) -> None:
    """NIL or empty, though the size says otherwise: an attempt, not an empty ticket."""
    talk = [*signed_in(), opened(), fetching(1, 2, answer=f"* 1 FETCH (UID 1 BODY[] {nothing})\r\n" + body(2, 2))]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        assert kinds(fetch(mailbox, 1, 2)) == [Unreadable, None]


def test_a_message_that_is_empty_by_its_size_is_an_empty_message() -> None:
    """Zero octets announced, zero given: that is the message."""
    talk = [*signed_in(), opened(), fetching(1, answer='* 1 FETCH (UID 1 BODY[] "")\r\n')]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        (answer,) = fetch(mailbox, 1, size=0)
        assert answer.raw
        assert answer.raw.data == b""


@pytest.mark.parametrize("bad", ["{tag} NO cannot read one of them\r\n", "{tag} BAD internal error\r\n"])
def test_one_unreadable_message_is_searched_out(bad: str) -> None:
    """A batch that is refused is asked for in halves, until the one that is bad stands alone."""
    refused = [Step(f"UID FETCH {uids} ", bad) for uids in ("1,2,3,4", "3,4", "3")]
    talk = [*signed_in(), opened(), refused[0], fetching(1, 2), refused[1], refused[2], fetching(4)]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        assert kinds(fetch(mailbox, 1, 2, 3, 4)) == [None, None, Unreadable, None]


def test_an_answer_that_makes_no_sense_does_not_quote_mail() -> None:
    """Brackets without end within a message's answer: unreadable, and the words of the mail stay out of the error."""
    nonsense = f"* 1 FETCH (UID 1 BODY[] {'(' * 5_000} confidential\r\n"
    talk = [*signed_in(), opened(), fetching(1, answer=nonsense)]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        (answer,) = fetch(mailbox, 1)
    assert isinstance(answer.error, Unreadable)
    assert "confidential" not in str(answer.error)


def test_text_outside_any_answer_ends_the_session_without_being_quoted() -> None:
    """A literal that is longer than announced leaves its rest on the line."""
    talk = [*signed_in(), opened(), fetching(1, answer="* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\nconfidential words\r\n")]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        with pytest.raises(Unavailable) as caught:
            fetch(mailbox, 1)
        assert "confidential" not in str(caught.value)


def test_a_temporary_no_is_nobodys_fault() -> None:
    """UNAVAILABLE (RFC 5530) ends the run; no message is charged with an attempt."""
    talk = [*signed_in(), opened(), Step("UID FETCH", "{tag} NO [UNAVAILABLE] later\r\n")]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox, pytest.raises(Unavailable, match="later"):
        fetch(mailbox, 1, 2)


def test_a_farewell_in_the_middle_ends_the_run_when_nobody_answers_any_more() -> None:
    """BYE after the first of two bodies: the server is away, and that is what the error says."""
    talk = [*signed_in(), opened(), fetching(1, 2, answer=body(1, 1) + "* BYE shutting down\r\n", then="close")]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        with pytest.raises(Unavailable, match="shutting down"):
            fetch(mailbox, 1, 2)
        with pytest.raises(Unavailable):
            mailbox.candidates(UNREAD)


def test_a_message_that_kills_the_connection_stops_nobody_else() -> None:
    """The server dies over UID 2 each time: the rest is fetched over new connections, UID 2 is unreadable."""
    start = [*signed_in(), opened()]
    talks = [
        [*start, fetching(1, 2, 3, answer=body(1, 1), then="close")],
        [*start, fetching(1), fetching(2, 3, answer="", then="close")],
        [*start, fetching(2, answer="* BYE got too little data\r\n", then="close")],
        [*start, fetching(3)],
    ]
    with ScriptedImap(*talks) as server, open_scripted(server) as mailbox:
        assert kinds(fetch(mailbox, 1, 2, 3)) == [None, Unreadable, None]


def test_a_connection_lost_once_costs_no_attempt() -> None:
    """A single message is asked for again before it is blamed."""
    start = [*signed_in(), opened()]
    with (
        ScriptedImap([*start, fetching(1, answer="", then="close")], [*start, fetching(1)]) as server,
        open_scripted(server) as mailbox,
    ):
        assert kinds(fetch(mailbox, 1)) == [None]


def test_a_folder_replaced_during_the_run_ends_it() -> None:
    """After a reconnection under another UIDVALIDITY the UIDs in hand mean nothing."""
    talks = [
        [*signed_in(), opened(), fetching(1, answer="", then="close")],
        [*signed_in(), opened(uidvalidity=8)],
    ]
    with ScriptedImap(*talks) as server, open_scripted(server) as mailbox, pytest.raises(Unavailable, match="replaced"):
        fetch(mailbox, 1)


def test_a_folder_replaced_before_the_first_mark_is_left_alone() -> None:
    """Between EXAMINE and SELECT the folder was made anew: nothing is stored in it."""
    talk = [*signed_in(), opened(), opened(verb="SELECT", uidvalidity=8)]
    with (
        ScriptedImap(talk) as server,
        open_scripted(server) as mailbox,
        pytest.raises(Unavailable, match="replaced"),
    ):
        mailbox.dispose([ref_to(mailbox, 1)], BOTH)
    assert not [line for line in server.heard if "STORE" in line]


def test_a_server_that_drops_every_connection_is_given_up() -> None:
    """Twelve new connections in one session are enough."""
    uids = range(1, 40)
    talks = [[*signed_in(), opened(), Step("UID FETCH", "", "close")] for _ in range(13)]
    with (
        ScriptedImap(*talks) as server,
        open_scripted(server) as mailbox,
        pytest.raises(Unavailable, match="lost while fetching"),
    ):
        fetch(mailbox, *uids)


def test_a_body_without_end_is_cut_off() -> None:
    """A server that drips for ever is left when the time is up."""
    answer = "* 1 FETCH (UID 1 BODY[] {100000}\r\n"
    drip = Step("UID FETCH", answer, "drip")
    with (
        ScriptedImap([*signed_in(), opened(), drip]) as server,
        open_scripted(server, seconds=0.7) as mailbox,
        pytest.raises(Unavailable, match="in time"),
    ):
        fetch(mailbox, 1)


def test_a_size_that_lies_does_not_let_too_much_through() -> None:
    """Announced small, given large: the header is what the flow gets, with the true size."""
    data = "Subject: big\r\n\r\n" + "x" * 5_000
    talk = [*signed_in(), opened(), fetching(1, answer=body(1, 1, data))]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        (answer,) = fetch(mailbox, 1, size=10, max_bytes=1_000)
    assert answer.raw
    assert (answer.raw.data, answer.raw.size, answer.raw.header_only) == (b"Subject: big\r\n\r\n", len(data), True)


@pytest.mark.parametrize(
    "told", ["* 1 FETCH (UID 1 RFC822.SIZE NIL INTERNALDATE NIL)\r\n" + OK, OK, "{tag} NO cannot tell\r\n"]
)
def test_sizes_that_are_not_told_are_done_without(told: str) -> None:
    """No RFC822.SIZE and no date: each such message is fetched by itself, and judged by what comes."""
    sizes = Step("UID FETCH 1,2 .*RFC822.SIZE", told)
    talk = [*signed_in(), opened(), sizes, fetching(1), fetching(2)]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        answers = list(mailbox.fetch([ref_to(mailbox, 1), ref_to(mailbox, 2)], max_bytes=1_000))
    assert kinds(answers) == [None, None]


def test_a_large_message_is_fetched_alone_and_a_batch_stays_small() -> None:
    """About 10 MB are in flight at most: 6 + 6 MB are two batches, and the small one goes with the second."""
    with (
        ScriptedImap([*signed_in(), opened(), fetching(1), fetching(2, 3), fetching(4)]) as server,
        open_scripted(server) as mailbox,
    ):
        sizes = {1: 6_000_000, 2: 6_000_000, 3: 4_000_000, 4: 12_000_000}
        refs = [ref_to(mailbox, uid, size=size) for uid, size in sizes.items()]
        assert kinds(list(mailbox.fetch(refs, max_bytes=20_000_000))) == [None] * 4


def test_nothing_is_fetched_before_it_is_asked_for() -> None:
    """The second batch waits until the first has been taken."""
    with (
        ScriptedImap([*signed_in(), opened(), fetching(1), fetching(2)]) as server,
        open_scripted(server) as mailbox,
    ):
        answers = mailbox.fetch([ref_to(mailbox, uid, size=9_000_000) for uid in (1, 2)], max_bytes=20_000_000)
        next(answers)
        assert [line for line in server.heard if "FETCH" in line] == ["UID FETCH 1 (BODY.PEEK[])"]
        next(answers)


def test_the_last_message_is_not_new_again() -> None:
    """``6:*`` names the last message although its UID is 5 (RFC 3501 section 6.4.8)."""
    search = found(r"UNDELETED SINCE 31-Dec-2025 UID 6:\*", 5)
    with ScriptedImap([*signed_in(), opened(exists=3), search]) as server, open_scripted(server) as mailbox:
        listing = mailbox.candidates(Picking(Pick.NEW, since=UNREAD.since, cursor="7:5"))
    assert (listing.refs, listing.in_box, listing.cursor) == ((), 3, "7:5")


def test_a_message_without_a_date_is_new() -> None:
    """Rather one ticket too many for a person to close than a message that nobody sees."""
    facts = Step("UID FETCH 4", "* 1 FETCH (UID 4 RFC822.SIZE 9 INTERNALDATE NIL)\r\n" + OK)
    talk = [*signed_in(), opened(extra="* OK [UIDNEXT 9] x\r\n"), found("UNDELETED", 4), facts]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        listing = mailbox.candidates(Picking(Pick.NEW, since=UNREAD.since))
    assert len(listing.refs) == 1
    assert listing.cursor == "7:8"


def test_without_uidplus_others_mail_is_not_expunged() -> None:
    """One message marked by somebody else: EXPUNGE is never sent; ours is answered with the reason, gone ones as done."""
    talk = [*signed_in(), opened(), opened(verb="SELECT"), found("UID 1:3 DELETED", 1, 2), found("DELETED", 1, 2, 9)]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        answers = mailbox.purge([ref_to(mailbox, uid) for uid in (1, 2, 3)])
    assert kinds(answers) == [MessageError, MessageError, None]
    assert "UIDPLUS" in str(answers[0].error)
    assert not [line for line in server.heard if "EXPUNGE" in line]


def test_without_uidplus_a_folder_of_our_own_is_expunged() -> None:
    """Every message that is marked is ours: EXPUNGE is right."""
    expunge = Step("EXPUNGE$", "* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n" + OK)
    found_all = [found("UID 1:2 DELETED", 1, 2), found("DELETED", 1, 2)]
    with (
        ScriptedImap([*signed_in(), opened(), opened(verb="SELECT"), *found_all, expunge]) as server,
        open_scripted(server) as mailbox,
    ):
        assert kinds(mailbox.purge([ref_to(mailbox, uid) for uid in (1, 2)])) == [None, None]


def test_a_refused_purge_is_each_messages_answer() -> None:
    """The server says no to UID EXPUNGE: the messages stay, and the answer says why."""
    refused = Step("UID EXPUNGE 1", "{tag} NO [NOPERM] not yours\r\n")
    talk = [*signed_in("UIDPLUS"), opened(), opened(verb="SELECT"), found("UID 1 DELETED", 1), refused]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        (answer,) = mailbox.purge([ref_to(mailbox, 1)])
    assert isinstance(answer.error, MessageError)
    assert "not yours" in str(answer.error)


def test_a_mark_that_does_not_stay_is_not_believed() -> None:
    """OK was said, but the search after it does not find the mark: an error where the message is, gone where not."""
    store = Step(r"UID STORE 1:3 \+FLAGS\.SILENT \(\\Seen \\Deleted\)")
    checks = [found("UID 1:3 SEEN DELETED", 1), found("UID 2:3$", 3)]
    with (
        ScriptedImap([*signed_in(), opened(), opened(verb="SELECT"), store, *checks]) as server,
        open_scripted(server) as mailbox,
    ):
        answers = mailbox.dispose([ref_to(mailbox, uid) for uid in (1, 2, 3)], BOTH)
        assert kinds(answers) == [None, MessageGone, MessageError]


def test_a_refused_store_is_the_answer_of_the_unmarked_alone() -> None:
    """NO to a STORE of two, one of which was marked all the same."""
    refused = Step("UID STORE 1:2", "{tag} NO some could not be stored\r\n")
    checks = [found("UID 1:2 SEEN DELETED", 1), found("UID 2$", 2)]
    with (
        ScriptedImap([*signed_in(), opened(), opened(verb="SELECT"), refused, *checks]) as server,
        open_scripted(server) as mailbox,
    ):
        answers = mailbox.dispose([ref_to(mailbox, uid) for uid in (1, 2)], BOTH)
    assert kinds(answers) == [None, MessageError]
    assert "could not be stored" in str(answers[1].error)


def test_a_folder_that_keeps_no_deleted_mark_is_a_config_fault() -> None:
    """PERMANENTFLAGS without it: said before anything is stored."""
    select = opened(verb="SELECT", extra="* OK [PERMANENTFLAGS (\\Seen)] x\r\n")
    with (
        ScriptedImap([*signed_in(), opened(), select]) as server,
        open_scripted(server) as mailbox,
        pytest.raises(ConfigInvalid, match="Deleted"),
    ):
        mailbox.dispose([ref_to(mailbox, 1)], BOTH)
    assert not [line for line in server.heard if "STORE" in line]


@pytest.mark.parametrize("era", ["", "* OK [UIDVALIDITY 7] x\r\n* OK [UIDNOTSTICKY] x\r\n"])
def test_a_server_without_lasting_ids_is_refused(era: str) -> None:
    """No UIDVALIDITY, or UIDs that do not outlive the session (RFC 4315): nothing could be told apart."""
    talk = [*signed_in(), opened(uidvalidity=0, extra=era)]
    with ScriptedImap(talk) as server, pytest.raises(ConfigInvalid, match="UIDVALIDITY"):
        open_scripted(server)


@pytest.mark.parametrize(
    ("code", "kind"), [("NOPERM", ConfigInvalid), ("SERVERBUG", Unavailable), ("UNAVAILABLE", Unavailable)]
)
def test_a_folder_that_exists_but_does_not_open(code: str, kind: type) -> None:
    """No right is for a person; a server in trouble is for later."""
    talk = [*signed_in(), Step("EXAMINE", f"{{tag}} NO [{code}] sorry\r\n")]
    if code != "UNAVAILABLE":
        talk.append(Step("LIST", '* LIST () "/" INBOX\r\n' + OK))
    with ScriptedImap(talk) as server, pytest.raises(kind, match="sorry"):
        open_scripted(server)


@pytest.mark.parametrize("answer", ["* SEARCH one\r\n", "* SEARCH -4\r\n"])
def test_a_search_that_makes_no_sense_is_no_empty_mailbox(answer: str) -> None:
    """A broken mailbox never looks like a quiet one."""
    with (
        ScriptedImap([*signed_in(), opened(), Step("UID SEARCH", answer + OK)]) as server,
        open_scripted(server) as mailbox,
        pytest.raises(Unavailable),
    ):
        mailbox.candidates(UNREAD)


def test_a_long_listing_fits() -> None:
    """200,000 UIDs come in one line of 1.9 MB."""
    uids = range(100_000_000, 100_200_000)
    talk = [*signed_in(), opened(exists=200_000), found("UNSEEN UNDELETED", *uids)]
    with ScriptedImap(talk) as server, open_scripted(server) as mailbox:
        listing = mailbox.candidates(UNREAD)
    assert len(listing.refs) == 200_000
