"""`/api/secrets`: write-only; a listing without values; no removal of what a job needs."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.errors import ConfigInvalid
from tests.api.world import PASSWORD, World, make_job, problem
from tests.fakes.secrets import FakeSecrets

ENDS = "2027-06-30T00:00:00Z"
MARKED = "correct-horse-marked"


def listed(world: World) -> dict[str, dict[str, Any]]:
    """The listing, by name."""
    answer = world.client.get("/api/secrets")
    assert answer.status_code == 200, answer.text
    return {item["name"]: item for item in answer.json()["items"]}


def test_a_secret_is_written_and_never_read(world: World) -> None:
    """The answer and the listing tell all but the value; there is no way to ask for that."""
    answer = world.client.put("/api/secrets/box", json={"value": MARKED, "expires": ENDS})
    assert answer.status_code == 200
    assert answer.json()["expires"] == ENDS
    assert world.secrets.get("box") == MARKED
    assert world.secrets.expires["box"] == datetime(2027, 6, 30, tzinfo=UTC)
    texts = [answer.text, world.client.get("/api/secrets").text]
    assert not any(MARKED in text or PASSWORD in text for text in texts)
    problem(world.client.get("/api/secrets/box"), 405, "method-not-allowed")


def test_the_listing_says_who_uses_what_and_what_is_missing(world: World) -> None:
    """A name without a value is why a job cannot run; a value without a job is rubbish."""
    world.create()
    world.create(id="other")
    server = make_job(id="third")["server"]
    world.create(id="third", server={**server, "password_secret": "Lost-One"})
    world.client.put("/api/secrets/unused", json={"value": MARKED})
    found = listed(world)
    assert [(name, item["stored"], item["used_by"]) for name, item in found.items()] == [
        ("Lost-One", False, ["third"]),
        ("support-mailbox", True, ["other", "support"]),
        ("unused", True, []),
    ]


def test_what_a_job_names_is_not_deleted(world: World) -> None:
    """The answer names the jobs; in any case of letters, since the vault does not tell those apart."""
    world.create()
    body = problem(world.client.delete("/api/secrets/Support-Mailbox"), 409, "secret-in-use")
    assert "'support'" in body["detail"]
    assert world.secrets.get("support-mailbox") == PASSWORD
    world.client.delete("/api/jobs/support", headers={"If-Match": "*"})
    assert world.client.delete("/api/secrets/support-mailbox").status_code == 204
    problem(world.client.delete("/api/secrets/support-mailbox"), 404, "not-found")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"value": ""}, "/value"),
        ({"value": 7}, "/value"),
        ({}, "/value"),
        ({"value": MARKED, "expires": "2027-06-30T00:00:00"}, "/expires"),
        ({"value": MARKED, "expires": "soon"}, "/expires"),
        ({"value": MARKED * 2000}, "/value"),
        ({"value": MARKED, "note": MARKED}, "/note"),
        ([MARKED], ""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_faulty_body_is_refused_without_being_repeated(world: World, body: Any, place: str) -> None:
    """Each fault at its place, and nothing of what was sent."""
    answer = world.client.put("/api/secrets/box", json=body)
    assert [fault["pointer"] for fault in problem(answer, 400, "config-invalid")["errors"]] == [place]
    assert MARKED not in answer.text
    assert "box" not in world.secrets.values


@pytest.mark.parametrize("name", ["a_b", "a%20b", "x" * 128, "box%21"])
def test_a_name_that_the_vault_would_not_take(world: World, name: str) -> None:
    """Letters, digits and hyphens."""
    problem(world.client.put(f"/api/secrets/{name}", json={"value": MARKED}), 400, "config-invalid")
    problem(world.client.delete(f"/api/secrets/{name}"), 400, "config-invalid")


class Refusing(FakeSecrets):
    """A vault in which the app may do nothing."""

    def known(self) -> Any:
        """See the port."""
        raise ConfigInvalid("The vault answered 403.", remedy="Grant the role.")

    def put(self, name: str, value: str, *, expires: datetime | None) -> Any:  # noqa: ARG002 - the port's
        """See the port."""
        return self.known()

    def delete(self, name: str) -> Any:  # noqa: ARG002 - the port's
        """See the port."""
        return self.known()


def test_a_vault_that_refuses_is_told_to_the_caller(world: World) -> None:
    """Who stores secrets is the one who can grant the role."""
    world.serve(vault=Refusing())
    for answer in (
        world.client.get("/api/secrets"),
        world.client.put("/api/secrets/box", json={"value": MARKED}),
        world.client.delete("/api/secrets/box"),
    ):
        assert "Grant the role." in problem(answer, 502, "vault-refused")["detail"]


def test_a_vault_that_is_away(world: World) -> None:
    """Is said as such, with when to try again."""
    world.secrets.away = True
    answer = world.client.put("/api/secrets/box", json={"value": MARKED})
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"]


def test_without_a_vault_secrets_are_listed_and_not_written(world: World) -> None:
    """They are in the environment or a file: whether each is there can be told."""
    world.create()
    server = make_job(id="second")["server"]
    world.create(id="second", server={**server, "password_secret": "lost"})
    world.serve(vault=None)
    assert {name: item["stored"] for name, item in listed(world).items()} == {"lost": False, "support-mailbox": True}
    assert "MAILCONNECTOR_KEY_VAULT_URI" in str(
        problem(world.client.put("/api/secrets/box", json={"value": MARKED}), 409, "no-vault")
    )
    problem(world.client.delete("/api/secrets/box"), 409, "no-vault")


def test_a_row_that_cannot_be_read_does_not_stop_the_listing(world: World) -> None:
    """A hand in the table broke one job's config: the others are told."""
    world.create()
    world.create(id="broken")
    record = world.storage.jobs.read("broken")
    assert record
    world.storage.jobs.replace(replace(record, config="{}", revision="r2"), revision=record.revision, rescheduled=False)
    assert listed(world)["support-mailbox"]["used_by"] == ["support"]


def test_what_an_unreadable_config_may_name_is_not_deleted(world: World) -> None:
    """Whoever mends the row later finds its secret still there."""
    world.create(id="broken")
    record = world.storage.jobs.read("broken")
    assert record
    config = '{"server": {"password_secret": "Support-Mailbox"}'
    world.storage.jobs.replace(
        replace(record, config=config, revision="r2"), revision=record.revision, rescheduled=False
    )
    body = problem(world.client.delete("/api/secrets/support-mailbox"), 409, "secret-in-use")
    assert "'broken'" in body["detail"]
    world.client.put("/api/secrets/other", json={"value": MARKED})
    assert world.client.delete("/api/secrets/other").status_code == 204
