"""Answers that no decent POP3 server gives: no message is lost over them, none is deleted that is not ours."""

from collections.abc import Sequence
from typing import Any

import pytest

from shared.connectors._pop_mailbox import PopMailbox
from shared.errors import ConfigInvalid, MessageError, MessageGone, Unavailable, Unreadable
from shared.model import Disposition
from shared.ports import Fetched
from tests.connectors.pop_jobs import PICKING, open_scripted, ref_to
from tests.servers.scripted_pop3 import ScriptedPop3, Step, given, listing, signed_in

DELETED = Disposition(deleted=True, purge=True)
NO = "-ERR no\r\n"


def body(uidl: str) -> str:
    """A message as it travels."""
    return f"Subject: {uidl}\r\n\r\n"


def box(*uidls: str) -> dict[str, int]:
    """Messages as `body` makes them, with their octets."""
    return {uidl: len(body(uidl)) for uidl in uidls}


def session(*uidls: str, capabilities: Sequence[str] = ()) -> list[Step]:
    """A session that lists these."""
    return [*signed_in(*capabilities), *listing(box(*uidls))]


def fetch(mailbox: PopMailbox, *uidls: str, max_bytes: int = 1_000) -> list[Fetched]:
    """Fetch messages."""
    return list(mailbox.fetch([ref_to(mailbox, uidl) for uidl in uidls], max_bytes=max_bytes))


def kinds(answers: Sequence[Any]) -> list[type | None]:
    """The kinds of the errors in the answers; None for success."""
    return [type(one.error) if one.error else None for one in answers]


def data(answers: Sequence[Fetched]) -> list[bytes]:
    """The bytes of those that came."""
    return [one.raw.data for one in answers if one.raw]


# --- listing


@pytest.mark.parametrize("refused", ["-ERR unknown command\r\n", "-ERR [SYS/PERM] never\r\n"])
def test_a_server_without_uidl_is_a_fault_of_the_config(refused: str) -> None:
    """Without lasting ids no message could be told from another: the person is shown the way out."""
    with ScriptedPop3([*signed_in(), Step("UIDL", refused)]) as server, pytest.raises(ConfigInvalid) as caught:
        open_scripted(server)
    assert "UIDL" in caught.value.what
    assert "IMAP4" in caught.value.remedy


def test_a_temporary_refusal_of_the_listing_is_nobodys_fault() -> None:
    """SYS/TEMP (RFC 3206) is an answer for now."""
    with (
        ScriptedPop3([*signed_in(), Step("UIDL", "-ERR [SYS/TEMP] disk\r\n")]) as server,
        pytest.raises(Unavailable, match="disk"),
    ):
        open_scripted(server)


def test_in_box_is_what_the_server_counts() -> None:
    """STAT says how many there are, also where the listing leaves one out."""
    steps = [*signed_in(), *listing(box("a", "b"))[:2], Step("STAT", "+OK 3 99\r\n")]
    with ScriptedPop3(steps) as server, open_scripted(server) as mailbox:
        found = mailbox.candidates(PICKING)
    assert ([ref.key.item for ref in found.refs], found.in_box, found.cursor) == (["a", "b"], 3, None)


def test_a_count_that_is_none_ends_the_run() -> None:
    """A server that does not know how many messages it has is not one to rely on."""
    steps = [*signed_in(), *listing({})[:2], Step("STAT", "+OK none\r\n")]
    with ScriptedPop3(steps) as server, pytest.raises(Unavailable, match="how many"):
        open_scripted(server)


def test_a_uidl_that_is_given_twice_is_never_acted_on() -> None:
    """Such messages are listed once, unreadable with the reason, and not deleted; the sound one beside them is."""
    steps = [
        *signed_in(),
        Step("UIDL", "+OK\r\n1 twin\r\n2 sound\r\n3 twin\r\n.\r\n"),
        *listing(box("twin", "sound", "twins"))[1:],
        given(2, body("sound")),
        Step("DELE 2$"),
        Step("QUIT$"),
    ]
    with ScriptedPop3(steps) as server, open_scripted(server) as mailbox:
        refs = mailbox.candidates(PICKING).refs
        assert [ref.key.item for ref in refs] == ["twin", "sound"]
        fetched = list(mailbox.fetch(refs, max_bytes=1_000))
        assert kinds(fetched) == [Unreadable, None]
        assert "2 messages the same UIDL" in str(fetched[0].error)
        assert kinds(mailbox.dispose(refs, DELETED)) == [Unreadable, None]
        assert kinds(mailbox.purge(refs)) == [Unreadable, None]
    assert [line for line in server.heard if line.startswith("DELE")] == ["DELE 2"]


