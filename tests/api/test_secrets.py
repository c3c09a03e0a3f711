"""A secret goes in by name only, and its value comes out nowhere."""

import logging

import httpx
import pytest

from shared.errors import Unavailable
from tests.api.world import PASSWORD, World, make_job


def test_the_value_of_a_secret_is_nowhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the vault's value nor one that somebody wrote into a config is stored, answered or logged."""
    caplog.set_level(logging.DEBUG)
    inline = make_job(id="inline")
    inline["server"]["password"] = PASSWORD
    nested = make_job(id="nested")
    nested["server"]["password_secret"] = {"value": PASSWORD}
    listed = make_job(id="listed", schedule=[PASSWORD], server=PASSWORD)
    answers: list[httpx.Response] = [
        world.create(),
        *(world.client.post("/api/jobs", json=config) for config in (inline, nested, listed)),
        world.client.post("/api/jobs", content=f'{{"password": "{PASSWORD}",', headers={"Content-Type": "text/json"}),
        world.client.post(
            "/api/jobs", content=f'{{"password": "{PASSWORD}",', headers={"Content-Type": "application/json"}
        ),
        world.client.patch("/api/jobs/support", json={"server": {"password": PASSWORD}}, headers={"If-Match": "*"}),
        world.client.get("/api/jobs/support"),
        world.client.get(f"/api/jobs?limit=1&code={PASSWORD}"),
        world.client.get(f"/api/none?code={PASSWORD}"),
        world.client.post("/api/jobs/support/run"),
        world.client.get("/api/jobs/support/runs"),
        world.client.get("/api/openapi.json"),
    ]
    world.storage.fail_next(1, Unavailable("Table Storage is away."))
    answers.append(world.client.post(f"/api/jobs?code={PASSWORD}", json=make_job(id="third")))
    world.lose_storage(RuntimeError("A defect."))
    answers.append(world.client.get(f"/api/jobs?code={PASSWORD}"))
    assert [answer.status_code for answer in answers[1:7]] == [400, 400, 400, 415, 400, 400]
    assert answers[-2].status_code == 503
    assert answers[-1].status_code == 500
    for answer in answers:
        assert PASSWORD not in answer.text
        assert PASSWORD not in str(answer.headers)
    ours = [record for record in caplog.records if record.name.startswith("shared.")]
    assert ours
    assert PASSWORD not in "".join(logging.Formatter().format(record) for record in ours)
    records, _ = world.storage.jobs.page(limit=100)
    assert [record.job_id for record in records] == ["support"]
    assert PASSWORD not in repr(records)
