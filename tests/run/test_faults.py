"""Faults of the mailbox, the target and storage: none is a message's fault, none is hidden, and the next run recovers."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.ledger import Stage
from shared.model import Health, RunOutcome, Trigger
from shared.run import run_job
from tests.run.world import AWAY, LONG, Killed, World, mail, reply

EVERYTHING = {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True}
MINUTE = timedelta(minutes=1)


# --- one fault, and what people see of it ----------------------------------------------------------------------------

#: Every step of a run outside of storage, by the number that it has in a run over two messages.
STEPS = ("open", "candidates", "fetch", "message", "message", "apply", "dispose", "purge")


@pytest.mark.parametrize("nth", range(1, len(STEPS) + 1))
def test_a_fault_ends_the_run_and_is_told(nth: int) -> None:
    """The record says FAILED with a sentence and a remedy; the attempts are given back; the next run recovers."""
    world = World(on_success=EVERYTHING)
    world.deliver(mail("First"), mail("Second"))
    world.steps.fail_next(nth, AWAY)
    report = world.report(Trigger.TIMER)
    assert tuple(world.steps.taken) == STEPS[:nth]
    assert (report.outcome, report.errors) == (RunOutcome.FAILED, 1)
    assert report.comments == ("The server does not answer. It is tried again by itself.",)
    assert [entry.attempts for entry in world.ledger().values() if entry.undelivered] == [0] * 2 * (2 < nth < 7)
    state = world.state()
    assert (state.health, state.failures, state.last_error) == (Health.DELAYED, 1, report.comments[0])
    assert (state.lease_run, state.unfinished) == ("", nth > 2)
    assert world.later().outcome is RunOutcome.COMPLETED
    assert (world.subjects(), world.flags()) == ([["First"], ["Second"]], {})
    assert (world.state().health, world.state().failures, world.state().last_error) == (Health.HEALTHY, 0, "")


@dataclass(frozen=True, slots=True)
class Expected:
    """How a job stands after a fault, and from when to when it may be due again."""

    health: Health
    first: timedelta
    second: timedelta


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Unavailable("Away."), Expected(Health.DELAYED, MINUTE, 2 * MINUTE)),
        (
            Unavailable("Busy.", retry_after=timedelta(hours=2)),
            Expected(Health.DELAYED, timedelta(hours=2), timedelta(hours=2)),
        ),
        (AuthFailed("Wrong password."), Expected(Health.PAUSED, 15 * MINUTE, 30 * MINUTE)),
        (ConfigInvalid("No such folder."), Expected(Health.PAUSED, 5 * MINUTE, 10 * MINUTE)),
    ],
    ids=["away", "busy", "password", "folder"],
)
def test_a_failing_job_backs_off(fault: JobError, expected: Expected) -> None:
    """The pause is set by the kind of fault and grows; until it is over, the job is not due, its timer does nothing."""
    world = World()
    for pause in (expected.first, expected.second):
        world.folder.fail("open", fault)
        before = world.clock()
        assert world.report(Trigger.TIMER).outcome is RunOutcome.FAILED
        due = world.state().next_due
        assert due is not None
        assert pause <= due - before <= pause * 1.2
        assert world.state().health is expected.health
        world.clock.advance(pause - timedelta(seconds=1))
        assert world.run(Trigger.TIMER) is None
        world.clock.advance(due - world.clock())


def test_other_jobs_do_not_notice() -> None:
    """A job whose server is away leaves another job's run as it is."""
    world, other = World(), World()
    other.deliver(mail("Printer"))
    world.steps.fail_next(1, AWAY)
    assert world.report().outcome is RunOutcome.FAILED
    assert other.report().outcome is RunOutcome.COMPLETED


