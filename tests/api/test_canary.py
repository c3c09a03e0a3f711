"""A job's canary over the API: what is wrong with its settings, and what is shown of it."""

from datetime import timedelta
from typing import Any

import pytest

from shared.model import CanaryState
from tests.api.world import World, make_job, problem
from tests.builders import NOW, make_ending
from tests.contract.storage import Runs

APPEND = {"key_secret": "support-mailbox", "send": {"by": "append"}, "address": "support@mail.example"}
SMTP = {"by": "smtp", "host": "smtp.example", "username": "support", "password_secret": "support-mailbox"}
NO_ADDRESS = {"type": "imap4", "host": "mail.example", "username": "support", "password_secret": "support-mailbox"}
GRAPH = {
    "type": "exchange_online",
    "mailbox": "support@contoso.com",
    "sign_in": {"method": "managed_identity"},
}


@pytest.mark.parametrize(
    ("canary", "job", "told"),
    [
        ({"send": {"by": "graph"}}, {}, "a job of type 'imap4' cannot send by 'graph'; use 'smtp' or 'append'"),
        ({}, {"server": GRAPH}, "a job of type 'exchange_online' cannot send by 'append'; use 'smtp' or 'graph'"),
        ({"send": {"by": "pigeon"}}, {}, "pigeon"),
        (
            {"address": None},
            {"server": NO_ADDRESS},
            "canary.address: the server block does not tell the mail address of the mailbox.",
        ),
        ({"address": "not an address"}, {}, "address"),
        ({"every_minutes": 1}, {}, "every_minutes"),
        ({"max_age_hours": 1, "alarm_after_minutes": 61}, {}, "a late canary would become a ticket"),
        ({"send": {**SMTP, "security": "none"}}, {}, "set allow_insecure to true if that network is your own"),
        ({"send": {**SMTP, "password_secret": None}}, {}, "Give either password_secret or sign_in, and not both."),
        ({"on_return": {"mark_as_deleted": True, "move_to": "Done"}}, {}, "but not both"),
        ({"on_return": {"move_to": "INBOX"}}, {}, "canary.on_return: move_to names the folder"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_saved(
    world: World, canary: dict[str, Any], job: dict[str, Any], told: str
) -> None:
    """In one sentence each, before any canary is sent."""
    answer = world.client.post("/api/jobs", json=make_job(canary={**APPEND, **canary}, **job))
    (fault,) = problem(answer, 400, "config-invalid")["errors"]
    assert told in f"{fault['pointer']} {fault['detail']}"


def test_the_address_is_taken_from_the_server_where_it_has_one(world: World) -> None:
    """And what travels in plain text carries a warning, as does a secret that is not there."""
    send = {**SMTP, "security": "none", "allow_insecure": True}
    answer = world.create(server=GRAPH, canary={"key_secret": "nowhere", "send": send})
    warnings = " ".join(answer.json()["warnings"])
    assert "travel between the app and smtp.example in plain text" in warnings
    assert "The secret 'nowhere' cannot be found yet" in warnings


def test_what_is_known_of_it_is_shown(world: World) -> None:
    """Null before the first; then when it was sent, when it is expected, and how long the last one took."""
    assert world.create(canary=APPEND).json()["state"]["canary"] is None
    lease = Runs(world.storage.jobs).begin("support")
    lease.note_canary(
        CanaryState(
            sent=NOW,
            out="0123456789abcdef",
            posted=True,
            expected_by=NOW + timedelta(minutes=35),
            seen=NOW - timedelta(hours=1),
            delay=timedelta(seconds=61.5),
        )
    )
    lease.finish(make_ending(next_due=NOW + timedelta(days=1)))
    assert world.client.get("/api/jobs/support").json()["state"]["canary"] == {
        "last_sent": "2026-11-23T12:00:00Z",
        "expected_by": "2026-11-23T12:35:00Z",
        "last_seen": "2026-11-23T11:00:00Z",
        "delay": 61.5,
        "missing_since": None,
        "last_fault": "",
    }
    assert world.client.get("/api/alarms").json() == {"items": []}
    world.clock.advance(timedelta(minutes=36))
    (alarm,) = world.client.get("/api/alarms").json()["items"]
    assert (alarm["health"], alarm["since"]) == ("delayed", "2026-11-23T12:35:00Z")
    assert "A canary should have come back by 2026-11-23 12:35 UTC" in alarm["why"]
    state = world.client.get("/api/jobs/support").json()["state"]
    assert (state["health"], state["canary"]["missing_since"]) == ("delayed", "2026-11-23T12:35:00Z")
    world.client.post("/api/jobs/support/disable")
    assert world.client.get("/api/alarms").json() == {"items": []}


def test_pop3_has_no_say_in_what_becomes_of_it(world: World) -> None:
    """As with its other messages."""
    server = {"type": "pop3", "host": "mail.example", "username": "support", "password_secret": "support-mailbox"}
    canary = {**APPEND, "send": SMTP}
    job = make_job(server=server, canary={**canary, "on_return": {"mark_as_read": True}})
    (fault,) = problem(world.client.post("/api/jobs", json=job), 400, "config-invalid")["errors"]
    assert "Leave out canary.on_return." in fault["detail"]
    world.create(server=server, canary=canary)
