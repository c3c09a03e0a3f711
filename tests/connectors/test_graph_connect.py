"""Opening a mailbox by Microsoft Graph: tokens, rights, folders."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.model import Disposition
from tests.connectors.graph_jobs import ADDRESS, NEW, SECRET, UNREAD, Pauses, open_graph
from tests.servers.graph import Fault, Graph, graph
from tests.servers.graph_tokens import GRAPH_APP, FixedCredential

__all__ = ["graph"]

READ = Disposition(read=True)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(time.time()) - 60},
        {"aud": "https://outlook.office365.com"},
        {"aud": "https://graph.microsoft.us"},
        {"tid": "another-tenant"},
    ],
)
def test_a_token_that_is_not_right_is_a_failed_sign_in(graph: Graph, claims: dict[str, Any]) -> None:
    """Expired, for another service, another cloud, of another tenant: a person must look, so it is tried once."""
    graph.new_mailbox(ADDRESS)
    with pytest.raises(AuthFailed, match="does not accept the app's token") as caught:
        open_graph(graph, credential=graph.credential(**claims))
    assert graph.root in caught.value.remedy
    assert graph.count("GET") == 1


def test_a_token_with_a_foreign_signature_is_refused(graph: Graph) -> None:
    """Nobody but the tenant makes tokens."""
    graph.new_mailbox(ADDRESS)
    with pytest.raises(AuthFailed):
        open_graph(graph, credential=graph.credential(key="x" * 64))


def test_the_token_is_asked_for_by_the_scope_of_the_cloud(graph: Graph) -> None:
    """And Graph goes by its application id as well."""
    graph.new_mailbox(ADDRESS)
    credential = graph.credential(aud=GRAPH_APP)
    open_graph(graph, credential=credential).__exit__(None, None, None)
    assert set(credential.asked) == {("https://graph.microsoft.com/.default",)}


def test_a_national_cloud_asks_for_its_own_scope() -> None:
    """The token of one cloud means nothing in another."""
    with Graph(audience="https://graph.microsoft.us") as graph:
        graph.new_mailbox(ADDRESS)
        open_graph(graph, cloud="usgov").__exit__(None, None, None)
        with pytest.raises(AuthFailed):
            open_graph(graph, cloud="global")


def test_an_app_without_the_permission_is_told_what_to_grant(graph: Graph) -> None:
    """Neither consent nor a role: both ways are named."""
    graph.new_mailbox(ADDRESS)
    with pytest.raises(AuthFailed, match="may not open mailbox") as caught:
        open_graph(graph, credential=graph.credential(roles=[]))
    assert "Application Mail.ReadWrite" in caught.value.remedy
    assert "management scope" in caught.value.remedy


def test_an_app_that_may_only_read_lists_and_fetches_but_says_so_when_it_marks(graph: Graph) -> None:
    """Mail.Read is enough for a dry run; the first marking explains what is missing, and nothing was changed."""
    store = graph.new_mailbox(ADDRESS)
    store.deliver(None)
    with open_graph(graph, credential=graph.credential(roles=["Mail.Read"])) as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        assert [one.error for one in mailbox.fetch(refs, max_bytes=10_000)] == [None]
        with pytest.raises(AuthFailed, match="but not change it"):
            mailbox.dispose(refs, READ)
    assert [item.seen for item in store.items.values()] == [False]


@pytest.mark.parametrize(
    ("where", "kind", "sentence"),
    [
        ("denied", AuthFailed, "management scope that holds this mailbox"),
        ("unlicensed", ConfigInvalid, "has no mailbox in Exchange Online"),
        ("nowhere", ConfigInvalid, "The tenant has no mailbox"),
    ],
)
def test_a_mailbox_that_cannot_be_opened_says_which_kind_of_cannot(
    graph: Graph, where: str, kind: type[JobError], sentence: str
) -> None:
    """Out of the app's scope, without a licence, or not there at all."""
    {"denied": graph.service.denied, "unlicensed": graph.service.unlicensed}.get(where, set()).add(ADDRESS)
    with pytest.raises(kind, match=sentence):
        open_graph(graph)


