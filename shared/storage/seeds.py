"""Which jobs the deployment has brought already: a row for each, which outlives the job."""

from contextlib import suppress

from shared.storage.table import RowConflict, Table, Write

_PARTITION = "seeds"


class TableSeeds:
    """See `shared.api.seeds.Seeds`. Safe to share between threads."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def known(self) -> set[str]:
        """See the port."""
        # Ids are lower-case letters, digits and hyphens.
        return {row["RowKey"] for row in self._table.rows(_PARTITION, "a", "{", select=["RowKey"])}

    def remember(self, job_id: str) -> None:
        """See the port."""
        with suppress(RowConflict):
            self._table.write(Write("insert", {"PartitionKey": _PARTITION, "RowKey": job_id}))
