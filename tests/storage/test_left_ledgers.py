"""What housekeeping and a job that comes back do to each other, on Azurite: at the worst moment, on order."""

from datetime import timedelta

from dev.azurite import Azurite
from shared.ports import Deadline
from shared.storage import open_storage
from shared.storage.housekeeping import LEFT_LEDGERS
from tests.builders import NOW, make_claim, make_ending, make_entry, make_record, make_ref
from tests.fakes.clock import FakeClock
from tests.run.real import Requests


def test_a_job_that_comes_back_in_the_middle_keeps_the_rest(azurite: Azurite, prefix: str) -> None:
    """Made again between two slices: not one entry more goes, and none once it is there."""
    clock, requests = FakeClock(NOW), Requests(prefix)
    storage = open_storage(
        connection_string=azurite.connection_string, prefix=prefix, clock=clock, on_request=requests.count
    )
    lease = storage.jobs.begin(storage.jobs.create(make_record()), make_claim())
    lease.ledger.record([make_entry(uid).finish() for uid in range(250)])
    lease.finish(make_ending())
    storage.jobs.delete("support")
    clock.advance(LEFT_LEDGERS)

    def come_back() -> None:
        storage.jobs.create(make_record())

    # First it takes the day for itself, then the old run record goes, then 99 entries at a time.
    requests.at("write jobs", 4, come_back)
    tidied = storage.housekeeping.tidy(Deadline(clock() + timedelta(minutes=1), clock))
    assert tidied is not None
    assert (tidied.ledger_entries, tidied.complete) == (99, True)
    heir = storage.jobs.begin(storage.jobs.read("support") or make_record(), make_claim("run-2"))
    assert len(heir.ledger.look_up([make_ref(uid) for uid in range(250)])) == 151
    heir.abandon()
