"""What a run does with messages that nothing is wrong with, and in which order, seen from outside."""

from collections.abc import Sequence
from itertools import product

import pytest

from shared.ledger import Stage
from shared.model import Action, RunOutcome, Trigger
from tests.fakes.mailbox import Stored
from tests.run.world import Killed, WideTarget, World, mail, reply

OURS = {"X_Mail_Connector": "support"}
EVERYTHING = {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True}


def test_every_effect_waits_for_what_must_come_before() -> None:
    """Claim, ticket, ledger: delivered, disposition, ledger: disposed, purge, run record: in this order, each seen."""
    world = World(on_success=EVERYTHING)
    world.deliver(mail("Printer"))
    seen: list[tuple[str, object, int]] = []

    def look(step: str, uids: Sequence[int]) -> None:
        world.check(step, uids)
        stage = world.ledger()[1].stage if 1 in world.ledger() else None
        seen.append((step, stage, len(world.tickets())))

    world.steps.before = look
    world.report()
    assert seen == [
        ("open", None, 0),
        ("candidates", None, 0),
        ("fetch", Stage.CLAIMED, 0),
        ("message", Stage.CLAIMED, 0),
        ("apply", Stage.CLAIMED, 0),
        ("dispose", Stage.DELIVERED, 1),
        ("purge", Stage.DISPOSED, 1),
    ]
    assert world.ledger()[1].stage is Stage.DONE
    assert world.storage.writes[-1] == "lease.finish"
    assert world.flags() == {}


def test_a_run_leaves_its_record_and_the_lease() -> None:
    """The columns of the incoming-mail log, and a job that is held by nobody."""
    world = World()
    world.folder.deliver(mail("Old"), seen=True)
    world.deliver(mail("Printer"), reply("Re: Printer", to="Printer"), mail("Loop", **OURS))
    report = world.report(Trigger.TIMER)
    assert (report.outcome, report.trigger, report.job_name) == (
        RunOutcome.COMPLETED,
        Trigger.TIMER,
        "Mail Connector",
    )
    counts = (report.created, report.updated, report.received, report.in_box, report.rejected, report.errors)
    assert counts == (1, 1, 3, 4, 1, 0)
    assert world.reports() == [report]
    assert (world.state().lease_run, world.state().unfinished, world.state().failures) == ("", False, 0)


@pytest.mark.parametrize(("read", "deleted", "purge"), list(product([False, True], repeat=3)))
def test_the_three_check_boxes(*, read: bool, deleted: bool, purge: bool) -> None:
    """All eight combinations: each does what it says to this job's message, and nothing to anybody else's."""
    boxes = {"mark_as_read": read, "mark_as_deleted": deleted, "purge_deleted_at_end_of_session": purge}
    world = World(on_success=boxes)
    world.deliver(mail("Printer"))
    world.folder.deliver(mail("Deleted by a person"), deleted=True)
    world.report()
    marks = " ".join(["seen"] * read + ["deleted"] * deleted) or "untouched"
    gone = deleted and purge
    assert world.flags() == ({} if gone else {1: marks}) | {2: "deleted"}
    assert world.subjects() == [["Printer"]]
    assert world.ledger()[1].stage is Stage.DONE
    assert world.later().received == 0
    assert world.subjects() == [["Printer"]]


@pytest.mark.parametrize(
    ("on_reject", "expected"),
    [
        (None, {1: "untouched"}),
        ({"mark_as_read": True}, {1: "seen"}),
        ({"mark_as_deleted": True}, {1: "deleted"}),
        (EVERYTHING, {}),
    ],
)
def test_rejected_messages_have_a_disposition_of_their_own(
    on_reject: dict[str, bool] | None, expected: dict[int, str]
) -> None:
    """No ticket; the original as `on_reject` says, whatever `on_success` says; and it is not judged again."""
    world = World(on_success={"mark_as_read": True, "mark_as_deleted": True}, on_reject=on_reject)
    world.deliver(mail("Loop", **OURS))
    report = world.report()
    assert (report.rejected, report.created, report.errors) == (1, 0, 0)
    assert world.flags() == expected
    assert world.ledger()[1].stage is Stage.DONE
    assert "sent by Mail Connector itself" in world.ledger()[1].reason
    again = world.later()
    assert (again.received, again.rejected) == (0, 0)
    assert world.tickets() == []


