"""Canaries by Graph sendMail, on the strict simulator: from the mailbox to itself."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared.connectors.graph import post
from shared.model import Health, RunOutcome
from shared.ports import PostRequest
from tests.connectors.graph_jobs import ADDRESS, OneSecret
from tests.connectors.test_graph_run import _Jobs, jobs
from tests.servers.graph import Fault, Graph, graph

__all__ = ["graph", "jobs"]

CANARY = {"key_secret": "canary", "send": {"by": "graph"}}
SENDING = ["Mail.ReadWrite", "Mail.Send"]


class TwoSecrets(OneSecret):
    """The sign-in, and the key of the canaries."""

    def get(self, name: str) -> str:
        """See the port."""
        return "a key that nobody could guess" if name == "canary" else super().get(name)


def sending(jobs: _Jobs, *, roles: list[str] = SENDING, **canary: Any) -> None:
    """Have the job send canaries with a token that has these roles."""
    credential = jobs.graph.credential(roles=roles)

    def send(request: PostRequest) -> None:
        post(request.opening, request.letter, credential=lambda *_: credential)

    jobs.services = replace(jobs.services, secrets=TwoSecrets(), post=send)
    jobs.create(canary={**CANARY, **canary})


def test_it_comes_back(jobs: _Jobs) -> None:
    """One request; no copy in Sent Items; read once it came back, and no ticket."""
    sending(jobs)
    assert jobs.run().outcome is RunOutcome.COMPLETED
    assert jobs.graph.count("POST .*/sendMail") == 1
    (item,) = jobs.store.items.values()
    assert item.folder == jobs.store.folder("inbox").id
    headers = dict(item.headers)
    assert (headers["From"], headers["To"]) == (ADDRESS, ADDRESS)
    assert {name for name in headers if name.lower().startswith("x-")} == {
        "X-Mail-Connector-Canary",
        "X-Auto-Response-Suppress",
    }
    jobs.clock.advance(timedelta(minutes=5))
    report = jobs.run()
    assert (report.received, report.created, report.errors) == (1, 0, 0)
    record = jobs.storage.jobs.read("support")
    assert record
    canary = record.state.canary
    assert (canary.out, canary.delay, item.seen, jobs.subjects()) == ("", timedelta(minutes=5), True, [])


@pytest.mark.parametrize(
    ("roles", "canary"),
    [
        pytest.param(["Mail.ReadWrite"], {}, id="no permission to send"),
        pytest.param(SENDING, {"sender": "noreply@example.com"}, id="another sender"),
    ],
)
def test_an_app_that_may_not_send_is_told_what_to_grant(jobs: _Jobs, roles: list[str], canary: dict[str, Any]) -> None:
    """And the run itself is none the worse."""
    sending(jobs, roles=roles, **canary)
    jobs.store.deliver(None)
    report = jobs.run()
    assert (report.outcome, report.created, report.errors) == (RunOutcome.COMPLETED, 1, 0)
    (comment,) = report.comments
    assert f"may not send mail from mailbox '{ADDRESS}'" in comment
    assert "Application Mail.Send" in comment


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST .*/sendMail", status=503),
        Fault("POST .*/sendMail", status=429, retry_after="30"),
        Fault("POST .*/sendMail", status=400, code="ErrorInvalidRecipients"),
        Fault("POST .*/sendMail", status=401, code="InvalidAuthenticationToken"),
        Fault("POST .*/sendMail", how="drop"),
        Fault("POST .*/sendMail", how="cut", status=503),
    ],
    ids=lambda fault: f"{fault.how} {fault.status}",
)
def test_it_is_asked_once_whatever_the_answer(jobs: _Jobs, fault: Fault) -> None:
    """Nobody knows whether a request without an answer was heard: it is not sent again."""
    sending(jobs)
    jobs.graph.script(fault)
    report = jobs.run()
    assert (report.outcome, report.errors) == (RunOutcome.COMPLETED, 0)
    assert jobs.graph.count("POST .*/sendMail") <= 1
    assert fault.times == 0
    record = jobs.storage.jobs.read("support")
    assert record
    assert record.state.health is Health.HEALTHY


# --- the simulator ---------------------------------------------------------------------------------------------------


@pytest.fixture
def client(graph: Graph) -> Iterator[httpx.Client]:
    """A client that may send, and no SDK."""
    graph.new_mailbox(ADDRESS)
    token = graph.credential(roles=["Mail.Send"]).get_token("https://graph.microsoft.com/.default").token
    with httpx.Client(
        base_url=f"{graph.root}/v1.0/users/{ADDRESS}", headers={"Authorization": f"Bearer {token}"}
    ) as client:
        yield client


TO = [{"emailAddress": {"address": ADDRESS}}]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"message": {"toRecipients": TO}}, 202),
        ({"message": {"toRecipients": TO}, "saveToSentItems": "false"}, 400),
        ({"message": {"toRecipients": []}}, 400),
        ({"message": {"toRecipients": [{"emailAddress": {"address": "nobody"}}]}}, 400),
        ({"toRecipients": TO}, 400),
        ({"message": {"toRecipients": TO, "headers": {}}}, 400),
        ({"message": {"toRecipients": TO, "body": {"content": "x"}}}, 400),
        ({"message": {"toRecipients": TO, "from": {"emailAddress": {"address": "boss@example.com"}}}}, 403),
        ({"message": {"toRecipients": TO, "internetMessageHeaders": [{"name": "Auto-Submitted", "value": "no"}]}}, 400),
        (
            {
                "message": {
                    "toRecipients": TO,
                    "internetMessageHeaders": [{"name": f"x-{n}", "value": ""} for n in "abcdef"],
                }
            },
            400,
        ),
    ],
)
def test_the_simulator_is_strict_about_what_is_sent(
    graph: Graph, client: httpx.Client, body: dict[str, Any], status: int
) -> None:
    """And says nothing but 202 of what it takes; a copy goes to Sent Items unless told otherwise."""
    answer = client.post("/sendMail", json=body)
    assert answer.status_code == status
    store = graph.service.mailboxes[ADDRESS]
    where = sorted(store.folders[item.folder].well_known for item in store.items.values())
    assert where == (["inbox", "sentitems"] if status == 202 else [])
    assert not answer.is_success or answer.content == b""


def test_reading_and_sending_are_two_permissions(graph: Graph, client: httpx.Client) -> None:
    """Mail.Send reads nothing."""
    assert client.get("/mailFolders").status_code == 403
