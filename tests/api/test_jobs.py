"""Jobs over HTTP: what is stored, and under which conditions."""

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import Stale, Unavailable
from shared.model import JobRecord
from tests.api.world import World, make_job, problem
from tests.builders import NOW, make_claim, make_ending, make_record

DAILY = {"frequency": {"type": "once", "at": "08:30"}}


def stored(world: World, job_id: str = "support") -> JobRecord:
    """The row of a job that is there."""
    record = world.storage.jobs.read(job_id)
    assert record is not None
    return record


def test_post_stores_a_job_and_says_where(world: World) -> None:
    """A new job is answered with its address, its version, every default, its state and its warnings."""
    answer = world.create()
    body = answer.json()
    assert answer.headers["location"] == "/api/jobs/support"
    assert answer.headers["etag"] == f'"{stored(world).revision}"'
    assert body["server"]["security"] == "tls"
    assert body["schedule"]["frequency"]["every"] == 5
    assert body["state"]["health"] == "healthy"
    assert body["state"]["next_due"] == "2026-11-23T12:05:00Z"
    assert body["warnings"] == []


def test_post_of_a_taken_id_is_refused_and_changes_nothing(world: World) -> None:
    """A second POST of an id is a 409, and the first job stays as it is."""
    world.create()
    before = stored(world)
    server = {**make_job()["server"], "folder": "INBOX/Other"}
    answer = world.client.post("/api/jobs", json=make_job(name="Another", server=server))
    assert "PUT" in problem(answer, 409, "id-taken")["detail"]
    assert stored(world) == before


def test_a_taken_mailbox_names_the_job_that_has_it(world: World) -> None:
    """Two jobs on one mailbox and folder are refused, whatever the spelling of the host."""
    world.create()
    server = {**make_job()["server"], "host": "MAIL.example."}
    answer = world.client.post("/api/jobs", json=make_job(id="second", server=server))
    assert problem(answer, 409, "mailbox-taken")["other_job"] == "support"
    assert world.storage.jobs.read("second") is None


def test_get_reads_what_was_stored_and_an_unknown_job_is_404(world: World) -> None:
    """GET gives the answer of the save; an id that is not there, or could not be, is a 404."""
    created = world.create()
    answer = world.client.get("/api/jobs/support")
    assert (answer.status_code, answer.json()) == (200, created.json())
    assert answer.headers["etag"] == created.headers["etag"]
    for job_id in ("other", "No-Such_Id", "%00", "a" * 200):
        problem(world.client.get(f"/api/jobs/{job_id}"), 404, "not-found")


def test_get_with_the_present_etag_is_not_modified(world: World) -> None:
    """If-None-Match spares the body, also in its weak form, and only while the config is the same."""
    tag = world.create().headers["etag"]
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = world.client.get("/api/jobs/support", headers={"If-None-Match": header})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert world.client.get("/api/jobs/support", headers={"If-None-Match": '"other"'}).status_code == 200


def test_put_creates_replaces_and_keeps(world: World) -> None:
    """PUT makes a job (201), replaces it under If-Match (200), and the same config again changes nothing."""
    config = make_job()
    del config["id"]
    created = world.client.put("/api/jobs/support", json=config)
    assert (created.status_code, created.headers["location"]) == (201, "/api/jobs/support")
    writes = len(world.storage.writes)
    again = world.client.put("/api/jobs/support", json=config)
    assert (again.status_code, again.headers["etag"]) == (200, created.headers["etag"])
    assert len(world.storage.writes) == writes
    changed = world.client.put(
        "/api/jobs/support", json={**config, "name": "Other"}, headers={"If-Match": again.headers["etag"]}
    )
    assert (changed.status_code, changed.json()["name"]) == (200, "Other")
    assert changed.headers["etag"] != created.headers["etag"]
    assert stored(world).name == "Other"


