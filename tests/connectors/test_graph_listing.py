"""What the Graph connector lists, and that nothing is lost or doubled by how Graph lists it."""

import tracemalloc
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import Unavailable
from shared.model import MessageRef, Pick, Picking
from tests.connectors.graph_jobs import ADDRESS, EARLIER, NEW, UNREAD, open_graph
from tests.servers.graph import Fault, Graph, graph
from tests.servers.graph_store import Item, Store

__all__ = ["graph"]


@pytest.fixture
def store(graph: Graph) -> Store:
    """An empty mailbox."""
    return graph.new_mailbox(ADDRESS)


def _fill(store: Store, count: int) -> list[Item]:
    """Messages that arrived a second apart."""
    return [store.deliver(None, received=EARLIER + timedelta(minutes=1, seconds=number)) for number in range(count)]


def _items(refs: tuple[MessageRef, ...]) -> list[str]:
    return [ref.key.item for ref in refs]


@pytest.mark.parametrize("picking", [UNREAD, NEW])
def test_many_pages_give_one_list(graph: Graph, store: Store, picking: Picking) -> None:
    """Each message once, oldest first, with its size and date, and so with few requests."""
    items = _fill(store, 1_234)
    with open_graph(graph) as mailbox:
        listing = mailbox.candidates(picking)
    assert _items(listing.refs) == [item.immutable for item in items]
    assert [(ref.size, ref.received) for ref in listing.refs] == [(item.size, item.received) for item in items]
    assert listing.in_box == 1_234
    assert graph.count("GET .*messages") == 3


def test_fifty_thousand_messages_are_listed_in_flat_memory(graph: Graph, store: Store) -> None:
    """While the pages are read nothing grows but the list itself. A page has 500 of them."""
    for number in range(50_000):
        store.deliver(None, received=EARLIER + timedelta(seconds=number))
    with open_graph(graph) as mailbox:
        tracemalloc.start()
        try:
            listing = mailbox.candidates(UNREAD)
            left, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len({ref.key for ref in listing.refs}) == len(listing.refs) == 50_000
    assert graph.count("GET .*/messages") == 50_000 // 500
    assert peak - left < 8_000_000
    assert left / 50_000 < 500


def test_messages_that_move_between_two_pages_are_listed_once(graph: Graph, store: Store) -> None:
    """Pages count from the front: what is read meanwhile shifts them, and what is passed over comes the next time."""
    items = _fill(store, 1_000)
    with open_graph(graph) as mailbox:

        def read_some(body: dict[str, object]) -> dict[str, object]:
            for item in items[:10]:
                store.mark(item, seen=True)
            return body

        graph.script(Fault("GET .*messages", how="edit", edit=read_some))
        first = _items(mailbox.candidates(UNREAD).refs)
        again = _items(mailbox.candidates(UNREAD).refs)
    assert len(first) == len(set(first)) == 990
    assert set(again) == {item.immutable for item in items[10:]}


@pytest.mark.parametrize("picking", [UNREAD, NEW])
def test_an_empty_page_is_not_the_end(graph: Graph, store: Store, picking: Picking) -> None:
    """The link to the next page is what counts."""
    _fill(store, 600)
    with open_graph(graph) as mailbox:
        graph.script(Fault("GET .*messages", how="edit", edit=lambda body: body | {"value": []}))
        assert len(mailbox.candidates(picking).refs) == 100


@pytest.mark.parametrize("picking", [UNREAD, NEW])
def test_a_page_that_names_itself_is_left(graph: Graph, store: Store, picking: Picking) -> None:
    """A list that never ends is no list; nothing is taken for complete."""
    _fill(store, 600)
    first: list[object] = []

    def again(body: dict[str, object]) -> dict[str, object]:
        first.append(body.get("@odata.nextLink"))
        return {**body, "@odata.nextLink": first[0]}

    with open_graph(graph) as mailbox:
        graph.script(Fault("GET .*messages", how="edit", edit=again, times=100))
        with pytest.raises(Unavailable, match="the same page again"):
            mailbox.candidates(picking)
    assert len(first) == 2


def test_a_page_that_is_not_json_is_not_an_empty_one(graph: Graph, store: Store) -> None:
    """What a gateway says in place of Graph is no listing of nothing."""
    _fill(store, 3)
    with open_graph(graph) as mailbox:
        graph.script(Fault("GET .*messages", how="garbage"))
        with pytest.raises(Unavailable, match="makes no sense"):
            mailbox.candidates(UNREAD)
        assert len(mailbox.candidates(UNREAD).refs) == 3


def test_what_changes_is_listed_again_and_what_leaves_is_not(graph: Graph, store: Store) -> None:
    """A message that a person reads comes once more, for the ledger to know; one that was removed does not."""
    one, two, three = _fill(store, 3)
    with open_graph(graph) as mailbox:
        cursor = mailbox.candidates(NEW).cursor
        store.mark(one, seen=True)
        store.move(two, "archive")
        store.remove(three)
        after = mailbox.candidates(replace(NEW, cursor=cursor))
        assert _items(after.refs) == [one.immutable]
        assert mailbox.candidates(replace(NEW, cursor=after.cursor)).refs == ()


