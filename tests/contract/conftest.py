"""Fixtures of the storage contract: every test that asks for ``storage`` runs over memory and over Azurite."""

from collections.abc import Callable, Iterator
from typing import cast

import pytest

from shared.model import RunRequest
from tests.builders import NOW
from tests.contract.storage import LEASE, Runs, Storage
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage


@pytest.fixture
def clock() -> FakeClock:
    """The time of the test."""
    return FakeClock(NOW)


@pytest.fixture(params=["fake", "azurite"])
def storage(request: pytest.FixtureRequest, clock: FakeClock) -> Storage:
    """Empty storage."""
    if request.param == "fake":
        return FakeStorage(clock, LEASE.total_seconds())
    from shared.storage import open_storage

    return open_storage(
        connection_string=request.getfixturevalue("azurite").connection_string,
        prefix=request.getfixturevalue("prefix"),
        clock=clock,
        lease_seconds=LEASE.total_seconds(),
    )


@pytest.fixture
def runs(storage: Storage) -> Iterator[Runs]:
    """Begins runs that end with the test."""
    started = Runs(storage.jobs)
    yield started
    started.stop()


@pytest.fixture
def take(request: pytest.FixtureRequest, storage: Storage) -> Callable[[], list[RunRequest]]:
    """Takes what waits on the run queue, as the queue-triggered function would get it."""
    if isinstance(storage, FakeStorage):
        return storage.queue.take
    from shared.storage.open import Account
    from shared.storage.run_queue import read_request

    connection, prefix = request.getfixturevalue("azurite").connection_string, request.getfixturevalue("prefix")

    def receive() -> list[RunRequest]:
        with Account(connection).queue(f"{prefix}-runs") as queue:
            return [read_request(cast(str, message.content)) for message in queue.receive_messages()]

    return receive
