"""`GET /api/messages/why`: where did my message go?"""

from typing import Any

import pytest

from shared.model import Action, Delivered, Disposition
from shared.why import why_of
from tests.api.world import World, problem
from tests.builders import NOW, make_claim, make_entry, make_message, make_record

RUN = f"{NOW:%Y%m%dT%H%M%S}.000Z-aaaaaa"
OFFER = "<1@customer.example>"


@pytest.fixture(autouse=True)
def ran(world: World) -> None:
    """A run rejected the first of two messages of ann's, and made a ticket of the second."""
    jobs = world.storage.jobs
    lease = jobs.begin(jobs.create(make_record()), make_claim(RUN))
    made = make_entry(2, run_id=RUN).deliver(
        Delivered("T-2", Action.CREATED), Disposition(read=True), message_id="<2@customer.example>"
    )
    rejected = make_entry(1, run_id=RUN).reject("We take no offers.", Disposition(), message_id=OFFER)
    entries = (rejected, made)
    lease.ledger.record(
        entries, (), [why_of(one, NOW, message=make_message(int(one.key.item[-1:]))) for one in entries]
    )


def ask(world: World, **asked: str) -> dict[str, Any]:
    """The answer to one question."""
    answer = world.client.get("/api/messages/why", params=asked)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("message_id", [OFFER, "1@customer.example", " <1@customer.example>"])
def test_a_message_that_made_no_ticket(world: World, message_id: str) -> None:
    """One request, by the Message-ID as people copy it, and the answer begins with why."""
    body = ask(world, message_id=message_id)
    assert body["answer"] == "It made no ticket: We take no offers."
    (item,) = body["items"]
    assert item["sentence"] == body["answer"]
    assert (item["outcome"], item["ticket"], item["original"]) == ("rejected", None, "kept")
    assert (item["sender"], item["run_id"], item["job_id"]) == ("ann@customer.example", RUN, "support")


def test_by_ticket(world: World) -> None:
    """What made a ticket, and whatever was added to it."""
    assert ask(world, ticket="T-2")["answer"] == "It made ticket T-2."
    assert "No message is known that made ticket T-3" in ask(world, ticket="T-3")["answer"]


def test_by_sender_and_day(world: World) -> None:
    """Several messages are counted first; the day is today unless another is asked for."""
    body = ask(world, sender="ANN@customer.example", day="2026-11-23")
    assert len(body["items"]) == 2
    assert body["answer"].startswith("2 messages: 1 rejected, 1 created. The newest: ")
    assert body == ask(world, sender="ann@customer.example")
    assert len(ask(world, day="2026-11-23", limit="1")["items"]) == 1
    assert ask(world, sender="ann@customer.example", job_id="other")["items"] == []


def test_a_message_that_nobody_saw(world: World) -> None:
    """The answer says so, and where else it may be."""
    body = ask(world, message_id="lost@customer.example")
    assert body["items"] == []
    assert body["answer"].startswith(
        "No job took up a message with the Message-ID <lost@customer.example>. It may lie in another folder"
    )


@pytest.mark.parametrize(
    "asked",
    [{}, {"message_id": "a", "ticket": "b"}, {"ticket": "a", "sender": "b"}, {"day": "tomorrow"}, {"sender": ""}],
)
def test_one_question_at_a_time(world: World, asked: dict[str, str]) -> None:
    """None, several, and what is no day are refused."""
    problem(world.client.get("/api/messages/why", params=asked), 400, "parameter-invalid")
