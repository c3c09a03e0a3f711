"""What runs do with canaries: sent, known, missed, told of, and never a ticket."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.api.records import save
from shared.api.views import alarm_view
from shared.canary import HEADER, Stamp, letter, missing_sentence, new_stamp, write_stamp
from shared.errors import ConfigInvalid, Unavailable
from shared.events import Event
from shared.jobs import Job, load_job
from shared.ledger import Stage
from shared.model import CanaryState, Health, RunOutcome
from shared.ports import PostRequest
from tests.run.test_standing import told
from tests.run.world import Killed, World, mail

KEY = "a key that nobody could guess"
CANARY = {"key_secret": "canary", "send": {"by": "append"}, "address": "support@mail.example"}
#: One occurrence of the job's schedule, and the time after that in which a canary has to be back.
OCCURRENCE, ALLOWED = timedelta(minutes=5), timedelta(minutes=30)


class OneKey:
    """See `shared.ports.Secrets`: the key of the canaries, unless it was taken away."""

    def __init__(self) -> None:
        self.fault: Exception | None = None

    def get(self, name: str) -> str:
        """See the port."""
        assert name == "canary"
        if self.fault:
            raise self.fault
        return KEY


class CanaryWorld(World):
    """A world whose job has a canary; posting is a step, and what is posted arrives at once unless it is ``lost``."""

    def __init__(self, *, canary: dict[str, Any] | None = None, **config: Any) -> None:
        super().__init__(canary={**CANARY, **(canary or {})}, **config)
        self.secrets = OneKey()
        self.sent: list[bytes] = []
        self.lost = False
        #: Raised once by the next posting, after it took effect or before.
        self.fault: BaseException | None = None
        self.fault_after = False
        self.services = replace(self.services, secrets=self.secrets, post=self._post)

    def _post(self, request: PostRequest) -> None:
        fault, self.fault = self.fault, None
        if fault and not self.fault_after:
            raise fault
        self.sent.append(request.letter.raw())
        if not self.lost:
            self.deliver(self.sent[-1])
        if fault:
            raise fault

    def canary(self) -> CanaryState:
        """What is known of it."""
        return self.state().canary

    def change(self, **config: Any) -> None:
        """Save the job with other settings."""
        record = self.record()
        job = Job.model_validate({**load_job(record).model_dump(), **config})
        save(self.storage.jobs, job, before=record, now=self.clock())


def test_it_comes_back_and_makes_no_ticket() -> None:
    """Sent at the end of a run, known by the next one, treated as what has its ticket, with its delay in the job's state."""
    world = CanaryWorld()
    world.deliver(mail("Printer"))
    sent = world.clock()
    assert world.report().created == 1
    assert (world.canary().sent, world.canary().posted, len(world.sent)) == (sent, True, 1)
    report = world.later(timedelta(minutes=4))
    assert (report.received, report.created, report.rejected, report.errors) == (1, 0, 0, 0)
    assert report.comments == ("The canary came back after 240 seconds.",)
    known = world.canary()
    assert (known.out, known.seen, known.delay) == ("", world.clock(), timedelta(minutes=4))
    assert (world.subjects(), world.parked(), world.flags()) == ([["Printer"]], [], {1: "seen", 2: "seen"})
    assert world.ledger()[2].stage is Stage.DONE
    (why,) = (one for one in world.storage.jobs._rows.whys.values() if one.subject.startswith("Canary"))
    assert why.sentence.startswith("It made no ticket: This message is a canary")
    assert len(world.sent) == 1


@pytest.mark.parametrize(
    ("config", "fate"),
    [
        ({"on_success": {"mark_as_read": True}}, "seen"),
        ({"on_success": {"mark_as_deleted": True, "purge_deleted_at_end_of_session": True}}, "purged"),
        ({"on_success": {}}, "seen"),
        ({"on_success": {}, "reprocess": True}, "seen"),
        ({"canary": {"on_return": {"mark_as_deleted": True}}}, "deleted"),
        ({"canary": {"on_return": {"mark_as_deleted": True, "purge_deleted_at_end_of_session": True}}}, "purged"),
    ],
)
def test_it_is_tidied_away_as_the_job_says(config: dict[str, Any], fate: str) -> None:
    """As a message that has its ticket, or as the canary's own block says; never left as if nobody had seen it. No copy."""
    world = CanaryWorld(soft_purge_days=30, **config)
    world.report()
    report = world.later(timedelta(minutes=5))
    assert world.flags().get(1, "purged") == fate
    assert report.purged == (fate == "purged")
    assert world.storage.purged.page("support", limit=9)[0] == []
    assert world.tickets() == []


