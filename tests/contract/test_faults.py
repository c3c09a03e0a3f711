"""Faults on order of `FakeStorage`: what the suites of the flow rely on when they let storage fail at every write."""

import pytest

from shared.errors import Unavailable
from shared.model import RunRequest, Trigger
from tests.builders import make_claim, make_ending, make_entry, make_new_ticket, make_parked, make_record, make_ref
from tests.contract.storage import LEASE
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage

AWAY = Unavailable("Storage is away.")

#: One of each write, in the order of `write_everything`.
WRITES = (
    "jobs.create", "jobs.note", "jobs.begin", "ledger.record", "ledger.record", "ledger.keep_copy", "ledger.park",
    "tickets.add", "tickets.add", "threads.remember", "lease.finish", "parked.retry", "queue.put",
)  # fmt: skip


class Killed(BaseException):
    """A worker's end, which no ``except Exception`` survives."""


@pytest.fixture
def storage(clock: FakeClock) -> FakeStorage:
    """The fake alone."""
    return FakeStorage(clock, LEASE.total_seconds())


def test_writes_are_named_in_their_order(storage: FakeStorage) -> None:
    """A test learns how many writes a run makes, and which."""
    write_everything(storage)
    assert storage.writes == WRITES


def test_reads_are_no_writes(storage: FakeStorage) -> None:
    """Reading does not count."""
    storage.jobs.read("support")
    storage.jobs.page(limit=1)
    storage.tickets.summaries(["T1"])
    storage.threads.find("table", ["<1@a>"])
    assert storage.writes == ()


@pytest.mark.parametrize("nth", range(1, len(WRITES) + 1))
def test_fails_at_the_chosen_write(storage: FakeStorage, nth: int) -> None:
    """The nth write raises what was ordered; those before it do not."""
    storage.fail_next(nth, AWAY)
    with pytest.raises(Unavailable):
        write_everything(storage)
    assert storage.writes == WRITES[:nth]


def test_before_leaves_nothing(storage: FakeStorage) -> None:
    """A write that failed before it took effect was not made, and can be made again."""
    storage.fail_next(1, AWAY)
    with pytest.raises(Unavailable):
        storage.jobs.create(make_record())
    assert storage.jobs.read("support") is None
    assert storage.jobs.create(make_record()).job_id == "support"


def test_after_leaves_the_effect(storage: FakeStorage) -> None:
    """A write whose answer was lost was made."""
    storage.fail_next(1, AWAY, after=True)
    with pytest.raises(Unavailable):
        storage.jobs.create(make_record())
    assert storage.jobs.read("support")


def test_split_record_stops_between_transactions(storage: FakeStorage) -> None:
    """Of many entries the first transactions stay when a later one fails."""
    lease = storage.jobs.begin(storage.jobs.create(make_record()), make_claim())
    storage.fail_next(2, AWAY)
    with pytest.raises(Unavailable):
        lease.ledger.record([make_entry(uid) for uid in range(250)])
    found = lease.ledger.look_up([make_ref(uid) for uid in range(250)])
    assert [int(key.item[-10:]) for key in found] == list(range(99))


def test_batch_of_tickets_may_be_half_done(storage: FakeStorage) -> None:
    """A target that fails in the middle has made the tickets before it, and makes the rest when asked again."""
    additions = [make_new_ticket(uid) for uid in range(3)]
    storage.fail_next(2, AWAY, after=True)
    with pytest.raises(Unavailable):
        storage.tickets.add(additions)
    made = [storage.tickets.ticket(one.ticket_ids[0]) is not None for one in additions]
    assert made == [True, True, False]
    storage.tickets.add(additions)
    tickets = [storage.tickets.ticket(one.ticket_ids[0]) for one in additions]
    assert [len(one.entries) for one in tickets if one] == [1, 1, 1]


def test_killed_worker_writes_nothing_more(storage: FakeStorage) -> None:
    """After a fault that lasts, whatever runs on the way out stores nothing, until storage recovers."""
    storage.jobs.create(make_record())
    storage.fail_next(1, Killed(), lasting=True)
    with pytest.raises(Killed):
        storage.jobs.delete("support")
    with pytest.raises(Killed):
        storage.queue.put(RunRequest("support", "run-1", Trigger.MANUAL))
    storage.recover()
    assert storage.jobs.read("support")
    assert storage.queue.take() == []
    storage.jobs.delete("support")
    assert storage.jobs.read("support") is None


def test_kill_after_a_write_keeps_it(storage: FakeStorage) -> None:
    """A worker that is killed right after a write has made that one, and none after it."""
    storage.fail_next(1, Killed(), after=True, lasting=True)
    for job_id in ("first", "second"):
        with pytest.raises(Killed):
            storage.jobs.create(make_record(job_id))
    assert [record.job_id for record in storage.jobs.page(limit=9)[0]] == ["first"]


def write_everything(storage: FakeStorage) -> None:
    """Make one of each write, in the order of ``WRITES``."""
    record = storage.jobs.create(make_record())
    storage.jobs.note(make_ending("run-0").report)
    lease = storage.jobs.begin(record, make_claim())
    lease.ledger.record([make_entry(uid) for uid in range(100)])
    lease.ledger.park(make_entry().park("No."), make_parked(), b"raw")
    storage.tickets.add([make_new_ticket(1), make_new_ticket(2)])
    storage.threads.remember("table", {"<1@a>": "T1"})
    lease.finish(make_ending())
    storage.parked.retry("support", "parked-1")
    storage.queue.put(RunRequest("support", "run-2", Trigger.MANUAL))
