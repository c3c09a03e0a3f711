"""The Graph simulator is as strict as it claims: each rule refuses a plain HTTP client that breaks it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.connectors.graph_jobs import ADDRESS
from tests.servers.graph import Graph, graph
from tests.servers.graph_store import Store

__all__ = ["graph"]

IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}
INBOX = "/mailFolders/inbox/messages"


@pytest.fixture
def store(graph: Graph) -> Store:
    """A mailbox with twelve messages."""
    store = graph.new_mailbox(ADDRESS)
    for _ in range(12):
        store.deliver(None)
    return store


@pytest.fixture
def client(graph: Graph) -> Iterator[httpx.Client]:
    """A client with a good token, and no SDK."""
    token = graph.credential().get_token("https://graph.microsoft.com/.default").token
    root = f"{graph.root}/v1.0/users/{ADDRESS}"
    with httpx.Client(base_url=root, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


def _code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize(
    ("chosen", "order", "good"),
    [
        ("receivedDateTime ge 2020-01-01T00:00:00Z and isRead eq false", "receivedDateTime", True),
        ("isRead eq false", "", True),
        ("isRead eq false and receivedDateTime ge 2020-01-01T00:00:00Z", "receivedDateTime", False),
        ("isRead eq false", "receivedDateTime", False),
    ],
)
def test_what_is_sorted_by_must_come_first_in_the_filter(
    store: Store, client: httpx.Client, chosen: str, order: str, *, good: bool
) -> None:
    """InefficientFilter, as the page on listing messages says."""
    options = {"$filter": chosen} | ({"$orderby": order} if order else {})
    response = client.get(INBOX, params=options)
    assert response.is_success if good else _code(response) == (400, "InefficientFilter")


@pytest.mark.parametrize(
    "options",
    [
        {"$select": "id,size"},
        {"$filter": "isSeen eq true"},
        {"$filter": "receivedDateTime ge yesterday"},
        {"$orderby": "size"},
        {"$expand": "attachments"},
        {"$expand": "singleValueExtendedProperties($filter=id eq 'String 0x0E08')"},
        {"$top": "1001"},
        {"$top": "0"},
        {"$search": "x"},
    ],
)
def test_what_graph_does_not_know_is_refused(store: Store, client: httpx.Client, options: dict[str, str]) -> None:
    """An unknown property or option is an error, never ignored."""
    assert client.get(INBOX, params=options).status_code == 400


@pytest.mark.parametrize(
    "options",
    [
        {"$filter": "isRead eq false"},
        {"$filter": "receivedDateTime le 2030-01-01T00:00:00Z"},
        {"$orderby": "receivedDateTime"},
        {"$search": "x"},
    ],
)
def test_delta_takes_only_what_its_page_lists(store: Store, client: httpx.Client, options: dict[str, str]) -> None:
    """A filter on the date from somewhere on, and the newest first."""
    assert client.get(f"{INBOX}/delta", params=options).status_code == 400


def test_ids_change_with_a_move_unless_immutable_ones_were_asked_for(store: Store, client: httpx.Client) -> None:
    """The regular id is dead afterwards; the immutable one is not."""
    regular = client.get(INBOX).json()["value"][0]["id"]
    immutable = client.get(f"/messages/{regular}", headers=IMMUTABLE).json()["id"]
    assert regular != immutable
    moved = client.post(f"/messages/{regular}/move", json={"destinationId": "archive"}).json()["id"]
    assert moved not in {regular, immutable}
    assert _code(client.get(f"/messages/{regular}")) == (404, "ErrorItemNotFound")
    assert client.get(f"/messages/{immutable}", headers=IMMUTABLE).json()["id"] == immutable
    kept = client.post(f"/messages/{immutable}/move", json={"destinationId": "inbox"}, headers=IMMUTABLE)
    assert kept.json()["id"] == immutable


def test_ids_differ_in_capitals(store: Store, client: httpx.Client) -> None:
    """They are case-sensitive."""
    found = client.get(INBOX).json()["value"][0]["id"]
    assert _code(client.get(f"/messages/{found.swapcase()}")) == (404, "ErrorItemNotFound")
    assert _code(client.get("/messages/short")) == (400, "ErrorInvalidIdMalformed")


def test_a_page_has_ten_messages_by_itself(store: Store, client: httpx.Client) -> None:
    """And a link to the rest, which carries the options along."""
    first = client.get(INBOX, params={"$select": "id"}).json()
    rest = client.get(first["@odata.nextLink"]).json()
    assert (len(first["value"]), len(rest["value"])) == (10, 2)
    assert set(rest["value"][0]) == {"id"}
    assert "@odata.nextLink" not in rest


def test_mime_is_not_to_be_had_below_a_folder(store: Store, client: httpx.Client) -> None:
    """As users of the service report."""
    found = client.get(INBOX).json()["value"][0]["id"]
    assert client.get(f"/messages/{found}/$value").content.endswith(b"Hello.\r\n")
    assert _code(client.get(f"{INBOX}/{found}/$value")) == (405, "ErrorInvalidRequest")


def _batch(graph: Graph, client: httpx.Client, *calls: dict[str, Any]) -> httpx.Response:
    return client.post(f"{graph.root}/v1.0/$batch", json={"requests": calls})


def test_a_batch_has_at_most_twenty_requests_with_ids_of_their_own(
    graph: Graph, store: Store, client: httpx.Client
) -> None:
    """Twenty-one, none, or the same id twice: nothing is done at all."""
    call = {"method": "GET", "url": f"/users/{ADDRESS}{INBOX}"}
    assert _batch(graph, client, *({"id": str(n), **call} for n in range(20))).is_success
    for calls in ([{"id": str(n), **call} for n in range(21)], [{"id": "1", **call}] * 2, []):
        assert _code(_batch(graph, client, *calls)) == (400, "BadRequest")


def test_each_request_of_a_batch_stands_for_itself(graph: Graph, store: Store, client: httpx.Client) -> None:
    """Its own status, its own header for ids; a body needs its type; an address is relative."""
    item = next(iter(store.items.values()))
    path = f"/users/{ADDRESS}/messages/{item.immutable}"
    response = _batch(
        graph,
        client,
        {"id": "a", "method": "GET", "url": path},
        {"id": "b", "method": "GET", "url": path, "headers": IMMUTABLE},
        {"id": "c", "method": "PATCH", "url": path, "body": {"isRead": True}},
        {"id": "d", "method": "GET", "url": f"{graph.root}{path}"},
        {"id": "e", "method": "GET", "url": f"/users/{ADDRESS}/messages/none="},
    )
    found = {one["id"]: one for one in response.json()["responses"]}
    assert response.status_code == 200
    assert {name: one["status"] for name, one in found.items()} == {"a": 200, "b": 200, "c": 400, "d": 400, "e": 404}
    assert found["a"]["body"]["id"] == item.regular
    assert found["b"]["body"]["id"] == item.immutable
    assert not item.seen


def test_a_permission_to_read_is_none_to_write(graph: Graph, store: Store, client: httpx.Client) -> None:
    """By itself and within a batch."""
    item = next(iter(store.items.values()))
    token = graph.tokens.mint(roles=["Mail.Read"])
    client.headers["Authorization"] = f"Bearer {token}"
    assert client.get(INBOX).is_success
    assert _code(client.patch(f"/messages/{item.immutable}", json={"isRead": True})) == (403, "ErrorAccessDenied")
    call = {"id": "1", "method": "DELETE", "url": f"/users/{ADDRESS}/messages/{item.immutable}"}
    assert _batch(graph, client, call).json()["responses"][0]["status"] == 403


@pytest.mark.parametrize("token", ["", "Basic x", "Bearer", "Bearer nonsense"])
def test_without_a_token_there_is_nothing(store: Store, client: httpx.Client, token: str) -> None:
    """401 with a challenge."""
    client.headers["Authorization"] = token
    response = client.get(INBOX)
    assert _code(response) == (401, "InvalidAuthenticationToken")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_national_cloud_has_no_permanent_delete() -> None:
    """The request is not even known there."""
    with Graph(national=True) as graph:
        item = graph.new_mailbox(ADDRESS).deliver(None)
        headers = {"Authorization": f"Bearer {graph.tokens.mint()}"}
        url = f"{graph.root}/v1.0/users/{ADDRESS}/messages/{item.immutable}/permanentDelete"
        assert httpx.post(url, headers=headers).status_code == 400


def test_delta_tells_what_came_changed_and_left(graph: Graph, store: Store, client: httpx.Client) -> None:
    """Page by page, then a link to what comes after; a link of yesterday may be forgotten."""
    size = {"Prefer": 'IdType="ImmutableId", odata.maxpagesize=7'}
    first = client.get(f"{INBOX}/delta", params={"$select": "isRead"}, headers=size).json()
    assert len(first["value"]) == 7
    second = client.get(first["@odata.nextLink"], headers=size).json()
    assert len(second["value"]) == 5
    one, two, *_ = store.items.values()
    store.mark(one, seen=True)
    store.move(two, "archive")
    third = client.get(second["@odata.deltaLink"], headers=size).json()
    assert third["value"] == [
        {"id": one.immutable, "isRead": True},
        {"id": two.immutable, "@removed": {"reason": "deleted"}},
    ]
    graph.service.forget_states()
    assert _code(client.get(third["@odata.deltaLink"])) == (410, "SyncStateNotFound")
