"""Who changed what, when: recorded for each change and for nothing else, listed, and kept as long as the setting says."""

from datetime import timedelta
from typing import Any

import pytest

from dev.azurite import Azurite
from shared.api.app import routes
from shared.api.audit import LOOKS
from shared.errors import Unavailable
from shared.model import AuditRecord, Change
from shared.ports import Deadline
from shared.storage.audit import TableAudit
from shared.storage.open import Account
from shared.storage.table import Table
from tests.api.test_access import ON, principal
from tests.api.test_parked import park
from tests.api.world import World, make_job
from tests.builders import NOW

MARKED = "correct-horse-marked"
ALL_DAY = Deadline(NOW + timedelta(days=9_999), lambda: NOW)


@pytest.fixture
def audit(azurite: Azurite, prefix: str) -> TableAudit:
    """An empty log in a real table."""
    account = Account(connection_string=azurite.connection_string)
    return TableAudit(Table(account.tables().get_table_client(f"{prefix}audit")), days=400)


@pytest.fixture
def audited(world: World, audit: TableAudit) -> World:
    """The API with that log."""
    world.serve(audit=audit)
    return world


def listed(world: World) -> list[dict[str, Any]]:
    """All records, the oldest first."""
    items: list[dict[str, Any]] = world.client.get("/api/audit").json()["items"]
    return items[::-1]


def test_each_change_of_a_job_is_told_value_by_value(audited: World) -> None:
    """Made, changed, switched off, deleted: before and after, and the job's id whatever the address."""
    audited.create()
    audited.clock.advance(timedelta(minutes=1))
    audited.client.patch("/api/jobs/support", json={"server": {"port": 1993}}, headers={"If-Match": "*"})
    audited.clock.advance(timedelta(minutes=1))
    audited.client.post("/api/jobs/support/disable")
    audited.clock.advance(timedelta(minutes=1))
    audited.client.delete("/api/jobs/support")
    made, patched, disabled, deleted = listed(audited)
    assert [each["action"] for each in (made, patched, disabled, deleted)] == [
        "create_job",
        "patch_job",
        "disable_job",
        "delete_job",
    ]
    assert {each["subject"] for each in (made, patched, disabled, deleted)} == {"support"}
    assert made["caller"] == {"id": "", "name": "function key"}
    assert {"pointer": "/server/host", "before": None, "after": "mail.example"} in made["changes"]
    (port,) = patched["changes"]
    assert (port["pointer"], port["after"]) == ("/server/port", 1993)
    assert [change["pointer"] for change in disabled["changes"]] == ["/enabled"]
    assert {"pointer": "/server/host", "before": "mail.example", "after": None} in deleted["changes"]
    assert patched["at"] > made["at"]


def test_what_changes_nothing_leaves_no_record(audited: World) -> None:
    """Reading, looking, a PUT of what is stored, and whatever was refused."""
    job = make_job()
    audited.client.put("/api/jobs/support", json=job)
    assert len(listed(audited)) == 1
    audited.client.put("/api/jobs/support", json=job)
    audited.client.get("/api/jobs")
    audited.client.post("/api/schedules/preview", json={"schedule": {}})
    audited.client.post("/api/jobs/support/test")
    audited.client.put("/api/jobs/support", json={**job, "max_attempts": "many"}, headers={"If-Match": "*"})
    audited.client.patch("/api/jobs/support", json={"name": "x"}, headers={"If-Match": '"stale"'})
    audited.client.delete("/api/jobs/other")
    assert len(listed(audited)) == 1
    assert {name for name, _, _ in routes()} >= LOOKS


