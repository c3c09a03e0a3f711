"""`GET /api/alarms`: what is wrong now."""

from datetime import timedelta

from shared.model import Health
from tests.api.world import World
from tests.builders import make_ending
from tests.contract.storage import Runs


def test_healthy_jobs_raise_none(world: World) -> None:
    """Also one that has not run yet."""
    world.create()
    assert world.client.get("/api/alarms").json() == {"items": []}


def test_a_job_that_no_run_takes_up_is_delayed(world: World) -> None:
    """Ten minutes after it was due, though its last run went well; the job itself says so too."""
    job = world.create().json()
    world.clock.advance(timedelta(minutes=14))
    assert world.client.get("/api/alarms").json() == {"items": []}
    world.clock.advance(timedelta(minutes=2))
    (alarm,) = world.client.get("/api/alarms").json()["items"]
    assert (alarm["job_id"], alarm["health"], alarm["since"]) == ("support", "delayed", job["state"]["next_due"])
    assert "sweep" in alarm["why"]
    state = world.client.get("/api/jobs/support").json()["state"]
    assert (state["health"], state["since"], state["last_error"]) == ("delayed", alarm["since"], alarm["why"])


def test_what_the_last_run_met_is_told_until_it_is_mended(world: World) -> None:
    """With its reason. A disabled job is left alone."""
    world.create()
    world.create(id="other")
    for job in ("support", "other"):
        lease = Runs(world.storage.jobs).begin(job, f"{job}-run")
        ending = make_ending(f"{job}-run", job, failures=1, health=Health.PAUSED, last_error="Wrong password.")
        lease.finish(ending)
    world.client.post("/api/jobs/other/disable")
    (alarm,) = world.client.get("/api/alarms").json()["items"]
    assert (alarm["job_id"], alarm["health"], alarm["why"]) == ("support", "paused", "Wrong password.")
