"""Dry run and replay: what would happen is told, and nothing does."""

from typing import Any

import pytest

from shared.errors import AuthFailed
from tests.api.world import World, make_job, problem
from tests.run.world import World as Runs
from tests.run.world import mail, reply

RULES = [
    {"name": "No offers", "when": {"subject": ["offer"]}, "reject": "We take no offers."},
    {"name": "Printers", "when": {"subject": ["printer"]}, "fields": {"team": "hardware"}},
]


def dry_run(world: World, *, limit: int = 20, body: Any = None) -> dict[str, Any]:
    """What the dry run of the job says."""
    answer = world.client.post(f"/api/jobs/support/dry-run?limit={limit}", **({"json": body} if body else {}))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def replay(world: World, raw: bytes) -> dict[str, Any]:
    """What would become of this message today."""
    answer = world.client.post("/api/jobs/support/replay", content=raw, headers={"Content-Type": "message/rfc822"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def runs() -> Runs:
    """The same job with its runs, to compare with what they really do."""
    return Runs(rules=RULES)


def serve(world: World, runs: Runs) -> None:
    """Let the API work on the storage and the mailbox of these runs."""
    world.storage, world.folder, world.clock = runs.storage, runs.folder, runs.clock
    world.serve()


class TestDryRun:
    """`POST /api/jobs/{id}/dry-run`."""

    def test_says_what_a_run_then_does(self, world: World, runs: Runs) -> None:
        """Question, answer to it, offer, foreign tag: told before, and done so by the run after it."""
        serve(world, runs)
        runs.deliver(mail("Printer"), reply("Re: x", to="Printer"), mail("Offer"), mail("Lamp [T-NONE]"))
        told = dry_run(world)
        assert (told["candidates"], told["in_box"], told["comments"]) == (4, 4, [])
        assert [one["outcome"] for one in told["messages"]] == ["created", "modified", "rejected", "created"]
        assert [one["ticket"] for one in told["messages"]] == ["new-1", "new-1", None, "new-2"]
        assert [one["sentence"] for one in told["messages"]] == [
            "It would make a ticket.",
            "It would be added to ticket new-1.",
            "It would make no ticket: We take no offers.",
            "It would make a ticket.",
        ]
        assert told["messages"][0]["fields"] == {"team": "hardware"}
        assert told["messages"][2]["asked"][-1]["evidence"] == 'the subject contains "offer"'
        report = runs.report()
        assert (report.created, report.updated, report.rejected) == (2, 1, 1)

    def test_changes_nothing(self, world: World, runs: Runs) -> None:
        """Neither in the mailbox nor in storage: the mailbox is listed and fetched from, and nothing is written."""
        serve(world, runs)
        runs.deliver(*(mail(f"m{number}") for number in range(3)))
        flags, writes, record = runs.flags(), runs.storage.writes, runs.record()
        calls = len(runs.folder.calls)
        dry_run(world)
        assert (runs.flags(), runs.storage.writes, runs.record()) == (flags, writes, record)
        assert {call for call, _ in runs.folder.calls[calls:]} <= {"open", "candidates", "fetch", "message"}
        assert runs.tickets() == []

    def test_of_a_config_that_is_not_stored(self, world: World) -> None:
        """Rules can be tried on the live mailbox before they are saved; nothing of them is."""
        world.folder.deliver(mail("Offer"))
        body = make_job(rules=RULES)
        assert dry_run(world, body=body)["messages"][0]["outcome"] == "rejected"
        problem(world.client.get("/api/jobs/support"), 404, "not-found")
        problem(world.client.post("/api/jobs/support/dry-run"), 404, "not-found")

    def test_no_more_than_is_asked_for(self, world: World) -> None:
        """The rest is counted and named."""
        world.create()
        for number in range(5):
            world.folder.deliver(mail(f"m{number}"))
        told = dry_run(world, limit=2)
        assert [one["subject"] for one in told["messages"]] == ["m0", "m1"]
        assert told["comments"] == ["There are 5 candidates; the first 2 were looked at."]

    def test_what_was_done_before_is_told(self, world: World, runs: Runs) -> None:
        """A message that a run rejected and left unread is a candidate again: what is on record of it is there."""
        serve(world, runs)
        runs.deliver(mail("Offer"))
        runs.report()
        (one,) = dry_run(world)["messages"]
        assert one["before"]["sentence"] == "It made no ticket: We take no offers."
        assert one["difference"] == []

    def test_a_mailbox_that_cannot_be_opened(self, world: World) -> None:
        """The answer says why, and what to do."""
        world.create()
        world.folder.fail("open", AuthFailed("The server refuses the password.", remedy="Store the right one."))
        answer = world.client.post("/api/jobs/support/dry-run")
        told = problem(answer, 502, "not-reached")
        assert told["detail"] == "The server refuses the password. Store the right one."


class TestReplay:
    """`POST /api/jobs/{id}/replay`."""

    def test_of_a_message_that_nobody_saw(self, world: World) -> None:
        """An .eml through today's rules, with nothing to compare it with."""
        world.create(rules=RULES)
        told = replay(world, mail("Printer"))
        assert (told["outcome"], told["fields"], told["before"]) == ("created", {"team": "hardware"}, None)
        assert world.storage.tickets.page(limit=9) == ([], None)

    def test_of_what_became_a_ticket_under_other_rules(self, world: World, runs: Runs) -> None:
        """The difference against what was done, as sentences."""
        serve(world, runs)
        runs.deliver(mail("Printer"), mail("Lamp"))
        runs.report()
        assert replay(world, mail("Printer"))["difference"] == []
        etag = world.client.get("/api/jobs/support").headers["ETag"]
        changed = [
            {"name": "No lamps", "when": {"subject": ["lamp"]}, "reject": "No lamps."},
            {"name": "All", "fields": {"team": "all", "vip": True}},
        ]
        patched = world.client.patch("/api/jobs/support", json={"rules": changed}, headers={"If-Match": etag})
        assert patched.status_code == 200, patched.text
        assert replay(world, mail("Lamp"))["difference"] == ["It was created, and would be rejected today."]
        assert replay(world, mail("Printer"))["difference"] == [
            "Field team was 'hardware', and would be 'all'.",
            "Field vip was 'not set', and would be True.",
        ]

    def test_of_kept_messages(self, world: World) -> None:
        """A parked one, by its id, from the copy that is kept: as if it had been sent."""
        runs = Runs(rules=RULES, max_attempts=1)
        serve(world, runs)
        runs.refused.add("Printer")
        runs.deliver(mail("Printer"))
        runs.report()
        (parked,), _ = runs.storage.parked.page("support", limit=9)
        answer = world.client.post("/api/jobs/support/replay", json={"parked": parked.parked_id})
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["subject"], told["outcome"], told["fields"]) == ("Printer", "created", {"team": "hardware"})
        assert told["difference"] == ["It was parked, and would be created today."]

    @pytest.mark.parametrize(
        ("request_", "status", "kind"),
        [
            ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "content-type"),
            ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "body-malformed"),
            ({"json": {}}, 400, "config-invalid"),
            ({"json": {"parked": "a", "purged": "b"}}, 400, "config-invalid"),
            ({"json": {"packed": "a"}}, 400, "config-invalid"),
            ({"json": {"purged": "a"}}, 404, "not-found"),
        ],
    )
    def test_what_cannot_be_replayed(self, world: World, request_: dict[str, Any], status: int, kind: str) -> None:
        """Another type, no JSON, none or both, an unknown name, a message that is not kept."""
        world.create()
        problem(world.client.post("/api/jobs/support/replay", **request_), status, kind)