def stamped(stamp: Stamp, *, job: str = "support", key: str = KEY) -> str:
    """The header field of a canary."""
    return write_stamp(stamp, job, key)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(lambda now: stamped(new_stamp(now), key="not the key of this job"), id="wrong key"),
        pytest.param(lambda now: stamped(new_stamp(now), job="sales"), id="another job's"),
        pytest.param(lambda now: stamped(new_stamp(now - timedelta(hours=169))), id="too old"),
        pytest.param(lambda now: stamped(new_stamp(now + timedelta(hours=1))), id="from the future"),
        pytest.param(lambda now: stamped(new_stamp(now))[:-1], id="cut"),
        pytest.param(lambda _: "yes", id="nonsense"),
        pytest.param(lambda _: "", id="empty"),
    ],
)
def test_a_forged_one_is_ordinary_mail(value: Any) -> None:
    """It becomes a ticket like any other message."""
    world = CanaryWorld()
    world.deliver(mail("Forged", **{HEADER.replace("-", "_"): value(world.clock())}))
    assert world.report().created == 1
    assert world.subjects() == [["Forged"]]
    assert world.canary().seen is None


def test_a_canary_means_nothing_to_a_job_without_one() -> None:
    """There is no key by which it could be known; and such a job writes nothing more than it ever did."""
    world = World()
    stamp = new_stamp(world.clock())
    world.deliver(letter(stamp, "support", KEY, sender="a@mail.example", recipient="a@mail.example").raw())
    assert world.report().created == 1
    before = len(world.storage.writes)
    world.later()
    assert world.storage.writes[before:] == ("jobs.begin", "lease.finish")


def test_a_run_with_nothing_to_do_for_its_canary_writes_nothing_more() -> None:
    """Claimed and leased; recorded and released."""
    world = CanaryWorld()
    world.report()
    world.later(timedelta(minutes=5))
    before = len(world.storage.writes)
    world.later(timedelta(minutes=5))
    assert world.storage.writes[before:] == ("jobs.begin", "lease.finish")


def test_one_that_does_not_come_back_raises_an_alarm_until_another_does(caplog: pytest.LogCaptureFixture) -> None:
    """Told by each run meanwhile, in the job's state and among the alarms; and the return is told once."""
    caplog.set_level(logging.INFO)
    world = CanaryWorld()
    world.lost = True
    start = world.clock()
    world.report()
    world.later(ALLOWED)
    assert (world.state().health, world.canary().missing_since, told(caplog)) == (Health.HEALTHY, None, [])
    report = world.later(timedelta(seconds=1))
    assert (report.outcome, report.errors) == (RunOutcome.COMPLETED, 0)
    assert (world.state().health, world.canary().missing_since) == (Health.DELAYED, start + ALLOWED)
    assert "A canary should have come back by" in world.state().last_error
    assert told(caplog) == [Event.CANARY_MISSING]
    alarm = alarm_view(world.record(), world.clock())
    assert alarm is not None
    assert alarm.health is Health.DELAYED
    # Another was sent at once, and is lost as well.
    world.later(timedelta(minutes=5))
    assert (len(world.sent), told(caplog)) == (2, [Event.CANARY_MISSING])
    world.lost = False
    world.later(timedelta(minutes=40))
    assert (len(world.sent), told(caplog)) == (3, [Event.CANARY_MISSING])
    report = world.later(timedelta(minutes=1))
    assert report.comments == ("The canary came back after 60 seconds.",)
    assert told(caplog) == [Event.CANARY_RETURNED]
    assert (world.state().health, world.state().last_error, world.canary().missing_since) == (Health.HEALTHY, "", None)
    assert alarm_view(world.record(), world.clock()) is None


def test_one_is_missed_though_no_run_comes(caplog: pytest.LogCaptureFixture) -> None:
    """In the job's state and among the alarms, from the time on that begins with the job's next occurrence."""
    world = CanaryWorld()
    world.report()
    due = world.clock() + OCCURRENCE + ALLOWED
    world.clock.advance(OCCURRENCE + ALLOWED)
    record = world.record()
    # The job itself is not late: what is wrong is the canary alone.
    record = replace(record, state=replace(record.state, next_due=due))
    assert alarm_view(record, world.clock()) is None
    world.clock.advance(timedelta(seconds=1))
    alarm = alarm_view(record, world.clock())
    assert alarm is not None
    assert (alarm.health, alarm.since) == (Health.DELAYED, due)
    assert "A canary should have come back by" in alarm.why