def test_a_mailbox_that_is_taken_away_during_the_run_does_not_look_like_gone_messages(graph: Graph) -> None:
    """404 means many things: only that of a message ends a message."""
    store = graph.new_mailbox(ADDRESS)
    for _ in range(3):
        store.deliver(None)
    with open_graph(graph) as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        graph.service.unlicensed.add(ADDRESS)
        with pytest.raises(ConfigInvalid):
            list(mailbox.fetch(refs, max_bytes=10_000))
        with pytest.raises(ConfigInvalid):
            mailbox.dispose(refs, READ)
        with pytest.raises(ConfigInvalid):
            mailbox.purge(refs)
        with pytest.raises(ConfigInvalid):
            mailbox.candidates(NEW)


@pytest.mark.parametrize(
    "path", ["Team/Support", "team / support", "/TEAM/Support/", "Posteingang/Fälle", "Inbox/Fälle"]
)
def test_folders_are_found_by_path_whatever_the_spelling(graph: Graph, path: str) -> None:
    """Below the root, below a standard folder by its English name, or by the name that people see."""
    store = graph.new_mailbox(ADDRESS)
    store.folder("inbox").name = "Posteingang"
    team = store.add_folder("Team")
    wanted = {
        "s": store.add_folder("Support", under=team.id),
        "f": store.add_folder("F\u00e4lle", under=store.folder("inbox").id),
    }
    for folder in wanted.values():
        store.deliver(None, folder=folder.id)
    with open_graph(graph, folder=path) as mailbox:
        assert len(mailbox.candidates(UNREAD).refs) == 1


def test_a_folder_far_down_a_long_list_is_found(graph: Graph) -> None:
    """Folders come in pages too."""
    store = graph.new_mailbox(ADDRESS)
    for number in range(230):
        store.add_folder(f"Case {number:03}")
    store.deliver(None, folder=store.children()[-1].id)
    with open_graph(graph, folder=store.children()[-1].name) as mailbox:
        assert mailbox.candidates(UNREAD).in_box == int(store.children()[-1].name != "Case 229")


def test_a_folder_with_a_slash_in_its_name_is_found(graph: Graph) -> None:
    """Where there is such a folder, the slash is no step."""
    store = graph.new_mailbox(ADDRESS)
    both = store.add_folder("Sales/Support")
    store.deliver(None, folder=store.add_folder("A/B", under=both.id).id)
    with open_graph(graph, folder="Sales/Support/A/B") as mailbox:
        assert mailbox.candidates(UNREAD).in_box == 1


def test_a_standard_folder_that_the_mailbox_lacks_is_looked_for_by_its_name(graph: Graph) -> None:
    """Not every mailbox has an archive folder; a person may have made one of that name."""
    store = graph.new_mailbox(ADDRESS)
    store.folder("archive").well_known = ""
    with open_graph(graph, folder="Archive") as mailbox:
        assert mailbox.candidates(UNREAD).in_box == 0


def test_an_unknown_folder_lists_those_that_exist(graph: Graph) -> None:
    """The person can choose from the sentence; hidden folders are not for choosing."""
    store = graph.new_mailbox(ADDRESS)
    store.add_folder("Support", under=store.folder("inbox").id)
    store.add_folder("Clutter", hidden=True)
    with pytest.raises(ConfigInvalid, match="has no folder 'Inbox/Suport'") as caught:
        open_graph(graph, folder="Inbox/Suport")
    assert "'Inbox/Support'" in caught.value.remedy
    assert "'Sent Items'" in caught.value.remedy
    assert "Clutter" not in caught.value.remedy