def test_what_comes_and_goes_within_one_round_is_not_listed(graph: Graph, store: Store) -> None:
    """A page may name a message and a later one take that back."""
    (item,) = _fill(store, 1)
    gone = {"id": item.immutable, "@removed": {"reason": "changed"}}
    with open_graph(graph) as mailbox:
        graph.script(Fault("GET .*delta", how="edit", edit=lambda body: {**body, "value": [*body["value"], gone]}))
        assert mailbox.candidates(NEW).refs == ()


def test_a_forgotten_state_starts_over_and_loses_nothing(graph: Graph, store: Store) -> None:
    """410: everything since the job was created is listed, what the ledger knows too, and the next cursor is good."""
    old, new = _fill(store, 2)
    picking = Picking(Pick.NEW, since=new.received)
    with open_graph(graph) as mailbox:
        cursor = mailbox.candidates(picking).cursor
        late = store.deliver(None)
        graph.service.forget_states()
        listing = mailbox.candidates(replace(picking, cursor=cursor))
        assert _items(listing.refs) == [new.immutable, late.immutable]
        last = store.deliver(None)
        assert _items(mailbox.candidates(replace(picking, cursor=listing.cursor)).refs) == [last.immutable]
    assert old.immutable not in _items(listing.refs)


def test_a_state_that_is_forgotten_between_two_pages_starts_over_too(graph: Graph, store: Store) -> None:
    """Half a round is none."""
    with open_graph(graph) as mailbox:
        cursor = mailbox.candidates(NEW).cursor
        items = _fill(store, 700)

        def forget(body: dict[str, object]) -> dict[str, object]:
            graph.service.forget_states()
            return body

        graph.script(Fault("GET .*delta", how="edit", edit=forget))
        assert _items(mailbox.candidates(replace(NEW, cursor=cursor)).refs) == [item.immutable for item in items]


def test_a_cursor_of_another_folder_is_not_used(graph: Graph, store: Store) -> None:
    """When a folder was made anew, or the job was given another one, that one is listed from the beginning."""
    first, second = store.add_folder("First"), store.add_folder("Second")
    store.deliver(None, folder=first.id)
    wanted = store.deliver(None, folder=second.id)
    with open_graph(graph, folder="First") as mailbox:
        cursor = mailbox.candidates(NEW).cursor
    with open_graph(graph, folder="Second") as mailbox:
        assert _items(mailbox.candidates(replace(NEW, cursor=cursor)).refs) == [wanted.immutable]


@pytest.mark.parametrize(
    "cursor", ["", "x", "filtered:", "1700000000:17", "filtered:0123456789abcdef:http://evil.example/"]
)
def test_a_cursor_that_is_none_of_ours_is_not_used(graph: Graph, store: Store, cursor: str) -> None:
    """It lists afresh instead of failing for ever."""
    _fill(store, 2)
    with open_graph(graph) as mailbox:
        assert len(mailbox.candidates(replace(NEW, cursor=cursor)).refs) == 2


def test_a_filtered_round_that_may_be_cut_short_is_made_again_whole(graph: Graph, store: Store) -> None:
    """With a filter Graph gives 5,000 messages and says nothing of the rest: none may be lost by that."""
    items = _fill(store, 5_020)
    with open_graph(graph) as mailbox:
        listing = mailbox.candidates(NEW)
        assert _items(listing.refs) == [item.immutable for item in items]
        late = store.deliver(None)
        assert _items(mailbox.candidates(replace(NEW, cursor=listing.cursor)).refs) == [late.immutable]


def test_the_whole_round_still_begins_where_the_job_does(graph: Graph, store: Store) -> None:
    """Without Graph's filter the date is ours to compare."""
    items = _fill(store, 5_020)
    picking = Picking(Pick.NEW, since=items[5].received)
    with open_graph(graph) as mailbox:
        assert _items(mailbox.candidates(picking).refs) == [item.immutable for item in items[5:]]


def test_a_round_without_an_end_is_no_round(graph: Graph, store: Store) -> None:
    """Without the link to the next round the next one would begin anywhere."""
    _fill(store, 1)
    with open_graph(graph) as mailbox:
        graph.script(Fault("GET .*delta", how="edit", edit=lambda body: {"value": body["value"]}))
        with pytest.raises(Unavailable, match="without saying where"):
            mailbox.candidates(NEW)


def test_a_cloud_without_delta_lists_by_date() -> None:
    """In China everything since the job was created is listed each time, and the ledger knows the rest."""
    with Graph(national=True, audience="https://microsoftgraph.chinacloudapi.cn") as graph:
        store = graph.new_mailbox(ADDRESS)
        old, new = _fill(store, 2)
        store.mark(new, seen=True)
        with open_graph(graph, cloud="china") as mailbox:
            listing = mailbox.candidates(Picking(Pick.NEW, since=new.received))
        assert _items(listing.refs) == [new.immutable]
        assert listing.cursor is None
        assert graph.count("GET .*delta") == 0
        assert old.immutable not in _items(listing.refs)
