"""Messages that do not come through: left alone, tried again, parked with their bytes, and never in the others' way."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from shared.errors import MessageGone, Unavailable
from shared.ledger import Stage
from shared.model import Health, RunOutcome
from tests.run.world import Killed, WideTarget, World, mail, reply

MINUTE = timedelta(minutes=1)


def raw_copy(world: World, subject: str) -> bytes | None:
    """What was kept of a parked message."""
    found, _ = world.storage.parked.page("support", limit=100)
    (one,) = [one for one in found if one.subject == subject]
    chunks = world.storage.parked.raw("support", one.parked_id)
    return None if chunks is None else b"".join(chunks)


def test_a_refused_message_is_left_untouched_and_the_rest_goes_on() -> None:
    """In the same run, in the same batch: one error in the record, with the reason and what to do."""
    world = World()
    world.refused.add("Bad")
    world.deliver(mail("First"), mail("Bad"), mail("Last"))
    report = world.report()
    assert (report.outcome, report.created, report.errors, report.parked) == (RunOutcome.COMPLETED, 2, 1, 0)
    assert report.comments == (
        "A message could not be handled (attempt 1): The target does not take this message. Ask its owner why.",
    )
    assert world.flags() == {1: "seen", 2: "untouched", 3: "seen"}
    assert (world.ledger()[2].stage, world.ledger()[2].attempts) == (Stage.FAILED, 1)
    assert world.state().health is Health.HEALTHY


def test_a_failed_message_rests_before_its_next_try() -> None:
    """One, two, four minutes: a run in between leaves it alone and takes the others."""
    world = World()
    world.refused.add("Bad")
    world.deliver(mail("Bad"))
    world.report()
    pauses = []
    for pause in (1, 2, 4):
        retry_at = world.ledger()[1].retry_at
        assert retry_at is not None
        pauses.append(retry_at - world.clock())
        assert world.later(pause * MINUTE - timedelta(seconds=1)).received == 0
        assert world.later(timedelta(seconds=1)).received == 1
    assert pauses == [MINUTE, 2 * MINUTE, 4 * MINUTE]


def test_a_message_that_recovers_gets_its_ticket() -> None:
    """A later try that works is like a first one, and leaves no trace of the failures."""
    world = World(on_success={"mark_as_deleted": True})
    world.refused.add("Bad")
    world.deliver(mail("Bad"))
    world.report()
    world.refused.clear()
    assert world.later().created == 1
    assert world.flags() == {1: "deleted"}
    entry = world.ledger()[1]
    assert (entry.stage, entry.reason, entry.retry_at) == (Stage.DONE, "", None)


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_a_failing_message_is_parked_after_its_attempts(max_attempts: int) -> None:
    """Not earlier, not later; with its bytes, its reason and its head; untouched in the mailbox, and let alone."""
    world = World(max_attempts=max_attempts)
    world.refused.add("Bad")
    bad = mail("Bad")
    world.deliver(bad, mail("Good"))
    runs = [(world.later().parked, world.state().unfinished) for _ in range(max_attempts + 1)]
    assert runs == [(0, True)] * (max_attempts - 1) + [(1, False), (0, False)]
    (parked,), _ = world.storage.parked.page("support", limit=9)
    assert (parked.attempts, parked.size, parked.has_raw) == (max_attempts, len(bad), True)
    assert (parked.sender, parked.message_id) == ("Ann <ann@customer.example>", "<Bad@customer.example>")
    assert parked.reason == "The target does not take this message. Ask its owner why."
    assert raw_copy(world, "Bad") == bad
    assert world.flags() == {1: "untouched", 2: "seen"}
    assert world.subjects() == [["Good"]]
    assert world.ledger()[1].stage is Stage.PARKED


@pytest.mark.parametrize(
    ("on_error", "expected"),
    [({"mark_as_read": True}, "seen"), ({"mark_as_deleted": True}, "deleted"), ({}, "untouched")],
)
def test_the_original_of_a_parked_message_has_a_disposition_of_its_own(
    on_error: dict[str, bool], expected: str
) -> None:
    """`on_error` counts once the copy is kept, and only then; it is not counted as a ticket, nor taken up again."""
    world = World(max_attempts=2, on_success={"mark_as_read": True, "mark_as_deleted": True}, on_error=on_error)
    world.refused.add("Bad")
    world.deliver(mail("Bad"))
    world.report()
    assert world.flags() == {1: "untouched"}
    assert world.later().parked == 1
    assert world.flags() == {1: expected}
    assert (world.ledger()[1].stage, world.state().unfinished) == (Stage.PARKED, False)
    assert raw_copy(world, "Bad") == mail("Bad")
    assert world.later().received == 0


def test_an_original_without_a_copy_stays_whatever_on_error_says() -> None:
    """Its bytes could not be had: what the mailbox has is all there is."""
    world = World(max_attempts=1, on_error={"mark_as_deleted": True})
    world.folder.unreadable.add(1)
    world.deliver(mail("Bad"))
    assert world.report().parked == 1
    assert world.flags() == {1: "untouched"}


def test_a_parked_original_that_could_not_be_marked_is_marked_by_the_next_run() -> None:
    """The mailbox goes away between the parking and the marking. Until it is done, nobody can have it retried."""
    world = World(max_attempts=1, on_error={"mark_as_read": True})
    world.refused.add("Bad")
    world.deliver(mail("Bad"))
    world.folder.fail("dispose", Unavailable("The line was cut."))
    assert world.report().outcome is RunOutcome.FAILED
    (parked,), _ = world.storage.parked.page("support", limit=9)
    assert not world.storage.parked.retry("support", parked.parked_id)
    world.later()
    assert world.flags() == {1: "seen"}
    assert world.storage.parked.retry("support", parked.parked_id)
    world.refused.clear()
    assert world.later().created == 1


def test_a_message_without_a_body_is_parked_without_a_copy() -> None:
    """The server lists it and never gives it: the listing says that there is no copy."""
    world = World(max_attempts=2)
    world.folder.unreadable.add(1)
    world.deliver(mail("Bad"), mail("Good"))
    world.report()
    world.later()
    (parked,), _ = world.storage.parked.page("support", limit=9)
    assert (parked.has_raw, parked.reason) == (False, "Message 1 cannot be read.")
    assert world.storage.parked.raw("support", parked.parked_id) is None
    assert world.flags() == {1: "untouched", 2: "seen"}


def test_a_parked_message_is_taken_up_again_on_demand() -> None:
    """With fresh attempts: this time it works, and it is disposed of like any other."""
    world = World(max_attempts=2)
    world.refused.add("Bad")
    world.deliver(mail("Bad"))
    world.report()
    world.later()
    (parked,), _ = world.storage.parked.page("support", limit=9)
    assert world.storage.parked.retry("support", parked.parked_id)
    world.later()
    assert (world.ledger()[1].stage, world.ledger()[1].attempts) == (Stage.FAILED, 1)
    world.refused.clear()
    assert world.later().created == 1
    assert world.subjects() == [["Bad"]]
    assert world.flags() == {1: "seen"}


def test_a_parked_message_that_left_the_mailbox_comes_from_its_kept_copy() -> None:
    """The retry needs no mailbox: what was kept becomes the ticket, whole."""
    world = World(max_attempts=1)
    world.refused.add("Bad")
    world.deliver(mail("Bad"))
    world.report()
    world.folder.messages.clear()
    world.refused.clear()
    (parked,), _ = world.storage.parked.page("support", limit=9)
    assert world.storage.parked.retry("support", parked.parked_id)
    assert world.later().created == 1
    (ticket,) = world.tickets()
    assert ticket.entries[0].text.strip() == "The text of Bad."
    assert (world.ledger()[1].stage, world.parked()) == (Stage.DONE, [])


def test_a_retry_during_a_run_is_not_missed() -> None:
    """A person acts while a run is on its way: the next one takes the message up, though it is not listed."""
    world = World(max_attempts=1)
    world.refused.add("Bad")
    world.deliver(mail("Bad"))
    world.report()
    world.folder.messages.clear()
    world.refused.clear()
    (parked,), _ = world.storage.parked.page("support", limit=9)

    def act(step: str, uids: Sequence[int]) -> None:
        if step == "candidates":
            world.storage.parked.retry("support", parked.parked_id)

    world.steps.after = act
    assert world.later().created == 0
    world.steps.after = lambda _step, _uids: None
    assert world.later().created == 1


def test_a_defect_in_routing_one_message_does_not_stop_the_others() -> None:
    """An unexpected exception is that message's failure; after its attempts it is parked like any other."""
    world = World(max_attempts=2)
    world.deliver(mail("First"), mail("Bad [BOOM]"), mail("Last"))
    report = world.report()
    assert (report.outcome, report.created, report.errors) == (RunOutcome.COMPLETED, 2, 1)
    assert "defect of ours" in report.comments[0]
    assert world.flags() == {1: "seen", 2: "untouched", 3: "seen"}
    world.later()
    assert world.parked() == ["Bad [BOOM]"]


