"""Receipts and the outbox in memory."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from shared.errors import Stale
from shared.model import OutsideTicket, Receipt
from tests.fakes.rows import Rows


class FakeReceipts:
    """See `shared.ports.Receipts`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._receipts: dict[tuple[str, str], Receipt] = {}
        self._tickets: dict[tuple[str, str], OutsideTicket] = {}

    def begin(self, scope: str, receipt: Receipt) -> Receipt:
        """See the port."""
        with self._rows.writing("receipts.begin"):
            if (scope, receipt.digest) in self._receipts:
                raise Stale(f"Somebody else began with message {receipt.digest[:16]}.")
            return self._store(scope, receipt)

    def find(self, scope: str, digest: str) -> Receipt | None:
        """See the port."""
        return self._receipts.get((scope, digest))

    def advance(self, scope: str, receipt: Receipt) -> Receipt:
        """See the port."""
        with self._rows.writing("receipts.advance"):
            self._check(scope, receipt)
            return self._store(scope, receipt)

    def finish(self, scope: str, receipt: Receipt, ticket: OutsideTicket) -> None:
        """See the port."""
        with self._rows.writing("receipts.finish"):
            self._check(scope, receipt)
            self._store(scope, receipt)
            known = self._tickets.get((scope, ticket.ticket_id), OutsideTicket(ticket.ticket_id))
            self._tickets[scope, ticket.ticket_id] = replace(
                known,
                participants=known.participants | ticket.participants,
                facts={**known.facts, **ticket.facts},
            )

    def tickets(self, scope: str, ticket_ids: Collection[str]) -> Mapping[str, OutsideTicket]:
        """See the port."""
        with self._rows.lock:
            return {one: self._tickets[scope, one] for one in ticket_ids if (scope, one) in self._tickets}

    def _check(self, scope: str, receipt: Receipt) -> None:
        found = self._receipts.get((scope, receipt.digest))
        if found is None or found.etag != receipt.etag:
            raise Stale(f"Somebody else went on with message {receipt.digest[:16]}.")

    def _store(self, scope: str, receipt: Receipt) -> Receipt:
        stored = replace(receipt, since=self._rows.clock(), etag=f"etag-{next(self._rows.numbers)}")
        self._receipts[scope, receipt.digest] = stored
        return stored


class FakeOutbox:
    """See `shared.ports.Outbox`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.blobs: dict[str, bytes] = {}
        self.queues: dict[str, list[str]] = {}

    def keep(self, path: str, data: bytes, *, content_type: str = "application/octet-stream") -> str:  # noqa: ARG002
        """See the port."""
        url = f"https://storage.example/outbox/{path}"
        with self._rows.writing("outbox.keep"):
            self.blobs[url] = data
        return url

    def send(self, queue: str, text: str) -> None:
        """See the port."""
        with self._rows.writing("outbox.send"):
            self.queues.setdefault(queue, []).append(text)