def test_put_replaces_only_what_was_read(world: World) -> None:
    """Without If-Match a replacement is a 428, with a stale one a 412; both name the present ETag, neither stores."""
    tag = world.create().headers["etag"]
    before = stored(world)
    changed = make_job(name="Other")
    missing = world.client.put("/api/jobs/support", json=changed)
    problem(missing, 428, "precondition-required")
    stale = world.client.put("/api/jobs/support", json=changed, headers={"If-Match": '"stale"'})
    problem(stale, 412, "precondition-failed")
    weak = world.client.put("/api/jobs/support", json=changed, headers={"If-Match": f"W/{tag}"})
    problem(weak, 412, "precondition-failed")
    assert missing.headers["etag"] == stale.headers["etag"] == tag
    assert stored(world) == before


def test_put_can_mean_create_only_or_replace_only(world: World) -> None:
    """If-None-Match: * refuses to replace, and If-Match refuses to create."""
    absent = world.client.put("/api/jobs/support", json=make_job(), headers={"If-Match": "*"})
    problem(absent, 412, "precondition-failed")
    assert world.storage.jobs.read("support") is None
    first = world.client.put("/api/jobs/support", json=make_job(), headers={"If-None-Match": "*"})
    assert first.status_code == 201
    second = world.client.put("/api/jobs/support", json=make_job(), headers={"If-None-Match": "*"})
    problem(second, 412, "precondition-failed")


def test_what_get_gives_can_be_put_back(world: World) -> None:
    """GET, then PUT of the whole answer: state and warnings are ignored, and nothing changes."""
    tag = world.create().headers["etag"]
    whole = world.client.get("/api/jobs/support").json()
    whole["state"]["next_due"] = "1999-01-01T00:00:00Z"
    before = stored(world)
    answer = world.client.put("/api/jobs/support", json=whole, headers={"If-Match": tag})
    assert (answer.status_code, answer.headers["etag"]) == (200, tag)
    assert stored(world) == before


def test_the_order_and_the_spelling_of_a_config_do_not_count(world: World) -> None:
    """A config with its fields in another order, or its defaults written out, is the same version."""
    tag = world.create().headers["etag"]
    turned = dict(reversed(list({**make_job(), "enabled": True, "schedule": {"time_zone": "UTC"}}.items())))
    answer = world.client.put("/api/jobs/support", json=turned)
    assert (answer.status_code, answer.headers["etag"]) == (200, tag)


def test_patch_merges_and_null_puts_a_default_back(world: World) -> None:
    """A merge patch changes what it names, deep down too, and null removes."""
    tag = world.create(description="Old").headers["etag"]
    patch: dict[str, Any] = {"description": None, "server": {"folder": "INBOX/Support"}, "schedule": DAILY}
    answer = world.client.patch(
        "/api/jobs/support",
        json=patch,
        headers={"If-Match": tag, "Content-Type": "application/merge-patch+json"},
    )
    # The frequency that is stored has fields that a daily one has not: RFC 7396 keeps them unless they are nulled.
    assert {fault["pointer"] for fault in problem(answer, 400, "config-invalid")["errors"]} == {
        "/schedule/frequency/every",
        "/schedule/frequency/unit",
        "/schedule/frequency/start",
        "/schedule/frequency/end",
    }
    emptied = {"every": None, "unit": None, "start": None, "end": None}
    patch["schedule"] = {"frequency": {**emptied, **DAILY["frequency"]}}
    answer = world.client.patch("/api/jobs/support", json=patch, headers={"If-Match": tag})
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert (body["description"], body["server"]["folder"], body["server"]["host"]) == (
        "",
        "INBOX/Support",
        "mail.example",
    )
    assert body["schedule"]["frequency"] == {"type": "once", "at": "08:30"}


