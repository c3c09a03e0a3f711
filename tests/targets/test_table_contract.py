"""The `table` target holds the contract, over storage in memory and over Azurite."""

from collections.abc import Mapping
from typing import ClassVar

import pytest

from dev.azurite import Azurite
from shared.ports import Target, TicketStore
from shared.targets.table import TableTarget
from tests.contract.storage import pages
from tests.contract.target import TargetContract
from tests.contract.target_world import Abilities, Entry, Seen, TargetWorld
from tests.targets.storages import Breakable, InMemory, OnAzurite

_LACKS = {"refuse": "This target takes every message."}


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


class _Table(TargetWorld):
    abilities: ClassVar[Abilities] = Abilities(_LACKS)

    def __init__(self, storage: Breakable) -> None:
        self._storage = storage

    def open(self) -> Target:
        return TableTarget(self._storage.open().tickets)

    def tickets(self) -> Mapping[str, Seen]:
        tickets = self._storage.own.tickets
        return {one.ticket_id: _seen(tickets, one.ticket_id) for one in pages(tickets.page, limit=100)}

    def crash_at(self, nth: int) -> None:
        self._storage.crash_at(nth)

    def go_away(self) -> None:
        self._storage.go_away()

    def recover(self) -> None:
        self._storage.recover()

    def close_ticket(self, ticket_id: str) -> None:
        assert self._storage.own.tickets.set_open(ticket_id, is_open=False)


class _TableInMemory(_Table):
    abilities: ClassVar[Abilities] = Abilities({**_LACKS, "look up away": "Only writes of this fake can fail."})


class TestTableInMemory(TargetContract):
    """Over the fake."""

    @pytest.fixture
    def world(self) -> TargetWorld:
        """No ticket."""
        return _TableInMemory(InMemory())


class TestTableOnAzurite(TargetContract):
    """Over real storage."""

    @pytest.fixture
    def world(self, azurite: Azurite, prefix: str) -> TargetWorld:
        """Tables and containers of its own."""
        return _Table(OnAzurite(azurite, prefix))
