"""A job's acknowledgements over the API: what is wrong with their settings, and what is warned of."""

from typing import Any

import pytest

from tests.api.test_canary import GRAPH, NO_ADDRESS, SMTP
from tests.api.world import World, make_job, problem

SENDER = "support@mail.example"


@pytest.mark.parametrize(
    ("acknowledge", "job", "told"),
    [
        ({"send": {"by": "graph"}}, {}, "a job of type 'imap4' cannot send by 'graph'; use 'smtp'"),
        ({"send": {"by": "append"}}, {}, "append"),
        ({"sender": None}, {"server": NO_ADDRESS}, "the server block does not tell the mail address of the mailbox."),
        ({"sender": "two words@mail.example"}, {}, "sender"),
        ({"subject": "We have {subject}"}, {}, "needs {tag}, followed by a space"),
        ({"subject": "{tag}{subject}"}, {}, "needs {tag}, followed by a space"),
        ({"text": "Dear {customer}"}, {}, "There is no {customer}; use {name}, {subject}, {tag}, {ticket_id}."),
        ({"max_per_sender": 0}, {}, "max_per_sender"),
        ({"send": {**SMTP, "security": "none"}}, {}, "set allow_insecure to true if that network is your own"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_saved(
    world: World, acknowledge: dict[str, Any], job: dict[str, Any], told: str
) -> None:
    """In one sentence each, before anybody is answered."""
    block = {"send": SMTP, "sender": SENDER, **acknowledge}
    answer = world.client.post("/api/jobs", json=make_job(acknowledge=block, **job))
    (fault,) = problem(answer, 400, "config-invalid")["errors"]
    assert told in f"{fault['pointer']} {fault['detail']}"


def test_the_sender_is_the_mailbox_where_that_has_an_address(world: World) -> None:
    """And what travels in plain text carries a warning, as does a secret that is not there."""
    send = {**SMTP, "security": "none", "allow_insecure": True, "password_secret": "nowhere"}
    warnings = " ".join(world.create(server=GRAPH, acknowledge={"send": send}).json()["warnings"])
    assert "travel between the app and smtp.example in plain text" in warnings
    assert "The secret 'nowhere' cannot be found yet" in warnings
