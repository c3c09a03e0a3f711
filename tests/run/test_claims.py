"""Who runs when: what is due, who claims it, who holds the mailbox, when time is up, and where the next run goes on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.api.records import check_job, save
from shared.begin import new_run_id
from shared.errors import Unavailable
from shared.ledger import Stage
from shared.model import Pick, RunOutcome, RunReport, Trigger
from shared.ports import Mailbox, OpenRequest
from shared.run import run_job
from tests.builders import make_claim
from tests.contract.storage import race
from tests.run.world import AWAY, LONG, Killed, World, mail

MINUTE = timedelta(minutes=1)
EVERYTHING = {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True}


def at(step: str, act: Callable[[], object]) -> Callable[[str, Sequence[int]], None]:
    """Have ``act`` happen at the first such step."""
    left = [act]

    def look(name: str, uids: Sequence[int]) -> None:
        if name == step and left:
            left.pop()()

    return look


def opened(world: World) -> int:
    """How often somebody connected to the mailbox."""
    return world.folder.count("open")


# --- what is due -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", [Trigger.TIMER, Trigger.SWEEP])
def test_an_occurrence_is_taken_once(trigger: Trigger) -> None:
    """Due: one run. A moment later: nothing is due, nobody connects. At the next occurrence: another run."""
    world = World()
    assert world.run(trigger) is not None
    assert world.run(trigger) is None
    assert opened(world) == 1
    world.clock.advance(5 * MINUTE)
    assert world.run(trigger) is not None


def test_missed_occurrences_collapse_into_one_run() -> None:
    """After hours without a worker the job runs once, and is due again at the next occurrence from now."""
    world = World()
    world.clock.advance(timedelta(hours=3, minutes=2))
    assert world.run(Trigger.TIMER) is not None
    assert world.run(Trigger.TIMER) is None
    assert world.state().next_due == world.clock() + 3 * MINUTE
    assert world.state().last_occurrence == world.clock() - 2 * MINUTE


def test_many_hands_claim_an_occurrence_once() -> None:
    """Sixteen threads reach for it at the same instant: one run, one connection, one ticket."""
    world = World()
    world.deliver(mail("Printer"))
    results = race(16, lambda _: world.run(Trigger.TIMER))
    ran = [result for result in results if result is not None]
    assert len(ran) == 1
    assert isinstance(ran[0], RunReport)
    assert (opened(world), world.subjects(), len(world.reports())) == (1, [["Printer"]], 1)


def test_a_disabled_job_runs_only_by_hand() -> None:
    """Timer and sweep leave it alone, whatever its schedule says; a person's wish counts, and does not enable it."""
    world = World(enabled=False)
    world.clock.advance(LONG)
    assert world.run(Trigger.TIMER) is None
    assert world.run(Trigger.SWEEP) is None
    world.deliver(mail("Printer"))
    assert world.report(Trigger.MANUAL).created == 1
    assert (world.state().next_due, world.record().enabled) == (None, False)
    world.folder.fail("open", AWAY)
    assert world.report(Trigger.MANUAL).outcome is RunOutcome.FAILED
    assert world.state().next_due is None


def test_a_job_that_is_gone_runs_no_more() -> None:
    """Deleted meanwhile: nothing happens."""
    world = World()
    world.storage.jobs.delete("support")
    assert world.run(Trigger.TIMER) is None
    assert world.run(Trigger.MANUAL) is None
    assert opened(world) == 0


def test_a_request_of_the_sweep_that_was_overtaken_does_nothing() -> None:
    """The job has run since it was queued, and what is due now is queued further back: nobody gets two turns."""
    world = World()
    queued = new_run_id(world.clock())
    assert world.run(Trigger.SWEEP, run_id=queued) is not None
    world.clock.advance(5 * MINUTE)
    assert world.run(Trigger.SWEEP, run_id=queued) is None
    assert world.run(Trigger.SWEEP, run_id=new_run_id(world.clock())) is not None


def test_a_clock_that_is_behind_takes_no_occurrence_again() -> None:
    """Another instance, ahead by eight minutes, had an occurrence early: a run by hand must not make it due once more."""
    world = World()
    world.clock.set_back(-8 * MINUTE)
    assert world.run(Trigger.TIMER) is not None
    claimed, due = world.state().last_occurrence, world.state().next_due
    world.clock.set_back(8 * MINUTE)
    assert world.report(Trigger.MANUAL).outcome is RunOutcome.COMPLETED
    assert (world.state().last_occurrence, world.state().next_due) == (claimed, due)
    world.clock.advance(5 * MINUTE)
    assert world.run(Trigger.TIMER) is None