def test_patch_takes_if_match(world: World) -> None:
    """A patch without If-Match is a 428, with a stale one a 412, of an unknown job a 404."""
    world.create()
    before = stored(world)
    problem(world.client.patch("/api/jobs/support", json={"name": "x"}), 428, "precondition-required")
    stale = world.client.patch("/api/jobs/support", json={"name": "x"}, headers={"If-Match": '"x"'})
    problem(stale, 412, "precondition-failed")
    problem(world.client.patch("/api/jobs/other", json={"name": "x"}, headers={"If-Match": "*"}), 404, "not-found")
    assert stored(world) == before


@pytest.mark.parametrize("patch", [[], "text", 7, None, {"id": "other"}, {"server": None}, {"name": {}}])
def test_a_patch_that_leaves_no_job_is_refused(world: World, patch: object) -> None:
    """Whatever a patch makes of a config, the result must be a job with the same id."""
    tag = world.create().headers["etag"]
    before = stored(world)
    headers = {"If-Match": tag, "Content-Type": "application/merge-patch+json"}
    answer = world.client.patch("/api/jobs/support", content=json.dumps(patch), headers=headers)
    problem(answer, 400, "config-invalid")
    assert stored(world) == before


def test_delete_honours_if_match(world: World) -> None:
    """A stale If-Match keeps the job; without one, or with the present one, it goes; then it is a 404."""
    tag = world.create().headers["etag"]
    problem(world.client.delete("/api/jobs/support", headers={"If-Match": '"x"'}), 412, "precondition-failed")
    assert world.storage.jobs.read("support") is not None
    answer = world.client.delete("/api/jobs/support", headers={"If-Match": tag})
    assert (answer.status_code, answer.content) == (204, b"")
    assert world.storage.jobs.read("support") is None
    problem(world.client.delete("/api/jobs/support"), 404, "not-found")
    world.create()
    assert world.client.delete("/api/jobs/support").status_code == 204


def test_the_id_in_the_body_must_be_the_one_in_the_address(world: World) -> None:
    """A body with another id is refused, together with everything else that is wrong with it."""
    answer = world.client.put("/api/jobs/support", json=make_job(id="other", max_attempts=0))
    pointers = [fault["pointer"] for fault in problem(answer, 400, "config-invalid")["errors"]]
    assert pointers == ["/id", "/max_attempts"]
    assert world.storage.writes == ()


def test_an_id_that_no_job_can_have_is_a_fault_of_put(world: World) -> None:
    """PUT under an impossible id says what an id looks like."""
    answer = world.client.put("/api/jobs/Not_An_Id", json={"server": make_job()["server"]})
    (fault,) = problem(answer, 400, "config-invalid")["errors"]
    assert fault["pointer"] == "/id"
    assert "Lower-case letters" in fault["detail"]


def test_enable_and_disable(world: World) -> None:
    """A disabled job is never due; an enabled one from its next occurrence on; doing it twice changes nothing."""
    world.create()
    off = world.client.post("/api/jobs/support/disable")
    assert (off.status_code, off.json()["enabled"], off.json()["state"]["next_due"]) == (200, False, None)
    assert (stored(world).enabled, stored(world).state.next_due) == (False, None)
    again = world.client.post("/api/jobs/support/disable")
    assert again.headers["etag"] == off.headers["etag"]
    world.clock.advance(timedelta(hours=3))
    on = world.client.post("/api/jobs/support/enable")
    assert on.json()["state"]["next_due"] == "2026-11-23T15:05:00Z"
    stale = world.client.post("/api/jobs/support/disable", headers={"If-Match": off.headers["etag"]})
    problem(stale, 412, "precondition-failed")
    problem(world.client.post("/api/jobs/other/enable"), 404, "not-found")


def test_only_the_schedule_and_enabled_move_the_next_run(world: World) -> None:
    """A changed name leaves an overdue job overdue; a changed schedule looks forward, never back."""
    world.create()
    world.clock.advance(timedelta(hours=1))
    named = world.client.patch("/api/jobs/support", json={"name": "Other"}, headers={"If-Match": "*"})
    assert named.json()["state"]["next_due"] == "2026-11-23T12:05:00Z"
    schedule = {"schedule": {"frequency": {"every": 10}}}
    moved = world.client.patch("/api/jobs/support", json=schedule, headers={"If-Match": "*"})
    assert moved.json()["state"]["next_due"] == "2026-11-23T13:10:00Z"


