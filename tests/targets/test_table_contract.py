"""The `table` target holds the contract, over storage in memory and over Azurite."""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import pytest

from dev.azurite import Azurite
from shared.errors import Unavailable
from shared.ports import Target, TicketStore
from shared.storage import open_storage
from shared.targets.table import TableTarget
from tests.builders import NOW
from tests.contract.storage import pages
from tests.contract.target import TargetContract
from tests.contract.target_world import Abilities, Crash, Entry, Seen, TargetWorld
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage

#: Nobody can close a ticket of the table yet, and it takes every message.
_LACKS = {"close": "No ticket of this target can be closed yet.", "refuse": "This target takes every message."}
_AWAY = Unavailable("Storage is away.")


def seen_in(tickets: TicketStore) -> Mapping[str, Seen]:
    """Every ticket of the store, with what is in its blobs."""
    return {one.ticket_id: _seen(tickets, one.ticket_id) for one in pages(tickets.page, limit=100)}


def _seen(tickets: TicketStore, ticket_id: str) -> Seen:
    ticket = tickets.ticket(ticket_id)
    assert ticket
    entries = []
    for entry in ticket.entries:
        found = [tickets.attachment(ticket_id, entry.entry_id, index) for index in range(len(entry.attachments))]
        files = [(stored.name, b"".join(chunks)) for stored, chunks in filter(None, found)]
        assert len(files) == len(entry.attachments)
        entries.append(Entry(entry.text, tuple(sorted(files))))
    return Seen(ticket.subject, tuple(entries))


class _OverTheFake(TargetWorld):
    abilities: ClassVar[Abilities] = Abilities({**_LACKS, "look up away": "Only writes of this fake can fail."})

    def __init__(self) -> None:
        self._storage = FakeStorage(FakeClock(NOW))

    def open(self) -> Target:
        return TableTarget(self._storage.tickets)

    def tickets(self) -> Mapping[str, Seen]:
        return seen_in(self._storage.tickets)

    def crash_at(self, nth: int) -> None:
        # Each write counts twice: a worker may die before it and after it.
        self._storage.fail_next((nth + 1) // 2, Crash(), after=nth % 2 == 0, lasting=True)

    def go_away(self) -> None:
        self._storage.fail_next(1, _AWAY, lasting=True)

    def recover(self) -> None:
        self._storage.recover()


class _OverAzurite(TargetWorld):
    abilities: ClassVar[Abilities] = Abilities(_LACKS)

    def __init__(self, azurite: Azurite, prefix: str) -> None:
        self._azurite, self._prefix = azurite, prefix
        time = FakeClock(NOW)
        # Mail of one second is told apart by when it was added.
        self._clock = lambda: time.advance(timedelta(milliseconds=1))
        self._left: int | None = None
        self._error: BaseException = Crash()
        self._own = open_storage(connection_string=azurite.connection_string, prefix=prefix, clock=self._clock)

    def open(self) -> Target:
        return TableTarget(
            open_storage(
                connection_string=self._azurite.connection_string,
                prefix=self._prefix,
                clock=self._clock,
                on_request=self._request,
            ).tickets
        )

    def tickets(self) -> Mapping[str, Seen]:
        return seen_in(self._own.tickets)

    def crash_at(self, nth: int) -> None:
        self._left, self._error = nth, Crash()

    def go_away(self) -> None:
        self._left, self._error = 1, _AWAY

    def recover(self) -> None:
        self._left = None

    def _request(self, _request: object) -> None:
        """A request is about to leave: all that were due before it took effect."""
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                raise self._error


class TestTableInMemory(TargetContract):
    """Over the fake."""

    @pytest.fixture
    def world(self) -> TargetWorld:
        """No ticket."""
        return _OverTheFake()


class TestTableOnAzurite(TargetContract):
    """Over real storage."""

    @pytest.fixture
    def world(self, azurite: Azurite, prefix: str) -> TargetWorld:
        """Tables and containers of its own."""
        return _OverAzurite(azurite, prefix)
