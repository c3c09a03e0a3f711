"""When the platform is asked to register timers anew: late enough, seldom enough, by one of many, and not amid a run."""

from datetime import timedelta

import pytest

from shared.model import DueJob
from shared.reindex import PAUSE, STANDS, Reindexing
from tests.builders import NOW, make_record
from tests.contract.storage import Runs
from tests.reindex.conftest import App
from tests.servers.arm import Arm

EACH = make_record("support").ncrontab
DUE = DueJob("support", EACH, NOW)


def stale(app: App, job_id: str = "support") -> Reindexing:
    """A process that started before the job was made, and has met it at a sweep."""
    app.storage.jobs.create(make_record(job_id))
    process = app.process()
    process.step()
    process.notice(DueJob(job_id, EACH, NOW))
    return process


def test_a_due_job_without_a_timer_makes_the_app_restart(app: App, in_azure: Arm) -> None:
    """Once the table has stood for two minutes, and not before; the process that starts then has the triggers synced."""
    process = stale(app)
    steps = []
    for _ in range(4):
        steps.append(process.step())
        app.clock.advance(timedelta(minutes=1))
    assert steps == [False, False, True, False]
    assert in_azure.done == ["restart"]

    begun = app.process({"support": EACH})
    assert [begun.step(), begun.step()] == [False, False]
    assert in_azure.done == ["restart", "syncfunctiontriggers"]
    assert not app.process({"support": EACH}).step()
    assert in_azure.done == ["restart", "syncfunctiontriggers"], "the platform knows these timers"


def test_each_change_of_the_timers_begins_the_wait_anew(app: App, in_azure: Arm) -> None:
    """Who saves ten jobs one after the other gets one restart."""
    process = stale(app)
    process.step()
    for number in range(5):
        app.clock.advance(STANDS - timedelta(seconds=10))
        app.storage.jobs.create(make_record(f"more-{number}"))
        assert not process.step()
        app.clock.advance(timedelta(seconds=10))
        assert not process.step()
    app.clock.advance(STANDS)
    assert process.step()
    assert in_azure.done == ["restart"]


def test_never_while_a_run_goes_on(app: App, in_azure: Arm) -> None:
    """Whichever instance it is on: its lease is in the table. One that died holds nothing up."""
    process = stale(app)
    process.step()
    app.storage.jobs.create(make_record("busy", enabled=False))
    app.clock.advance(STANDS)
    lease = Runs(app.storage.jobs).begin("busy", "r1")
    assert not process.step()
    assert in_azure.asked == []
    lease.abandon()
    app.clock.advance(timedelta(minutes=10))
    assert process.step()
    assert in_azure.done == ["restart"]


def test_of_many_instances_one_asks(app: App, in_azure: Arm) -> None:
    """And none again for half an hour, though the job still has no timer."""
    processes = [stale(app), *(app.process() for _ in range(4))]
    for process in processes:
        process.notice(DUE)
        process.step()
    app.clock.advance(STANDS)
    assert sorted(process.step() for process in processes) == [False, False, False, False, True]
    app.clock.advance(PAUSE - timedelta(seconds=1))
    assert not any(process.step() for process in processes)
    app.clock.advance(timedelta(seconds=1))
    assert sorted(process.step() for process in processes) == [False, False, False, False, True]
    assert in_azure.done == ["restart"] * 2


def test_a_refusal_is_said_once_and_asked_again_after_the_pause(
    app: App, in_azure: Arm, caplog: pytest.LogCaptureFixture
) -> None:
    """The jobs are run all the same; once it is granted, the app restarts."""
    in_azure.granted.clear()
    process = stale(app)
    process.step()
    for _ in range(4):
        app.clock.advance(PAUSE)
        assert not process.step()
    assert in_azure.asked == [("restart", 403)] * 4
    assert caplog.text.count("reindex_refused") == 1
    assert "Microsoft.Web/sites/restart/action" in caplog.text
    assert "The sweep runs the jobs" in caplog.text
    in_azure.granted.add("restart")
    app.clock.advance(PAUSE)
    assert process.step()


def test_as_long_as_the_platform_asks_for_nobody_comes_again(app: App, in_azure: Arm) -> None:
    """Not this process and not another."""
    process = stale(app)
    process.step()
    app.clock.advance(STANDS)
    in_azure.script.append((429, "TooManyRequests", {"Retry-After": "7200"}))
    other = app.process()
    other.notice(DUE)
    assert not process.step()
    app.clock.advance(timedelta(seconds=7199))
    assert not process.step()
    assert not other.step()
    app.clock.advance(timedelta(seconds=1))
    assert other.step()
    assert in_azure.asked == [("restart", 429), ("restart", 200)]


def test_a_sync_that_comes_too_early_is_tried_again(app: App, in_azure: Arm) -> None:
    """After one minute, then two, then four: the host that starts refuses it for a while."""
    app.storage.jobs.create(make_record("support"))
    process = app.process({"support": EACH})
    in_azure.script += [(400, "BadRequest", {})] * 3
    for _ in range(10):
        assert not process.step()
        app.clock.advance(timedelta(minutes=1))
    assert [status for _, status in in_azure.asked] == [400, 400, 400, 204]


def test_a_process_that_could_not_read_its_timers_does_not_sync(app: App, in_azure: Arm) -> None:
    """The platform would forget the others'. It counts as one whose timers are old."""
    app.storage.jobs.create(make_record("support"))
    process = app.process()
    process.step()
    assert in_azure.asked == []
    app.clock.advance(STANDS)
    assert process.step()


def test_other_timers_in_the_table_are_no_reason_by_themselves(app: App, in_azure: Arm) -> None:
    """A disabled job's timer finds nothing due; one above the bound never gets one; a timer as registered is right."""
    app.storage.jobs.create(make_record("alpha"))
    process = app.process({"alpha": EACH}, most=1)
    process.step()
    app.storage.jobs.create(make_record("beta"))
    process.notice(DueJob("alpha", EACH, NOW))
    process.notice(DueJob("beta", EACH, NOW))
    app.clock.advance(PAUSE)
    assert not process.step()
    assert in_azure.done == ["syncfunctiontriggers"]
    process.notice(DueJob("alpha", "9 9 9 9 9 *", NOW))
    app.clock.advance(PAUSE)
    assert not process.step()
    assert in_azure.done == ["syncfunctiontriggers"], "by now the table asks for what is registered"


def test_without_the_setting_it_is_said_once(app_without_setting: App, caplog: pytest.LogCaptureFixture) -> None:
    """At a level that alarms nobody: the sweep does the work."""
    caplog.set_level("INFO")
    process = stale(app_without_setting)
    assert not any(process.step() for _ in range(3))
    assert caplog.text.count("reindex_off") == 1
    assert "MAILCONNECTOR_REINDEX_SITE" in caplog.text


def test_a_sweep_costs_nothing_more_while_timers_are_right(app: App) -> None:
    """One read at a process's first sweep; where timers differ, the note and a look at the sixteen partitions."""
    app.storage.jobs.create(make_record("support"))
    app.process({"support": EACH}).step()
    process = app.process({"support": EACH})
    app.requests = 0
    for _ in range(10):
        process.step()
        process.notice(DUE)
    assert app.requests == 1
    app.storage.jobs.create(make_record("fresh"))
    process.notice(DueJob("fresh", EACH, NOW))
    app.requests = 0
    for _ in range(10):
        process.step()
    assert app.requests == 1 + 16 + 1
