"""Acknowledgements on their way: by SMTP from a job on Dovecot, by Graph on the strict simulator."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from dev.azurite import Azurite
from shared.begin import post as post_as_runs_do
from shared.connectors.graph import post
from shared.mime import parse
from shared.model import Message, RunOutcome
from shared.ports import PostRequest
from tests.connectors.graph_jobs import ADDRESS
from tests.connectors.test_graph_run import _Jobs, jobs
from tests.connectors.test_smtp_canary import PASSWORD, USER, settings_of
from tests.run.real import Real
from tests.run.world import mail, reply
from tests.servers.dovecot import Dovecot
from tests.servers.graph import Fault, Graph, graph
from tests.servers.smtp import Submission
from tests.signin.identities import SecretsOf

__all__ = ["graph", "jobs"]

ANN = "ann@customer.example"


def fresh(name: str, **headers: str) -> bytes:
    """A message of today."""
    return mail(name, Date=format_datetime(datetime.now(UTC)), **headers)


@pytest.fixture
def real(dovecot: Dovecot, azurite: Azurite, prefix: str) -> Real:
    """A mailbox and empty storage."""
    real = Real(dovecot, azurite, prefix)
    secrets = SecretsOf(mailbox=real.user.password, smtp=PASSWORD)
    real.services = replace(real.services, secrets=secrets, post=post_as_runs_do)
    return real


def acknowledging(server: Submission, **settings: Any) -> dict[str, Any]:
    """The job's block."""
    return {"send": settings_of(server).model_dump(), "sender": USER, **settings}


def is_an_automatic_answer(message: Message, to: str) -> None:
    """As RFC 3834 has it."""
    assert message.header("Auto-Submitted") == "auto-replied"
    assert message.header("X-Auto-Response-Suppress") == "All"
    assert message.header("X-Mail-Connector") == "acknowledgement"
    assert (message.in_reply_to, message.references) == ((to,), (to,))


@pytest.mark.parametrize("null_sender", [True, False])
def test_by_smtp_with_no_sender_of_the_envelope(real: Real, *, null_sender: bool) -> None:
    """Delivered with an empty return path; the answer to it joins the ticket; it itself, come back, is nothing."""
    taken: list[bytes] = []
    with Submission(taken.append, users={USER: PASSWORD}) as server:
        real.job(acknowledge=acknowledging(server, null_sender=null_sender))
        real.deliver(fresh("Printer"), fresh("List", List_Id="<list.example>"))
        report = real.run()
        assert (report.created, report.comments) == (2, ())
        (raw,) = taken
        message = parse(raw)
        assert message.header("Return-Path") == ("<>" if null_sender else f"<{USER}>")
        assert [one.email for one in message.to] == [ANN]
        is_an_automatic_answer(message, "<Printer@customer.example>")
        real.deliver(raw, fresh(f"Re: {message.subject}"))
        report = real.later()
        assert (report.created, report.updated, report.rejected) == (0, 1, 1)
        assert len(taken) == 1


@pytest.mark.parametrize(
    ("verb", "code"), [("MAIL", "550 5.7.60"), ("RCPT", "550 5.1.1"), ("DATA", "451 4.3.0"), ("AUTH", "535 5.7.8")]
)
def test_a_server_that_takes_none_harms_no_run(real: Real, verb: str, code: str) -> None:
    """The ticket is there, the original is marked; the record says what the server said; and it is not tried again."""
    taken: list[bytes] = []
    with Submission(taken.append, users={USER: PASSWORD}, replies={verb: f"{code} No"}) as server:
        real.job(acknowledge=acknowledging(server))
        real.deliver(fresh("Printer"))
        report = real.run()
        assert (report.outcome, report.created, report.errors) == (RunOutcome.COMPLETED, 1, 0)
        assert real.flags() == {"Printer": r"\Seen"}
        assert code in report.comments[0]
        heard = len(server.heard)
        assert (real.later().received, len(server.heard), taken) == (0, heard, [])