def test_reading_leaves_no_trace() -> None:
    """Until it is disposed of, an original is as unread as it was: listing and fetching change nothing."""
    world = World(on_success=EVERYTHING)
    world.deliver(mail("Printer"), mail("Loop", **OURS))
    before = world.flags()
    untouched: list[bool] = []

    def look(step: str, uids: Sequence[int]) -> None:
        if step in {"fetch", "message", "apply", "dispose"}:
            untouched.append(world.flags() == before)

    world.steps.before = look
    world.report()
    assert untouched == [True] * 5


def test_known_messages_are_not_fetched_again() -> None:
    """What the ledger knows is dropped before anything is asked for: only the new message is taken up."""
    world = World(on_success={})
    world.deliver(mail("First"), mail("Second"))
    world.report()
    world.deliver(mail("Third"))
    world.folder.calls.clear()
    assert world.later().received == 1
    assert [uids for call, uids in world.folder.calls if call == "fetch"] == [(3,)]
    assert world.subjects() == [["First"], ["Second"], ["Third"]]


def test_without_marks_the_message_stays_and_makes_no_second_ticket() -> None:
    """Neither mark: unread for ever, listed each time, one ticket."""
    world = World(on_success={})
    world.deliver(mail("Printer"))
    reports = [world.report(), world.later(), world.later()]
    assert [report.created for report in reports] == [1, 0, 0]
    assert world.flags() == {1: "untouched"}
    assert world.subjects() == [["Printer"]]


def test_a_person_may_mark_a_handled_message_as_unread() -> None:
    """It is listed again, and still has its one ticket."""
    world = World()
    world.deliver(mail("Printer"))
    world.report()
    world.folder.messages[1].seen = False
    assert world.later().received == 0
    assert world.subjects() == [["Printer"]]


def test_reprocess_makes_a_second_ticket() -> None:
    """The literal old behaviour, where it is asked for: one more ticket for each run, each with an id of its own."""
    world = World(on_success={}, reprocess=True)
    world.deliver(mail("Printer"))
    reports = [world.report(), world.later(), world.later()]
    assert [report.created for report in reports] == [1, 1, 1]
    assert world.subjects() == [["Printer"]] * 3
    assert world.ledger()[1].key.generation == 2


def test_reprocess_asks_for_nothing_where_messages_are_marked() -> None:
    """A message that was marked has been dealt with, also when a person marks it as unread."""
    world = World(on_success={"mark_as_read": True}, reprocess=True)
    world.deliver(mail("Printer"))
    world.report()
    world.folder.messages[1].seen = False
    assert world.later().created == 0
    assert world.subjects() == [["Printer"]]


def test_a_reply_in_the_same_batch_modifies_the_ticket() -> None:
    """The ticket of a message in hand is made before the reply to it is routed; and a reply to that reply likewise."""
    world = World()
    world.deliver(
        mail("Printer"), reply("Re: Printer", to="Printer"), mail("Other"), reply("Re: Re: Printer", to="Re: Printer")
    )
    report = world.report()
    assert (report.created, report.updated) == (2, 2)
    assert world.subjects() == [["Other"], ["Printer", "Re: Printer", "Re: Re: Printer"]]
    assert [world.ledger()[uid].action for uid in (1, 2)] == [Action.CREATED, Action.MODIFIED]


def test_a_reply_in_a_later_run_modifies_the_ticket() -> None:
    """By its References, and by the tag in its subject."""
    world = World()
    world.deliver(mail("Printer"))
    world.report()
    (ticket,) = world.tickets()
    tagged = f"[{ticket.ticket_id}] again"
    world.deliver(reply("Re: Printer", to="Printer"), mail(tagged))
    report = world.later()
    assert (report.created, report.updated) == (0, 2)
    assert world.subjects() == [["Printer", "Re: Printer", tagged]]


def test_a_reply_belongs_to_the_first_ticket_of_a_message_id() -> None:
    """Two messages with one Message-ID make two tickets; a reply goes to the first, in the same run and later."""
    world = World()
    twin = {"message_id": "<twin@customer.example>"}
    world.deliver(mail("First", **twin), mail("Second", **twin), reply("Soon", to="twin"))
    world.report()
    world.deliver(reply("Later", to="twin"))
    world.later()
    assert world.subjects() == [["First", "Soon", "Later"], ["Second"]]


