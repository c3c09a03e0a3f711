"""What is peculiar to EWS among mailboxes; what is common to all is in tests/contract."""

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest

from shared.connectors._ews_text import item_of
from shared.errors import ConfigInvalid, MessageError, MessageGone, Unavailable, Unreadable
from shared.model import Disposition, MessageRef, Picking
from shared.ports import Mailbox
from tests.connectors.ews_jobs import open_exchange
from tests.contract.mailbox import EARLIER, LIMIT, NEW, UNREAD, by_subject, listed, mail
from tests.contract.mailbox_world import subject_of
from tests.servers.ews import CutOff, Exchange
from tests.servers.ews_fixture import MAILBOX, exchange, exchange_authority
from tests.servers.ews_store import Mailbox as Stored
from tests.servers.tls import Authority

__all__ = ["exchange", "exchange_authority"]

DELETED, READ = Disposition(deleted=True), Disposition(read=True)
BOTH = Disposition(read=True, deleted=True, purge=True)

Open = Callable[[], Mailbox]


@pytest.fixture
def box(exchange: Exchange) -> Stored:
    """The mailbox on the server's side."""
    return exchange.mailboxes[MAILBOX]


@pytest.fixture
def opened(exchange: Exchange, exchange_authority: Authority) -> Open:
    """A new session."""
    return lambda: open_exchange(exchange, exchange_authority)


# --- listing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["Inbox", "Inbox/Support", "Team"])
def test_a_poll_that_finds_nothing_is_two_requests(
    exchange: Exchange, exchange_authority: Authority, box: Stored, folder: str
) -> None:
    """Over one connection."""
    box.add_folder("Support", box.inbox)
    box.add_folder("Team")
    with open_exchange(exchange, exchange_authority, folder=folder) as mailbox:
        assert mailbox.candidates(UNREAD).refs == ()
    assert exchange.operations() in (["GetFolder", "FindItem"], ["FindFolder", "FindItem"])
    assert exchange.connections == 1
    assert {one.agent for one in exchange.heard} == {"MailConnector"}


def test_everything_that_was_sent_is_a_candidate(box: Stored, opened: Open) -> None:
    """Meeting requests, reports, signed mail, forms of somebody's own; not what only lies in the folder."""
    mails = ["IPM.Note", "IPM.Note.SMIME", "IPM.Schedule.Meeting.Request", "IPM.Schedule.Meeting.Canceled"]
    mails += ["IPM.Schedule.Meeting.Resp.Pos", "REPORT.IPM.Note.NDR", "IPM.Helpdesk"]
    for item_class in (*mails, "IPM.Appointment", "IPM.Contact", "IPM.Task", "IPM.Post"):
        box.deliver(mail(item_class), item_class=item_class)
    with opened() as mailbox:
        assert listed(mailbox) == mails
        assert listed(mailbox, NEW) == mails
        refs = mailbox.candidates(UNREAD).refs
        assert [one.error for one in mailbox.dispose(refs, BOTH)] == [None] * len(mails)
    assert [item.read and item.folder is box.trash for item in box.items.values()] == [True] * 7 + [False] * 4


def test_an_item_without_a_read_flag_is_handled_all_the_same(box: Stored, opened: Open) -> None:
    """A sharing invitation is mail, but to EWS it is an item of no kind."""
    box.deliver(mail("invitation"), item_class="IPM.Sharing")
    with opened() as mailbox:
        refs = mailbox.candidates(NEW).refs
        assert [one.error for one in mailbox.dispose(refs, BOTH)] == [None]
    assert box.find("invitation").folder is box.trash


def test_dates_with_more_digits_than_any_clock_are_dates(exchange: Exchange, box: Stored, opened: Open) -> None:
    """Some servers write the second in 100 nanoseconds."""
    exchange.fraction = ".1234567"
    item = box.deliver(mail("one"))
    with opened() as mailbox:
        (ref,) = mailbox.candidates(UNREAD).refs
    assert ref.received == item.received
    assert ref.key.item == item_of(item.id, item.received)


def test_a_list_that_the_server_forgot_is_read_from_the_start(box: Stored, opened: Open) -> None:
    """Nothing is lost: what was listed before comes again, for the ledger to know."""
    box.deliver(mail("one"))
    with opened() as mailbox:
        stale = base64.b64encode(b"another-folder 1").decode()
        assert listed(mailbox, replace(NEW, cursor=stale)) == ["one"]
        assert mailbox.candidates(replace(NEW, cursor="not even base64")).cursor