def test_messages_without_a_uidl_are_shown_and_left_alone() -> None:
    """Left out of UIDL, or there without an id: not passed over in silence, but a message that cannot be read."""
    uidl = Step("UIDL", "+OK\r\n1 a\r\n2 \r\n.\r\n")
    steps = [*signed_in(), uidl, *listing(box("a", "b", "c"))[1:], given(1, body("a"))]
    with ScriptedPop3(steps) as server, open_scripted(server) as mailbox:
        refs = mailbox.candidates(PICKING).refs
        answers = list(mailbox.fetch(refs, max_bytes=1_000))
        assert kinds(answers) == [None, Unreadable]
        assert "2 of its messages no UIDL" in str(answers[1].error)
        assert kinds(mailbox.dispose(refs[1:], DELETED)) == [Unreadable]


def test_sizes_that_are_not_told_are_done_without() -> None:
    """LIST without a number: the message is fetched, and judged by what comes."""
    steps = [*signed_in(), listing(box("a"))[0], Step("LIST", "+OK\r\n1 ?\r\n.\r\n"), listing(box("a"))[2]]
    with ScriptedPop3([*steps, given(1, body("a"))]) as server, open_scripted(server) as mailbox:
        (ref,) = mailbox.candidates(PICKING).refs
        assert ref.size is None
        assert data(list(mailbox.fetch([ref], max_bytes=1_000))) == [body("a").encode()]


# --- fetching


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        ("a\r\n..\r\n...b\r\nc.\r\n", b"a\r\n.\r\n..b\r\nc.\r\n"),
        ("..first\r\n", b".first\r\n"),
        ("bare\n.\nlf\n..\n\r\n", b"bare\n.\nlf\n..\n\r\n"),
        ("bare\n.\r\nlf and cr\r.\r\n", b"bare\n.\r\nlf and cr\r.\r\n"),
        ("\r\n\r\n\r\n", b"\r\n\r\n\r\n"),
        ("\xff\x00\x80\r\n", b"\xff\x00\x80\r\n"),
    ],
)
def test_bytes_are_exact(wire: str, message: bytes) -> None:
    """Stuffed dots, dots after a lone LF, empty lines, octets that are no text: only CR LF ends a line."""
    with ScriptedPop3([*session("a"), given(1, wire)]) as server, open_scripted(server) as mailbox:
        (answer,) = fetch(mailbox, "a")
    assert answer.raw
    assert (answer.raw.data, answer.raw.size) == (message, len(message))


def test_a_line_of_two_megabytes_is_a_line() -> None:
    """Real mail has them."""
    line = "x" * 2_000_000 + "\r\n"
    with ScriptedPop3([*session("a"), given(1, "..\r\n" + line)]) as server, open_scripted(server) as mailbox:
        (answer,) = fetch(mailbox, "a", max_bytes=3_000_000)
    assert answer.raw
    assert answer.raw.data == b".\r\n" + line.encode()


def test_a_body_that_is_announced_but_not_given_is_unreadable() -> None:
    """Empty, though LIST says otherwise: an attempt, not an empty ticket."""
    with ScriptedPop3([*session("a", "b"), given(1, ""), given(2, body("b"))]) as server, open_scripted(server) as box:
        assert kinds(fetch(box, "a", "b")) == [Unreadable, None]


def test_a_message_that_is_empty_by_its_size_is_an_empty_message() -> None:
    """Zero octets announced, zero given: that is the message."""
    with (
        ScriptedPop3([*signed_in(), *listing({"a": 0}), given(1, "")]) as server,
        open_scripted(server) as mailbox,
    ):
        assert data(fetch(mailbox, "a")) == [b""]


def test_a_size_that_lies_does_not_let_too_much_through() -> None:
    """Announced small, given large: the header is what the flow gets, with the true size; the next is in step."""
    large = "Subject: big\r\n\r\n" + "..x\r\n" * 50_000
    steps = [*signed_in(), *listing({"a": 10, "b": 10}), given(1, large), given(2, body("b"))]
    with ScriptedPop3(steps) as server, open_scripted(server) as mailbox:
        first, second = fetch(mailbox, "a", "b")
    assert first.raw
    assert (first.raw.data, first.raw.header_only) == (b"Subject: big\r\n\r\n", True)
    assert first.raw.size == len("Subject: big\r\n\r\n") + len(".x\r\n") * 50_000
    assert data([second]) == [body("b").encode()]


