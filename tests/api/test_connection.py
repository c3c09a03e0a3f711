"""The connection test: what it tells of each stage, on every kind of server, and what it never does."""

import socket
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest

from shared.connection import Way
from shared.errors import Unavailable
from shared.model import Trigger
from shared.ports import OpenRequest
from tests.api.connections import Elsewhere, failed, now, outcomes, serve, stage, tried
from tests.api.world import World, make_job, problem
from tests.builders import make_claim
from tests.contract.mailbox import mail
from tests.fakes.mailbox import FakeFolder, FakeMailbox
from tests.servers.dovecot import Dovecot, dovecot
from tests.servers.ews import Exchange
from tests.servers.ews_accounts import Person, token
from tests.servers.ews_fixture import MAILBOX, OWNER, PASSWORD, exchange, exchange_authority
from tests.servers.graph import Graph, graph
from tests.servers.imap_host import User
from tests.servers.scripted_imap import ScriptedImap, Step, capable
from tests.servers.scripted_pop3 import ScriptedPop3
from tests.servers.scripted_pop3 import Step as PopStep
from tests.servers.scripted_pop3 import capable as pop_capable
from tests.servers.tls import HOST, Authority

__all__ = ["dovecot", "exchange", "exchange_authority", "graph"]

ALL_WELL = dict.fromkeys(("dns", "tcp", "tls", "sign_in", "mailbox", "folder", "rights", "candidates"), "ok")


def imap(server: Dovecot, user: User, **fields: Any) -> dict[str, Any]:
    """The ``server`` block of an IMAP4 job on Dovecot."""
    return {
        "type": "imap4",
        "host": server.host,
        "port": server.imaps_port,
        "username": user.name,
        "password_secret": "mailbox",
        "ca_file": str(server.ca_file),
        **fields,
    }


def online(api: str, **fields: Any) -> dict[str, Any]:
    """The ``server`` block of a job in Exchange Online."""
    sign_in = {"method": "client_secret", "tenant_id": "example.com", "client_id": "app", "client_secret": "entra"}
    return {"type": "exchange_online", "api": api, "mailbox": MAILBOX, "sign_in": sign_in, **fields}


@pytest.fixture
def user(dovecot: Dovecot) -> User:
    """A mailbox with three messages, one of which was read."""
    user = dovecot.new_mailbox()
    dovecot.append(user, "INBOX", [mail("one"), mail("two")])
    dovecot.append(user, "INBOX", mail("three"), r"\Seen")
    return user


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_good_imap4_job_is_told_stage_by_stage(world: World, dovecot: Dovecot, user: User, security: str) -> None:
    """Addresses, certificate with its end, and how many of how many messages a run would look at."""
    serve(world, mailbox=user.password)
    port = dovecot.imaps_port if security == "tls" else dovecot.imap_port
    before = dovecot.messages(user)
    answer = tried(world, imap(dovecot, user, security=security, port=port))
    assert (answer["ok"], outcomes(answer)) == (True, ALL_WELL), answer
    assert stage(answer, "dns")["detail"] == "1 address: 127.0.0.1."
    assert stage(answer, "tcp")["detail"] == f"Connected with 127.0.0.1, port {port}."
    assert stage(answer, "tls")["detail"].startswith("TLS 1.3, certificate for 127.0.0.1 until 3000-01-01")
    assert stage(answer, "candidates")["detail"] == "2 candidates of 3 messages."
    for one in answer["stages"]:
        assert one["detail"]
        assert (one["cause"], one["remedy"], one["warnings"]) == (None, None, [])
        assert 0 <= one["milliseconds"] < 30_000
    assert dovecot.messages(user) == before
    assert world.storage.jobs.read("support") is None


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_good_pop3_job_has_no_folder_to_choose(world: World, dovecot: Dovecot, user: User, security: str) -> None:
    """Everything else is there; nothing is removed."""
    serve(world, mailbox=user.password)
    port = dovecot.pop3s_port if security == "tls" else dovecot.pop3_port
    answer = tried(world, imap(dovecot, user, type="pop3", security=security, port=port))
    assert (answer["ok"], outcomes(answer)) == (True, {**ALL_WELL, "folder": "not_applicable"}), answer
    assert stage(answer, "candidates")["detail"] == "3 candidates of 3 messages."
    assert len(dovecot.messages(user)) == 3