def test_what_changed_since_comes_again(box: Stored, opened: Open) -> None:
    """A message that was put back, or changed before we heard of it, is not passed over."""
    box.deliver(mail("one"))
    box.deliver(mail("two"))
    with opened() as mailbox:
        cursor = mailbox.candidates(NEW).cursor
        box.touch(box.find("one"))
        box.move(box.find("two"), box.folders["drafts"])
        box.move(box.find("two"), box.inbox)
        assert listed(mailbox, replace(NEW, cursor=cursor)) == ["one", "two"]


def test_fifty_messages_in_pages_of_seven_are_all_there(exchange: Exchange, box: Stored, opened: Open) -> None:
    """By either way of listing, each once, oldest first."""
    exchange.page = 7
    for number in range(50):
        box.deliver(mail(f"m{number}"))
    with opened() as mailbox:
        for picking in (UNREAD, NEW):
            assert listed(mailbox, picking) == [f"m{number}" for number in range(50)]


# --- fetching --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mime", "words"),
    [("missing", "gives no body"), ("ErrorMimeContentConversionFailed", "ErrorMimeContentConversionFailed")],
)
def test_a_message_without_its_content_is_unreadable(box: Stored, opened: Open, mime: str, words: str) -> None:
    """Announced, but not given, or not to be converted: it stays as it is for another try; the others come."""
    box.deliver(mail("one"))
    box.deliver(mail("bad")).mime = mime
    box.deliver(mail("two"))
    with opened() as mailbox:
        one, bad, two = mailbox.fetch(mailbox.candidates(UNREAD).refs, max_bytes=LIMIT)
    assert [subject_of(one), subject_of(two)] == ["one", "two"]
    assert isinstance(bad.error, Unreadable)
    assert words in bad.error.what
    assert not box.find("bad").read


def test_a_message_that_kills_the_connection_is_searched_out(exchange: Exchange, box: Stored, opened: Open) -> None:
    """It is answered with an error; all the others come."""
    for number in range(20):
        box.deliver(mail(f"m{number}"))
    box.find("m13").mime = "cut"
    with opened() as mailbox:
        answers = list(mailbox.fetch(mailbox.candidates(UNREAD).refs, max_bytes=LIMIT))
    assert [number for number, one in enumerate(answers) if one.error] == [13]
    assert isinstance(answers[13].error, Unreadable)
    assert "lost" in answers[13].error.what
    assert len(exchange.heard) < 20


def test_one_cut_in_the_middle_of_a_fetch_costs_nothing(exchange: Exchange, box: Stored, opened: Open) -> None:
    """The messages are asked for again, over a new connection."""
    box.deliver(mail("one"))
    box.deliver(mail("two"))
    exchange.script("GetItem", CutOff())
    with opened() as mailbox:
        assert listed(mailbox) == ["one", "two"]


def test_a_line_that_is_always_cut_ends_the_run(exchange: Exchange, box: Stored, opened: Open) -> None:
    """Not every message is bad: the tries are counted."""
    for number in range(60):
        box.deliver(mail(f"m{number}"))
    exchange.script("GetItem", *[CutOff()] * 100)
    with opened() as mailbox, pytest.raises(Unavailable, match="lost while fetching"):
        list(mailbox.fetch(mailbox.candidates(UNREAD).refs, max_bytes=LIMIT))
    assert exchange.operations().count("GetItem") < 30


def test_batches_are_bounded_by_octets(exchange: Exchange, box: Stored, opened: Open) -> None:
    """About ten megabytes at once, however many messages wait."""
    for number in range(8):
        box.deliver(mail(f"m{number}", size=3_000_000))
    with opened() as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        assert [subject_of(one) for one in mailbox.fetch(refs, max_bytes=10_000_000)] == [f"m{n}" for n in range(8)]
    assert [one.body.count("<t:ItemId") for one in exchange.heard if one.operation == "GetItem"] == [3, 3, 2]


def test_of_a_huge_message_only_the_header_is_asked_for(exchange: Exchange, box: Stored, opened: Open) -> None:
    """Its content never travels; the header says what it said, and the size is the server's."""
    box.deliver(
        "From: Jörg <j@example.com>\r\nSubject: huge\r\nX-Own: a\r\n b\r\n\r\n".encode() + b"0123456789" * 30_000
    )
    with opened() as mailbox:
        (one,) = mailbox.fetch(mailbox.candidates(UNREAD).refs, max_bytes=100_000)
    assert one.raw
    assert one.raw.header_only
    assert one.raw.size > 300_000
    assert subject_of(one) == "huge"
    assert b"X-Own: a b\r\n" in one.raw.data
    assert not [heard for heard in exchange.heard if "IncludeMimeContent" in heard.body]


