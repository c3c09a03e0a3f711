"""Everything else that goes wrong with a request."""

import logging
from datetime import timedelta

import pytest

from shared.errors import AuthFailed, LeaseHeld, Stale, Unavailable
from tests.api.world import World, make_job, problem


def test_an_unknown_address_is_a_problem(world: World) -> None:
    """404, also with a slash too many, and for the documentation pages that we do not have."""
    for path in ("/", "/api", "/api/job", "/api/jobs/", "/docs", "/redoc", "/api/docs", "/openapi.json"):
        problem(world.client.get(path), 404, "not-found")


def test_a_wrong_method_says_which_are_right(world: World) -> None:
    """405 with an Allow header that lists everything the address takes (RFC 9110 section 15.5.6)."""
    for path, allowed in (
        ("/api/jobs", "GET, POST"),
        ("/api/jobs/support", "GET, PUT, PATCH, DELETE"),
        ("/api/jobs/support/run", "POST"),
        ("/api/health", "GET"),
    ):
        answer = world.client.request("TRACE", path)
        problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (Unavailable("Table Storage at storage-1 answered 503."), "10"),
        (Unavailable("Table Storage at storage-1 is busy.", retry_after=timedelta(seconds=90)), "90"),
        (AuthFailed("The identity of storage-1 was refused."), "10"),
    ],
)
def test_storage_that_is_away_is_a_503_everywhere(
    world: World, caplog: pytest.LogCaptureFixture, error: Exception, wait: str
) -> None:
    """Every endpoint that needs storage says when to come back, and keeps names of storage for the log."""
    world.lose_storage(error)
    job = make_job()
    for method, path, body in (
        ("GET", "/api/jobs", None),
        ("POST", "/api/jobs", job),
        ("PUT", "/api/jobs/support", job),
        ("PATCH", "/api/jobs/support", job),
        ("DELETE", "/api/jobs/support", None),
        ("POST", "/api/jobs/support/enable", None),
        ("POST", "/api/jobs/support/run", None),
        ("GET", "/api/jobs/support/runs", None),
        ("GET", "/api/jobs/support/parked/x/raw", None),
        ("GET", "/api/tickets", None),
        ("GET", "/api/tickets/T-1/entries/e/attachments/0", None),
    ):
        answer = world.client.request(method, path, json=body)
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == wait
        assert "storage-1" not in answer.text
    assert "storage-1" in caplog.text


def test_losing_a_race_is_no_fault_of_the_server(world: World) -> None:
    """A stored state that moved on is a 412; any other conflict a 409."""
    world.lose_storage(Stale("Job 'support' has been changed."))
    problem(world.client.delete("/api/jobs/support"), 412, "precondition-failed")
    world.lose_storage(LeaseHeld("Run 'run-1' holds the mailbox."))
    problem(world.client.delete("/api/jobs/support"), 409, "conflict")


def test_a_defect_of_ours_is_a_500_that_keeps_its_reasons(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody expected is logged with its trace, and answered without it."""
    world.lose_storage(RuntimeError("inner-detail"))
    answer = world.client.get("/api/jobs?code=function-key")
    body = problem(answer, 500, "internal")
    assert "inner-detail" not in answer.text
    assert "function-key" not in answer.text
    (record,) = [record for record in caplog.records if record.name == "shared.api.problems"]
    assert record.levelno == logging.ERROR
    assert "inner-detail" in caplog.text
    assert "function-key" not in record.getMessage()
    assert body["instance"] == "/api/jobs"


def test_every_answer_is_private_and_is_no_page(world: World) -> None:
    """No cache keeps an answer, and no browser runs one: good ones, bad ones and broken ones."""
    world.create()
    answers = [world.client.get(path) for path in ("/api/jobs", "/api/jobs/x", "/api/health", "/nothing")]
    world.lose_storage(RuntimeError("x"))
    for answer in [*answers, world.client.get("/api/jobs")]:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]


def test_health_tells_only_whether(world: World) -> None:
    """200 when the probe says so; 503 when it says no, or cannot ask; and nothing about the reason."""
    answer = world.client.get("/api/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    world.healthy = False
    answer = world.client.get("/api/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "degraded"})

    def probe() -> bool:
        raise Unavailable("Table Storage at storage-1 is away.")

    world.serve(healthy=probe)
    answer = world.client.get("/api/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "degraded"})
