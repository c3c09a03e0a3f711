"""Runs over HTTP: asked for, listed, followed."""

from datetime import timedelta
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.model import RunOutcome, RunRequest, Trigger
from tests.api.world import World, problem
from tests.builders import NOW, make_report, make_run_id


@pytest.mark.parametrize("enabled", [True, False])
def test_run_now_queues_a_run_that_can_be_followed(world: World, enabled: bool) -> None:  # noqa: FBT001 - pytest
    """202, also for a disabled job: the run is on the queue, and its address answers at once."""
    world.create(enabled=enabled)
    answer = world.client.post("/api/jobs/support/run")
    run_id = answer.json()["run_id"]
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/jobs/support/runs/{run_id}"
    assert world.storage.queue.take() == [RunRequest("support", run_id, Trigger.MANUAL)]
    run = world.client.get(answer.headers["location"]).json()
    assert (run["id"], run["outcome"], run["trigger"], run["job_name"]) == (
        run_id,
        "queued",
        "manual",
        "Support mailbox",
    )
    assert (run["started"], run["ended"], run["duration"]) == ("2026-11-23T12:00:00Z", None, None)


def test_the_record_is_there_before_the_run_can_be(world: World) -> None:
    """The queued record is written before the request is put on the queue, never over what the run wrote."""
    world.create()
    world.client.post("/api/jobs/support/run")
    assert world.storage.writes[-2:] == ("jobs.note", "queue.put")


def test_a_queue_that_is_away_is_a_503(world: World) -> None:
    """A run that could not be queued is not promised."""
    world.create()
    world.storage.fail_next(2, Unavailable("The queue is away."))
    problem(world.client.post("/api/jobs/support/run"), 503, "unavailable")
    assert world.storage.queue.take() == []


def test_an_unknown_job_cannot_run(world: World) -> None:
    """404, and nothing is queued."""
    problem(world.client.post("/api/jobs/other/run"), 404, "not-found")
    assert world.storage.writes == ()


def test_a_run_record_has_every_column_of_the_log(world: World) -> None:
    """What a run counted and said is shown, with its duration in seconds."""
    world.create()
    counts: dict[str, Any] = {
        "created": 3,
        "updated": 2,
        "received": 7,
        "in_box": 40,
        "rejected": 1,
        "parked": 1,
        "purged": 5,
    }
    report = make_report(**counts, errors=2, comments=("Message 7 is parked.",), ended=NOW + timedelta(seconds=2.5))
    world.storage.jobs.note(report)
    run = world.client.get("/api/jobs/support/runs/run-1").json()
    assert {name: run[name] for name in counts} == counts
    assert (run["errors"], run["comments"], run["duration"]) == (2, ["Message 7 is parked."], 2.5)
    assert run["outcome"] == "completed"


def test_runs_are_listed_newest_first_in_pages(world: World) -> None:
    """Every run comes once, the newest first; other jobs' runs do not."""
    world.create()
    world.create(id="other")
    for minute in range(5):
        started = NOW + timedelta(minutes=minute)
        world.storage.jobs.note(make_report(make_run_id(started), started=started, ended=None))
    world.storage.jobs.note(make_report("stranger", "other"))
    first = world.client.get("/api/jobs/support/runs?limit=3").json()
    second = world.client.get("/api/jobs/support/runs", params={"limit": 3, "cursor": first["next"]}).json()
    starts = [run["started"] for run in first["items"] + second["items"]]
    assert starts == [f"2026-11-23T12:0{minute}:00Z" for minute in (4, 3, 2, 1, 0)]
    assert second["next"] is None


def test_runs_of_a_deleted_job_stay_readable(world: World) -> None:
    """What happened is not forgotten with the job; a job that never was is a 404."""
    world.create()
    world.storage.jobs.note(make_report(outcome=RunOutcome.FAILED))
    world.client.delete("/api/jobs/support")
    assert len(world.client.get("/api/jobs/support/runs").json()["items"]) == 1
    problem(world.client.get("/api/jobs/other/runs"), 404, "not-found")
    problem(world.client.get("/api/jobs/support/runs/other"), 404, "not-found")


def test_a_job_without_runs_has_an_empty_page(world: World) -> None:
    """No runs are no fault."""
    world.create()
    assert world.client.get("/api/jobs/support/runs").json() == {"items": [], "next": None}