def test_a_stored_config_that_is_not_valid_is_told() -> None:
    """A hand in the table: the run says what to do, instead of raising or of looking quiet."""
    world = World()
    broken = world.storage.jobs._rows
    record = world.record()
    broken.jobs["support"] = type(record)(**{**{f: getattr(record, f) for f in record.__slots__}, "config": "{}"})
    report = world.report(Trigger.TIMER)
    assert report.outcome is RunOutcome.FAILED
    assert "Save the job again through the API" in report.comments[0]
    assert world.state().health is Health.PAUSED
    assert world.run(Trigger.TIMER) is None


def test_a_disposition_that_fails_for_one_message_is_tried_again() -> None:
    """Its ticket is made and known; the original is marked by a later run; nobody else waits for it."""
    world = World()
    world.deliver(mail("First"), mail("Second"))
    world.steps.fail_next(6 + 1, AWAY)
    world.report()
    assert {entry.stage for entry in world.ledger().values()} == {Stage.DELIVERED}
    world.steps.taken.clear()
    report = world.later()
    assert world.steps.taken == ["open", "dispose", "candidates"]
    assert (report.created, report.received, world.flags()) == (0, 0, {1: "seen", 2: "seen"})


def test_what_is_left_is_finished_before_anything_new_is_taken_up() -> None:
    """Delivered but not disposed, disposed but not purged: both come before the listing, or need none."""
    world = World(on_success=EVERYTHING)
    world.deliver(mail("First"))
    world.folder.fail("purge", AWAY)
    world.report()
    assert world.flags() == {1: "seen deleted"}
    for call in ("open", "candidates"):
        world.steps.fail_next(1 if call == "open" else 2, AWAY)
        assert world.later().outcome is RunOutcome.FAILED
        assert (world.flags(), world.state().unfinished) == ({1: "seen deleted"}, True)
    report = world.later()
    assert (report.purged, report.received, world.flags()) == (1, 0, {})


# --- one fault at every place ----------------------------------------------------------------------------------------


def crowd() -> World:
    """A job with a message of every kind: plain ones, replies, a rejected one, two that can never be handled."""
    world = World(on_success=EVERYTHING, on_reject={"mark_as_read": True}, max_attempts=1)
    world.deliver(
        mail("A"), mail("B"), reply("Re: A", to="A"), mail("Loop", X_Mail_Connector="support"), mail("Unreadable"),
        mail("Refused"), mail("C", message_id=None), mail("D"), reply("Re: B", to="B"), reply("Re: D", to="D"),
    )  # fmt: skip
    world.folder.unreadable.add(5)
    world.refused.add("Refused")
    return world


def check_outcome(world: World, *, listed_twice: bool = False) -> None:
    """Exactly one ticket for each, every original exactly as configured, nothing open, and the right two parked.

    ``listed_twice``: a parking whose answer was lost is done again, and may show the message twice; not its ticket.
    """
    assert world.subjects() == [["A", "Re: A"], ["B", "Re: B"], ["C"], ["D", "Re: D"]]
    assert world.flags() == {4: "seen", 5: "untouched", 6: "untouched"}
    stages = {uid: entry.stage for uid, entry in world.ledger().items()}
    assert stages == {uid: Stage.PARKED if uid in {5, 6} else Stage.DONE for uid in range(1, 11)}
    parked = world.parked()
    assert (sorted(set(parked)) if listed_twice else parked) == ["", "Refused"]
    assert (world.state().lease_run, world.state().unfinished, world.state().failures) == ("", False, 0)