def test_plain_text_has_no_tls_to_look_at_and_says_so(world: World, dovecot: Dovecot, user: User) -> None:
    """Only on purpose; the warning of the config is there, too."""
    serve(world, mailbox=user.password)
    plain = {"security": "none", "allow_insecure": True, "ca_file": None, "port": dovecot.imap_port}
    answer = tried(world, imap(dovecot, user, **plain))
    assert (answer["ok"], outcomes(answer)) == (True, {**ALL_WELL, "tls": "not_applicable"}), answer
    assert "plain text" in answer["warnings"][0]


def test_a_good_exchange_job_is_told_stage_by_stage(
    world: World, exchange: Exchange, exchange_authority: Authority
) -> None:
    """On-premises; the sign-in, the mailbox and the folder are told apart although one request asks for all."""
    serve(world, mailbox=PASSWORD)
    exchange.mailboxes[MAILBOX].deliver(mail("one"))
    server = {
        "type": "exchange",
        "service_url": exchange.url,
        "mailbox": MAILBOX,
        "username": OWNER,
        "password_secret": "mailbox",
        "authentication": "basic",
        "ca_file": str(exchange_authority.ca_file),
    }
    handling = {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True}
    answer = tried(world, server, on_success=handling)
    assert (answer["ok"], outcomes(answer)) == (True, ALL_WELL), answer
    assert stage(answer, "candidates")["detail"] == "1 candidate of 1 message."
    assert "read+deleted+purge" in stage(answer, "rights")["detail"]
    exchange.people[OWNER].may_write = False
    found = failed(tried(world, server, on_success=handling), "rights")
    for right in ("Modify", "Delete", "CreateContents"):
        assert f"lacks the right {right}" in found["cause"]
    assert found["remedy"]
    assert outcomes(tried(world, server, on_success={}))["rights"] == "ok"


def test_exchange_with_autodiscover_has_its_address_from_there(world: World) -> None:
    """So the first stages do not apply; what autodiscovery meets is part of the sign-in."""
    serve(world, mailbox=PASSWORD)
    server = {"type": "exchange", "autodiscover": True, "mailbox": "support@mail.invalid", "username": "u"}
    found = failed(answer := tried(world, {**server, "password_secret": "mailbox"}), "sign_in")
    assert {outcomes(answer)[name] for name in ("dns", "tcp", "tls")} == {"not_applicable"}
    assert "Autodiscover" in stage(answer, "dns")["detail"]
    assert "Autodiscover found no EWS address" in found["cause"]


def test_a_good_job_by_ews_online_carries_its_dated_warning(
    world: World, exchange: Exchange, exchange_authority: Authority
) -> None:
    """The test of a job that will end says when."""
    exchange.schemes.clear()
    exchange.schemes.add("bearer")
    exchange.people["app"] = Person("", may_act_for={MAILBOX})
    elsewhere = Elsewhere(exchange=exchange, authority=exchange_authority)
    elsewhere.tokens = token
    world.serve(clock=lambda: datetime(2026, 11, 24, tzinfo=UTC), way=elsewhere.way())
    answer = tried(world, online("ews"))
    assert (answer["ok"], outcomes(answer)) == (True, ALL_WELL), answer
    assert "2027-04-01" in answer["warnings"][0]


def test_a_good_graph_job_is_told_stage_by_stage(world: World, graph: Graph) -> None:
    """Rights are in the token; without any there, Exchange has them, which is said and is no failure."""
    store = graph.new_mailbox(MAILBOX)
    store.deliver(mail("one"))
    elsewhere = Elsewhere(graph=graph)
    serve(world, elsewhere, entra="x")
    answer = tried(world, online("graph", endpoint=graph.root))
    assert (answer["ok"], outcomes(answer)) == (True, {**ALL_WELL, "tls": "not_applicable"}), answer
    assert stage(answer, "candidates")["detail"] == "1 candidate of 1 message."
    elsewhere.credential = graph.credential(roles=["Mail.Read"])
    found = failed(tried(world, online("graph", endpoint=graph.root)), "rights")
    assert "not Mail.ReadWrite" in found["cause"]
    assert [item.seen for item in store.items.values()] == [False]