def test_a_changed_config_of_a_failing_job_is_tried_at_once(world: World) -> None:
    """Whoever corrects a job does not wait for the end of its back-off."""
    world.create()
    lease = world.storage.jobs.begin(stored(world), make_claim())
    lease.finish(make_ending(failures=3, health="paused", next_due=NOW + timedelta(hours=6)))
    world.clock.advance(timedelta(minutes=1))
    cured = world.client.patch("/api/jobs/support", json={"name": "Other"}, headers={"If-Match": "*"})
    assert cured.json()["state"]["next_due"] == "2026-11-23T12:01:00Z"


def test_the_plain_columns_follow_the_config(world: World) -> None:
    """What function_app reads without parsing a config is what the config says."""
    server = {**make_job()["server"], "folder": "INBOX.Support"}
    world.create(enabled=False, schedule=DAILY, server=server)
    record = stored(world)
    second = int(record.ncrontab.split()[0])
    assert record.ncrontab == f"{second} 30 8 * * *"
    assert 0 <= second <= 59
    assert (record.enabled, record.name, record.mailbox) == (
        False,
        "Support mailbox",
        "imap4:mail.example/support@mail.example/INBOX/Support",
    )


def test_an_expression_is_a_schedule_too(world: World) -> None:
    """A job may say when it is due as NCRONTAB in its own zone, and comes back as it was written."""
    schedule = {"ncrontab": "30 9 * * mon-fri", "time_zone": "America/New_York"}
    body = world.create(schedule=schedule).json()
    assert body["schedule"] == schedule
    assert body["state"]["next_due"] == "2026-11-23T14:30:00Z"
    assert world.client.put("/api/jobs/support", json=body).status_code == 200


def test_a_schedule_that_is_over_has_no_timer(world: World) -> None:
    """A job whose schedule has ended is stored, and is never due."""
    answer = world.create(schedule={"end_date": "2020-01-01"})
    assert (answer.json()["state"]["next_due"], answer.json()["state"]["timer"]) == (None, "")


def test_state_shows_the_run_that_holds_the_mailbox(world: World) -> None:
    """The running run is named while its lease lasts, and not after."""
    world.create()
    world.storage.jobs.begin(stored(world), make_claim("run-7"))
    assert world.client.get("/api/jobs/support").json()["state"]["running"] == "run-7"
    world.clock.advance(timedelta(minutes=10))
    state = world.client.get("/api/jobs/support").json()["state"]
    assert (state["running"], state["last_occurrence"]) == (None, "2026-11-23T12:00:00Z")


def test_a_run_between_read_and_replace_is_not_undone(world: World) -> None:
    """The ETag covers the config: what a run writes meanwhile neither fails a PUT nor is lost by it."""
    tag = world.create().headers["etag"]
    world.storage.jobs.begin(stored(world), make_claim(next_due=NOW + timedelta(minutes=20)))
    answer = world.client.put("/api/jobs/support", json=make_job(name="Other"), headers={"If-Match": tag})
    assert answer.status_code == 200
    assert stored(world).state.next_due == NOW + timedelta(minutes=20)
    assert stored(world).state.lease_run == "run-1"


def test_warnings_are_part_of_the_answer(world: World) -> None:
    """What is allowed but surely not meant is said on saving and on reading."""
    answer = world.create(on_success={"purge_deleted_at_end_of_session": True})
    assert "mark_as_deleted" in answer.json()["warnings"][0]
    assert world.client.get("/api/jobs/support").json()["warnings"] == answer.json()["warnings"]