def defect_in_apply(world: World, *uids: int) -> None:
    """Let the target break whenever one of these is handed to it."""

    def look(step: str, handed: Sequence[int]) -> None:
        world.check(step, handed)
        if step == "apply" and set(uids) & set(handed):
            raise RuntimeError("A defect in the target.")

    world.steps.before = look


def test_a_defect_in_the_target_is_found_by_ever_smaller_company() -> None:
    """The run fails loudly; who was in company comes through in the runs after it; the culprit is parked in the end."""
    world = World(target=WideTarget, max_attempts=5)
    world.deliver(*(mail(f"m{number}") for number in range(1, 31)))
    defect_in_apply(world, 13)
    first = world.report()
    assert (first.outcome, first.created, world.state().failures) == (RunOutcome.FAILED, 0, 1)
    assert "defect of ours" in first.comments[0]
    for _ in range(12):
        world.later()
    assert world.parked() == ["m13"]
    assert world.ledger()[13].stage is Stage.PARKED
    assert len(world.tickets()) == 29
    assert world.state().health is Health.HEALTHY


def test_a_defect_in_delivering_is_not_charged_to_the_reply_behind() -> None:
    """A reply has the message before it delivered first; what breaks there is the other one's, and is found there."""
    world = World(max_attempts=1)
    world.deliver(mail("Printer"), reply("Re: Printer", to="Printer"))
    defect_in_apply(world, 1)
    for _ in range(12):
        world.later()
    assert {uid: entry.stage for uid, entry in world.ledger().items()} == {1: Stage.PARKED, 2: Stage.DONE}
    assert world.subjects() == [["Re: Printer"]]