# --- who holds the mailbox -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", [Trigger.TIMER, Trigger.SWEEP, Trigger.CONTINUATION])
def test_a_held_mailbox_ends_the_second_run_at_once(trigger: Trigger) -> None:
    """It connects to nothing and leaves no record of its own."""
    world = World()
    world.storage.jobs.begin(world.record(), make_claim("first", next_due=world.clock()))
    assert world.run(trigger, run_id="second") is None
    assert opened(world) == 0
    assert [report.run_id for report in world.reports()] == ["first"]


def test_a_held_mailbox_skips_a_run_by_hand_and_says_so() -> None:
    """Whoever asked for it finds the answer under the run's id."""
    world = World()
    world.storage.jobs.begin(world.record(), make_claim("first"))
    assert world.run(Trigger.MANUAL, run_id="second") is None
    report = world.storage.jobs.run("support", "second")
    assert report is not None
    assert report.outcome is RunOutcome.SKIPPED
    assert "holds the mailbox" in report.comments[0]
    assert opened(world) == 0


def test_a_run_by_hand_that_died_stays_on_record() -> None:
    """Its request comes again when the worker died: that run has an id of its own, so both are told."""
    world = World()
    world.storage.jobs.begin(world.record(), make_claim("asked for", trigger=Trigger.MANUAL)).abandon()
    world.clock.advance(timedelta(minutes=10))
    report = world.run(run_id="asked for")
    assert report is not None
    assert report.run_id != "asked for"
    assert {one.run_id: one.outcome for one in world.reports()} == {
        report.run_id: RunOutcome.COMPLETED,
        "asked for": RunOutcome.DIED,
    }


def test_a_run_that_died_is_followed_before_the_next_occurrence() -> None:
    """What a daily job's run left when its worker was killed does not wait for tomorrow."""
    world = World()
    world.deliver(mail("m1"))
    tomorrow = world.clock() + timedelta(days=1)
    world.storage.jobs.begin(world.record(), make_claim("killed", next_due=tomorrow)).abandon()
    assert world.run(Trigger.SWEEP) is None
    world.clock.advance(timedelta(minutes=10))
    report = world.run(Trigger.SWEEP)
    assert report is not None
    assert report.created == 1


def test_a_run_by_hand_that_is_delivered_twice_is_not_skipped() -> None:
    """The queue delivers at least once: while the first delivery runs, the second leaves its record alone."""
    world = World()
    second: list[RunReport | None] = []
    world.steps.before = at("candidates", lambda: second.append(world.run(run_id="asked for")))
    report = world.run(run_id="asked for")
    assert second == [None]
    assert report is not None
    assert report.outcome is RunOutcome.COMPLETED
    assert world.storage.writes.count("jobs.note") == 0


@pytest.mark.parametrize("step", ["candidates", "message", "apply", "dispose", "purge"])
def test_a_run_that_lost_its_lease_writes_nothing_that_counts(step: str, caplog: pytest.LogCaptureFixture) -> None:
    """It froze so long that another run took over and finished: it goes quiet, and everything is there once."""
    world = World(on_success=EVERYTHING)
    world.deliver(mail("First"), mail("Second"))
    second: list[RunReport | None] = []

    def take_over() -> None:
        world.clock.advance(LONG)
        second.append(run_job("support", Trigger.TIMER, world.services))

    world.steps.before = at(step, take_over)
    assert world.run(Trigger.TIMER, run_id="first") is None
    (report,) = second
    assert report is not None
    assert report.outcome is RunOutcome.COMPLETED
    assert (world.subjects(), world.flags()) == ([["First"], ["Second"]], {})
    assert {entry.stage for entry in world.ledger().values()} == {Stage.DONE}
    assert (world.state().lease_run, world.state().failures) == ("", 0)
    outcomes = {one.run_id: one.outcome for one in world.reports()}
    assert outcomes == {"first": RunOutcome.DIED, report.run_id: RunOutcome.COMPLETED}
    assert "defect" not in caplog.text


