"""What ends soon, in one row, so that every instance knows what one of them found."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.model import Ending
from shared.storage.keys import read_time, write_time
from shared.storage.table import Row, RowConflict, Table, Write

_KEYS: Row = {"PartitionKey": "secrets", "RowKey": "endings"}
#: Characters to a property, and in all: an entity has 1 MiB. What ends first is kept.
_CHUNK = 16_000
_MOST = 20 * _CHUNK
#: Somebody who took the turn and vanished is waited for no longer.
_HELD = timedelta(minutes=10)


class TableEndings:
    """Safe to share between threads."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self) -> Sequence[Ending]:
        """What the last look found, the first to end first. One request."""
        row = self._row()
        return _read(row) if row else []

    def take_turn(self, now: datetime) -> str | datetime:
        """The version of the row under which to `keep` what is found, or when to ask again: somebody else is first."""
        row = self._row()
        busy_until = read_time(row["next"]) if row else None
        if busy_until and busy_until > now:
            return busy_until
        taken: Row = {**_KEYS, "next": write_time(now + _HELD)}
        try:
            write = Write("merge", taken, row["etag"]) if row else Write("insert", {**taken, **_write([])})
            return self._table.write(write)[0]
        except RowConflict:
            return now + _HELD

    def keep(self, turn: str, found: Sequence[Ending], following: datetime) -> None:
        """Write down what was found, unless the row has changed since; nobody looks again before ``following``."""
        try:
            self._table.write(Write("merge", {**_KEYS, "next": write_time(following), **_write(found)}, turn))
        except RowConflict:
            return

    def forget(self, name: str) -> None:
        """Somebody stored a new value: what was known of the old one's end counts no more."""
        row = self._row()
        known = _read(row) if row else []
        left = [ending for ending in known if ending.name.lower() != name.lower()]
        if row is None or len(left) == len(known):
            return
        try:
            self._table.write(Write("merge", {**_KEYS, **_write(left)}, row["etag"]))
        except RowConflict:
            # Somebody looks just now; if he still found the old end, the next look will not.
            return

    def _row(self) -> Row | None:
        return self._table.get(_KEYS["PartitionKey"], _KEYS["RowKey"])


def _write(found: Sequence[Ending]) -> Row:
    text = ""
    for ending in found:
        line = json.dumps([ending.name, write_time(ending.ends), ending.jobs, ending.certificate, ending.said])
        if len(text) + len(line) > _MOST:
            break
        text += f"{line}\n"
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    return {**{f"endings{number}": chunk for number, chunk in enumerate(chunks)}, "chunks": len(chunks)}


def _read(row: Row) -> list[Ending]:
    text = "".join(row[f"endings{number}"] for number in range(row["chunks"]))
    return [
        Ending(name, datetime.fromisoformat(ends), tuple(jobs), certificate=certificate, said=said)
        for name, ends, jobs, certificate, said in map(json.loads, text.splitlines())
    ]
