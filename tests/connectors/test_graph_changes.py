"""What the Graph connector changes in a mailbox, and that it is nobody else's mail."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.errors import MessageError, MessageGone
from shared.model import Disposition, MessageKey, MessageRef
from shared.ports import Mailbox
from tests.connectors.graph_jobs import ADDRESS, UNREAD, open_graph
from tests.servers.graph import Fault, Graph, graph
from tests.servers.graph_store import Store

__all__ = ["graph"]

READ, DELETED = Disposition(read=True), Disposition(deleted=True)
ALL = Disposition(read=True, deleted=True, purge=True)


@pytest.fixture
def store(graph: Graph) -> Store:
    """A mailbox with three messages."""
    store = graph.new_mailbox(ADDRESS)
    for _ in range(3):
        store.deliver(None)
    return store


@pytest.fixture
def mailbox(graph: Graph, store: Store) -> Iterator[Mailbox]:
    """A session with it."""
    with open_graph(graph) as opened:
        yield opened


def _refs(mailbox: Mailbox) -> list[MessageRef]:
    return list(mailbox.candidates(UNREAD).refs)


def _places(store: Store) -> list[str]:
    return [store.folders[item.folder].well_known for item in store.items.values()]


def test_a_moved_message_keeps_its_handle(store: Store, mailbox: Mailbox) -> None:
    """So that a later run finds it in Deleted Items."""
    refs = _refs(mailbox)
    assert [one.ref for one in mailbox.dispose(refs, DELETED)] == refs
    assert _places(store) == ["deleteditems"] * 3


def test_marks_go_twenty_at_a_time_and_bring_no_bodies_back(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """First every one is read, then every one is moved; the service never runs more than four at once."""
    for _ in range(42):
        store.deliver(None)
    assert [one.error for one in mailbox.dispose(_refs(mailbox), ALL)] == [None] * 45
    assert graph.count(r"POST /\$batch") == 3 + 3
    assert graph.count("PATCH") == graph.count("POST .*/move") == 45
    patches = [request for request in graph.service.seen if request.method == "PATCH"]
    assert all("return=minimal" in request.headers["prefer"] for request in patches)
    assert graph.most_at_once == 4


@pytest.mark.parametrize("refuses", [True, False])
def test_deleting_what_is_deleted_already_is_harmless(
    graph: Graph, store: Store, mailbox: Mailbox, *, refuses: bool
) -> None:
    """Whether or not Graph lets a message be moved to where it is."""
    graph.service.refuses_idle_moves = refuses
    refs = _refs(mailbox)
    for _ in range(2):
        assert [one.error for one in mailbox.dispose(refs, ALL)] == [None] * 3
    assert _places(store) == ["deleteditems"] * 3


def test_a_message_that_cannot_be_moved_says_so_and_the_others_are(
    graph: Graph, store: Store, mailbox: Mailbox
) -> None:
    """Its mark as read stays; it is asked for again in a later run."""
    refs = _refs(mailbox)
    graph.script(Fault(f"POST .*{refs[1].handle}/move", status=400, code="ErrorMoveCopyFailed", inside=True))
    answers = mailbox.dispose(refs, ALL)
    assert [type(one.error) for one in answers] == [type(None), MessageError, type(None)]
    assert "ErrorMoveCopyFailed" in str(answers[1].error)
    assert _places(store) == ["deleteditems", "inbox", "deleteditems"]


@pytest.mark.parametrize("status", [409, 412, 424, 500])
def test_a_clash_over_one_message_is_tried_again(graph: Graph, store: Store, mailbox: Mailbox, status: int) -> None:
    """Somebody else changed it at the same moment; the second try is good, and only that one is made again."""
    refs = _refs(mailbox)
    graph.script(Fault(f"PATCH .*{refs[1].handle}", status=status, code="ErrorIrresolvableConflict", inside=True))
    assert [one.error for one in mailbox.dispose(refs, READ)] == [None] * 3
    assert [item.seen for item in store.items.values()] == [True] * 3
    assert graph.count("PATCH") == 4


def test_a_clash_that_does_not_end_is_that_messages_alone(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """After a few tries it is left, with the reason, and the others are marked."""
    refs = _refs(mailbox)
    graph.script(
        Fault(f"PATCH .*{refs[0].handle}", status=412, code="ErrorIrresolvableConflict", inside=True, times=99)
    )
    answers = mailbox.dispose(refs, READ)
    assert [type(one.error) for one in answers] == [MessageError, type(None), type(None)]
    assert [item.seen for item in store.items.values()] == [False, True, True]


def test_messages_of_another_folder_are_never_acted_on(store: Store, mailbox: Mailbox) -> None:
    """When a job's folder is changed, what the ledger still holds of the old one is left alone."""
    own, old, _ = _refs(mailbox)
    old = replace(old, key=MessageKey("job", "exchange:support@example.com/old", old.key.item))
    assert [type(one.error) for one in mailbox.dispose([old, own], ALL)] == [MessageGone, type(None)]
    assert [one.error for one in mailbox.purge([old])] == [None]
    assert _places(store) == ["deleteditems", "inbox", "inbox"]


