"""Which messages a folder holds that a job may want: by a filter, or by what changed since the last time (delta)."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.connectors._graph_client import Client, Forgotten
from shared.connectors._graph_folder import Folder
from shared.connectors._graph_text import facts_query, instant, received_in, size_in
from shared.errors import Unavailable

#: https://learn.microsoft.com/graph/api/user-list-messages allows 1,000, and warns of gateway time-outs.
_PAGE = 500
#: A delta with a filter gives no more than that: https://learn.microsoft.com/graph/delta-query-messages
_DELTA_MOST = 5_000
#: Before every message.
_LONG_AGO = "1900-01-01T00:00:00Z"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """One message as it is listed."""

    id: str
    received: datetime | None
    size: int | None


def unread(client: Client, folder: Folder) -> list[Row]:
    """Every unread message, oldest first.

    What is sorted by must be in the filter and come first there, else Graph says ``InefficientFilter``
    (https://learn.microsoft.com/graph/api/user-list-messages#using-filter-and-orderby-in-the-same-query).
    """
    return _filtered(client, folder, f"receivedDateTime ge {_LONG_AGO} and isRead eq false")


def arrived(client: Client, folder: Folder, since: datetime) -> list[Row]:
    """Everything that arrived from ``since`` on, oldest first: for clouds without delta."""
    return _filtered(client, folder, f"receivedDateTime ge {instant(since)}")


def _filtered(client: Client, folder: Folder, chosen: str) -> list[Row]:
    path = f"{folder.path}/messages{facts_query(filter=chosen, orderby='receivedDateTime', top=_PAGE)}"
    rows: dict[str, Row] = {}
    for page in client.pages(path, "listing messages"):
        # Pages are counted from the front, so what arrives or leaves meanwhile may show a message twice.
        rows |= {row.id: row for row in map(_row, page.get("value", ()))}
    return _oldest_first(rows.values())


def changed(client: Client, folder: Folder, since: datetime, cursor: str | None) -> tuple[list[Row], str]:
    """What arrived from ``since`` on and is new or changed since ``cursor``, oldest first, and the cursor after it.

    A cursor that Graph has forgotten (410), or that is another folder's, starts over from ``since``. Where a filtered
    round may have been cut short, it is made again without the filter: longer, but whole.
    """
    kind, link = _open_cursor(cursor, folder)
    found: _Round | None = None
    if link:
        try:
            found = _round(client, link)
        except Forgotten as lost:
            _log.info("The changes in %s are listed from %s on: %s", folder.name, since, lost)
    if found is None:
        kind, found = "filtered", _begin(client, folder, f"receivedDateTime ge {instant(since)}")
    if kind == "filtered" and found.count >= _DELTA_MOST:
        kind, found = "whole", _begin(client, folder, None)
    floor = since.replace(microsecond=0)
    rows = [row for row in found.rows.values() if row.received is None or row.received >= floor]
    return _oldest_first(rows), f"{kind}:{_mark(folder)}:{found.link}"


@dataclass(frozen=True, slots=True)
class _Round:
    rows: Mapping[str, Row]
    #: Everything that was named, removals too.
    count: int
    #: Where the next round begins.
    link: str


def _begin(client: Client, folder: Folder, chosen: str | None) -> _Round:
    return _round(client, f"{folder.path}/messages/delta{facts_query(**({'filter': chosen} if chosen else {}))}")


def _round(client: Client, link: str) -> _Round:
    """One round to its end. The same message may be named more than once: what was said last holds."""
    rows: dict[str, Row] = {}
    named: set[str] = set()
    following = ""
    for page in client.pages(link, "listing what changed", f"odata.maxpagesize={_PAGE}"):
        for one in page.get("value", ()):
            row = _row(one)
            named.add(row.id)
            if "@removed" in one:
                rows.pop(row.id, None)
            else:
                rows[row.id] = row
        following = str(page.get("@odata.deltaLink") or "")
    if not following:
        raise Unavailable("Microsoft Graph ended a list of changes without saying where the next one begins.")
    return _Round(rows, len(named), following)


def _open_cursor(cursor: str | None, folder: Folder) -> tuple[str, str]:
    kind, _, rest = (cursor or "").partition(":")
    mark, _, link = rest.partition(":")
    return (kind, link) if mark == _mark(folder) else ("", "")


def _mark(folder: Folder) -> str:
    """Tells folders apart: a cursor of one must never list another."""
    return hashlib.sha256(folder.path.encode()).hexdigest()[:16]


def _row(message: Mapping[str, Any]) -> Row:
    return Row(str(message["id"]), received_in(message), size_in(message))


def _oldest_first(rows: Iterable[Row]) -> list[Row]:
    """Within the second, which is all that Graph tells, they stay in its own order."""
    return sorted(rows, key=lambda row: row.received.timestamp() if row.received else 0.0)
