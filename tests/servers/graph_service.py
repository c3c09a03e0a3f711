"""What Graph does with one request on mail, be it by itself or within a batch. No sockets here."""

import base64
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tests.servers.graph_odata import (
    FOLDER_PROPERTIES,
    Clause,
    GraphError,
    check_options,
    clauses_of,
    expand_of,
    message_json,
    order_of,
    select_of,
    top_of,
)
from tests.servers.graph_sending import written, written_as_mime
from tests.servers.graph_store import Folder, Item, Store
from tests.servers.graph_tokens import Tokens, demand_role

#: https://learn.microsoft.com/graph/delta-query-messages: "returns only up to 5,000 messages".
_DELTA_FILTER_MOST = 5_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``path`` is below the version; ``headers`` have lower-case names."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    inside: bool = False

    @property
    def query(self) -> dict[str, str]:
        """The query options by name."""
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    @property
    def steps(self) -> list[str]:
        """The parts of the path."""
        return [unquote(part) for part in urlsplit(self.path).path.split("/") if part]

    @property
    def immutable(self) -> bool:
        """https://learn.microsoft.com/graph/outlook-immutable-id: the header holds for its own request alone."""
        return 'IdType="ImmutableId"' in self.headers.get("prefer", "")

    @property
    def json(self) -> Any:
        """The body, which must be declared as what it is."""
        if "application/json" not in self.headers.get("content-type", ""):
            raise GraphError(415, "UnsupportedMediaType", "A body needs a Content-Type.")
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Round:
    """A state token of a delta query: which folder, what is left of this round, and where the next one begins."""

    folder: str
    names: frozenset[str]
    sized: bool
    clauses: tuple[Clause, ...]
    left: Sequence[str] | None
    at: int
    upto: int


