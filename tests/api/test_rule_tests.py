"""Sample mails in a job: a save that breaks one is refused with the difference, or overridden and recorded."""

from datetime import timedelta
from typing import Any

import pytest

from dev.azurite import Azurite
from shared.storage.audit import TableAudit
from shared.storage.open import Account
from shared.storage.table import Table
from tests.api.world import World, make_job, problem

OFFER = "From: shop@customer.example\nSubject: An offer for you\nMessage-ID: <o@x>\n\nBuy!"
REPLY = "From: Ann@customer.example\nSubject: Re: order 4711 is late [T-1]\nIn-Reply-To: <t@x>\n\nStill."
RULES = [
    {"name": "No offers", "when": {"subject": ["offer"]}, "reject": "We take no offers."},
    {"name": "Late", "when": {"subject": ["late"]}, "fields": {"team": "shipping"}, "note": "Look soon."},
]
EXTRACT = [{"field": "order", "kind": "integer", "source": "subject", "matches": "order ([0-9]+)"}]
TESTS: list[dict[str, Any]] = [
    {
        "name": "an offer",
        "message": OFFER,
        "expect": {"outcome": "rejected", "rule": "No offers", "reason": "no offers"},
    },
    {
        "name": "an answer",
        "message": REPLY,
        "tickets": [{"id": "T-1", "participants": ["ann@customer.example"], "message_ids": ["<t@x>"]}],
        "expect": {
            "outcome": "modified",
            "ticket": "T-1",
            "fields": {"team": "shipping", "order": 4711},
            "note": "Look",
            "attachments": [],
        },
    },
]
JOB = make_job(rules=RULES, extract=EXTRACT, tests=TESTS)
PATH = "/api/jobs/support"


@pytest.fixture
def audited(world: World, azurite: Azurite, prefix: str) -> World:
    """The API with its audit on a real table."""
    tables = Account(connection_string=azurite.connection_string).tables()
    world.serve(audit=TableAudit(Table(tables.get_table_client(f"{prefix}audit")), days=400))
    return world


def details(answer: Any) -> dict[str, str]:
    """The faults of an answer, by pointer."""
    return {one["pointer"]: one["detail"] for one in problem(answer, 400, "config-invalid")["errors"]}


def notes(world: World) -> list[Any]:
    """The notes in the newest record of the audit."""
    (record,) = world.client.get("/api/audit?limit=1").json()["items"]
    return [change["after"] for change in record["changes"] if not change["pointer"]]


def test_a_job_whose_tests_pass_is_saved(audited: World) -> None:
    """With no warning, and no note in the audit."""
    answer = audited.client.post("/api/jobs", json=JOB)
    assert answer.status_code == 201, answer.text
    assert answer.json()["warnings"] == []
    assert notes(audited) == []


def test_a_change_that_breaks_a_test_is_refused(world: World) -> None:
    """The answer names the test and what would be otherwise; nothing is stored."""
    etag = world.client.post("/api/jobs", json=JOB).headers["ETag"]
    change = {"rules": [RULES[1]]}
    answer = world.client.patch(PATH, json=change, headers={"If-Match": etag})
    assert details(answer) == {
        "/tests/0": "Rule test 'an offer' fails: Expected it to be rejected; it is created. "
        "Expected rule 'No offers' to match; none did. Expected 'no offers' in the reason; it is ''. "
        "Mend the rules or the test, or save with ?override=true, which is recorded."
    }
    assert world.client.get(PATH).headers["ETag"] == etag
    put = world.client.put(PATH, json={**JOB, **change}, headers={"If-Match": etag})
    assert set(details(put)) == {"/tests/0"}
    assert set(details(world.client.post("/api/jobs", json={**JOB, **change, "id": "other"}))) == {"/tests/0"}


def test_an_override_is_recorded(audited: World) -> None:
    """It is saved, the audit says so, and the job carries a warning until the test passes again."""
    etag = audited.client.post("/api/jobs", json=JOB).headers["ETag"]
    audited.clock.advance(timedelta(minutes=1))
    answer = audited.client.patch(f"{PATH}?override=true", json={"extract": []}, headers={"If-Match": etag})
    assert answer.status_code == 200, answer.text
    told = "Rule test 'an answer' fails: Expected field order to be 4711; it is 'not set'."
    assert answer.json()["warnings"] == [told]
    assert notes(audited) == [f"Saved with override. {told}"]
    assert audited.client.get(PATH).json()["warnings"] == [told]


def test_a_failing_test_keeps_nobody_from_switching_off(world: World) -> None:
    """A job that was saved with an override can be disabled, and sent again as it is."""
    broken = {**JOB, "rules": []}
    assert world.client.post("/api/jobs?override=true", json=broken).status_code == 201
    assert world.client.post(f"{PATH}/disable").status_code == 200
    assert world.client.put(PATH, json={**broken, "enabled": False}).status_code == 200


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"expect": {}}, "expect says nothing, so the test could not fail"),
        ({"expect": {"outcome": "lost"}}, "rejected"),
        ({"message": ""}, "Must not be empty"),
        ({"received": "2026-01-01T12:00:00"}, "with its offset"),
    ],
)
def test_what_is_no_test_is_refused(world: World, change: dict[str, Any], told: str) -> None:
    """A test that expects nothing, an unknown outcome, no mail, a time without its zone."""
    answer = world.client.post("/api/jobs", json={**JOB, "tests": [{**TESTS[0], **change}]})
    assert told in " ".join(details(answer).values())


def test_every_difference_is_told(world: World) -> None:
    """Whatever a test can expect: what is otherwise has its own sentence."""
    expect = {
        "outcome": "created",
        "ticket": "T-2",
        "rule": "No offers",
        "reason": "x",
        "fields": {"team": "other", "order": "4711"},
        "note": "Never",
        "attachments": ["a.pdf"],
    }
    (told,) = details(world.client.post("/api/jobs", json={**JOB, "tests": [{**TESTS[1], "expect": expect}]})).values()
    for sentence in (
        "Expected it to be created; it is modified.",
        "Expected rule 'No offers' to match; 'Late' did.",
        "Expected 'x' in the reason; it is ''.",
        "Expected ticket T-2; it is T-1.",
        "Expected field team to be 'other'; it is 'shipping'.",
        "Expected field order to be '4711'; it is 4711.",
        "Expected 'Never' in a note; the notes are ['Look soon.'].",
        "Expected the attachments 'a.pdf'; it has none.",
    ):
        assert sentence in told