def test_a_run_whose_job_is_deleted_stops() -> None:
    """The next write finds no row: nothing more happens to the mailbox."""
    world = World()
    world.deliver(mail("Printer"))
    world.steps.after = at("apply", lambda: world.storage.jobs.delete("support"))
    assert world.run() is None
    assert world.flags() == {1: "untouched"}


def test_a_dead_run_is_taken_over_when_its_lease_expires() -> None:
    """Not before; then its record says that it died."""
    world = World()
    world.deliver(mail("Printer"))
    world.storage.fail_next(3, Killed(), lasting=True)
    with pytest.raises(Killed):
        world.run(Trigger.TIMER, run_id="first")
    world.recover()
    world.clock.advance(timedelta(seconds=89))
    assert world.run(run_id="too early") is None
    world.clock.advance(timedelta(seconds=1))
    assert world.report().created == 1
    dead = world.storage.jobs.run("support", "first")
    assert dead is not None
    assert dead.outcome is RunOutcome.DIED


def test_a_config_saved_during_a_run_survives_it() -> None:
    """The run goes on with what it read; what was saved meanwhile is what counts afterwards."""
    world = World()
    world.deliver(mail("Printer"))

    def rename() -> None:
        record = world.record()
        job = check_job({"server": SERVER, "name": "Renamed", "enabled": False}, job_id="support")
        save(world.storage.jobs, job, before=record, now=world.clock())

    world.steps.before = at("apply", rename)
    assert world.report().created == 1
    assert (world.record().name, world.record().enabled, world.state().lease_run) == ("Renamed", False, "")
    assert world.flags() == {1: "seen"}


SERVER = {"type": "imap4", "host": "mail.example", "username": "support", "password_secret": "support"}


# --- when time is up -------------------------------------------------------------------------------------------------


def slow(world: World) -> None:
    """Let each delivery take a minute; a run has three."""

    def look(step: str, uids: Sequence[int]) -> None:
        world.check(step, uids)
        if step == "apply":
            world.clock.advance(MINUTE)

    world.steps.before = look


def test_a_run_stops_in_time_and_has_itself_continued() -> None:
    """What is in hand is finished, the rest is given back without a charge, and a continuation is queued."""
    world = World()
    world.deliver(*(mail(f"m{number}") for number in range(1, 21)))
    slow(world)
    report = world.report(Trigger.TIMER)
    assert (report.outcome, report.created, report.errors) == (RunOutcome.CONTINUED, 9, 0)
    assert [entry.attempts for entry in world.ledger().values() if entry.undelivered] == [0] * 11
    assert list(world.flags().values()) == ["seen"] * 9 + ["untouched"] * 11
    (request,) = world.storage.queue.take()
    assert (request.job_id, request.trigger) == ("support", Trigger.CONTINUATION)


def test_a_full_mailbox_drains_over_several_runs() -> None:
    """Continuation by continuation, each message once; the last one says that it is done, and queues nothing."""
    world = World()
    world.deliver(*(mail(f"m{number}") for number in range(1, 21)))
    slow(world)
    reports = [world.report(Trigger.TIMER)]
    while requests := world.storage.queue.take():
        (request,) = requests
        report = world.run(request.trigger, run_id=request.run_id)
        assert report is not None
        reports.append(report)
    assert [report.outcome.value for report in reports] == ["continued", "continued", "completed"]
    assert [report.created for report in reports] == [9, 9, 2]
    assert len(world.tickets()) == 20
    assert set(world.flags().values()) == {"seen"}
    assert not world.state().unfinished


def test_no_batch_is_taken_up_once_time_is_up() -> None:
    """Listing alone took all the time: nothing is claimed, and the rest is for the continuation."""
    world = World()
    world.deliver(mail("Printer"))
    world.steps.after = at("candidates", lambda: world.clock.advance(3 * MINUTE))
    report = world.report()
    assert (report.outcome, report.received, world.ledger()) == (RunOutcome.CONTINUED, 0, {})
    (request,) = world.storage.queue.take()
    assert world.run(request.trigger) is not None
    assert world.subjects() == [["Printer"]]


def too_much_for_one_run() -> World:
    """A job that is due once a day, now, with more mail than a run can take."""
    world = World(schedule={"frequency": {"type": "once", "at": "12:05"}})
    world.deliver(*(mail(f"m{number}") for number in range(1, 11)))
    slow(world)
    return world


