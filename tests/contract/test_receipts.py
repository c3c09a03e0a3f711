"""The contract of `shared.ports.Receipts` and `shared.ports.Outbox`."""

from dataclasses import replace

import pytest

from shared.errors import Stale
from shared.model import Action, OutsideTicket, Receipt
from tests.contract.storage import Storage, race
from tests.contract.test_ledger import AWKWARD

FIRST = Receipt("a" * 64, begun=True, facts={"step": {"id": 7, "name": "Größe"}})


class TestReceipts:
    """`begin`, `find`, `advance`, `finish` and `tickets`."""

    def test_a_receipt_is_kept(self, storage: Storage) -> None:
        """As it was begun, and as it went on."""
        assert storage.receipts.find("s", FIRST.digest) is None
        begun = storage.receipts.begin("s", FIRST)
        assert begun == FIRST == storage.receipts.find("s", FIRST.digest)
        further = storage.receipts.advance("s", replace(begun, step=1, begun=False, ticket_id="7"))
        assert further == storage.receipts.find("s", FIRST.digest)
        assert (further.step, further.ticket_id, further.facts) == (1, "7", FIRST.facts)

    def test_a_receipt_is_begun_once(self, storage: Storage) -> None:
        """Who comes second is told, and changes nothing; another scope has receipts of its own."""
        begun = storage.receipts.begin("s", FIRST)
        storage.receipts.advance("s", replace(begun, step=2))
        with pytest.raises(Stale):
            storage.receipts.begin("s", FIRST)
        found = storage.receipts.find("s", FIRST.digest)
        assert found
        assert found.step == 2
        assert storage.receipts.begin("t", FIRST).step == 0

    def test_who_was_overtaken_writes_nothing(self, storage: Storage) -> None:
        """Neither a step nor the end."""
        begun = storage.receipts.begin("s", FIRST)
        storage.receipts.advance("s", replace(begun, step=2))
        with pytest.raises(Stale):
            storage.receipts.advance("s", replace(begun, step=1))
        with pytest.raises(Stale):
            storage.receipts.finish("s", replace(begun, action=Action.CREATED, ticket_id="7"), OutsideTicket("7"))
        found = storage.receipts.find("s", FIRST.digest)
        assert found
        assert (found.step, found.action) == (2, None)
        assert storage.receipts.tickets("s", ["7"]) == {}

    def test_the_end_notes_the_ticket(self, storage: Storage) -> None:
        """Who takes part is joined by who comes; facts are kept, and new ones added."""
        for number, people, facts in ((1, {"a@x"}, {"sys": "1"}), (2, {"b@x"}, {"more": [1]})):
            begun = storage.receipts.begin("s", Receipt(str(number) * 64, begun=True))
            done = replace(begun, begun=False, action=Action.CREATED, ticket_id="7")
            storage.receipts.finish("s", done, OutsideTicket("7", frozenset(people), facts))
            found = storage.receipts.find("s", done.digest)
            assert found
            assert (found.action, found.ticket_id) == (Action.CREATED, "7")
        known = OutsideTicket("7", frozenset({"a@x", "b@x"}), {"sys": "1", "more": [1]})
        assert storage.receipts.tickets("s", ["7", "8"]) == {"7": known}

    def test_any_text_may_be_asked_for(self, storage: Storage) -> None:
        """Ids and scopes are strangers' texts."""
        assert storage.receipts.tickets("s", AWKWARD) == {}
        for odd in AWKWARD[:4]:
            begun = storage.receipts.begin(f"webhook:{odd}", FIRST)
            done = replace(begun, action=Action.CREATED, ticket_id="7")
            storage.receipts.finish(f"webhook:{odd}", done, OutsideTicket(odd))
            assert set(storage.receipts.tickets(f"webhook:{odd}", [odd])) == {odd}

    def test_six_at_once(self, storage: Storage) -> None:
        """One begins; of six that go on from the same receipt, one does; six replies to one ticket are all noted."""
        first = race(6, lambda _: storage.receipts.begin("s", FIRST))
        assert sorted(type(one).__name__ for one in first) == ["Receipt"] + ["Stale"] * 5
        begun = storage.receipts.find("s", FIRST.digest)
        assert begun
        further = race(6, lambda number: storage.receipts.advance("s", replace(begun, step=number)))
        assert sorted(type(one).__name__ for one in further) == ["Receipt"] + ["Stale"] * 5

        def finish(number: int) -> None:
            mine = storage.receipts.begin("s", Receipt(str(number) * 64, begun=True))
            ticket = OutsideTicket("7", frozenset({f"{number}@x"}))
            storage.receipts.finish("s", replace(mine, action=Action.MODIFIED, ticket_id="7"), ticket)

        assert race(6, finish) == [None] * 6
        assert storage.receipts.tickets("s", ["7"])["7"].participants == {f"{number}@x" for number in range(6)}


class TestOutbox:
    """`keep` and `send`."""

    def test_a_blob_has_an_address_that_opens_nothing(self, storage: Storage) -> None:
        """The same one each time, without a key."""
        url = storage.outbox.keep("a/b.bin", b"1")
        assert storage.outbox.keep("a/b.bin", b"1") == url
        assert url.endswith("/a/b.bin")
        assert "?" not in url
