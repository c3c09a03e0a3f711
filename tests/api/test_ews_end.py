"""The day on which EWS ends in Exchange Online: what may be saved before and from then on."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.connectors.ews_online import END
from tests.api.world import World, make_job, problem
from tests.fakes.clock import FakeClock

_LAST = datetime(2027, 3, 31, 23, 59, tzinfo=UTC)
_FIRST = datetime(2027, 4, 1, tzinfo=UTC)
_SIGN_IN = {"method": "client_secret", "tenant_id": "example.com", "client_id": "app", "client_secret": "entra"}


def document(api: str = "ews", **fields: Any) -> dict[str, Any]:
    """A job in Exchange Online."""
    server = {"type": "exchange_online", "api": api, "mailbox": "support@example.com", "sign_in": _SIGN_IN, **fields}
    return make_job(server=server)


def at(world: World, now: datetime) -> World:
    """The same world at that instant."""
    world.clock = FakeClock(now)
    world.serve()
    return world


@pytest.fixture
def stored(world: World) -> World:
    """A job by EWS that was saved on the last day; now it is the day after."""
    assert at(world, _LAST).client.post("/api/jobs", json=document()).status_code == 201
    return at(world, _FIRST)


def test_on_the_last_day_a_job_by_ews_is_saved_with_a_dated_warning(world: World) -> None:
    """By POST and by PUT, and every answer about it says when it ends and what comes instead."""
    at(world, _LAST)
    for answer in (
        world.client.post("/api/jobs", json=document()),
        world.client.put("/api/jobs/other", json={**document(folder="Inbox/Other"), "id": "other"}),
    ):
        assert answer.status_code == 201, answer.text
        assert any(str(END) in warning and "'graph'" in warning for warning in answer.json()["warnings"])


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_from_the_day_on_a_new_job_by_ews_is_refused(world: World, method: str) -> None:
    """With the date and the way to Graph, together with whatever else is wrong, and nothing is stored."""
    at(world, _FIRST)
    address = "/api/jobs" if method == "POST" else "/api/jobs/support"
    body = problem(world.client.request(method, address, json={**document(), "max_attempts": 0}), 400, "config-invalid")
    faults = {fault["pointer"]: fault["detail"] for fault in body["errors"]}
    assert set(faults) == {"/server/api", "/max_attempts"}
    assert "2027-04-01" in faults["/server/api"]
    assert "Graph" in faults["/server/api"]
    assert world.storage.jobs.read("support") is None


def test_a_stored_job_by_ews_can_still_be_changed_and_disabled(stored: World) -> None:
    """Whoever has one must be able to stop it; every answer carries the warning."""
    client = stored.client
    answers = [client.get("/api/jobs/support")]
    tag = answers[0].headers["etag"]
    answers.append(client.patch("/api/jobs/support", json={"name": "Soon gone"}, headers={"If-Match": tag}))
    answers.append(client.post("/api/jobs/support/disable"))
    replaced = {**document(), "name": "Replaced", "enabled": False}
    answers.append(client.put("/api/jobs/support", json=replaced, headers={"If-Match": answers[-1].headers["etag"]}))
    answers.append(client.post("/api/jobs/support/enable"))
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert any("2027-04-01" in warning for warning in answer.json()["warnings"])
    (listed,) = client.get("/api/jobs").json()["items"]
    assert any("2027-04-01" in warning for warning in listed["warnings"])


def test_a_stored_job_goes_to_graph_and_never_back(stored: World) -> None:
    """The same mailbox, the same job; the way back is closed."""
    client = stored.client
    tag = client.get("/api/jobs/support").headers["etag"]
    before = stored.storage.jobs.read("support")
    moved = client.patch("/api/jobs/support", json={"server": {"api": "graph"}}, headers={"If-Match": tag})
    assert moved.status_code == 200, moved.text
    assert not any("2027" in warning for warning in moved.json()["warnings"])
    after = stored.storage.jobs.read("support")
    assert before
    assert after
    assert before.mailbox == after.mailbox
    back = client.patch(
        "/api/jobs/support",
        json={"server": {"api": "ews", "endpoint": None}},
        headers={"If-Match": moved.headers["etag"]},
    )
    assert [fault["pointer"] for fault in problem(back, 400, "config-invalid")["errors"]] == ["/server/api"]


def test_a_job_by_graph_and_one_by_ews_cannot_share_a_mailbox(world: World) -> None:
    """Whatever the spelling of address and folder: 409 names the job that has it."""
    at(world, _LAST)
    assert world.client.post("/api/jobs", json=document("graph", folder="INBOX")).status_code == 201
    second = {**document("ews", mailbox="Support@Example.COM", folder="inbox"), "id": "second"}
    assert problem(world.client.post("/api/jobs", json=second), 409, "mailbox-taken")["other_job"] == "support"