def test_without_top_a_large_message_is_read_past() -> None:
    """The header is kept, the rest dropped as it comes."""
    large = "Subject: big\r\n\r\n" + "x\r\n" * 5_000
    steps = [*signed_in(), *listing({"a": len(large)}), Step("TOP 1 0", NO), given(1, large)]
    with ScriptedPop3(steps) as server, open_scripted(server) as mailbox:
        (answer,) = fetch(mailbox, "a")
    assert answer.raw
    assert (answer.raw.data, answer.raw.size, answer.raw.header_only) == (b"Subject: big\r\n\r\n", len(large), True)


@pytest.mark.parametrize(("there", "kind"), [(("a", "bad", "c"), Unreadable), (("a", "c"), MessageGone)])
def test_a_refused_message_is_gone_only_if_another_session_agrees(there: Sequence[str], kind: type) -> None:
    """-ERR may mean either; the words differ by server, so the mailbox is listed anew. The others come through."""
    talk = [*session("a", "bad", "c"), given(1, body("a")), Step("RETR 2", NO), given(3, body("c"))]
    with ScriptedPop3(talk, session(*there)) as server, open_scripted(server) as mailbox:
        assert kinds(fetch(mailbox, "a", "bad", "c")) == [None, kind, None]


@pytest.mark.parametrize("locked", ["-ERR [IN-USE] locked\r\n", "-ERR [LOGIN-DELAY] wait\r\n", "-ERR\r\n"])
def test_a_refused_message_stops_nobody_where_there_is_no_second_session(locked: str) -> None:
    """A locked mailbox lets nobody remove anything meanwhile: the message is unreadable, and the session goes on."""
    talk = [*session("bad", "b"), Step("RETR 1", NO), given(2, body("b")), Step("DELE 2")]
    second = [*signed_in()[:2], Step("PASS", locked)]
    with ScriptedPop3(talk, second) as server, open_scripted(server) as mailbox:
        answers = fetch(mailbox, "bad", "b")
        assert kinds(answers) == [Unreadable, None]
        assert kinds(mailbox.dispose([answers[1].ref], DELETED)) == [None]


def test_a_temporary_refusal_of_a_message_is_nobodys_fault() -> None:
    """It ends the run; no message is charged with an attempt."""
    with (
        ScriptedPop3([*session("a"), Step("RETR 1", "-ERR [SYS/TEMP] later\r\n")]) as server,
        open_scripted(server) as mailbox,
        pytest.raises(Unavailable, match="later"),
    ):
        fetch(mailbox, "a")


@pytest.mark.parametrize("capabilities", [(), ("PIPELINING",)])
def test_a_cut_within_a_message_costs_nothing(capabilities: Sequence[str]) -> None:
    """What came whole is kept; the one that was cut is asked for again, alone, over a new connection; then the rest."""
    cut = Step("RETR 2", "+OK\r\nSubject: b\r\n", "close")
    first = [*session("a", "b", "c", capabilities=capabilities), given(1, body("a")), cut]
    second = [*session("b", "a", "c"), given(1, body("b")), given(3, body("c"))]
    with ScriptedPop3(first, second) as server, open_scripted(server) as mailbox:
        assert data(fetch(mailbox, "a", "b", "c")) == [body(uidl).encode() for uidl in "abc"]


def test_a_message_that_kills_the_connection_stops_nobody_else() -> None:
    """The server dies over it each time: it is unreadable, the rest comes over new connections."""
    talks = [
        [*session("a", "bad", "c"), given(1, body("a")), Step("RETR 2", "", "close")],
        [*session("a", "bad", "c"), Step("RETR 2", "+OK\r\nhalf", "close")],
        [*session("a", "bad", "c"), given(3, body("c"))],
    ]
    with ScriptedPop3(*talks) as server, open_scripted(server) as mailbox:
        assert kinds(fetch(mailbox, "a", "bad", "c")) == [None, Unreadable, None]


def test_a_message_that_vanished_with_the_connection_is_gone() -> None:
    """After a reconnection the listing decides."""
    talks = [[*session("a", "b"), Step("RETR 1", "", "close")], [*session("b"), given(1, body("b"))]]
    with ScriptedPop3(*talks) as server, open_scripted(server) as mailbox:
        assert kinds(fetch(mailbox, "a", "b")) == [MessageGone, None]