def test_the_purge_is_for_good_and_takes_ours_alone(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """What a person deleted, and what a person filed under Deleted Items, stays."""
    ours, filed, theirs = store.items.values()
    refs = _refs(mailbox)[:2]
    done = [one.ref for one in mailbox.dispose(refs, ALL)]
    store.move(theirs, "deleteditems")
    store.move(filed, store.add_folder("Keep", under=store.folder("deleteditems").id).id)
    assert [one.error for one in mailbox.purge(done)] == [None, None]
    assert store.purged == [ours]
    assert set(store.items) == {filed.immutable, theirs.immutable}
    assert graph.count("DELETE") == 0


@pytest.mark.parametrize("cloud", ["usgov", "usgovhigh", "china"])
def test_a_national_cloud_deletes_what_it_cannot_purge(cloud: str) -> None:
    """Out of Deleted Items, to where an administrator can still recover it; permanentDelete is never tried."""
    audience = {"usgov": "https://graph.microsoft.us", "usgovhigh": "https://dod-graph.microsoft.us"}
    with Graph(national=True, audience=audience.get(cloud, "https://microsoftgraph.chinacloudapi.cn")) as graph:
        store = graph.new_mailbox(ADDRESS)
        item = store.deliver(None)
        with open_graph(graph, cloud=cloud) as mailbox:
            (done,) = mailbox.dispose(_refs(mailbox), ALL)
            assert [one.error for one in mailbox.purge([done.ref])] == [None]
        assert store.recoverable == [item]
        assert store.items == {}
        assert graph.count("POST .*permanentDelete") == 0


def test_a_message_that_cannot_be_purged_says_so(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """Held by a policy, say: it stays in Deleted Items, and the others go."""
    done = [one.ref for one in mailbox.dispose(_refs(mailbox), ALL)]
    graph.script(
        Fault(f"POST .*{done[0].handle}/permanentDelete", status=400, code="ErrorDeleteItemsFailed", inside=True),
        Fault(f"GET .*{done[1].handle}", status=400, code="ErrorInvalidRequest", inside=True),
    )
    answers = mailbox.purge(done)
    assert [type(one.error) for one in answers] == [MessageError, MessageError, type(None)]
    assert [len(store.items), len(store.purged)] == [2, 1]


def test_a_message_that_vanishes_while_it_is_purged_is_done(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """Somebody was faster."""
    done = [one.ref for one in mailbox.dispose(_refs(mailbox), ALL)]
    match = f"POST .*{done[0].handle}/permanentDelete"
    graph.script(Fault(match, status=404, code="ErrorItemNotFound", inside=True))
    assert [one.error for one in mailbox.purge(done)] == [None] * 3


def test_a_batch_that_is_cut_off_is_finished(graph: Graph, store: Store, mailbox: Mailbox) -> None:
    """The answer got lost after Graph had done it all: asked again, the outcome is the same."""
    refs = _refs(mailbox)
    graph.script(Fault(r"POST /\$batch", how="cut"))
    assert [one.error for one in mailbox.dispose(refs, DELETED)] == [None] * 3
    graph.script(Fault(r"POST /\$batch", how="edit"), Fault(r"POST /\$batch", how="cut"))
    assert [one.error for one in mailbox.purge(refs)] == [None] * 3
    assert len(store.purged) == 3


def test_an_answer_that_is_missing_from_a_batch_is_asked_for_again(
    graph: Graph, store: Store, mailbox: Mailbox
) -> None:
    """No answer is not a good answer."""
    refs = _refs(mailbox)
    graph.script(Fault(r"POST /\$batch", how="edit", edit=lambda body: {"responses": body["responses"][:1]}))
    assert [one.error for one in mailbox.dispose(refs, READ)] == [None] * 3
    assert graph.count("PATCH") == 3 + 2
