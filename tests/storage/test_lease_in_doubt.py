"""A ledger write whose answer was lost: what is read of the ledger after it is final."""

import pytest

from dev.azurite import Azurite
from shared.errors import Unavailable
from shared.storage import open_storage
from tests.builders import make_claim, make_entry, make_record, make_ref
from tests.servers.http_relay import RelayedAccount, StorageRelay


def test_a_lost_write_cannot_take_effect_after_the_look(azurite: Azurite, prefix: str) -> None:
    """The row that it depends on is changed first, once; a ledger that had its answers is just read."""
    with StorageRelay(azurite) as relay:
        storage = open_storage(RelayedAccount(relay.connection_string), prefix=prefix)
        lease = storage.jobs.begin(storage.jobs.create(make_record()), make_claim())
        relay.clear()
        relay.strike(1, "lost")
        with pytest.raises(Unavailable):
            lease.ledger.record([make_entry(1)])
        relay.clear()
        found = [lease.ledger.look_up([make_ref(1), make_ref(2)]) for _ in range(2)]
        lease.abandon()
        assert [list(one) for one in found] == [[make_ref(1).key]] * 2
        # It did happen, so the first write meets a row that has changed, and looks again.
        assert relay.seen == ["POST table", "GET table", "POST table", "GET table", "GET table"]