def test_a_mailbox_with_very_many_folders_costs_a_bounded_look(graph: Graph) -> None:
    """The sentence stays one that a person reads."""
    store = graph.new_mailbox(ADDRESS)
    for number in range(60):
        store.add_folder("Old", under=store.add_folder(f"Case {number}").id)
    with pytest.raises(ConfigInvalid) as caught:
        open_graph(graph, folder="Nowhere")
    assert caught.value.remedy.count("'Case") + caught.value.remedy.count("Items'") <= 60
    assert graph.count("GET") < 25


def test_every_request_asks_for_immutable_ids(graph: Graph) -> None:
    """Those within a batch too: the header holds for one request alone."""
    store = graph.new_mailbox(ADDRESS)
    for _ in range(3):
        store.deliver(None)
    with open_graph(graph) as mailbox:
        refs = mailbox.candidates(NEW).refs
        assert len(list(mailbox.fetch([type(ref)(ref.key, ref.handle) for ref in refs], max_bytes=10_000))) == 3
        done = mailbox.dispose(mailbox.candidates(UNREAD).refs, Disposition(read=True, deleted=True, purge=True))
        mailbox.purge([one.ref for one in done])
    assert len(graph.service.seen) > 15
    assert [request for request in graph.service.seen if not request.immutable] == []


def test_the_token_is_sent_to_graph_alone(graph: Graph) -> None:
    """A page that names another host is not followed."""
    store = graph.new_mailbox(ADDRESS)
    store.deliver(None)
    with Graph() as other, open_graph(graph) as mailbox:
        foreign = f"{other.root}/v1.0/users/{ADDRESS}/messages"
        graph.script(Fault("GET .*/messages", how="edit", edit=lambda body: body | {"@odata.nextLink": foreign}))
        with pytest.raises(Unavailable, match="not its own"):
            mailbox.candidates(UNREAD)
        assert other.heard == []


def test_nothing_is_left_open(graph: Graph) -> None:
    """Neither a socket nor a loop outlives the session, nor a session that never came about."""
    graph.new_mailbox(ADDRESS)
    mailbox = open_graph(graph)
    with mailbox:
        mailbox.candidates(UNREAD)
    mailbox.__exit__(None, None, None)
    with pytest.raises(ConfigInvalid):
        open_graph(graph, folder="Nowhere")
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_no_line_of_mail_no_secret_and_no_token_is_logged(graph: Graph, caplog: pytest.LogCaptureFixture) -> None:
    """Not even with our own loggers and the SDK's at their most talkative."""
    caplog.set_level(logging.DEBUG)
    store = graph.new_mailbox(ADDRESS)
    store.deliver(b"Subject: confidential\r\n\r\nthe body\r\n")
    credential = graph.credential()
    with open_graph(graph, credential=credential) as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        assert len(list(mailbox.fetch(refs, max_bytes=10_000))) == 1
        mailbox.dispose(refs, READ)
    assert caplog.text
    for secret in (SECRET, "confidential", "the body", "Bearer ey"):
        assert secret not in caplog.text


@dataclass(slots=True)
class _Failing(FixedCredential):
    """A credential that has no token to give."""

    error: Exception = field(default_factory=Exception)

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ARG002 - whatever is asked for
        """Nothing."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ClientAuthenticationError("AADSTS7000222: hunter2 hunter2 has expired"), AuthFailed),
        (ServiceRequestError("no route"), Unavailable),
        (AuthFailed("The client secret has expired."), AuthFailed),
        (Unavailable("The token service is away."), Unavailable),
    ],
)
def test_a_sign_in_without_a_token_is_no_connection_fault(graph: Graph, error: Exception, kind: type[JobError]) -> None:
    """It is told apart, is not tried again here, and no secret is in what is said."""
    pauses = Pauses()
    with pytest.raises(kind) as caught:
        open_graph(graph, pauses=pauses, credential=_Failing(graph.tokens, error=error))
    assert SECRET not in str(caught.value)
    assert (pauses.seconds, graph.heard) == ([], [])
