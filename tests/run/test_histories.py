"""Histories of a mailbox and its ledger: random ones in a short form, and one over Dovecot and Azurite.

The long form is ``make histories``.
"""

from datetime import timedelta

import pytest

from dev.azurite import Azurite
from tests.run.histories import try_histories
from tests.run.real import Real
from tests.run.world import mail
from tests.servers.dovecot import Dovecot


def test_no_history_makes_a_second_ticket_or_loses_a_message() -> None:
    """Whatever arrives, whoever does what to it, whenever a run dies, and whatever the ledger forgot meanwhile."""
    try_histories(30, 40)


@pytest.fixture
def real(dovecot: Dovecot, azurite: Azurite, prefix: str) -> Real:
    """A job on a folder of its own, which remembers for thirty days."""
    real = Real(dovecot, azurite, prefix)
    dovecot.create_folder(real.user, "Team")
    real.job(server={"folder": "Team"}, ledger_days=30)
    return real


def test_months_on_dovecot_make_no_second_ticket(real: Real) -> None:
    """People remove, delete and unread; the folder is renamed away and back. Only what was removed is forgotten."""
    dovecot, user = real.dovecot, real.user
    dovecot.append(user, "Team", [mail(f"m{number}") for number in range(5)])
    assert real.run().created == 5
    uids = [stored.uid for stored in dovecot.messages(user, "Team")]
    for uid in uids[:2]:
        dovecot.flag(user, uid, "+FLAGS", r"\Deleted", "Team")
    dovecot.expunge(user, uids[0], "Team")
    _months_pass(real)
    assert len(real.tables.rows("jobs", "msg:")) == 4
    with dovecot.session(user) as client:
        client.rename("Team", "Away")
        client.create("Team")
    dovecot.append(user, "Team", mail("meanwhile"))
    assert real.later().created == 1
    _months_pass(real)
    assert len(real.tables.rows("jobs", "msg:")) == 5
    with dovecot.session(user) as client:
        client.delete("Team")
        client.rename("Away", "Team")
    for stored in dovecot.messages(user, "Team"):
        for mark in (r"\Seen", r"\Deleted"):
            dovecot.flag(user, stored.uid, "-FLAGS", mark, "Team")
    assert real.later().received == 0
    assert real.tables.subjects() == ["m0", "m1", "m2", "m3", "m4", "meanwhile"]


def _months_pass(real: Real) -> None:
    for _ in range(3):
        real.clock.advance(timedelta(days=31))
        real.run()
