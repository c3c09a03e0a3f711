"""The why-records in memory."""

from collections.abc import Sequence
from datetime import date

from shared.why import Why, why_of
from tests.fakes.rows import Rows


class FakeWhyRecords:
    """See `shared.ports.WhyRecords`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def find(
        self, *, message_id: str = "", ticket_id: str = "", job_id: str | None = None, limit: int = 50
    ) -> Sequence[Why]:
        """See the port."""
        with self._rows.lock:
            found = [
                self._rows.whys.get((entry.run_id, entry.key))
                or why_of(entry, self._rows.changed[of_job, (entry.key.mailbox, entry.key.item)])
                for of_job, entries in self._rows.ledger.items()
                for entry in entries.values()
                if job_id in (None, of_job)
                and (entry.message_id == message_id if message_id else entry.ticket_id == ticket_id)
            ]
        return _newest(found, limit)

    def of_day(self, day: date, *, sender: str = "", job_id: str | None = None, limit: int = 50) -> Sequence[Why]:
        """See the port."""
        with self._rows.lock:
            found = [
                why
                for (run_id, key), why in self._rows.whys.items()
                if run_id.startswith(f"{day:%Y%m%d}T")
                and job_id in (None, key.job_id)
                and (not sender or why.sender == sender.lower())
            ]
        return _newest(found, limit)


def _newest(found: list[Why], limit: int) -> list[Why]:
    return sorted(found, key=lambda why: why.decided, reverse=True)[:limit]