def test_a_header_that_exchange_never_had_is_made_from_what_it_knows(box: Stored, opened: Open) -> None:
    """A message from within the organisation has properties, and no header fields."""
    item = box.deliver(mail("inside", size=300_000))
    item.delivered = b"\r\n" + item.delivered
    with opened() as mailbox:
        (one,) = mailbox.fetch(mailbox.candidates(UNREAD).refs, max_bytes=100_000)
    assert subject_of(one) == "inside"
    assert one.raw
    assert b"\r\nDate: " in one.raw.data


# --- identity, marks, moves ------------------------------------------------------------------------------------------


def test_a_message_keeps_its_key_through_moves(box: Stored, opened: Open) -> None:
    """Deleted by us, restored by a person: EWS gives it a third id, and it is still the same message."""
    box.deliver(mail("one"))
    with opened() as mailbox:
        (ref,) = mailbox.candidates(UNREAD).refs
        (done,) = mailbox.dispose([ref], DELETED)
        assert done.ref.key == ref.key
        assert done.ref.handle == box.find("one").id != ref.handle
    box.move(box.find("one"), box.inbox)
    with opened() as mailbox:
        for picking in (UNREAD, NEW):
            (again,) = mailbox.candidates(picking).refs
            assert again.key == ref.key
            assert again.handle == box.find("one").id != done.ref.handle


def test_a_handled_message_is_found_wherever_a_person_has_put_it(exchange: Exchange, box: Stored, opened: Open) -> None:
    """Among many folders, at any depth, by the mark that moves with it; one that was never marked has a new key there."""
    deep = box.add_folder("Deep", box.add_folder("Below", box.inbox))
    for number in range(60):
        box.add_folder(f"f{number}")
    for subject in ("handled", "removed", "bare"):
        box.deliver(mail(subject))
    with opened() as mailbox:
        refs = by_subject(mailbox)
        mailbox.dispose([refs["handled"], refs["removed"]], READ)
    box.move(box.find("handled"), deep)
    box.move(box.find("bare"), deep)
    box.remove(box.find("removed"))
    with opened() as mailbox:
        assert mailbox.still_there(list(refs.values())) == {refs["handled"].key}
    assert exchange.operations().count("UpdateItem") == 1


def test_a_copy_of_a_handled_message_is_that_message(box: Stored, opened: Open) -> None:
    """It is listed once, and the ledger knows it."""
    box.deliver(mail("one"))
    with opened() as mailbox:
        (ref,) = mailbox.candidates(UNREAD).refs
        mailbox.dispose([ref], READ)
        box.find("one").read = False
        box.copy(box.find("one"), box.inbox)
        assert [one.key for one in mailbox.candidates(UNREAD).refs] == [ref.key]


@pytest.mark.parametrize("operation", ["UpdateItem", "MoveItem"])
def test_a_run_that_died_in_the_middle_of_marking_is_finished(
    exchange: Exchange, box: Stored, opened: Open, operation: str
) -> None:
    """The server did it, the answer never came, the new ids are unknown: the next run finds them and purges."""
    for subject in ("one", "two", "other"):
        box.deliver(mail(subject))
    exchange.script(operation, CutOff(done=True))
    with opened() as mailbox:
        refs = by_subject(mailbox)
        ours = [refs["one"], refs["two"]]
        with pytest.raises(Unavailable, match="lost while"):
            mailbox.dispose(ours, BOTH)
    assert box.find("one").folder is (box.trash if operation == "MoveItem" else box.inbox)
    with opened() as mailbox:
        done = mailbox.dispose([MessageRef(ref.key, ref.handle) for ref in ours], BOTH)
        assert [one.error for one in done] == [None, None]
        assert [one.ref.handle for one in done] == [box.find("one").id, box.find("two").id]
        assert [one.error for one in mailbox.purge([one.ref for one in done])] == [None, None]
    assert [item.subject for item in box.items.values()] == ["other"]


def test_forty_moved_messages_are_found_again(exchange: Exchange, box: Stored, opened: Open) -> None:
    """By their marks, some at a time: each is a condition to the server."""
    for number in range(45):
        box.deliver(mail(f"m{number}"))
    exchange.script("MoveItem", CutOff(done=True))
    with opened() as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        with pytest.raises(Unavailable):
            mailbox.dispose(refs, DELETED)
        assert [one.error for one in mailbox.dispose(refs, DELETED)] == [None] * 45
    assert exchange.operations().count("MoveItem") == 1


def test_a_message_that_a_person_moved_away_is_gone(box: Stored, opened: Open) -> None:
    """To us: wherever it is now, that was a decision."""
    box.deliver(mail("one"))
    with opened() as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        box.move(box.find("one"), box.folders["drafts"])
        assert isinstance(mailbox.dispose(refs, BOTH)[0].error, MessageGone)
        assert isinstance(next(iter(mailbox.fetch(refs, max_bytes=LIMIT))).error, MessageGone)
    assert not box.find("one").read