def test_a_stored_job_is_tested_without_a_body(world: World, dovecot: Dovecot, user: User) -> None:
    """By what is stored; neither its state nor its lease is touched."""
    world.create(server=imap(dovecot, user))
    before = world.storage.jobs.read("support")
    serve(world, mailbox=user.password)
    answer = tried(world)
    assert answer["ok"], answer
    assert world.storage.jobs.read("support") == before


def test_a_body_is_tested_in_the_place_of_what_is_stored(world: World, dovecot: Dovecot, user: User) -> None:
    """So a change can be tried before it is made."""
    world.create(server=imap(dovecot, user))
    serve(world, mailbox=user.password)
    failed(tried(world, imap(dovecot, user, folder="Nowhere")), "folder")
    assert tried(world)["ok"]


def test_only_what_could_be_saved_is_tested(world: World) -> None:
    """An unknown job is a 404, a faulty config a 400 that lists its faults, a body that is no JSON another."""
    client = world.client
    assert "body" in problem(client.post("/api/jobs/nobody/test"), 404, "not-found")["detail"]
    problem(client.post("/api/jobs/No_Such-Id/test"), 404, "not-found")
    body = problem(client.post("/api/jobs/support/test", json={"server": {"type": "imap4"}}), 400, "config-invalid")
    assert {fault["pointer"] for fault in body["errors"]} >= {"/server/host", "/server/username"}
    problem(
        client.post("/api/jobs/support/test", content=b"{", headers={"Content-Type": "application/json"}),
        400,
        "body-malformed",
    )
    problem(
        client.post("/api/jobs/support/test", content=b"{}", headers={"Content-Type": "text/plain"}),
        415,
        "content-type",
    )


def test_a_stored_config_that_no_longer_fits_says_why(world: World) -> None:
    """As when it is read."""
    world.create()
    record = world.storage.jobs.read("support")
    assert record
    changed = replace(record, config=record.config.replace('"max_attempts":5', '"max_attempts":0'), revision="x")
    world.storage.jobs.replace(changed, revision=record.revision, rescheduled=False)
    body = problem(world.client.post("/api/jobs/support/test"), 400, "config-invalid")
    assert [fault["pointer"] for fault in body["errors"]] == ["/max_attempts"]


def test_a_certificate_that_ends_soon_is_a_warning(world: World, dovecot: Dovecot, user: User) -> None:
    """Thirty days before, with the day; the test is ok all the same."""
    serve(world, mailbox=user.password)
    until = datetime.fromisoformat(
        stage(tried(world, imap(dovecot, user)), "tls")["detail"].rpartition(" ")[2].rstrip(".")
    ).replace(tzinfo=UTC)
    for days, warned in ((31, False), (29, True)):
        world.secrets.values["mailbox"] = user.password
        world.serve(clock=lambda days=days: until - timedelta(days=days))
        answer = tried(world, imap(dovecot, user))
        warnings = stage(answer, "tls")["warnings"]
        assert (answer["ok"], bool(warnings)) == (True, warned)
        assert all(f"on {until:%Y-%m-%d}" in warning for warning in warnings)


def test_a_maildrop_that_a_run_has_locked_says_just_that(world: World) -> None:
    """POP3 takes one session at a time (RFC 1939 section 3): who holds it is known, and what to do is to wait."""
    talk = [
        pop_capable("USER", "RESP-CODES"),
        PopStep("USER ", "+OK\r\n"),
        PopStep("PASS ", "-ERR [IN-USE] Mailbox is locked\r\n"),
    ]
    server = {"type": "pop3", "username": "u", "password_secret": "support-mailbox", "security": "none"}
    with ScriptedPop3([], talk) as pop3:
        block = {**server, "allow_insecure": True, "host": pop3.host, "port": pop3.port}
        world.create(server=block)
        record = world.storage.jobs.read("support")
        assert record
        lease = world.storage.jobs.begin(record, make_claim(trigger=Trigger.TIMER))
        found = failed(tried(world), "sign_in")
        lease.abandon()
    assert "Another session holds the mailbox" in found["cause"]
    assert found["remedy"].startswith("A run of this job has been in the mailbox since")