def test_a_server_that_drops_every_connection_is_given_up() -> None:
    """Twelve new connections in one run are enough."""
    uidls = [f"m{number}" for number in range(20)]
    talks = [[*session(*uidls), Step("RETR", "", "close")] for _ in range(13)]
    with (
        ScriptedPop3(*talks) as server,
        open_scripted(server) as mailbox,
        pytest.raises(Unavailable, match="lost while fetching"),
    ):
        fetch(mailbox, *uidls)


@pytest.mark.parametrize("answer", ["", "+OK\r\n", "+OK\r\nSubject: a\r\n"])
def test_a_server_that_is_slow_for_ever_is_left_when_the_time_is_up(answer: str) -> None:
    """One octet now and then keeps every read alive; the limit of the whole exchange ends it all the same."""
    with (
        ScriptedPop3([*session("a"), Step("RETR 1", answer, "drip")]) as server,
        open_scripted(server, seconds=0.7) as mailbox,
        pytest.raises(Unavailable, match="in time"),
    ):
        fetch(mailbox, "a")


def test_an_answer_that_makes_no_sense_does_not_quote_mail() -> None:
    """A body without its status line: the session cannot be in step any more."""
    talks = [[*session("a"), Step("RETR 1", "confidential words\r\n")] for _ in range(2)]
    with ScriptedPop3(*talks, session("a")) as server, open_scripted(server) as mailbox:
        (answer,) = fetch(mailbox, "a")
    assert isinstance(answer.error, Unreadable)
    assert "confidential" not in str(answer.error)


def test_about_ten_megabytes_are_in_hand_at_most() -> None:
    """6 + 6 MB are two batches: the second is not asked for before the first was taken."""
    sizes = {"a": 6_000_000, "b": 6_000_000, "c": 3_000_000}
    steps = [*signed_in("PIPELINING"), *listing(sizes), *(given(number, body("x")) for number in (1, 2, 3))]
    with ScriptedPop3(steps) as server, open_scripted(server) as mailbox:
        answers = mailbox.fetch(mailbox.candidates(PICKING).refs, max_bytes=20_000_000)
        next(answers)
        assert [line for line in server.heard if "RETR" in line] == ["RETR 1"]
        assert len(list(answers)) == 2
        assert [line for line in server.heard if "RETR" in line] == ["RETR 1", "RETR 2", "RETR 3"]


# --- deleting


def test_what_is_disposed_of_goes_with_quit_alone() -> None:
    """DELE, and QUIT at the purge: one session, no RSET, nothing twice."""
    steps = [*session("a", "b"), given(1, body("a")), given(2, body("b")), Step("DELE 1"), Step("DELE 2"), Step("QUIT")]
    with ScriptedPop3(steps) as server, open_scripted(server) as mailbox:
        refs = [one.ref for one in fetch(mailbox, "a", "b")]
        for _ in range(2):
            assert kinds(mailbox.dispose(refs, DELETED)) == [None, None]
        assert kinds(mailbox.purge(refs)) == [None, None]


def test_leaving_after_a_mark_says_no_quit() -> None:
    """The connection just ends: then nothing may be removed (RFC 1939 section 6)."""
    with ScriptedPop3([*session("a"), Step("DELE 1")]) as server, open_scripted(server) as mailbox:
        mailbox.dispose([ref_to(mailbox, "a")], DELETED)
    assert server.heard[-1] == "DELE 1"


def test_leaving_after_a_look_says_goodbye() -> None:
    """A poll that finds nothing ends as it should."""
    with ScriptedPop3(session()) as server, open_scripted(server) as mailbox:
        assert mailbox.candidates(PICKING).refs == ()
    assert server.heard[-1] == "QUIT"


def test_what_was_retrieved_and_is_to_stay_is_not_in_the_session_that_commits() -> None:
    """A server may delete at QUIT what it gave out (RFC 1939 section 8): the purge gets a session of its own."""
    first = [*session("kept", "ours"), given(1, body("kept")), given(2, body("ours")), Step("DELE 2")]
    second = [*session("ours", "kept"), Step("DELE 1"), Step("QUIT")]
    with ScriptedPop3(first, second) as server, open_scripted(server) as mailbox:
        kept, ours = (one.ref for one in fetch(mailbox, "kept", "ours"))
        mailbox.dispose([ours], DELETED)
        assert kinds(mailbox.purge([ours])) == [None]
    assert kept.key.item == "kept"