def test_a_secret_that_is_not_there_yet_is_only_a_warning(world: World) -> None:
    """A job may be saved before its secret; the answer names the secret that is missing or could not be checked."""
    world.secrets.values.clear()
    (warning,) = world.create().json()["warnings"]
    assert "'support-mailbox'" in warning
    assert "Store it in the vault." in warning
    world.secrets.away = True
    (unsure,) = world.client.put("/api/jobs/support", json=make_job()).json()["warnings"]
    assert "could not be checked" in unsure


def test_listing_gives_every_job_once_in_the_order_of_ids(world: World) -> None:
    """Following next, or the Link header, from page to page gives every job, and the last page has none."""
    for name in ("delta", "alpha", "echo", "bravo", "charlie"):
        world.create(id=name)
    found, address = [], "/api/jobs?limit=2&code=key"
    while address:
        answer = world.client.get(address)
        found += [job["id"] for job in answer.json()["items"]]
        address = answer.links["next"]["url"] if "next" in answer.links else ""
        assert bool(answer.json()["next"]) == bool(address)
        assert "code" not in address
    assert found == ["alpha", "bravo", "charlie", "delta", "echo"]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=many", "limit=1&cursor=", "cursor=%7Bnonsense"])
def test_paging_parameters_are_checked(world: World, query: str) -> None:
    """A limit or cursor that makes no sense is a 400 that names it."""
    world.create()
    (fault,) = problem(world.client.get(f"/api/jobs?{query}"), 400, "parameter-invalid")["errors"]
    assert fault["parameter"] in query


def test_a_config_from_another_version_is_listed_and_can_be_replaced(world: World) -> None:
    """A row that this version cannot read hides no other job, says why, and can be replaced or deleted."""
    world.create(id="alpha")
    world.storage.jobs.create(make_record("broken"))
    items = world.client.get("/api/jobs").json()["items"]
    assert [job["id"] for job in items] == ["alpha", "broken"]
    assert "/server: This field is required." in items[1]["warnings"]
    tag = world.client.get("/api/jobs/broken").headers["etag"]
    answer = world.client.put("/api/jobs/broken", json=make_job(id="broken"), headers={"If-Match": tag})
    assert answer.status_code == 200
    assert answer.json()["state"]["next_due"] == "2026-11-23T12:05:00Z"


def test_a_config_that_a_hand_has_spoilt_can_be_repaired(world: World) -> None:
    """What is not even JSON is shown as such, refuses a patch with what is missing, and takes a PUT."""
    world.storage.jobs.create(make_record("broken", config="{not json"))
    assert "/server: This field is required." in world.client.get("/api/jobs/broken").json()["warnings"]
    answer = world.client.patch("/api/jobs/broken", json={"name": "x"}, headers={"If-Match": "*"})
    assert [fault["pointer"] for fault in problem(answer, 400, "config-invalid")["errors"]] == ["/server"]
    problem(world.client.post("/api/jobs/broken/disable"), 400, "config-invalid")
    answer = world.client.put("/api/jobs/broken", json=make_job(id="broken"), headers={"If-Match": "*"})
    assert answer.status_code == 200


def test_enable_outlasts_another_change_at_the_same_time(world: World) -> None:
    """A change of another field between read and write is no reason to give up; endless ones are a 409."""
    world.create(enabled=False)
    world.storage.fail_next(1, Stale("Job 'support' has been changed."))
    assert world.client.post("/api/jobs/support/enable").json()["enabled"] is True
    for nth in range(1, 10):
        world.storage.fail_next(nth, Stale("Job 'support' has been changed."))
    problem(world.client.post("/api/jobs/support/disable"), 409, "conflict")
    assert stored(world).enabled


def test_a_save_whose_storage_fails_is_a_503_and_stores_nothing(world: World) -> None:
    """Storage that goes away while a job is saved is told as such; saving again then works."""
    world.storage.fail_next(1, Unavailable("Table Storage is away.", retry_after=timedelta(seconds=7.2)))
    answer = world.client.post("/api/jobs", json=make_job())
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "8"
    assert world.storage.jobs.read("support") is None
    world.create()