def test_a_message_that_vanishes_before_it_is_fetched_is_no_fault() -> None:
    """A person was quicker: nothing to do, nothing to report, and nothing left open."""
    world = World()
    world.deliver(mail("Printer"), mail("Vanished"))

    def vanish(step: str, uids: Sequence[int]) -> None:
        if step == "candidates":
            del world.folder.messages[2]

    world.steps.after = vanish
    report = world.report()
    assert (report.outcome, report.errors, report.created) == (RunOutcome.COMPLETED, 0, 1)
    assert {uid: entry.stage for uid, entry in world.ledger().items()} == {1: Stage.DONE, 2: Stage.DONE}
    assert not world.state().unfinished


def test_a_message_that_vanishes_before_its_disposition_keeps_its_ticket() -> None:
    """Gone is as good as disposed of."""
    world = World(on_success=EVERYTHING)
    world.deliver(mail("Printer"))

    def vanish(step: str, uids: Sequence[int]) -> None:
        if step == "apply":
            world.folder.messages.clear()

    world.steps.after = vanish
    report = world.report()
    assert (report.outcome, report.errors) == (RunOutcome.COMPLETED, 0)
    assert world.subjects() == [["Printer"]]
    assert world.ledger()[1].stage is Stage.DONE


def test_an_oversized_message_makes_a_ticket_of_its_header() -> None:
    """The ticket says so, and the original is marked as read; but what is in no ticket as a whole is never deleted."""
    world = World(max_message_mb=1, on_success=EVERYTHING)
    world.deliver(mail("Huge") + b"0123456789abcdef\r\n" * 70_000)
    report = world.report()
    assert report.created == 1
    assert [comment for comment in report.comments if "original was not deleted" in comment]
    (ticket,) = world.tickets()
    assert "over the size limit" in ticket.entries[0].text
    assert world.flags() == {1: "seen"}


def test_few_large_messages_are_in_hand_at_once() -> None:
    """Memory is bounded by octets, not only by count: what is too much together is delivered apart."""
    world = World(target=WideTarget)
    world.deliver(*(mail(f"m{number}") + b"0123456789abcdef\r\n" * 300_000 for number in range(3)))
    handed: list[int] = []

    def look(step: str, uids: Sequence[int]) -> None:
        world.check(step, uids)
        if step == "apply":
            handed.append(len(uids))

    world.steps.before = look
    assert world.report().created == 3
    assert handed == [2, 1]


def test_a_key_that_the_server_gave_to_another_message() -> None:
    """A purged message's key with other bytes is a new message: it gets a ticket of its own."""
    world = World(on_success=EVERYTHING)
    (uid,) = world.deliver(mail("First"))
    assert world.report().purged == 1
    world.folder.messages[uid] = Stored(uid, mail("Second"), world.clock())
    report = world.later()
    assert (report.created, report.purged, report.errors) == (1, 1, 0)
    assert sorted(world.subjects()) == [["First"], ["Second"]]
    assert world.flags() == {}


def test_a_purged_message_that_is_there_again() -> None:
    """A server restored from a backup shows it as it was: no second ticket, and it goes again."""
    world = World(on_success=EVERYTHING)
    (uid,) = world.deliver(mail("First"))
    assert world.report().purged == 1
    world.folder.messages[uid] = Stored(uid, mail("First"), world.clock())
    report = world.later()
    assert (report.created, report.updated, report.purged, report.errors) == (0, 0, 1, 0)
    assert world.subjects() == [["First"]]
    assert world.flags() == {}


def test_a_reply_that_comes_after_a_killed_run_finds_its_ticket() -> None:
    """The tickets were made and nobody wrote it down; the reply is fresh. It must not be routed before its question."""
    world = World()
    world.deliver(mail("Printer"))
    world.steps.fail_next(5, Killed(), after=True)
    with pytest.raises(Killed):
        world.report()
    assert world.steps.taken[-1] == "apply"
    world.deliver(reply("Re: Printer", to="Printer"))
    world.later()
    assert world.subjects() == [["Printer", "Re: Printer"]]
