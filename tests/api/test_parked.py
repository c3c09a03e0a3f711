"""Parked messages over HTTP."""

from datetime import timedelta

import pytest

from shared.ledger import Stage
from tests.api.world import World, make_job, problem
from tests.builders import NOW, make_claim, make_entry, make_parked, make_raw


def park(world: World, *uids: int, raw: bool = True) -> None:
    """Let a run of the ``support`` job give up on messages."""
    record = world.storage.jobs.read("support")
    assert record is not None
    lease = world.storage.jobs.begin(record, make_claim())
    for uid in uids:
        key = make_entry(uid).key
        entry = make_entry(uid, key=type(key)("support", record.mailbox, key.item)).park("It is too odd.")
        parked = make_parked(
            uid, mailbox=record.mailbox, reason="It is too odd.", parked_at=NOW + timedelta(minutes=uid), has_raw=raw
        )
        lease.ledger.park(entry, parked, make_raw(uid).data if raw else None)
    world.clock.advance(timedelta(minutes=10))


def test_parked_messages_are_listed_with_their_reasons(world: World) -> None:
    """Newest first, in pages, each with why it was given up on and where its original is."""
    world.create()
    park(world, 1, 2, 3)
    first = world.client.get("/api/jobs/support/parked?limit=2").json()
    second = world.client.get("/api/jobs/support/parked", params={"cursor": first["next"]}).json()
    assert [item["id"] for item in first["items"] + second["items"]] == ["parked-3", "parked-2", "parked-1"]
    item = first["items"][0]
    assert (item["reason"], item["attempts"], item["subject"]) == ("It is too odd.", 5, "Printer 3 is on fire")
    assert item["raw"] == "/api/jobs/support/parked/parked-3/raw"
    assert world.client.get("/api/jobs/support/parked/parked-3").json() == item


def test_the_original_comes_octet_for_octet(world: World) -> None:
    """Downloaded as a mail file, never shown as a page."""
    world.create()
    park(world, 1)
    answer = world.client.get("/api/jobs/support/parked/parked-1/raw")
    assert answer.content == make_raw(1).data
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["content-disposition"].startswith('attachment; filename="parked-1.eml"')


def test_an_original_that_could_not_be_kept_is_404(world: World) -> None:
    """The listing says so beforehand."""
    world.create()
    park(world, 1, raw=False)
    assert world.client.get("/api/jobs/support/parked/parked-1").json()["raw"] is None
    problem(world.client.get("/api/jobs/support/parked/parked-1/raw"), 404, "not-found")


def test_a_retry_lets_the_next_run_take_it_up(world: World) -> None:
    """202; the message is open in the ledger again with fresh attempts, and no longer listed."""
    world.create()
    park(world, 1)
    answer = world.client.post("/api/jobs/support/parked/parked-1/retry")
    assert (answer.status_code, answer.json()) == (202, {"retried": ["parked-1"], "refused": []})
    record = world.storage.jobs.read("support")
    assert record is not None
    (entry,) = world.storage.jobs.begin(record, make_claim("run-2")).ledger.unfinished()
    assert (entry.stage, entry.attempts) == (Stage.FAILED, 0)
    problem(world.client.post("/api/jobs/support/parked/parked-1/retry"), 404, "not-found")


def test_many_are_retried_at_once(world: World) -> None:
    """Ids that are not there are named, and stop nothing; an id that comes twice counts once."""
    world.create()
    park(world, 1, 2)
    asked = {"ids": ["parked-2", "nothing", "parked-1", "parked-2"]}
    answer = world.client.post("/api/jobs/support/parked/retry", json=asked)
    assert (answer.status_code, answer.json()) == (
        200,
        {"retried": ["parked-2", "parked-1"], "refused": ["nothing"], "next": None},
    )
    assert world.client.get("/api/jobs/support/parked").json()["items"] == []


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"ids": []}, "/ids"),
        ({"ids": "x"}, "/ids"),
        ({"ids": ["a", 1]}, "/ids/1"),
        ({}, ""),
        ([], ""),
        ({"ids": ["a"], "reason": "odd"}, ""),
        ({"ids": ["a"], "cursor": "x"}, ""),
        ({"cursor": "x"}, ""),
        ({"reason": ""}, "/reason"),
        ({"before": "2026-11-23T12:00:00"}, "/before"),
        ({"resaon": "odd"}, "/resaon"),
    ],
)
@pytest.mark.parametrize("what", ["retry", "discard"])
def test_a_choice_that_is_none_is_refused(world: World, asked: object, place: str, what: str) -> None:
    """The fault is named by its place, and nothing is touched: an empty choice is never all of them."""
    world.create()
    park(world, 1)
    answer = world.client.post(f"/api/jobs/support/parked/{what}", json=asked)
    pointers = [fault["pointer"] for fault in problem(answer, 400, "config-invalid")["errors"]]
    assert pointers[:1] == [place]
    assert len(world.client.get("/api/jobs/support/parked").json()["items"]) == 1