def test_a_job_that_runs_once_a_day_misses_it_in_its_next_run(caplog: pytest.LogCaptureFixture) -> None:
    """It does not take another day until that is told."""
    world = CanaryWorld(schedule={"frequency": {"type": "once", "at": "06:00"}})
    world.lost = True
    world.report()
    due = world.state().next_due
    assert due is not None
    world.later(due - world.clock())
    assert told(caplog) == [Event.CANARY_MISSING]
    assert world.state().health is Health.DELAYED


def test_a_job_that_runs_each_hour_sends_one_each_hour() -> None:
    """Though runs do not come to the second."""
    world = CanaryWorld()
    for run in range(4):
        world.later(timedelta(minutes=60, seconds=3 * (-1) ** run))
    assert len(world.sent) == 4


def test_mail_that_is_left_for_a_continuation_may_hold_it() -> None:
    """A run whose time was up judges nothing and sends nothing."""
    world = CanaryWorld()
    world.report()
    world.clock.advance(timedelta(minutes=40))
    world.deliver(mail("Printer"))

    def slowly(step: str, uids: Sequence[int]) -> None:
        world.clock.advance(timedelta(minutes=10))

    world.steps.before = slowly
    assert world.report().outcome is RunOutcome.CONTINUED
    assert (world.canary().missing_since, len(world.sent)) == (None, 1)


def test_one_that_comes_back_too_late_is_no_ticket_and_no_all_clear() -> None:
    """It had been given up, and another is out by then: that one counts."""
    world = CanaryWorld()
    world.lost = True
    world.report()
    world.later(timedelta(hours=1))
    assert len(world.sent) == 2
    missing_since = world.canary().missing_since
    world.deliver(world.sent[0])
    report = world.later(timedelta(minutes=1))
    assert report.comments == ("A canary came back after 3660 seconds, once more or too late: it makes no difference.",)
    assert (world.canary().missing_since, world.canary().seen) == (missing_since, None)
    world.deliver(world.sent[1])
    world.later(timedelta(minutes=1))
    assert (world.canary().missing_since, world.canary().delay, world.tickets()) == (None, timedelta(minutes=2), [])


def test_one_is_out_at_a_time_and_they_keep_their_distance() -> None:
    """None while one may still come back in time, nor before its hour has passed; whatever number of runs there is."""
    world = CanaryWorld()
    world.lost = True
    for _ in range(7):
        world.report()
        world.clock.advance(timedelta(minutes=5))
    assert len(world.sent) == 1
    world.lost = False
    world.deliver(world.sent[0])
    for _ in range(5):
        world.report()
        world.clock.advance(timedelta(minutes=4))
    assert len(world.sent) == 1
    world.later(timedelta(minutes=10))
    assert len(world.sent) == 2


def test_a_gap_in_the_schedule_is_no_alarm() -> None:
    """Nobody can pick it up before the job runs again: the time that it is allowed begins then."""
    world = CanaryWorld(schedule={"frequency": {"type": "once", "at": "06:00"}})
    world.report()
    due = world.state().next_due
    assert due is not None
    assert due - world.clock() > timedelta(hours=1)
    assert world.canary().expected_by == due + ALLOWED
    world.clock.advance(due - world.clock())
    assert alarm_view(world.record(), world.clock()) is None
    report = world.report()
    assert report.comments[0].startswith("The canary came back after")
    assert world.canary().seen == due
    assert world.canary().missing_since is None


