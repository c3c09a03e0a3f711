"""One table of Azure Table Storage, in the few verbs that we use, with conflicts as values and faults translated.

A table that does not exist yet is made at its first use, so that a healthy request is never preceded by a question.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableClient, TableTransactionError, UpdateMode

from shared.errors import StateConflict
from shared.storage.faults import storage_faults
from shared.storage.limits import TRANSACTION_ENTITIES, check_entity

Row = dict[str, Any]
T = TypeVar("T")

#: What an SDK calls with each answer.
Hook = Callable[[Any], None]

_CONFLICTS = frozenset({404, 409, 412})


class RowConflict(StateConflict):
    """A row is not as the write expected it: it exists (409), is gone (404), or has changed (412)."""

    def __init__(self, status: int, index: int = 0) -> None:
        super().__init__(f"A row was not as expected (HTTP {status}).")
        self.status = status
        #: Which operation of a transaction met it.
        self.index = index


@dataclass(frozen=True, slots=True)
class Write:
    """One operation of a transaction.

    ``insert`` expects no such row; ``put`` replaces whatever is there; ``merge`` changes the properties given and
    leaves the others, where ``etag`` demands that the row is still that version.
    """

    verb: Literal["insert", "put", "merge", "delete"]
    row: Row
    etag: str = ""

    def operation(self) -> tuple[str, Row] | tuple[str, Row, Mapping[str, Any]]:
        """As azure-data-tables takes it."""
        condition = {"etag": self.etag, "match_condition": MatchConditions.IfNotModified} if self.etag else {}
        match self.verb:
            case "insert":
                return ("create", self.row)
            case "put":
                return ("upsert", self.row, {"mode": UpdateMode.REPLACE})
            case "merge" if self.etag:
                return ("update", self.row, {"mode": UpdateMode.MERGE, **condition})
            case "merge":
                return ("upsert", self.row, {"mode": UpdateMode.MERGE})
            case "delete":
                return ("delete", self.row, condition)


class Table:
    """A table by name. Safe to share between threads, as its client is."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    def get(self, partition: str, key: str) -> Row | None:
        """One row by its keys, with its ``etag`` under the key ``"etag"``, or None."""

        def read(heard: Hook) -> Row | None:
            try:
                found = _with_etag(self._client.get_entity(partition, key, raw_response_hook=heard))
            except ResourceNotFoundError as fault:
                if _no_table(fault):
                    raise
                return None
            if found.get("RowKey") != key:
                raise ValueError("another row, or none")
            return found

        return self._run(f"reading row {key!r} of {self._client.table_name}", read)

    def rows(
        self,
        partition: str,
        low: str,
        high: str,
        *,
        where: str = "",
        values: Mapping[str, Any] | None = None,
        select: Sequence[str] | None = None,
        size: int | None = None,
    ) -> Iterator[Row]:
        """Rows with ``low <= RowKey < high`` in their order, a request for each ``size``, or each thousand or so."""
        pages = self._pages(
            partition, low, high, where=where, values=values, select=select, size=size and min(size, 1000)
        )
        while (page := self._next(pages)) is not None:
            yield from page

    def page(
        self,
        partition: str,
        low: str,
        high: str,
        *,
        limit: int,
        where: str = "",
        values: Mapping[str, Any] | None = None,
    ) -> tuple[list[Row], bool]:
        """The first ``limit`` rows of a range, and whether there are more."""
        found: list[Row] = []
        pages = self._pages(partition, low, high, where=where, values=values, size=min(limit + 1, 1000))
        while len(found) <= limit and (page := self._next(pages)) is not None:
            found += page
        return found[:limit], len(found) > limit

    def write(self, *writes: Write) -> list[str]:
        """All of the writes or none, up to 100 to one partition; the new ETags. Raises `RowConflict`."""
        if len(writes) > TRANSACTION_ENTITIES:
            raise ValueError(f"A transaction of {len(writes)} operations; Table Storage takes {TRANSACTION_ENTITIES}.")
        for write in writes:
            check_entity(write.row)
        operations = [write.operation() for write in writes]

        def submit(heard: Hook) -> list[str]:
            try:
                answers = self._client.submit_transaction(operations, raw_response_hook=heard)
            except (TableTransactionError, ResourceExistsError, ResourceNotFoundError, HttpResponseError) as fault:
                if fault.status_code in _CONFLICTS and not _no_table(fault):
                    raise RowConflict(fault.status_code, int(getattr(fault, "index", 0) or 0)) from fault
                raise
            if len(answers) != len(operations):
                raise ValueError(f"{len(answers)} answers to {len(operations)} operations")
            return [str(answer.get("etag", "")) for answer in answers]

        return self._run(f"writing {len(writes)} rows of {self._client.table_name}", submit)

    def _pages(
        self,
        partition: str,
        low: str,
        high: str,
        *,
        where: str,
        values: Mapping[str, Any] | None,
        select: Sequence[str] | None = None,
        size: int | None = None,
    ) -> "_Pages":
        condition = "PartitionKey eq @partition and RowKey ge @low and RowKey lt @high"
        return _Pages(
            self._client,
            f"{condition} and {where}" if where else condition,
            parameters={"partition": partition, "low": low, "high": high, **(values or {})},
            select=list(select) if select else None,
            results_per_page=size,
        )

    def _next(self, pages: "_Pages") -> list[Row] | None:
        """The next page, which a filter may have left empty, or None at the end."""
        return self._run(f"listing {self._client.table_name}", pages.next)

    def _run(self, doing: str, call: Callable[[Hook], T]) -> T:
        with storage_faults(doing) as heard:
            try:
                return call(heard)
            except HttpResponseError as fault:
                if not _no_table(fault):
                    raise
            with suppress(ResourceExistsError):
                self._client.create_table()
            return call(heard)


class _Pages:
    """The pages of a query. Each is a request of its own, which happens when the page is asked for."""

    def __init__(self, client: TableClient, query: str, **options: Any) -> None:
        self._heard: Hook | None = None
        self._pages: Iterator[Iterator[Any]] = client.query_entities(
            query, raw_response_hook=self._hear, **options
        ).by_page()

    def _hear(self, answer: Any) -> None:
        if self._heard:
            self._heard(answer)

    def next(self, heard: Hook) -> list[Row] | None:
        """The next page, or None."""
        self._heard = heard
        page = next(self._pages, None)
        return None if page is None else [_with_etag(entity) for entity in page]


def _with_etag(entity: Any) -> Row:
    return {**entity, "etag": entity.metadata.get("etag", "")}


def _no_table(fault: Exception) -> bool:
    return getattr(fault, "error_code", None) == "TableNotFound"
