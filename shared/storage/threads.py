"""Which ticket a Message-ID belongs to, on Azure Table Storage.

PartitionKey is the target's scope, RowKey the SHA-256 of the Message-ID. Rows are only ever inserted, so the first
ticket of a Message-ID keeps it, whoever claims it later.
"""

from collections.abc import Mapping, Sequence

from shared.model import Clock
from shared.storage.keys import digest, escape, write_time
from shared.storage.limits import TRANSACTION_ENTITIES
from shared.storage.table import RowConflict, Table, Write


class TableThreads:
    """See `shared.ports.Threads`."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def find(self, scope: str, message_ids: Sequence[str]) -> Mapping[str, str]:
        """See the port. One request for each Message-ID, so callers bound their number."""
        rows = {message_id: self._table.get(escape(scope), digest(message_id)) for message_id in message_ids}
        return {message_id: row["ticket_id"] for message_id, row in rows.items() if row}

    def remember(self, scope: str, tickets: Mapping[str, str]) -> None:
        """See the port. A request for each hundred pairs; more where some are known already."""
        partition, since = escape(scope), write_time(self._clock())
        writes = [
            Write(
                "insert",
                {"PartitionKey": partition, "RowKey": digest(message_id), "ticket_id": ticket_id, "since": since},
            )
            for message_id, ticket_id in tickets.items()
        ]
        for start in range(0, len(writes), TRANSACTION_ENTITIES):
            self._insert(writes[start : start + TRANSACTION_ENTITIES])

    def _insert(self, writes: Sequence[Write]) -> None:
        try:
            self._table.write(*writes)
        except RowConflict:
            if len(writes) > 1:
                # Known pairs are rare (a run that died just here), so halving costs little.
                middle = len(writes) // 2
                self._insert(writes[:middle])
                self._insert(writes[middle:])
