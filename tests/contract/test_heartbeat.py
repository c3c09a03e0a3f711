"""The part of `shared.ports.RunLease` that needs real time: it renews itself in the background.

The fake has no background; everything else about leases is in `test_leases`, over both.
"""

import time
from collections.abc import Callable, Iterator
from threading import Event

import pytest

from dev.azurite import Azurite
from shared.errors import LeaseHeld
from shared.model import JobState
from shared.ports import RunLease
from shared.storage import Storage, open_storage
from tests.builders import make_claim, make_record

#: Short enough to see it renewed, long enough for a slow machine to renew it in time.
LEASE_SECONDS = 3.0


@pytest.fixture
def storage(azurite: Azurite, prefix: str) -> Storage:
    """Real storage on the machine's clock."""
    return open_storage(connection_string=azurite.connection_string, prefix=prefix, lease_seconds=LEASE_SECONDS)


@pytest.fixture
def lease(storage: Storage) -> Iterator[RunLease]:
    """A run that holds the mailbox and writes nothing."""
    held = storage.jobs.begin(storage.jobs.create(make_record()), make_claim())
    yield held
    held.abandon()


class TestHeartbeat:
    """A lease in real time."""

    def test_silent_run_keeps_the_mailbox(self, storage: Storage, lease: RunLease) -> None:
        """A run that is busy elsewhere for longer than its lease still holds the mailbox, and can write."""
        first = lease.record.state.lease_expires
        assert first
        wait_until(lambda: (state(storage).lease_expires or first) > first and time.time() > first.timestamp())
        record = storage.jobs.read("support")
        assert record
        with pytest.raises(LeaseHeld):
            storage.jobs.begin(record, make_claim("run-2"))

    def test_abandoned_lease_runs_out(self, storage: Storage, lease: RunLease) -> None:
        """A run that stopped renewing loses the mailbox after at most one lease."""
        lease.abandon()
        expires = state(storage).lease_expires
        assert expires
        wait_until(lambda: time.time() > expires.timestamp())
        record = storage.jobs.read("support")
        assert record
        heir = storage.jobs.begin(record, make_claim("run-2"))
        heir.abandon()
        assert state(storage).lease_run == "run-2"


def state(storage: Storage) -> JobState:
    """The state of the job as it is stored now."""
    record = storage.jobs.read("support")
    assert record
    return record.state


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, and say so when it never comes."""
    given_up = time.monotonic() + 10 * LEASE_SECONDS
    while not condition():
        assert time.monotonic() < given_up, "It did not happen in time."
        Event().wait(0.05)