def test_a_ref_of_another_mailbox_names_nothing_here(exchange: Exchange, box: Stored, opened: Open) -> None:
    """A job that was given another mailbox never acts on what the ledger holds of the old one."""
    box.deliver(mail("one"))
    with opened() as mailbox:
        (ref,) = mailbox.candidates(UNREAD).refs
        stranger = replace(ref, key=replace(ref.key, mailbox="exchange:old@example.com/inbox"))
        assert isinstance(next(iter(mailbox.fetch([stranger], max_bytes=LIMIT))).error, MessageGone)
        assert isinstance(mailbox.dispose([stranger], BOTH)[0].error, MessageGone)
        assert mailbox.purge([stranger])[0].error is None
    assert not {"UpdateItem", "MoveItem", "DeleteItem"} & set(exchange.operations())


def test_a_handle_that_is_none_is_gone(box: Stored, opened: Open) -> None:
    """After a migration ids may not even have the right form."""
    box.deliver(mail("one"))
    with opened() as mailbox:
        (ref,) = mailbox.candidates(UNREAD).refs
        assert isinstance(mailbox.dispose([replace(ref, handle="!")], READ)[0].error, MessageGone)


def test_nobody_is_told_that_their_mail_was_read(box: Stored, opened: Open) -> None:
    """Not by a read receipt, not by "deleted without being read"."""
    for subject, disposition in (("read", READ), ("purged", Disposition(deleted=True, purge=True))):
        box.deliver(mail(subject)).wants_receipt = True
        with opened() as mailbox:
            (done,) = mailbox.dispose([by_subject(mailbox)[subject]], disposition)
            if disposition.purges:
                assert mailbox.purge([done.ref])[0].error is None
    assert [item.subject for item in box.items.values()] == ["read"]
    assert box.receipts == []


def test_a_purge_names_each_message(exchange: Exchange, box: Stored, opened: Open) -> None:
    """One hard delete of single ids; no folder is ever emptied."""
    box.deliver(mail("theirs"), folder=box.trash)
    for number in range(130):
        box.deliver(mail(f"m{number}"))
    with opened() as mailbox:
        done = mailbox.dispose(mailbox.candidates(UNREAD).refs, BOTH)
        assert {one.error for one in mailbox.purge([one.ref for one in done])} == {None}
    assert [item.subject for item in box.items.values()] == ["theirs"]
    deletions = [one.body for one in exchange.heard if "Delete" in one.operation or "Empty" in one.operation]
    assert [body.count("<t:ItemId") for body in deletions] == [100, 30]
    assert all('DeleteType="HardDelete"' in body for body in deletions)


def test_a_mailbox_that_can_only_be_read_is_listed_but_not_marked(
    exchange: Exchange, box: Stored, opened: Open
) -> None:
    """The job learns what to grant; the messages stay as they are."""
    box.deliver(mail("one"))
    next(iter(exchange.people.values())).may_write = False
    with opened() as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        assert listed(mailbox) == ["one"]
        with pytest.raises(ConfigInvalid, match="may not do that"):
            mailbox.dispose(refs, READ)
    assert not box.find("one").read


@pytest.mark.parametrize("code", ["ErrorItemSave", "ErrorAccessDenied", "ErrorInternalServerError"])
def test_a_message_that_cannot_be_marked_stops_no_other(box: Stored, opened: Open, code: str) -> None:
    """A private one, a broken one: it has its own answer, at the marking and at the purge."""
    box.deliver(mail("one"))
    box.deliver(mail("odd")).refuses = code
    with opened() as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        one, odd = mailbox.dispose(refs, BOTH)
        assert one.error is None
        assert isinstance(odd.error, MessageError)
        assert code in odd.error.what
        (again,) = mailbox.dispose([odd.ref], BOTH)
        assert isinstance(again.error, MessageError)
        box.find("odd").refuses = ""
        (odd,) = mailbox.dispose([odd.ref], BOTH)
        box.find("odd").refuses = code
        assert [done.error is None for done in mailbox.purge([one.ref, odd.ref])] == [True, False]
    assert [item.subject for item in box.items.values()] == ["odd"]


def test_since_is_kept_by_either_way_of_listing(box: Stored, opened: Open) -> None:
    """What is older than the job is never listed as new, also when it comes into the folder later."""
    old = box.deliver(mail("old"), received=EARLIER, folder=box.folders["drafts"])
    with opened() as mailbox:
        picking = Picking(NEW.pick, since=EARLIER.replace(year=EARLIER.year + 1))
        cursor = mailbox.candidates(picking).cursor
        box.move(old, box.inbox)
        assert mailbox.candidates(replace(picking, cursor=cursor)).refs == ()
