"""Soft purge from a POP3 mailbox on Dovecot to blobs on Azurite: what it costs, and what a kill or a fault leaves."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import BlobServiceClient

from dev.azurite import Azurite
from dev.ports import free_ports
from shared.model import RunOutcome
from shared.ports import Deadline
from shared.storage import Storage, open_storage
from tests.connectors.pop_runs import JOB, plain, record_of, run
from tests.contract.mailbox import mail
from tests.fakes.clock import FakeClock
from tests.run.real import Requests, Tables
from tests.run.world import Killed
from tests.servers.dovecot import Dovecot
from tests.servers.imap_host import User

MANY = 600
FEW = 30


class Place:
    """One POP3 mailbox, one set of tables and blobs, and looks at them that owe nothing to the code under test."""

    def __init__(self, dovecot: Dovecot, azurite: Azurite, prefix: str) -> None:
        self.dovecot = dovecot
        self.user: User = dovecot.new_mailbox()
        # Copies expire with their day: no hour that a test lets pass may end it.
        self.clock = FakeClock(datetime.now(UTC).replace(hour=12))
        self.requests = Requests(prefix)
        self.tables = Tables(azurite, prefix)
        self.connection = azurite.connection_string
        self._prefix = prefix
        self.storage = self.open(self.connection)

    def open(self, connection: str) -> Storage:
        """The storage of the app."""
        return open_storage(
            connection_string=connection, prefix=self._prefix, clock=self.clock, on_request=self.requests.count
        )

    def fill(self, count: int) -> None:
        """Put messages into the mailbox and store the job."""
        self.dovecot.append(self.user, "INBOX", [mail(f"m{number}") for number in range(count)])
        self.storage.jobs.create(record_of(plain(self.dovecot.pop3_port, self.user.name)))

    def blobs(self) -> dict[str, int]:
        """The sizes of the blobs with copies, by name."""
        with BlobServiceClient.from_connection_string(self.connection) as service:
            found = service.get_container_client(f"{self._prefix}-purged").list_blobs()
            return {blob.name: blob.size for blob in found}

    def check(self, count: int) -> None:
        """Every message has one ticket, none is left in the mailbox, and each has its copy."""
        assert self.tables.subjects() == sorted(f"m{number}" for number in range(count))
        assert self.dovecot.messages(self.user) == []
        rows = {row["subject"]: row["purged_id"] for row in self.tables.rows("jobs", "purged:")}
        assert sorted(rows) == sorted(f"m{number}" for number in range(count))
        for subject in ("m0", f"m{count // 2}", f"m{count - 1}"):
            chunks = self.storage.purged.raw(JOB, rows[subject])
            assert chunks is not None
            assert b"".join(chunks).rstrip() == mail(subject).rstrip()


@pytest.fixture
def place(dovecot: Dovecot, azurite: Azurite, prefix: str) -> Place:
    """An empty mailbox and empty storage."""
    return Place(dovecot, azurite, prefix)


def test_keeping_costs_a_blob_for_each_batch(place: Place) -> None:
    """600 messages, in 7 batches: a blob for each, and a few more writes of the ledger than without."""
    place.fill(MANY)
    report = run(place.storage, place.user.password, place.clock)
    assert (report.outcome, report.created, report.purged) == (RunOutcome.COMPLETED, MANY, MANY)
    # Two more than there are batches: the container is made when it is first missed.
    assert place.requests.kinds["PUT purged"] <= 7 + 2
    assert place.requests.kinds["write jobs"] <= 45, place.requests.kinds
    # It was 95 when this was written.
    assert place.requests.kinds.total() <= MANY / 6, place.requests.kinds
    place.check(MANY)
    day = (place.clock() + timedelta(days=31)).date()
    assert len(place.blobs()) == 7
    assert all(re.fullmatch(rf"{day}/{JOB}/[0-9a-f]{{32}}", name) for name in place.blobs())


def test_a_kill_between_the_copy_and_the_ledger_leaves_an_orphan_that_goes_with_its_day(place: Place) -> None:
    """Nothing is deleted without its copy, no ticket is made twice, and in the end no blob stays."""
    place.fill(FEW)

    def kill() -> None:
        raise Killed

    # Claim of the job, claim of the messages; the third is the ledger's word that they are delivered.
    place.requests.at("write jobs", 3, kill)
    with pytest.raises(Killed):
        run(place.storage, place.user.password, place.clock)
    assert len(place.dovecot.messages(place.user)) == FEW
    (size,) = place.blobs().values()
    assert place.tables.rows("jobs", "purged:") == []
    place.clock.advance(timedelta(hours=1))
    assert run(place.storage, place.user.password, place.clock).purged == FEW
    place.check(FEW)
    there = place.blobs()
    assert sum(there.values()) == 2 * size
    place.clock.advance(timedelta(days=30))
    assert place.storage.housekeeping.tidy(Deadline(place.clock() + timedelta(minutes=1), place.clock))
    assert place.blobs() == there
    place.clock.advance(timedelta(days=1))
    place.storage.housekeeping.tidy(Deadline(place.clock() + timedelta(minutes=1), place.clock))
    assert (place.blobs(), place.tables.rows("jobs", "purged:")) == ({}, [])


def test_nothing_is_deleted_while_blob_storage_is_away(place: Place) -> None:
    """The run fails as with any fault of storage; the next one deletes, and makes no second ticket."""
    place.fill(FEW)
    (port,) = free_ports(1)
    away = place.open(re.sub(r"(BlobEndpoint=http://[^:]+:)\d+", rf"\g<1>{port}", place.connection))
    report = run(away, place.user.password, place.clock)
    assert (report.outcome, report.created, report.purged) == (RunOutcome.FAILED, 0, 0)
    assert "Storage did not answer while storing blob" in report.comments[0]
    assert len(place.dovecot.messages(place.user)) == FEW
    assert len(place.tables.subjects()) == FEW
    place.clock.advance(timedelta(hours=1))
    report = run(place.storage, place.user.password, place.clock)
    assert (report.outcome, report.created, report.purged) == (RunOutcome.COMPLETED, FEW, FEW)
    place.check(FEW)