def test_the_marks_of_a_lost_session_are_set_again() -> None:
    """The connection breaks after the first DELE: the purge marks both in the session that it commits."""
    first = [*session("a", "b"), Step("DELE 1"), Step("RETR 2", "", "close")]
    second = [*session("a", "b"), given(2, body("b")), Step("DELE 2"), Step("DELE 1"), Step("QUIT")]
    with ScriptedPop3(first, second) as server, open_scripted(server) as mailbox:
        refs = [ref_to(mailbox, uidl) for uidl in "ab"]
        mailbox.dispose(refs[:1], DELETED)
        assert kinds(list(mailbox.fetch(refs[1:], max_bytes=1_000))) == [None]
        mailbox.dispose(refs[1:], DELETED)
        assert kinds(mailbox.purge(refs)) == [None, None]


@pytest.mark.parametrize("answer", ["", "+O"])
def test_a_lost_quit_is_unavailable(answer: str) -> None:
    """Whether it took effect is unknown, so nothing is said to be done."""
    with (
        ScriptedPop3([*session("a"), Step("DELE 1"), Step("QUIT", answer, "close")]) as server,
        open_scripted(server) as mailbox,
        pytest.raises(Unavailable, match="lost while committing"),
    ):
        mailbox.purge([ref_to(mailbox, "a")])


def test_a_refused_quit_is_each_messages_answer() -> None:
    """Some were not removed, and the server does not say which: all are asked for again; the gone one is done."""
    steps = [
        *session("a", "b"),
        Step("DELE 1"),
        Step("DELE 2"),
        Step("QUIT", "-ERR some deleted messages not removed\r\n"),
    ]
    with ScriptedPop3(steps) as server, open_scripted(server) as mailbox:
        answers = mailbox.purge([ref_to(mailbox, uidl) for uidl in ("a", "gone", "b")])
    assert kinds(answers) == [MessageError, None, MessageError]
    assert "not removed" in str(answers[0].error)


def test_what_is_gone_needs_no_quit() -> None:
    """Nothing of ours is listed any more: done."""
    with ScriptedPop3(session("other")) as server, open_scripted(server) as mailbox:
        assert kinds(mailbox.purge([ref_to(mailbox, "a")])) == [None]
    assert not [line for line in server.heard if line.startswith("DELE")]


def test_a_message_that_took_over_the_uidl_is_not_deleted() -> None:
    """Another size is another message, which has no ticket yet: the one that was delivered is gone."""
    with ScriptedPop3([*signed_in(), *listing({"a": 500})]) as server, open_scripted(server) as mailbox:
        before = ref_to(mailbox, "a", size=400)
        assert kinds(mailbox.dispose([before], DELETED)) == [MessageGone]
        assert kinds(mailbox.purge([before])) == [None]
    assert not [line for line in server.heard if line.startswith("DELE")]


@pytest.mark.parametrize(("there", "kind"), [(("a", "b"), Unreadable), (("b",), MessageGone)])
def test_a_refused_mark_is_that_messages_answer(there: Sequence[str], kind: type) -> None:
    """The other one is marked, and goes."""
    steps = [*session("a", "b", capabilities=["PIPELINING"]), Step("DELE 1", NO), Step("DELE 2")]
    with ScriptedPop3(steps, session(*there)) as server, open_scripted(server) as mailbox:
        assert kinds(mailbox.dispose([ref_to(mailbox, "a"), ref_to(mailbox, "b")], DELETED)) == [kind, None]


def test_a_lost_connection_while_marking_ends_the_run() -> None:
    """The ledger has the tickets; the next run marks."""
    with (
        ScriptedPop3([*session("a"), Step("DELE 1", "", "close")]) as server,
        open_scripted(server) as mailbox,
    ):
        with pytest.raises(Unavailable, match="lost while marking"):
            mailbox.dispose([ref_to(mailbox, "a")], DELETED)
        with pytest.raises(Unavailable):
            mailbox.dispose([ref_to(mailbox, "a")], DELETED)


def test_refs_of_another_mailbox_are_never_acted_on() -> None:
    """When a job's mailbox is changed, a UIDL of the old one names nobody in the new one."""
    with ScriptedPop3(session("a")) as server, open_scripted(server) as mailbox:
        own = ref_to(mailbox, "a")
        foreign = type(own)(type(own.key)("job", own.key.mailbox + "x", "a"), own.handle)
        assert kinds(list(mailbox.fetch([foreign], max_bytes=100))) == [MessageGone]
        assert kinds(mailbox.dispose([foreign], DELETED)) == [MessageGone]
        assert kinds(mailbox.purge([foreign])) == [None]
    assert not [line for line in server.heard if line.startswith("DELE")]
