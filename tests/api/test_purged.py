"""Purged messages over HTTP."""

from dataclasses import replace
from datetime import timedelta

from shared.ledger import Stage
from shared.model import Action, Delivered, Disposition
from tests.api.world import World, make_job, problem
from tests.builders import NOW, make_claim, make_entry, make_purged, make_raw

PURGE = Disposition(deleted=True, purge=True)


def purge(world: World, *uids: int, stage: Stage = Stage.DONE) -> None:
    """Let a run of the ``support`` job purge messages, with copies."""
    record = world.storage.jobs.read("support")
    assert record is not None
    ledger = world.storage.jobs.begin(record, make_claim()).ledger
    for uid in uids:
        key = replace(make_entry(uid).key, mailbox=record.mailbox)
        entry = make_entry(uid, key=key).deliver(Delivered(f"T-{uid}", Action.CREATED), PURGE)
        purged = make_purged(uid, key=key, purged_at=NOW + timedelta(minutes=uid))
        ledger.record([replace(entry, stage=stage)], ledger.keep([(purged, make_raw(uid).data)]))
    world.clock.advance(timedelta(minutes=10))


def test_purged_messages_are_listed(world: World) -> None:
    """Newest first, in pages, each with its ticket, until when it is kept, and where its original is."""
    world.create()
    purge(world, 1, 2, 3)
    first = world.client.get("/api/jobs/support/purged?limit=2").json()
    second = world.client.get("/api/jobs/support/purged", params={"cursor": first["next"]}).json()
    assert [item["id"] for item in first["items"] + second["items"]] == ["purged-3", "purged-2", "purged-1"]
    item = first["items"][0]
    assert (item["ticket"], item["reason"], item["subject"]) == ("T-3", "", "Printer 3 is on fire")
    assert (item["purged_at"], item["expires_at"]) == ("2026-11-23T12:03:00Z", "2026-11-26T00:00:00Z")
    assert item["raw"] == "/api/jobs/support/purged/purged-3/raw"
    assert world.client.get("/api/jobs/support/purged/purged-3").json() == item


def test_the_original_comes_octet_for_octet(world: World) -> None:
    """Downloaded as a mail file, never shown as a page."""
    world.create()
    purge(world, 1, 2)
    answer = world.client.get("/api/jobs/support/purged/purged-2/raw")
    assert answer.content == make_raw(2).data
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["content-disposition"].startswith('attachment; filename="purged-2.eml"')


def test_an_expired_copy_is_404(world: World) -> None:
    """At its time it is gone, in every way."""
    world.create()
    purge(world, 1)
    world.clock.advance(timedelta(days=3))
    here = "/api/jobs/support/purged/purged-1"
    problem(world.client.get(here), 404, "not-found")
    problem(world.client.get(f"{here}/raw"), 404, "not-found")
    problem(world.client.post(f"{here}/reprocess"), 404, "not-found")
    problem(world.client.delete(here), 404, "not-found")
    assert world.client.get("/api/jobs/support/purged").json() == {"items": [], "next": None}


def test_reprocessing_lets_the_next_run_take_it_up(world: World) -> None:
    """202; the copy is open in the ledger as a further message, and stays listed. Asking again changes nothing."""
    world.create()
    purge(world, 1)
    for _ in range(2):
        answer = world.client.post("/api/jobs/support/purged/purged-1/reprocess")
        assert (answer.status_code, answer.json()) == (202, {"reprocessed": ["purged-1"], "refused": []})
    record = world.storage.jobs.read("support")
    assert record is not None
    (entry,) = world.storage.jobs.begin(record, make_claim("run-2")).ledger.unfinished()
    assert (entry.stage, entry.key.generation, entry.copy) == (Stage.FAILED, 1, "purged-1")
    assert world.client.get("/api/jobs/support/purged/purged-1").status_code == 200


def test_many_are_reprocessed_at_once(world: World) -> None:
    """Ids that are not there are named, and stop nothing; an id that comes twice counts once."""
    world.create()
    purge(world, 1, 2)
    asked = {"ids": ["purged-2", "nothing", "purged-1", "purged-2"]}
    answer = world.client.post("/api/jobs/support/purged/reprocess", json=asked)
    expected = {"reprocessed": ["purged-2", "purged-1"], "refused": ["nothing"]}
    assert (answer.status_code, answer.json()) == (200, expected)
    answer = world.client.post("/api/jobs/support/purged/reprocess", json={"ids": []})
    assert [fault["pointer"] for fault in problem(answer, 400, "config-invalid")["errors"]] == ["/ids"]


def test_what_cannot_be_reprocessed_is_409(world: World) -> None:
    """While the original is still to be removed; and once the job integrates another mailbox."""
    world.create()
    purge(world, 1, stage=Stage.DISPOSED)
    problem(world.client.post("/api/jobs/support/purged/purged-1/reprocess"), 409, "conflict")
    server = {**make_job()["server"], "folder": "INBOX/Other"}
    world.client.patch("/api/jobs/support", json={"server": server}, headers={"If-Match": "*"})
    problem(world.client.post("/api/jobs/support/purged/purged-1/reprocess"), 409, "conflict")
    assert world.client.get("/api/jobs/support/purged/purged-1/raw").status_code == 200


def test_a_discarded_copy_is_gone(world: World) -> None:
    """204, then 404; the others of its batch stay."""
    world.create()
    purge(world, 1, 2)
    assert world.client.delete("/api/jobs/support/purged/purged-1").status_code == 204
    problem(world.client.delete("/api/jobs/support/purged/purged-1"), 404, "not-found")
    assert world.client.get("/api/jobs/support/purged/purged-2/raw").content == make_raw(2).data


def test_a_job_without_purged_messages_has_an_empty_page(world: World) -> None:
    """Nothing purged is no fault; no job is."""
    world.create()
    assert world.client.get("/api/jobs/support/purged").json() == {"items": [], "next": None}
    problem(world.client.get("/api/jobs/other/purged"), 404, "not-found")
