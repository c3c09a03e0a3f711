"""Who changed what: one partition of a table of its own, newest first."""

import json
import secrets
from datetime import datetime, timedelta

from shared.model import AuditRecord, Change
from shared.ports import Deadline
from shared.storage.keys import escape, newest_first, write_time
from shared.storage.limits import TRANSACTION_ENTITIES
from shared.storage.table import Row, RowConflict, Table, Write

_PARTITION = "audit"
#: UTF-16 units to a property; a change of more than that is cut, and says so.
_MOST = 30_000
_VALUE = 2_000


class TableAudit:
    """See `shared.api.services.AuditLog`. Safe to share between threads. Changes are rare: one partition is plenty."""

    def __init__(self, table: Table, days: int) -> None:
        self._table = table
        self._days = days

    def write(self, record: AuditRecord) -> None:
        """See the port."""
        row: Row = {
            "PartitionKey": _PARTITION,
            "RowKey": newest_first(f"{record.at:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"),
            "at": write_time(record.at),
            "caller_id": record.caller_id[:_VALUE],
            "caller_name": record.caller_name[:_VALUE],
            "action": record.action,
            "subject": record.subject[:_VALUE],
            "changes": _write(record.changes),
        }
        self._table.write(Write("insert", row))

    def page(self, *, limit: int, cursor: str | None = None) -> tuple[list[AuditRecord], str | None]:
        """See the port."""
        low = f"{newest_first(escape(cursor))}\x20" if cursor else "0"
        rows, more = self._table.page(_PARTITION, low, "~", limit=limit)
        return [_read(row) for row in rows], newest_first(rows[-1]["RowKey"]) if more else None

    def expire(self, now: datetime, deadline: Deadline) -> int:
        """Remove what is older than the days to keep, as far as the deadline allows; how many records that were."""
        oldest = newest_first(f"{now - timedelta(days=self._days):%Y%m%dT%H%M%S%f}")
        removed = 0
        while not deadline.passed:
            rows, more = self._table.page(_PARTITION, oldest, "~", limit=TRANSACTION_ENTITIES)
            if rows:
                try:
                    self._table.write(*(Write("delete", _keys(row)) for row in rows))
                except RowConflict:
                    # Somebody else removes them just now.
                    return removed
                removed += len(rows)
            if not more:
                break
        return removed


def _keys(row: Row) -> Row:
    return {"PartitionKey": _PARTITION, "RowKey": row["RowKey"]}


def _write(changes: tuple[Change, ...]) -> str:
    """As JSON, and shorter where that is too long: values are cut first, then changes are left out, and both say so."""
    written: list[list[object]] = []
    size = 2
    for number, change in enumerate(changes):
        one: list[object] = [change.pointer, _cut(change.before), _cut(change.after)]
        size += len(json.dumps(one)) + 2
        if size > _MOST - 100:
            written.append(["", None, f"{len(changes) - number} more changes are not kept."])
            break
        written.append(one)
    return json.dumps(written)


def _cut(value: object) -> object:
    text = json.dumps(value)
    return value if len(text) <= _VALUE else f"{text[:_VALUE]} ... ({len(text)} characters)"


def _read(row: Row) -> AuditRecord:
    return AuditRecord(
        at=datetime.fromisoformat(row["at"]),
        caller_id=row["caller_id"],
        caller_name=row["caller_name"],
        action=row["action"],
        subject=row["subject"],
        changes=tuple(Change(*change) for change in json.loads(row["changes"])),
    )
