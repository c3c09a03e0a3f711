"""The preview of a schedule over HTTP."""

from tests.api.world import World, problem

BERLIN = {"frequency": {"type": "once", "at": "02:30"}, "time_zone": "Europe/Berlin"}


def test_a_preview_tells_what_will_happen(world: World) -> None:
    """Sentence, timer, excess, and each occurrence as instant and as local time."""
    schedule = {**BERLIN, "frequency": {"type": "once", "at": "08:30"}}
    body = world.client.post("/api/schedules/preview", json={"schedule": schedule, "count": 3}).json()
    assert [each["utc"] for each in body["occurrences"]] == [
        "2026-11-24T07:30:00Z",
        "2026-11-25T07:30:00Z",
        "2026-11-26T07:30:00Z",
    ]
    assert body["occurrences"][0]["local"] == "2026-11-24T08:30:00+01:00"
    assert body["expression"] == "0 30 6,7 * * *"
    assert body["excess"] >= 1
    assert "08:30" in body["sentence"]
    assert world.storage.writes == ()


def test_daylight_saving_is_noted(world: World) -> None:
    """A time that does not exist on the day of the change is marked."""
    schedule = {**BERLIN, "start_date": "2027-03-27"}
    body = world.client.post("/api/schedules/preview", json={"schedule": schedule, "count": 2}).json()
    ordinary, changed = body["occurrences"]
    assert ordinary["note"] == ""
    assert changed["utc"] == "2027-03-28T01:00:00Z"
    assert changed["note"]


def test_the_second_is_the_jobs_own(world: World) -> None:
    """With a job's id the expression is the one that its timer will have."""
    created = world.create()
    body = world.client.post("/api/schedules/preview", json={"schedule": {}, "job_id": "support"}).json()
    assert body["expression"] == created.json()["state"]["timer"]
    assert len(body["occurrences"]) == 50


def test_an_expression_is_a_schedule_too(world: World) -> None:
    """What people type as NCRONTAB is previewed in its own zone."""
    schedule = {"ncrontab": "0 9 * * tue", "time_zone": "America/New_York"}
    body = world.client.post("/api/schedules/preview", json={"schedule": schedule, "count": 1}).json()
    assert body["occurrences"][0]["local"] == "2026-11-24T09:00:00-05:00"


def test_faults_of_a_preview_are_problems(world: World) -> None:
    """All faults at once, with places in the body that was sent."""
    asked = {"schedule": {"time_zone": "Nowhere", "pattern": {"type": "daily", "every": 0}}, "count": 501, "cnt": 1}
    body = problem(world.client.post("/api/schedules/preview", json=asked), 400, "config-invalid")
    assert {fault["pointer"] for fault in body["errors"]} == {
        "/schedule/time_zone",
        "/schedule/pattern/every",
        "/count",
        "/cnt",
    }


def test_faults_of_an_expression_have_their_place(world: World) -> None:
    """A field called like the form that it belongs to is still one place, not two."""
    for schedule, place, words in (
        ({"ncrontab": "61 * * * *"}, "/schedule/ncrontab", "61"),
        ({"ncrontab": "* * * * *", "time_zon": "UTC"}, "/schedule/time_zon", "'time_zone'"),
    ):
        answer = world.client.post("/api/schedules/preview", json={"schedule": schedule})
        (fault,) = problem(answer, 400, "config-invalid")["errors"]
        assert fault["pointer"] == place
        assert words in fault["detail"]