def test_a_server_that_answers_slowly_for_ever_does_not_hold_the_test(world: World) -> None:
    """It is over when its time is, and names the stage in which it was."""
    drip = Step("CAPABILITY", "* CAPABILITY IMAP4rev1\r\n", "drip")
    server = {"type": "imap4", "username": "u", "password_secret": "support-mailbox", "security": "none"}
    with ScriptedImap([], [drip]) as imap4:
        world.serve(clock=now, way=Way(limit=timedelta(seconds=1)))
        began = time.monotonic()
        block = {**server, "allow_insecure": True, "host": imap4.host, "port": imap4.port}
        found = failed(tried(world, block), "sign_in")
        assert time.monotonic() - began < 10
    assert "in time" in found["cause"] or "was lost" in found["cause"]


def test_a_connector_that_never_comes_back_does_not_hold_the_test(world: World) -> None:
    """Whatever waits without a limit of its own: the answer comes in time, with the stage and what to do."""
    leave = Event()

    def wait(request: OpenRequest) -> FakeMailbox:
        leave.wait(30)
        raise Unavailable("Too late to be heard.")

    world.serve(way=Way(open_mailbox=wait, limit=timedelta(seconds=1), grace=timedelta(0)))
    with socket.create_server((HOST, 0)) as deaf:
        server = {"type": "imap4", "username": "u", "password_secret": "support-mailbox", "security": "none"}
        answer = tried(world, {**server, "allow_insecure": True, "host": HOST, "port": deaf.getsockname()[1]})
    leave.set()
    found = failed(answer, "sign_in")
    assert "not over when the time of the test (1 seconds) was up" in found["cause"]
    assert "too slowly" in found["remedy"]


def test_a_defect_of_ours_is_not_the_servers(world: World) -> None:
    """It is told as what it is, and the log has it."""

    def break_down(_: OpenRequest) -> FakeMailbox:
        raise ZeroDivisionError

    with socket.create_server((HOST, 0)) as deaf:
        world.serve(way=Way(open_mailbox=break_down))
        server = {"type": "imap4", "username": "u", "password_secret": "support-mailbox", "security": "none"}
        found = failed(
            tried(world, {**server, "allow_insecure": True, "host": HOST, "port": deaf.getsockname()[1]}), "sign_in"
        )
    assert "defect of ours" in found["cause"]


def test_what_may_wait_is_a_warning_of_the_rights(world: World) -> None:
    """A purge without UIDPLUS, say: the job works."""
    folder = FakeFolder(read_only=True)
    with socket.create_server((HOST, 0)) as deaf:
        world.serve(way=Way(open_mailbox=lambda _: FakeMailbox(folder)))
        server = {"type": "imap4", "username": "u", "password_secret": "support-mailbox", "security": "none"}
        block = {**server, "allow_insecure": True, "host": HOST, "port": deaf.getsockname()[1]}
        found = failed(tried(world, block), "rights")
    assert (found["cause"], found["remedy"]) == ("The folder can only be read.", "Have it made writable.")


def test_the_password_is_never_in_the_answer(world: World) -> None:
    """Not even where the server repeats it."""
    talk = [capable(), Step("LOGIN ", "{tag} NO LOGIN u hunter2-Zx81-marked is wrong\r\n")]
    with ScriptedImap([], talk) as imap4:
        server = {"type": "imap4", "username": "u", "password_secret": "support-mailbox", "security": "none"}
        answer = tried(world, {**server, "allow_insecure": True, "host": imap4.host, "port": imap4.port})
    failed(answer, "sign_in")
    assert "hunter2" not in str(answer)


def test_the_config_of_the_examples_is_a_good_one_to_send(world: World) -> None:
    """`make_job` is what administrators write; its id may be left out, and may not be another."""
    job = make_job(id="other")
    assert (
        problem(world.client.post("/api/jobs/support/test", json=job), 400, "config-invalid")["errors"][0]["pointer"]
        == "/id"
    )