def test_what_is_done_with_messages_and_runs_is_told(audited: World, audit: TableAudit) -> None:
    """With the address, and who it was."""
    audited.create()
    park(audited, 1, 2)
    audited.clock.advance(timedelta(seconds=1))
    audited.serve(access=ON, audit=audit)
    operator = principal("operator")
    audited.client.post("/api/jobs/support/run", headers=operator)
    audited.clock.advance(timedelta(seconds=1))
    audited.client.post("/api/jobs/support/parked/parked-1/retry", headers=operator)
    audited.clock.advance(timedelta(seconds=1))
    audited.client.delete("/api/jobs/support/parked/parked-2", headers=operator)
    audited.client.post("/api/jobs", json=make_job(id="no"), headers=operator)
    items = audited.client.get("/api/audit", headers=principal("admin")).json()["items"][:-1]
    assert [(each["action"], each["subject"]) for each in items[::-1]] == [
        ("run_job_now", "support"),
        ("retry_parked", "support/parked-1"),
        ("discard_parked", "support/parked-2"),
    ]
    assert {each["caller"]["id"] for each in items} == {"0b1c"}


def test_no_value_of_a_secret_is_in_a_record(audited: World) -> None:
    """That there is a new one, and when it ends."""
    audited.client.put("/api/secrets/box", json={"value": MARKED, "expires": "2027-06-30T00:00:00Z"})
    audited.clock.advance(timedelta(seconds=1))
    audited.client.delete("/api/secrets/box")
    stored, removed = listed(audited)
    assert (stored["action"], stored["subject"], removed["action"]) == ("put_secret", "box", "delete_secret")
    assert "2027-06-30" in str(stored["changes"])
    assert MARKED not in audited.client.get("/api/audit").text


def test_a_record_that_cannot_be_written_is_told_by_the_log(audited: World, caplog: pytest.LogCaptureFixture) -> None:
    """The change is made by then, and its answer says so."""

    class Away:
        def write(self, record: AuditRecord) -> None:  # noqa: ARG002 - the port's
            raise Unavailable("Storage does not answer.")

    audited.serve(audit=Away())
    assert audited.client.post("/api/jobs", json=make_job()).status_code == 201
    assert "audit_unwritten: create_job of 'support' by a function key" in caplog.text


def test_records_are_paged_newest_first(audited: World, audit: TableAudit) -> None:
    """Whichever come meanwhile, no record is shown twice."""
    for number in range(5):
        audit.write(AuditRecord(NOW + timedelta(seconds=number), "", "key", "put_job", f"job-{number}"))
    found = []
    address = "/api/audit?limit=2"
    while address:
        answer = audited.client.get(address)
        found += [each["subject"] for each in answer.json()["items"]]
        audit.write(AuditRecord(NOW + timedelta(minutes=1), "", "key", "put_job", "late"))
        address = answer.links["next"]["url"] if answer.json()["next"] else ""
    assert found == [f"job-{number}" for number in reversed(range(5))]


def test_old_records_are_removed(audit: TableAudit) -> None:
    """To the day of the setting, by hundreds."""
    for days in (0, 399, 401, 500):
        audit.write(AuditRecord(NOW - timedelta(days=days), "", "key", "put_job", f"{days} days"))
    for number in range(101):
        audit.write(AuditRecord(NOW - timedelta(days=1000, seconds=number), "", "key", "put_job", "ancient"))
    assert audit.expire(NOW, Deadline(NOW, lambda: NOW)) == 0, "no time left"
    assert audit.expire(NOW, ALL_DAY) == 103
    assert [each.subject for each in audit.page(limit=9)[0]] == ["0 days", "399 days"]


def test_a_change_of_any_size_fits(audit: TableAudit) -> None:
    """Long values are cut, very many changes are left out, and both say so."""
    changes = tuple(Change(f"/routing/rules/{number}", None, "\u00e4" * 9_000) for number in range(400))
    audit.write(AuditRecord(NOW, "i" * 9_000, "n" * 9_000, "put_job", "s" * 9_000, changes))
    (record,), _ = audit.page(limit=1)
    assert "characters)" in record.changes[0].after
    assert "more changes are not kept" in record.changes[-1].after