@pytest.mark.parametrize(
    "fault",
    [
        Unavailable("The mail server is away."),
        ConfigInvalid("The mail server wants another password."),
        RuntimeError("A defect."),
    ],
)
def test_a_fault_while_sending_does_not_harm_the_run(fault: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It completes, without errors, and says so; the next try comes when this one would have been missed."""
    world = CanaryWorld()
    world.deliver(mail("Printer"))
    world.fault = fault
    report = world.report()
    assert (report.outcome, report.created, report.errors) == (RunOutcome.COMPLETED, 1, 0)
    assert world.state().health is Health.HEALTHY
    (comment,) = report.comments
    assert comment.startswith("The canary could not be sent: ")
    assert told(caplog) == [Event.CANARY_UNSENT]
    assert world.canary().fault in comment
    assert world.sent == []
    world.later(timedelta(minutes=36))
    world.later(timedelta(minutes=1))
    assert (len(world.sent), world.canary().missing_since, world.canary().fault) == (1, None, "")
    assert world.state().health is Health.HEALTHY


def test_the_alarm_says_why_none_could_be_sent() -> None:
    """As long as it goes on."""
    world = CanaryWorld()
    world.secrets.fault = ConfigInvalid("There is no secret 'canary'.")
    world.report()
    world.later(timedelta(hours=1))
    assert world.canary().missing_since
    assert "There is no secret 'canary'." in world.state().last_error
    assert world.sent == []


def test_without_its_key_a_canary_is_ordinary_mail_and_a_vault_that_is_away_is_waited_for() -> None:
    """The first is a config that somebody broke, and said; in the second nothing is decided until the vault is back."""
    world = CanaryWorld()
    world.report()
    world.lost = True
    world.secrets.fault = Unavailable("The vault is away.")
    report = world.later(timedelta(minutes=1))
    assert (report.outcome, world.tickets()) == (RunOutcome.FAILED, [])
    world.secrets.fault = None
    assert world.later().created == 0
    assert world.canary().seen
    world.secrets.fault = ConfigInvalid("There is no secret 'canary'.")
    world.deliver(world.sent[0])
    report = world.later(timedelta(minutes=1))
    assert report.created == 1
    assert "was taken as ordinary mail" in report.comments[0]


def test_a_disabled_job_sends_none() -> None:
    """A run by hand leaves nothing behind that nobody comes for."""
    world = CanaryWorld(enabled=False)
    world.report()
    assert (world.sent, world.canary()) == ([], CanaryState())


def test_a_job_that_has_none_any_more_forgets_what_it_knew() -> None:
    """One that never came back raises no alarm for ever."""
    world = CanaryWorld()
    world.lost = True
    world.report()
    world.change(canary=None)
    world.later(timedelta(hours=2))
    assert (world.canary(), world.state().health, len(world.sent)) == (CanaryState(), Health.HEALTHY, 1)


@pytest.mark.parametrize("after", [False, True], ids=["before it left", "after it left"])
def test_a_kill_around_the_sending_sends_one_too_few_at_most(*, after: bool) -> None:
    """What was claimed counts as sent. One that did leave is known again; one that did not is no alarm."""
    world = CanaryWorld()
    for attempt in range(1, 5):
        world.fault, world.fault_after = Killed(), after
        with suppress(Killed):
            world.report()
            raise AssertionError("The run should have been killed.")
        assert len(world.sent) == after * attempt
        # Well before it has to be back: whatever runs now sends no other.
        for _ in range(3):
            world.later(timedelta(minutes=6))
        assert len(world.sent) == after * attempt
        assert bool(world.canary().seen) == after
        world.clock.advance(timedelta(hours=2))
        record = world.record()
        assert missing_sentence(record.state.canary, world.clock()) == ""
    assert world.tickets() == []


def test_a_worker_that_always_dies_while_sending_sends_no_flood() -> None:
    """It runs every five minutes for some hours: at most one in the time that a canary may take."""
    world = CanaryWorld()
    world.fault_after = world.lost = True
    start = world.clock()
    while world.clock() - start < timedelta(hours=5):
        world.fault = Killed()
        with suppress(Killed):
            world.report()
        world.clock.advance(timedelta(minutes=5))
    assert len(world.sent) in {7, 8, 9}
    assert world.tickets() == []


def test_a_kill_after_it_was_seen_forgets_nothing() -> None:
    """Killed at every write of the run that picks it up: seen once, disposed of, never missing, never a ticket."""
    for nth in range(1, 8):
        world = CanaryWorld()
        world.report()
        world.clock.advance(timedelta(minutes=5))
        world.storage.fail_next(nth, Killed())
        with suppress(Killed):
            world.report()
        world.recover()
        world.clock.advance(timedelta(minutes=6))
        world.report()
        world.report()
        assert (world.canary().out, world.canary().missing_since, world.tickets()) == ("", None, [])
        assert world.canary().delay in {timedelta(minutes=5), timedelta(minutes=11)}
        assert world.flags() == {1: "seen"}


def test_the_key_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Not in a log, a run record, the job's row or the message."""
    caplog.set_level(logging.DEBUG)
    world = CanaryWorld()
    world.report()
    world.later(timedelta(minutes=5))
    seen = f"{caplog.text}{world.reports()}{world.record()}{world.sent}{world.ledger()}"
    assert KEY not in seen