def test_a_poll_that_finds_nothing_costs_what_it_did(real: Real) -> None:
    """One read and two writes of the jobs table; nobody is dialled."""
    with Submission(lambda _: None, users={USER: PASSWORD}) as server:
        real.job(acknowledge=acknowledging(server))
        real.run()
        real.clock.advance(timedelta(minutes=5))
        real.requests.clear()
        assert real.run().received == 0
        assert sum(real.requests.kinds.values()) == 3
        assert server.heard == []


# --- Graph -----------------------------------------------------------------------------------------------------------


def sending(jobs: _Jobs, *, roles: tuple[str, ...] = ("Mail.ReadWrite", "Mail.Send"), **settings: Any) -> None:
    """Have the job acknowledge with a token that has these roles."""
    credential = jobs.graph.credential(roles=list(roles))

    def send(request: PostRequest) -> None:
        post(request.opening, request.letter, credential=lambda *_: credential)

    jobs.services = replace(jobs.services, post=send)
    jobs.create(acknowledge={"send": {"by": "graph"}, **settings})


def test_by_graph_with_every_field_of_its_header(jobs: _Jobs) -> None:
    """As MIME, in one request; what comes back to the mailbox is nothing, and a reply joins the ticket."""
    ann = jobs.graph.new_mailbox(ANN)
    sending(jobs)
    jobs.store.deliver(fresh("Printer"))
    report = jobs.run()
    assert (report.created, report.comments, jobs.graph.count("POST .*/sendMail")) == (1, (), 1)
    (item,) = ann.items.values()
    assert item.source
    message = parse(item.source)
    assert message.sender
    assert message.sender.email == ADDRESS
    is_an_automatic_answer(message, "<Printer@customer.example>")
    jobs.store.deliver(item.source)
    jobs.store.deliver(reply("Also", to="Printer"))
    report = jobs.run()
    assert (report.created, report.updated, report.rejected, len(ann.items)) == (0, 1, 1, 1)


@pytest.mark.parametrize(
    ("roles", "settings"),
    [(("Mail.ReadWrite",), {}), (("Mail.ReadWrite", "Mail.Send"), {"sender": "desk@example.com"})],
    ids=["no permission to send", "another sender"],
)
def test_an_app_that_may_not_send_is_told_what_to_grant(jobs: _Jobs, roles: tuple[str, ...], settings: Any) -> None:
    """And the run itself is none the worse."""
    sending(jobs, roles=roles, **settings)
    jobs.store.deliver(fresh("Printer"))
    report = jobs.run()
    assert (report.outcome, report.created, report.errors) == (RunOutcome.COMPLETED, 1, 0)
    (comment,) = report.comments
    assert "Application Mail.Send" in comment


@pytest.mark.parametrize("fault", [Fault("POST .*/sendMail", status=503), Fault("POST .*/sendMail", how="drop")])
def test_it_is_asked_once_whatever_the_answer(jobs: _Jobs, fault: Fault) -> None:
    """Nobody knows whether a request without an answer was heard: it is not sent again, in this run or another."""
    sending(jobs)
    jobs.graph.script(fault)
    jobs.store.deliver(fresh("Printer"))
    report = jobs.run()
    assert (report.outcome, report.created, len(report.comments)) == (RunOutcome.COMPLETED, 1, 1)
    assert jobs.run().received == 0
    assert jobs.graph.count("POST .*/sendMail") <= 1
    assert fault.times == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (base64.b64encode(f"From: {ADDRESS}\r\nTo: {ANN}\r\n\r\nHi".encode()), 202),
        (base64.b64encode(f"From: boss@example.com\r\nTo: {ANN}\r\n\r\nHi".encode()), 403),
        (base64.b64encode(f"From: {ADDRESS}\r\n\r\nHi".encode()), 400),
        (f"From: {ADDRESS}\r\nTo: {ANN}\r\n\r\nHi".encode(), 400),
    ],
)
def test_the_simulator_is_strict_about_mime(graph: Graph, body: bytes, status: int) -> None:
    """It is base64, and says whom it is from and for."""
    graph.new_mailbox(ADDRESS)
    token = graph.credential(roles=["Mail.Send"]).get_token("https://graph.microsoft.com/.default").token
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}
    answer = httpx.post(f"{graph.root}/v1.0/users/{ADDRESS}/sendMail", content=body, headers=headers)
    assert answer.status_code == status