@pytest.mark.parametrize("what", ["retry", "discard"])
def test_many_are_chosen_by_what_they_have_in_common(world: World, what: str) -> None:
    """A text in the reason, in any case, and the time; the others stay as they are."""
    world.create()
    park(world, 1, 2, 3)
    done = {"retry": "retried", "discard": "discarded"}[what]

    def ask(**choice: str) -> list[str]:
        answer = world.client.post(f"/api/jobs/support/parked/{what}", json=choice).json()
        assert (answer["refused"], answer["next"]) == ([], None)
        found: list[str] = answer[done]
        return found

    at = [(NOW + timedelta(minutes=uid)).isoformat() for uid in range(5)]
    assert ask(reason="too even") == []
    assert ask(before=at[1]) == []
    assert ask(reason="TOO ODD", before=at[2]) == ["parked-1"]
    assert ask(before=at[4]) == ["parked-3", "parked-2"]
    assert world.client.get("/api/jobs/support/parked").json()["items"] == []


def test_what_is_too_much_for_one_request_goes_on_in_the_next(world: World) -> None:
    """Two hundred at a time, each once; what is refused is met no second time."""
    world.create()
    park(world, *range(450))
    server = {**make_job()["server"], "folder": "INBOX/Other"}
    world.client.patch("/api/jobs/support", json={"server": server}, headers={"If-Match": "*"})
    asked: dict[str, str | None] = {"reason": "odd"}
    refused: list[str] = []
    for count in (200, 200, 50):
        answer = world.client.post("/api/jobs/support/parked/retry", json=asked).json()
        assert (answer["retried"], len(answer["refused"])) == ([], count)
        refused += answer["refused"]
        asked["cursor"] = answer["next"]
    assert asked["cursor"] is None
    assert len(set(refused)) == 450


def test_a_cursor_that_is_none_is_refused(world: World) -> None:
    """In a body as in a query."""
    world.create()
    problem(world.client.get("/api/parked?cursor=nonsense"), 400, "parameter-invalid")


def test_the_parked_messages_of_all_jobs_are_in_one_list(world: World) -> None:
    """In pages, each with its job; also those of a job that is gone."""
    world.create()
    park(world, 1, 2, 3)
    first = world.client.get("/api/parked?limit=2")
    assert first.headers["link"].startswith("</api/parked?limit=2&cursor=")
    second = world.client.get("/api/parked", params={"cursor": first.json()["next"]}).json()
    items = first.json()["items"] + second["items"]
    assert [item["id"] for item in items] == ["parked-3", "parked-2", "parked-1"]
    assert {item["job_id"] for item in items} == {"support"}
    world.client.delete("/api/jobs/support")
    assert world.client.get("/api/parked").json()["items"] == items
    discarded = world.client.post("/api/jobs/support/parked/discard", json={"ids": ["parked-1", "nothing"]})
    assert discarded.json() == {"discarded": ["parked-1"], "refused": ["nothing"], "next": None}


def test_a_message_of_a_mailbox_that_the_job_left_cannot_be_retried(world: World) -> None:
    """409, and the message stays parked where it can be downloaded."""
    world.create()
    park(world, 1)
    server = {**make_job()["server"], "folder": "INBOX/Other"}
    world.client.patch("/api/jobs/support", json={"server": server}, headers={"If-Match": "*"})
    problem(world.client.post("/api/jobs/support/parked/parked-1/retry"), 409, "conflict")
    assert world.client.get("/api/jobs/support/parked/parked-1/raw").status_code == 200


def test_a_discarded_message_is_gone_from_here_only(world: World) -> None:
    """204, then 404; the ledger still knows it, so it does not come back as a ticket."""
    world.create()
    park(world, 1)
    assert world.client.delete("/api/jobs/support/parked/parked-1").status_code == 204
    problem(world.client.delete("/api/jobs/support/parked/parked-1"), 404, "not-found")
    problem(world.client.get("/api/jobs/support/parked/parked-1"), 404, "not-found")
    record = world.storage.jobs.read("support")
    assert record is not None
    assert not world.storage.jobs.begin(record, make_claim("run-2")).ledger.unfinished()


def test_a_job_without_parked_messages_has_an_empty_page(world: World) -> None:
    """Nothing parked is no fault; no job is."""
    world.create()
    assert world.client.get("/api/jobs/support/parked").json() == {"items": [], "next": None}
    problem(world.client.get("/api/jobs/other/parked"), 404, "not-found")