def test_without_a_fault_everybody_comes_through() -> None:
    """The ground truth of the tests below."""
    world = crowd()
    reports = [world.report(), *world.drain()]
    check_outcome(world)
    assert sum(report.created for report in reports) == 4
    assert sum(report.updated for report in reports) == 3


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
def test_storage_may_fail_at_every_write(*, after: bool, lasting: bool) -> None:
    """Whichever write it is, whether its answer is lost or itself, for a moment or until the end of the run."""
    nth = 0
    while True:
        nth += 1
        world = crowd()
        so_far = len(world.storage.writes)
        world.storage.fail_next(nth, Unavailable("Storage is away."), after=after, lasting=lasting)
        try:
            report = world.run()
        except Unavailable:
            report = None
        failed = report is None or report.outcome is RunOutcome.FAILED
        assert failed == (so_far + nth <= len(world.storage.writes)), f"write {nth} failed unnoticed"
        world.recover()
        world.drain()
        check_outcome(world, listed_twice=after and not lasting)
        if not failed:
            break
    assert nth > 20


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_worker_may_be_killed_at_every_write(*, after: bool) -> None:
    """Nothing that runs on the way out is needed: the lease expires, and the next run goes on where this one stopped."""
    nth = 0
    while True:
        nth += 1
        world = crowd()
        world.storage.fail_next(nth, Killed(), after=after, lasting=True)
        try:
            world.run()
        except Killed:
            world.recover()
        else:
            break
        world.drain()
        check_outcome(world)
    assert nth > 20


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fault", [AWAY, Killed()], ids=["away", "killed"])
def test_every_step_outside_may_fail(fault: BaseException, *, after: bool) -> None:
    """Opening, listing, fetching, delivering, marking, purging: the fault strikes before it takes effect, or after."""
    nth = 0
    while True:
        nth += 1
        world = crowd()
        world.steps.fail_next(nth, fault, after=after)
        try:
            report = world.run()
        except Killed:
            report = None
        if report and report.outcome is RunOutcome.COMPLETED:
            break
        world.recover()
        world.drain()
        check_outcome(world)
    assert nth > 20


def test_two_faults_in_a_row_may_strike_anywhere() -> None:
    """The run that recovers is killed too: at every pair of writes, a few apart."""
    for first in range(1, 25, 3):
        for second in range(1, 25, 4):
            world = crowd()
            for nth in (first, second):
                world.storage.fail_next(nth, Killed(), after=nth % 2 == 0, lasting=True)
                try:
                    run_job("support", Trigger.MANUAL, world.services)
                except Killed:
                    world.recover()
                world.recover()
                world.clock.advance(LONG)
            world.drain()
            check_outcome(world)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_records_count_each_ticket_once(*, after: bool) -> None:
    """Over all runs, "created" and "updated" add up to what there is, wherever storage failed."""
    for nth in range(1, 30):
        world = crowd()
        world.storage.fail_next(nth, Unavailable("Storage is away."), after=after)
        try:
            world.run()
        except Unavailable:
            continue
        world.recover()
        world.drain()
        reports = world.reports()
        assert (sum(one.created for one in reports), sum(one.updated for one in reports)) == (4, 3), nth


# --- a write that happened although its answer was lost ---------------------------------------------------------------


@pytest.mark.parametrize(("nth", "write"), [(5, "ledger.park"), (8, "ledger.record")])
def test_what_was_decided_stands_though_its_answer_was_lost(nth: int, write: str) -> None:
    """A message that was parked is not parked again, and the copy of a purged original is listed once."""
    world = World(max_attempts=1, on_success=EVERYTHING, soft_purge_days=7)
    world.refused.add("Bad")
    world.deliver(mail("First"), mail("Bad"))
    world.storage.fail_next(nth, AWAY, after=True)
    before = len(world.storage.writes)
    world.report()
    assert world.storage.writes[before + nth - 1] == write
    world.later()
    world.later()
    assert world.subjects() == [["First"]]
    assert sum(one.created for one in world.reports()) == 1
    assert sum(one.parked for one in world.reports()) == 1
    assert world.parked() == ["Bad"]
    purged, _ = world.storage.purged.page("support", limit=9)
    assert [one.subject for one in purged] == ["First"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_claim_whose_answer_was_lost_is_given_back(*, after: bool) -> None:
    """Whether or not it was written down: the attempt that never began does not count."""
    world = World()
    world.deliver(mail("First"))
    world.storage.fail_next(2, AWAY, after=after)
    world.report()
    assert world.storage.writes[-3 if after else -2 :][0] == "ledger.record"
    assert [(entry.stage, entry.attempts) for entry in world.ledger().values()] == [(Stage.FAILED, 0)] * after
    world.later()
    assert world.subjects() == [["First"]]
