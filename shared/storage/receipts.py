"""What was delivered to systems outside, on Azure Table Storage.

PartitionKey is the target's scope. ``done:{digest of the message's key}`` is a receipt, ``ticket:{id}`` a ticket; they
share the partition so that the end of a delivery is one transaction.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace

from shared.errors import Stale, Unavailable
from shared.model import Action, Clock, OutsideTicket, Receipt
from shared.storage.keys import escape, read_time, write_time
from shared.storage.table import Row, RowConflict, Table, Write
from shared.storage.ticket_rows import read_people, write_people

_TRIES = 20


class TableReceipts:
    """See `shared.ports.Receipts`."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def begin(self, scope: str, receipt: Receipt) -> Receipt:
        """See the port."""
        try:
            (etag,) = self._table.write(Write("insert", self._row(scope, receipt)))
        except RowConflict as conflict:
            raise _stale(receipt) from conflict
        return replace(receipt, etag=etag)

    def find(self, scope: str, digest: str) -> Receipt | None:
        """See the port."""
        row = self._table.get(escape(scope), _receipt_key(digest))
        return _read(row) if row else None

    def advance(self, scope: str, receipt: Receipt) -> Receipt:
        """See the port."""
        try:
            (etag,) = self._table.write(Write("merge", self._row(scope, receipt), receipt.etag))
        except RowConflict as conflict:
            raise _stale(receipt) from conflict
        return replace(receipt, etag=etag)

    def finish(self, scope: str, receipt: Receipt, ticket: OutsideTicket) -> None:
        """See the port. Two requests; more where replies to one ticket meet."""
        mine = Write("merge", self._row(scope, receipt), receipt.etag)
        for _ in range(_TRIES):
            found = self._table.get(escape(scope), _ticket_key(ticket.ticket_id))
            try:
                self._table.write(mine, _noted(scope, ticket, found))
            except RowConflict as conflict:
                if conflict.index == 0:
                    raise _stale(receipt) from conflict
                continue
            return
        raise Unavailable(f"What is noted of ticket {ticket.ticket_id} keeps changing under this message.")

    def tickets(self, scope: str, ticket_ids: Collection[str]) -> Mapping[str, OutsideTicket]:
        """See the port."""
        rows = {one: self._table.get(escape(scope), _ticket_key(one)) for one in ticket_ids}
        return {ticket_id: _read_ticket(row) for ticket_id, row in rows.items() if row}

    def _row(self, scope: str, receipt: Receipt) -> Row:
        return {
            "PartitionKey": escape(scope),
            "RowKey": _receipt_key(receipt.digest),
            "digest": receipt.digest,
            "step": receipt.step,
            "begun": receipt.begun,
            "facts": json.dumps(receipt.facts),
            "ticket_id": receipt.ticket_id,
            "action": receipt.action.value if receipt.action else "",
            "since": write_time(self._clock()),
        }


def _receipt_key(digest: str) -> str:
    return f"done:{digest}"


def _ticket_key(ticket_id: str) -> str:
    return f"ticket:{escape(ticket_id)}"


def _noted(scope: str, ticket: OutsideTicket, found: Row | None) -> Write:
    """The ticket's row with who joined it."""
    known = read_people(found["participants"]) if found else []
    facts = {**(json.loads(found["facts"]) if found else {}), **ticket.facts}
    row = {
        "PartitionKey": escape(scope),
        "RowKey": _ticket_key(ticket.ticket_id),
        "ticket_id": ticket.ticket_id,
        "participants": write_people([*known, *sorted(ticket.participants)]),
        "facts": json.dumps(facts),
    }
    return Write("merge", row, found["etag"]) if found else Write("insert", row)


def _read(row: Row) -> Receipt:
    return Receipt(
        digest=row["digest"],
        step=int(row["step"]),
        begun=bool(row["begun"]),
        facts=json.loads(row["facts"]),
        ticket_id=row["ticket_id"],
        action=Action(row["action"]) if row["action"] else None,
        since=read_time(row["since"]),
        etag=row["etag"],
    )


def _read_ticket(row: Row) -> OutsideTicket:
    return OutsideTicket(row["ticket_id"], frozenset(read_people(row["participants"])), json.loads(row["facts"]))


def _stale(receipt: Receipt) -> Stale:
    return Stale(f"Somebody else went on with message {receipt.digest[:16]}.")