def test_the_server_gets_somewhat_more_time_than_the_run() -> None:
    """So that what is in hand when time is up can be finished, and no call outlives the worker."""
    world = World()
    left: list[timedelta] = []

    def look(request: OpenRequest) -> Mailbox:
        left.append(request.deadline.left)
        return world.services.open_mailbox(request)

    assert run_job("support", Trigger.MANUAL, replace(world.services, open_mailbox=look)) is not None
    assert world.services.budget < left[0] < 1.5 * world.services.budget


@pytest.mark.parametrize("fault", [Unavailable("The queue is away."), Killed()], ids=["away", "killed"])
def test_a_lost_continuation_is_made_up_for(fault: BaseException) -> None:
    """The job stays due, so that the sweep takes it within a minute, however rare its schedule."""
    rehearsal = too_much_for_one_run()
    so_far = len(rehearsal.storage.writes)
    rehearsal.report(Trigger.TIMER)
    world = too_much_for_one_run()
    world.storage.fail_next(rehearsal.storage.writes.index("queue.put") - so_far + 1, fault)
    with pytest.raises(type(fault)):
        world.run(Trigger.TIMER)
    assert world.storage.queue.take() == []
    assert [job.job_id for job in world.storage.jobs.overdue(world.clock())] == ["support"]
    world.steps.before = world.check
    report = world.run(Trigger.SWEEP)
    assert report is not None
    assert (report.outcome, len(world.tickets())) == (RunOutcome.COMPLETED, 10)
    assert world.run(Trigger.TIMER) is None


def test_a_disabled_job_that_is_continued_does_not_become_due() -> None:
    """A run by hand goes on by its continuation alone."""
    world = too_much_for_one_run()
    job = check_job({"server": SERVER, "enabled": False}, job_id="support")
    save(world.storage.jobs, job, before=world.record(), now=world.clock())
    assert world.report().outcome is RunOutcome.CONTINUED
    assert world.state().next_due is None
    assert len(world.storage.queue.take()) == 1


# --- where the next run goes on --------------------------------------------------------------------------------------


def test_the_cursor_is_kept_once_everything_listed_was_taken_up() -> None:
    """Then the next listing begins there."""
    world = World(pick=Pick.NEW, on_success={})
    world.deliver(mail("First"), mail("Second"))
    world.report()
    assert world.state().cursor == "2"


def test_the_cursor_waits_for_what_was_not_taken_up() -> None:
    """Time was up with mail left: the next run lists from the old cursor, and nobody is passed over."""
    world = World(pick=Pick.NEW, on_success={})
    world.deliver(*(mail(f"m{number}") for number in range(1, 16)))
    slow(world)
    assert world.report().outcome is RunOutcome.CONTINUED
    assert world.state().cursor is None
    assert world.report().outcome is RunOutcome.COMPLETED
    assert (world.state().cursor, len(world.tickets())) == ("15", 15)


@pytest.mark.parametrize("step", ["candidates", "fetch", "message", "apply"])
def test_the_cursor_waits_for_a_run_that_works(step: str) -> None:
    """A fault leaves the cursor where it was, wherever it struck."""
    world = World(pick=Pick.NEW, on_success={})
    world.deliver(mail("First"))
    world.report()
    world.deliver(mail("Second"))
    world.steps.before = at(step, fail)
    assert world.later().outcome is RunOutcome.FAILED
    assert world.state().cursor == "1"
    world.later()
    assert (world.state().cursor, world.subjects()) == ("2", [["First"], ["Second"]])


def fail() -> None:
    """The server goes away."""
    raise Unavailable("The server does not answer.")


def test_a_failed_message_behind_the_cursor_is_not_forgotten() -> None:
    """The mailbox lists it no more; the ledger knows that it is open."""
    world = World(pick=Pick.NEW, on_success={})
    world.refused.add("Bad")
    world.deliver(mail("Bad"), mail("Good"))
    world.report()
    assert world.state().cursor == "2"
    world.refused.clear()
    world.later()
    assert world.subjects() == [["Bad"], ["Good"]]


def test_new_means_since_the_job_was_made() -> None:
    """Read by a person or not; what was there before the job is none of its business."""
    world = World(pick=Pick.NEW)
    world.folder.deliver(mail("Old"), received=world.clock() - timedelta(days=1))
    world.folder.deliver(mail("Read"), seen=True)
    world.report()
    assert world.subjects() == [["Read"]]
