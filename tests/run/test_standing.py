"""How a job stands after its runs, and what is told of it: a broken mailbox never looks like a quiet one."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable, Unreachable
from shared.events import Event
from shared.model import Health, RunOutcome, Trigger
from tests.run.world import LONG, World, mail

AWAY = Unavailable("The server is away.")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The events since the last look, without those of each run's end."""
    events = [record.__dict__["event"] for record in caplog.records if "event" in record.__dict__]
    caplog.clear()
    return events


def test_passing_faults_delay_and_lasting_ones_fail(caplog: pytest.LogCaptureFixture) -> None:
    """Two may pass by themselves; the third in a row is told once; a run that goes well ends it."""
    world = World()
    stands = []
    for _ in range(4):
        world.folder.fail("open", AWAY)
        world.later()
        stands.append((world.state().health, told(caplog)))
    assert stands == [
        (Health.DELAYED, [Event.JOB_FAILED]),
        (Health.DELAYED, [Event.JOB_FAILED]),
        (Health.FAILING, [Event.JOB_FAILED, Event.JOB_FAILING]),
        (Health.FAILING, [Event.JOB_FAILED]),
    ]
    world.later()
    assert (world.state().health, world.state().last_error, told(caplog)) == (
        Health.HEALTHY,
        "",
        [Event.JOB_RECOVERED],
    )


@pytest.mark.parametrize("fault", [AuthFailed("Wrong password."), ConfigInvalid("No such folder.")])
def test_what_a_person_must_mend_pauses_at_once(fault: JobError, caplog: pytest.LogCaptureFixture) -> None:
    """With the alarm at the first refusal, and the line names the job."""
    world = World()
    world.folder.fail("open", fault)
    world.report()
    assert (world.state().health, world.state().last_error) == (Health.PAUSED, str(fault))
    assert [record.__dict__["job"] for record in caplog.records if record.levelno >= logging.ERROR] == ["support"] * 2
    assert told(caplog) == [Event.JOB_FAILED, Event.JOB_PAUSED]


def test_mail_that_waits_too_long_delays_a_job_whose_runs_go_well(caplog: pytest.LogCaptureFixture) -> None:
    """A message that the target refuses again and again, while all others come through: told after an hour, not before."""
    world = World(max_attempts=20)
    world.refused.add("Bad")
    world.deliver(mail("Bad"), mail("Good"))
    arrived = world.clock()
    assert world.report().created == 1
    assert (world.state().health, world.state().waiting_since) == (Health.HEALTHY, arrived)
    world.later(timedelta(minutes=59))
    assert (world.state().health, told(caplog)) == (Health.HEALTHY, [])
    world.later(timedelta(minutes=2))
    state = world.state()
    assert (state.health, told(caplog)) == (Health.DELAYED, [Event.MAIL_WAITING])
    assert "A message has waited for its ticket since" in state.last_error
    world.refused.clear()
    assert world.later().created == 1
    assert (world.state().health, world.state().waiting_since, world.state().last_error) == (Health.HEALTHY, None, "")


def test_mail_may_wait_for_ever_where_the_job_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """0 minutes: no alarm, but it is still known since when."""
    world = World(max_attempts=20, alarm_after_minutes=0)
    world.refused.add("Bad")
    world.deliver(mail("Bad"))
    world.report()
    world.later(LONG)
    assert (world.state().health, told(caplog)) == (Health.HEALTHY, [])
    assert world.state().waiting_since


def test_what_waits_is_still_known_while_the_server_is_away() -> None:
    """A run that lists nothing does not forget that something waits."""
    world = World(max_attempts=20)
    world.refused.add("Bad")
    world.deliver(mail("Bad"))
    arrived = world.clock()
    world.report()
    world.folder.fail("open", AWAY)
    world.later()
    assert world.state().waiting_since == arrived


def test_every_event_is_in_the_operators_page() -> None:
    """With its name; the page says what to alert on."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    assert [event for event in Event if f"| `{event}` |" not in page] == []


def test_a_job_on_a_silent_server_waits_without_trying() -> None:
    """Two other jobs had no answer: this one does not open its mailbox, says why, and comes back by itself."""
    world = World()
    world.deliver(mail("Printer"))
    circuit, server = world.services.circuit, "mail.example:993"
    for job in ("first", "second"):
        with pytest.raises(Unreachable), circuit.calling(server, job, world.clock):
            raise Unreachable("No answer.")
    report = world.report()
    assert (report.outcome, world.steps.taken) == (RunOutcome.FAILED, [])
    assert "has not answered the last 2 jobs" in report.comments[0]
    assert (world.state().health, world.run(Trigger.TIMER)) == (Health.DELAYED, None)
    world.clock.advance(timedelta(minutes=2))
    assert world.report(Trigger.TIMER).created == 1
