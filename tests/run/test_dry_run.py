"""A dry run of a live mailbox on a real server: the state of the server and of storage is the same before and after."""

from datetime import timedelta
from typing import Any

import pytest

from dev.azurite import Azurite
from shared.jobs import load_job
from shared.ports import Deadline
from shared.rehearsal import Stage, dry_run
from shared.run import target_of
from shared.why import Outcome
from tests.run.real import Real
from tests.run.world import mail, reply
from tests.servers.dovecot import Dovecot

TABLES = ("jobs", "tickets", "threads")
RULES = [{"name": "No offers", "when": {"body": [{"matches": "text of offer"}]}, "reject": "We take no offers."}]


@pytest.fixture
def real(dovecot: Dovecot, azurite: Azurite, prefix: str) -> Real:
    """A job that has made one ticket, and four messages that came after it."""
    real = Real(dovecot, azurite, prefix)
    real.job(on_success={"mark_as_deleted": True, "purge_deleted_at_end_of_session": True}, rules=RULES)
    real.deliver(mail("First"))
    assert real.run().created == 1
    real.deliver(mail("Second"), reply("Re: First", to="First"), reply("Re: Second", to="Second"), mail("Offer"))
    return real


def everything(real: Real) -> dict[str, Any]:
    """The mailbox as its server tells it, down to the counter of its changes, and every row of storage."""
    with real.dovecot.session(real.user) as client:
        status = client.status("INBOX", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ)")
    return {
        "status": status,
        "messages": real.dovecot.messages(real.user),
        "rows": [row for table in TABLES for row in real.tables.all(table)],
    }


def test_a_dry_run_changes_nothing_and_is_right(real: Real) -> None:
    """It tells what the next run then does; before that, server and storage are as they were."""
    job = load_job(real.record())
    stage = Stage(
        threads=real.storage.threads,
        open_target=lambda job, deadline, name: target_of(job, real.services, deadline, name),
        secrets=real.services.secrets,
    )
    before = everything(real)
    found = dry_run(job, real.record(), stage, Deadline(real.clock() + timedelta(minutes=1), real.clock), limit=20)
    assert everything(real) == before

    assert [(one.message.subject, one.outcome) for one in found.messages] == [
        ("Second", Outcome.CREATED),
        ("Re: First", Outcome.MODIFIED),
        ("Re: Second", Outcome.MODIFIED),
        ("Offer", Outcome.REJECTED),
    ]
    (first,) = real.tables.rows("tickets", "ticket:")
    assert [one.ticket_id for one in found.messages] == ["new-1", first["ticket_id"], "new-1", ""]
    report = real.later()
    assert (report.created, report.updated, report.rejected, report.purged) == (1, 2, 1, 3)
    assert real.flags() == {"Offer": ""}