class Service:
    """Graph itself. Change the public fields as an administrator would."""

    def __init__(self, tokens: Tokens, *, national: bool = False) -> None:
        self.tokens = tokens
        self.root = ""
        #: Without permanentDelete, as in every cloud but the global one.
        self.national = national
        self.mailboxes: dict[str, Store] = {}
        #: Users without a mailbox here, and mailboxes that the app may not open.
        self.unlicensed: set[str] = set()
        self.denied: set[str] = set()
        #: Bodies of text within a batch as plain text, as the OData standard has it, instead of base64.
        self.batch_text = False
        #: A message that is in Deleted Items cannot be moved there.
        self.refuses_idle_moves = True
        #: Every request as it was understood, those within a batch too.
        self.seen: list[Request] = []
        self._rounds: dict[str, _Round] = {}
        #: The last list and what it was made of, so that its pages do not cost a list each.
        self._listed: tuple[object, list[Item]] = (None, [])
        self._lock = threading.RLock()
        #: Called for each request, also within batches: may answer in place of the service.
        self.interrupt: Callable[[Request], Reply | None] = lambda _: None

    def new_mailbox(self, address: str) -> Store:
        """An empty mailbox."""
        store = self.mailboxes[address.lower()] = Store(address)
        return store

    def forget_states(self) -> None:
        """Every delta token expires."""
        self._rounds.clear()

    def answer(self, request: Request) -> Reply:
        """Do what is asked, or say why not."""
        with self._lock:
            self.seen.append(request)
        try:
            if not request.inside:
                claims = self.tokens.check(request.headers.get("authorization", ""))
                demand_role(
                    claims, changing=request.method != "GET" and "$batch" not in request.path, sending=_sends(request)
                )
                if request.path == "/$batch" and request.method == "POST":
                    return self.interrupt(request) or self._batch(request, claims)
            interrupted = self.interrupt(request)
            return interrupted or self._route(request)
        except GraphError as error:
            return self.error(error)

    def error(self, error: GraphError) -> Reply:
        """https://learn.microsoft.com/graph/errors: the shape of every error."""
        inner = {"date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}", "request-id": secrets.token_hex(8)}
        body = {"error": {"code": error.code, "message": error.message, "innerError": inner}}
        return Reply(error.status, body, error.headers)

    # --- batches -----------------------------------------------------------------------------------------------------

    def _batch(self, request: Request, claims: Mapping[str, Any]) -> Reply:
        """https://learn.microsoft.com/graph/json-batching."""
        calls = request.json["requests"]
        ids = [str(call["id"]).lower() for call in calls]
        if len(calls) > 20:
            raise GraphError(400, "BadRequest", "Number of batch request steps exceeds the maximum value of 20.")
        if len(set(ids)) != len(ids) or not ids:
            raise GraphError(400, "BadRequest", "Ids of batch requests must be there and unique.")
        answers = [self._within(call, claims) for call in calls]
        # "Individual responses might appear in a different order than the requests."
        return Reply(200, {"responses": answers[::-1]})

    def _within(self, call: Mapping[str, Any], claims: Mapping[str, Any]) -> dict[str, Any]:
        headers = {str(name).lower(): str(value) for name, value in call.get("headers", {}).items()}
        body = json.dumps(call["body"]).encode() if "body" in call else b""
        request = Request(call["method"], call["url"], headers, body, inside=True)
        try:
            _check_form(request)
            demand_role(claims, changing=request.method != "GET", sending=_sends(request))
            reply = self.answer(request)
        except GraphError as error:
            reply = self.error(error)
        found: dict[str, Any] = {"id": call["id"], "status": reply.status, "headers": dict(reply.headers)}
        if isinstance(reply.body, bytes):
            found["headers"] |= {"Content-Type": "text/plain"}
            text = reply.body.decode("utf-8", "replace") if self.batch_text else base64.b64encode(reply.body).decode()
            return found | {"body": text}
        if reply.body is not None:
            found["headers"] |= {"Content-Type": "application/json"}
            return found | {"body": reply.body}
        return found

    # --- requests ----------------------------------------------------------------------------------------------------

    def _route(self, request: Request) -> Reply:
        steps = request.steps
        if len(steps) < 3 or steps[0] != "users":
            raise GraphError(400, "BadRequest", f"Resource not found for the segment {steps[:1]}.")
        store = self._store(steps[1])
        for method, pattern, handler in _ROUTES:
            found = re.fullmatch(pattern, "/".join(quote(step, safe="$") for step in steps[2:]))
            if found and method == request.method:
                with store.lock:
                    return handler(self, store, request, *map(unquote, found.groups()))
        raise GraphError(405, "ErrorInvalidRequest", "The OData request is not supported.")

    def _store(self, user: str) -> Store:
        if user.lower() in self.denied:
            # RBAC for Applications, or an application access policy: the mailbox is out of the app's scope.
            raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        if user.lower() in self.unlicensed:
            message = "The mailbox is either inactive, soft-deleted, or is hosted on-premise."
            raise GraphError(404, "MailboxNotEnabledForRESTAPI", message)
        if user.lower() not in self.mailboxes:
            raise GraphError(404, "ErrorInvalidUser", f"The requested user '{user}' is invalid.")
        return self.mailboxes[user.lower()]

    def _folders(self, store: Store, request: Request, folder: str = "") -> Reply:
        """Hidden ones are left out: https://learn.microsoft.com/graph/api/user-list-mailfolders."""
        query = request.query
        check_options(query, "$select", "$top", "$skip")
        parent = self._folder_of(store, folder).id if folder else ""
        there = [one for one in store.children(parent) if not one.hidden]
        names = select_of(query.get("$select", ""), FOLDER_PROPERTIES)
        page, link = self._page(request, there, top_of(query.get("$top", "")))
        return Reply(200, {"value": [_folder_json(store, one, names) for one in page]} | link)

    def _folder(self, store: Store, request: Request, folder: str) -> Reply:
        check_options(request.query, "$select")
        names = select_of(request.query.get("$select", ""), FOLDER_PROPERTIES)
        return Reply(200, _folder_json(store, self._folder_of(store, folder), names))

    def _folder_of(self, store: Store, folder: str) -> Folder:
        try:
            return store.folder(folder)
        except KeyError as exc:
            message = "The specified object was not found in the store."
            raise GraphError(404, "ErrorItemNotFound", message) from exc

    def _messages(self, store: Store, request: Request, folder: str) -> Reply:
        query = request.query
        check_options(query, "$select", "$top", "$skip", "$filter", "$orderby", "$expand")
        clauses = clauses_of(query.get("$filter", ""))
        newest_first = order_of(query.get("$orderby", ""), clauses)
        names, sized = select_of(query.get("$select", "")), expand_of(query.get("$expand", ""))
        where = self._folder_of(store, folder).id
        key = (where, len(store.log), query.get("$filter"), newest_first)
        if self._listed[0] != key:
            there = [item for item in store.within(where) if all(clause.holds(item) for clause in clauses)]
            there.sort(key=lambda item: (item.received, item.number), reverse=newest_first)
            self._listed = (key, there)
        there = self._listed[1]
        page, link = self._page(request, there, top_of(query.get("$top", "")))
        return Reply(200, {"value": [_json(request, item, names, sized=sized) for item in page]} | link)

    def _page(self, request: Request, there: Sequence[Any], top: int) -> tuple[Sequence[Any], dict[str, str]]:
        """A page counts from the front each time, so it slides when the list changes meanwhile ($skip)."""
        skip = int(request.query.get("$skip", "0"))
        if skip + top >= len(there):
            return there[skip : skip + top], {}
        query = {**request.query, "$skip": str(skip + top)}
        following = "&".join(f"{name}={quote(value, safe='$')}" for name, value in query.items())
        return there[skip : skip + top], {
            "@odata.nextLink": f"{self.root}/v1.0{urlsplit(request.path).path}?{following}"
        }

    def _delta(self, store: Store, request: Request, folder: str) -> Reply:
        """https://learn.microsoft.com/graph/api/message-delta."""
        query = request.query
        token = query.get("$deltatoken") or query.get("$skiptoken")
        if token:
            found = self._rounds.get(token)
            if found is None:
                # https://learn.microsoft.com/graph/delta-query-overview#synchronization-reset
                raise GraphError(410, "SyncStateNotFound", "The sync state generation is not found.")
            return self._continue(store, request, found)
        check_options(query, "$select", "$filter", "$expand", "$top", "$orderby", "changeType")
        clauses = clauses_of(query.get("$filter", ""))
        if len(clauses) > 1 or any(one.name != "receivedDateTime" or one.verb not in {"ge", "gt"} for one in clauses):
            raise GraphError(400, "ErrorInvalidUrlQueryFilter", "The only filter is receivedDateTime ge or gt.")
        if query.get("$orderby", "receivedDateTime desc") != "receivedDateTime desc":
            raise GraphError(400, "ErrorInvalidUrlQuery", "The only order is receivedDateTime desc.")
        names, sized = select_of(query.get("$select", "")), expand_of(query.get("$expand", ""))
        where = self._folder_of(store, folder).id
        there = [item for item in store.within(where) if all(clause.holds(item) for clause in clauses)]
        if clauses:
            there = there[-_DELTA_FILTER_MOST:]
        left = tuple(item.immutable for item in there)
        return self._continue(store, request, _Round(where, names, sized, tuple(clauses), left, 0, len(store.log)))

    def _continue(self, store: Store, request: Request, now: _Round) -> Reply:
        if now.left is None:
            news = dict.fromkeys(item for folder, item in store.log[now.upto :] if folder == now.folder)
            now = replace(now, left=tuple(news), at=0, upto=len(store.log))
        size = re.search(r"odata\.maxpagesize=(\d+)", request.headers.get("prefer", ""))
        end = now.at + (int(size[1]) if size else 10)
        left = now.left or ()
        page = list(self._changes(store, request, now, left[now.at : end]))
        link = f"{self.root}/v1.0{urlsplit(request.path).path}"
        if end < len(left):
            token = self._keep(replace(now, at=end))
            return Reply(200, {"value": page, "@odata.nextLink": f"{link}?$skiptoken={token}"})
        token = self._keep(replace(now, left=None, at=0))
        return Reply(200, {"value": page, "@odata.deltaLink": f"{link}?$deltatoken={token}"})

    def _changes(self, store: Store, request: Request, now: _Round, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        for name in names:
            item = store.items.get(name)
            if item is None or item.folder != now.folder:
                yield {"id": name, "@removed": {"reason": "deleted"}}
            elif all(clause.holds(item) for clause in now.clauses):
                yield _json(request, item, now.names, sized=now.sized)

    def _keep(self, state: _Round) -> str:
        token = secrets.token_urlsafe(24)
        self._rounds[token] = state
        return token

    def _item(self, store: Store, name: str) -> Item:
        if not name.endswith("="):
            raise GraphError(400, "ErrorInvalidIdMalformed", "Id is malformed.")
        item = store.item(name)
        if item is None:
            raise GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return item

    def _message(self, store: Store, request: Request, name: str) -> Reply:
        query = request.query
        check_options(query, "$select", "$expand")
        names, sized = select_of(query.get("$select", "")), expand_of(query.get("$expand", ""))
        return Reply(200, _json(request, self._item(store, name), names, sized=sized))

    def _value(self, store: Store, request: Request, name: str) -> Reply:
        check_options(request.query)
        return Reply(200, self._item(store, name).mime, {"Content-Type": "text/plain"})

    def _update(self, store: Store, request: Request, name: str) -> Reply:
        """https://learn.microsoft.com/graph/api/message-update."""
        item = self._item(store, name)
        asked = request.json
        if not asked or not set(asked) <= {"isRead", "flag", "categories"}:
            raise GraphError(400, "ErrorInvalidRequest", "This simulator changes nothing but isRead, flag, categories.")
        # https://learn.microsoft.com/graph/api/resources/followupflag
        if "flag" in asked and asked["flag"] not in [{"flagStatus": one} for one in ("notFlagged", "flagged")]:
            raise GraphError(400, "RequestBodyRead", "Cannot convert the value of 'flag' to 'followupFlag'.")
        item.flagged = asked["flag"]["flagStatus"] == "flagged" if "flag" in asked else item.flagged
        # "The categories associated with the message": what is sent takes the place of what was there.
        item.categories = list(asked.get("categories", item.categories))
        store.mark(item, seen=bool(asked.get("isRead", item.seen)))
        if "return=minimal" in request.headers.get("prefer", ""):
            return Reply(204)
        return Reply(200, _json(request, item, select_of(""), sized=False))

    def _move(self, store: Store, request: Request, name: str) -> Reply:
        """https://learn.microsoft.com/graph/api/message-move: an id, or a well-known name."""
        item, target = self._item(store, name), self._folder_of(store, request.json["destinationId"])
        if item.folder == target.id and self.refuses_idle_moves:
            raise GraphError(400, "ErrorMoveCopyFailed", "The move or copy operation failed.")
        if item.folder != target.id:
            store.move(item, target.id)
        return Reply(201, _json(request, item, select_of(""), sized=False))

    def _send_mail(self, store: Store, request: Request) -> Reply:
        """https://learn.microsoft.com/graph/api/user-sendmail: 202, and nothing is said of the delivery."""
        if request.headers.get("content-type", "").startswith("text/plain"):
            return self._hand_over(store, *written_as_mime(request.body), saved=True)
        asked = request.json
        if not set(asked) <= {"message", "saveToSentItems"} or not isinstance(asked.get("message"), dict):
            raise GraphError(400, "RequestBodyRead", "The property is not a parameter of the action 'sendMail'.")
        saved = asked.get("saveToSentItems", True)
        if not isinstance(saved, bool):
            raise GraphError(400, "RequestBodyRead", "Cannot convert the literal to the expected type 'Edm.Boolean'.")
        return self._hand_over(store, *written(asked["message"], store.address), saved=saved)

    def _hand_over(self, store: Store, sender: str, recipients: list[str], raw: bytes, *, saved: bool) -> Reply:
        if sender.lower() != store.address.lower():
            raise GraphError(
                403,
                "ErrorSendAsDenied",
                "The user account which was used to submit this request does not have the right to send mail on behalf of the specified sending account.",
            )
        for recipient in recipients:
            if recipient.lower() in self.mailboxes:
                self.mailboxes[recipient.lower()].deliver(raw)
        if saved:
            store.deliver(raw, seen=True, folder="sentitems")
        return Reply(202)

    def _permanent_delete(self, store: Store, request: Request, name: str) -> Reply:
        """https://learn.microsoft.com/graph/api/message-permanentdelete: in the global cloud alone."""
        check_options(request.query)
        if self.national:
            raise GraphError(400, "BadRequest", "Resource not found for the segment 'permanentDelete'.")
        store.remove(self._item(store, name))
        return Reply(204)

    def _delete(self, store: Store, request: Request, name: str) -> Reply:
        """Goes to Recoverable Items: https://learn.microsoft.com/graph/api/message-delete."""
        check_options(request.query)
        store.remove(self._item(store, name), recoverable=True)
        return Reply(204)


def _sends(request: Request) -> bool:
    return request.steps[2:] == ["sendMail"]


def _check_form(request: Request) -> None:
    if not request.path.startswith("/"):
        raise GraphError(400, "BadRequest", "The url of a batch request is relative.")
    if request.body and "content-type" not in request.headers:
        raise GraphError(400, "BadRequest", "Write requests must contain the Content-Type header.")


def _json(request: Request, item: Item, names: frozenset[str], *, sized: bool) -> dict[str, Any]:
    return message_json(item, names, immutable=request.immutable, sized=sized)


def _folder_json(store: Store, folder: Folder, names: frozenset[str]) -> dict[str, Any]:
    items = list(store.within(folder.id))
    whole = {
        "id": folder.id,
        "displayName": folder.name,
        "parentFolderId": folder.parent,
        "childFolderCount": len(store.children(folder.id)),
        "totalItemCount": len(items),
        "unreadItemCount": sum(not item.seen for item in items),
        "isHidden": folder.hidden,
    }
    return {name: value for name, value in whole.items() if name in names}


_ONE, _ID = "messages/([^/]+)", "([^/]+)"
#: MIME below a folder's path is refused: https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/5546
_ROUTES: Sequence[tuple[str, str, Callable[..., Reply]]] = (
    ("GET", "mailFolders", Service._folders),
    ("GET", f"mailFolders/{_ID}", Service._folder),
    ("GET", f"mailFolders/{_ID}/childFolders", Service._folders),
    ("GET", f"mailFolders/{_ID}/messages", Service._messages),
    ("GET", f"mailFolders/{_ID}/messages/delta", Service._delta),
    ("GET", _ONE, Service._message),
    ("GET", f"{_ONE}/\\$value", Service._value),
    ("PATCH", _ONE, Service._update),
    ("POST", f"{_ONE}/move", Service._move),
    ("POST", f"{_ONE}/permanentDelete", Service._permanent_delete),
    ("DELETE", _ONE, Service._delete),
    ("POST", "sendMail", Service._send_mail),
)
