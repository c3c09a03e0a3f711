"""What Graph understands of $filter, $orderby, $select, $expand and $top on messages, and how it refuses the rest."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.servers.graph_store import Item

#: https://learn.microsoft.com/graph/api/resources/message#properties
_PROPERTIES = frozenset(
    {
        "bccRecipients",
        "body",
        "bodyPreview",
        "categories",
        "ccRecipients",
        "changeKey",
        "conversationId",
        "conversationIndex",
        "createdDateTime",
        "flag",
        "from",
        "hasAttachments",
        "id",
        "importance",
        "inferenceClassification",
        "internetMessageHeaders",
        "internetMessageId",
        "isDeliveryReceiptRequested",
        "isDraft",
        "isRead",
        "isReadReceiptRequested",
        "lastModifiedDateTime",
        "parentFolderId",
        "receivedDateTime",
        "replyTo",
        "sender",
        "sentDateTime",
        "subject",
        "toRecipients",
        "uniqueBody",
        "webLink",
    }
)
#: https://learn.microsoft.com/graph/api/resources/mailfolder#properties
FOLDER_PROPERTIES = frozenset(
    {
        "childFolderCount",
        "displayName",
        "id",
        "isHidden",
        "parentFolderId",
        "totalItemCount",
        "unreadItemCount",
    }
)
#: https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-get: "$filter and eq on the id property".
_EXPAND = re.compile(r"singleValueExtendedProperties\(\$filter=id eq '(Long|Integer) 0x0*[eE]08'\)")
_CLAUSE = re.compile(r"(\w+) (eq|ne|ge|gt|le|lt) (\S+)")

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b),
    "ne": lambda a, b: bool(a != b),
    "ge": lambda a, b: bool(a >= b),
    "gt": lambda a, b: bool(a > b),
    "le": lambda a, b: bool(a <= b),
    "lt": lambda a, b: bool(a < b),
}


class GraphError(Exception):
    """An error answer: https://learn.microsoft.com/graph/errors."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True, slots=True)
class Clause:
    """``receivedDateTime ge 2026-11-23T00:00:00Z``."""

    name: str
    verb: str
    value: Any

    def holds(self, item: Item) -> bool:
        """Whether it is true of a message."""
        have = item.received if self.name == "receivedDateTime" else item.seen
        return _COMPARE[self.verb](have, self.value)


def clauses_of(text: str) -> list[Clause]:
    """The clauses of a $filter, all of which must hold. Only what can be filtered by here is known at all."""
    return [_clause(part) for part in text.split(" and ")] if text else []


def _clause(text: str) -> Clause:
    found = _CLAUSE.fullmatch(text.strip())
    if not found:
        raise GraphError(400, "BadRequest", f"Invalid filter clause: {text!r}.")
    name, verb, value = found.groups()
    if name == "isRead" and value in {"true", "false"}:
        return Clause(name, verb, value == "true")
    if name == "receivedDateTime" and value.endswith("Z"):
        return Clause(name, verb, datetime.fromisoformat(value))
    raise GraphError(400, "BadRequest", f"Could not find a property named {name!r}, or {value!r} is not of its type.")


def order_of(text: str, clauses: list[Clause]) -> bool:
    """Whether $orderby asks for the newest first.

    Restrictions: https://learn.microsoft.com/graph/api/user-list-messages#using-filter-and-orderby-in-the-same-query
    """
    names = [part.split()[0] for part in text.split(",")] if text else []
    if any(name != "receivedDateTime" for name in names):
        raise GraphError(400, "BadRequest", f"This simulator does not sort by {text!r}.")
    if clauses and names and [clause.name for clause in clauses][: len(names)] != names:
        message = "The restriction or sort order is too complex for this operation."
        raise GraphError(400, "InefficientFilter", message)
    return not text or text.endswith(" desc")


def select_of(text: str, known: frozenset[str] = _PROPERTIES) -> frozenset[str]:
    """What $select names; everything where it is left out, but for what must be asked for."""
    names = frozenset(part.strip() for part in text.split(",")) if text else known - {"internetMessageHeaders"}
    for name in names - known:
        raise GraphError(400, "RequestBroker--ParseUri", f"Could not find a property named {name!r}.")
    return names | {"id"}


def expand_of(text: str) -> bool:
    """Whether $expand asks for the size."""
    if text and not _EXPAND.fullmatch(text):
        raise GraphError(400, "RequestBroker--ParseUri", f"Term {text!r} is not valid in a $select or $expand.")
    return bool(text)


def top_of(text: str, most: int = 1_000) -> int:
    """The page: 10 by itself, 1,000 at most: https://learn.microsoft.com/graph/api/user-list-messages."""
    if not text:
        return 10
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise GraphError(400, "ErrorInvalidUrlQuery", f"The value of $top must be between 1 and {most}.")
    return int(text)


def check_options(query: Mapping[str, str], *known: str) -> None:
    """Nothing else may stand in the query."""
    for name in query.keys() - set(known):
        raise GraphError(400, "BadRequest", f"The query option {name!r} is not understood here.")


def message_json(item: Item, names: frozenset[str], *, immutable: bool, sized: bool) -> dict[str, Any]:
    """A message with these properties. ``immutable``: which of its two ids is wanted."""
    headers = dict(item.headers)
    whole: dict[str, Any] = {
        "id": item.immutable if immutable else item.regular,
        "receivedDateTime": f"{item.received:%Y-%m-%dT%H:%M:%SZ}",
        "sentDateTime": f"{item.received:%Y-%m-%dT%H:%M:%SZ}",
        "isRead": item.seen,
        "flag": {"flagStatus": "flagged" if item.flagged else "notFlagged"},
        "categories": item.categories,
        "isDraft": False,
        "parentFolderId": item.folder,
        "subject": headers.get("Subject", ""),
        "internetMessageId": headers.get("Message-ID", ""),
        "internetMessageHeaders": [{"name": name, "value": value} for name, value in item.headers],
        "from": {"emailAddress": {"name": "A", "address": headers.get("From", "")}},
        "toRecipients": [{"emailAddress": {"name": "", "address": headers.get("To", "")}}],
        "ccRecipients": [],
        "replyTo": [],
        "body": {"contentType": "text", "content": item.data.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")},
    }
    found = {name: value for name, value in whole.items() if name in names}
    if sized:
        # The id comes back without the zero that people write.
        found["singleValueExtendedProperties"] = [{"id": "Long 0xe08", "value": str(item.size)}]
    return found