def test_an_error_in_the_wrong_place_fails_the_run_loudly() -> None:
    """A connector that raises a message's error for the whole call breaks its contract: the record says so."""
    world = World()
    world.deliver(mail("Printer"))
    world.folder.fail("dispose", MessageGone("Message 1 is gone."))
    report = world.report()
    assert report.outcome is RunOutcome.FAILED
    assert "defect of ours" in report.comments[0]
    assert world.later().outcome is RunOutcome.COMPLETED
    assert (world.subjects(), world.flags()) == ([["Printer"]], {1: "seen"})


@pytest.mark.parametrize("max_attempts", [1, 2, 5])
@pytest.mark.parametrize("step", ["message", "apply"])
def test_a_message_that_kills_the_worker_is_parked_and_nobody_else(step: str, max_attempts: int) -> None:
    """Its batch shrinks from 98 to 10 to 1; innocents get their tickets and are never parked, however few attempts."""
    world = World(target=WideTarget, max_attempts=max_attempts)
    world.deliver(*(mail(f"m{number}") for number in range(1, 121)))
    batches: list[int] = []

    def look(name: str, uids: Sequence[int]) -> None:
        world.check(name, uids)
        if name == "fetch" and 50 in uids:
            batches.append(len(uids))
        if name == step and 50 in uids:
            raise Killed

    world.steps.before = look
    reports = []
    for _ in range(10):
        world.clock.advance(timedelta(hours=1))
        try:
            reports.append(world.report())
        except Killed:
            continue
    assert batches[:3] == [98, 10, 1]
    assert set(batches[3:]) <= {1}
    assert world.ledger()[50].stage is Stage.PARKED
    assert "worker stopped every time" in world.ledger()[50].reason
    assert sum(entry.stage is Stage.PARKED for entry in world.ledger().values()) == 1
    assert sorted(world.subjects()) == sorted([f"m{number}"] for number in range(1, 121) if number != 50)
    assert world.flags() == {uid: "untouched" if uid == 50 else "seen" for uid in range(1, 121)}
    assert [report.outcome for report in world.reports()].count(RunOutcome.DIED) == 10 - len(reports)


def test_a_worn_out_message_is_kept_with_its_bytes() -> None:
    """It is parked, its head is read out of harm's way, and its raw copy is there for a person to look at."""
    world = World(max_attempts=1)
    world.deliver(mail("Deadly"))

    def look(step: str, uids: Sequence[int]) -> None:
        if step == "apply":
            raise Killed

    world.steps.before = look
    for _ in range(3):
        world.kill_and_recover()
    assert world.report().parked == 1
    (parked,), _ = world.storage.parked.page("support", limit=9)
    assert (parked.has_raw, parked.size, parked.subject) == (True, len(mail("Deadly")), "Deadly")
    chunks = world.storage.parked.raw("support", parked.parked_id)
    assert chunks is not None
    assert b"".join(chunks) == mail("Deadly")


def test_a_message_that_was_gone_undecided_and_came_back_gets_its_ticket() -> None:
    """A person took it away while its target refused it, and put it back; its attempts count on, so it ends somewhere."""
    world = World(max_attempts=3)
    world.refused.add("Bad")
    (uid,) = world.deliver(mail("Bad"))
    world.report()
    taken = world.folder.messages.pop(uid)
    world.later()
    assert (world.ledger()[uid].stage, world.subjects()) == (Stage.DONE, [])
    world.folder.messages[uid] = taken
    world.later()
    assert (world.ledger()[uid].stage, world.parked()) == (Stage.PARKED, ["Bad"])
    world.refused.clear()
    (parked,), _ = world.storage.parked.page("support", limit=10)
    assert world.storage.parked.retry("support", parked.parked_id)
    assert world.later().created == 1
    assert world.subjects() == [["Bad"]]
