"""Canaries by SMTP submission: a real SMTP server that delivers into Dovecot, where the job finds them."""

import base64
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.azurite import Azurite
from shared.begin import post
from shared.canary import Letter, letter, new_stamp
from shared.connectors import BySmtp, post_by_smtp
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.model import Health, RunOutcome
from shared.ports import Deadline, OpenRequest, PostRequest
from tests.builders import NOW
from tests.run.real import Real
from tests.servers.dovecot import Dovecot
from tests.servers.entra import App, Entra, entra
from tests.servers.smtp import Submission
from tests.signin.identities import SECRET, SecretsOf, by_secret

__all__ = ["entra"]

OUTLOOK = "https://outlook.office365.com"
KEY = "a key that nobody could guess"
USER, PASSWORD = "support@example.com", "hunter2 hünter2"
MODES = ["tls", "starttls", "starttls_if_available", "none"]


def served(mode: str) -> Any:
    """How a server listens for a client of that mode."""
    return {"tls": "tls", "none": "none"}.get(mode, "starttls")


def settings_of(server: Submission, **fields: Any) -> BySmtp:
    """Settings for the server, with TLS from the start unless ``fields`` say otherwise."""
    ca_file = None if fields.get("security") == "none" else str(server.ca_file)
    usual = {"by": "smtp", "host": server.host, "port": server.port, "username": USER, "ca_file": ca_file}
    way_in = {} if "sign_in" in fields else {"password_secret": "smtp"}
    return BySmtp.model_validate({**usual, **way_in, **fields})


def a_letter(sender: str = USER) -> Letter:
    """A canary."""
    return letter(new_stamp(NOW), "support", KEY, sender=sender, recipient="inbox@example.com")


def deadline(seconds: float = 30) -> Deadline:
    """That much time from now on."""
    return Deadline(datetime.now(UTC) + timedelta(seconds=seconds), lambda: datetime.now(UTC))


def send(server: Submission, **fields: Any) -> None:
    """One canary."""
    post_by_smtp(settings_of(server, **fields), a_letter(), secrets=SecretsOf(smtp=PASSWORD), deadline=deadline())


def refused(server: Submission, **fields: Any) -> JobError:
    """Why one could not be sent; the password is not in it, nor what stands for it on the wire."""
    with pytest.raises(JobError) as caught:
        send(server, **fields)
    coded = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    assert not {PASSWORD, coded, coded[:20]} & set(str(caught.value).split())
    assert PASSWORD not in str(caught.value)
    return caught.value


@pytest.fixture
def taken() -> list[bytes]:
    """What was delivered."""
    return []


# --- whole runs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def real(dovecot: Dovecot, azurite: Azurite, prefix: str) -> Real:
    """A mailbox and empty storage."""
    real = Real(dovecot, azurite, prefix)
    real.services = replace(
        real.services, secrets=SecretsOf(mailbox=real.user.password, canary=KEY, smtp=PASSWORD), post=post
    )
    return real


def into(real: Real) -> Callable[[bytes], None]:
    """Delivery into the INBOX, as a mail server does it."""
    return real.deliver


def canary_by(server: Submission, **fields: Any) -> dict[str, Any]:
    """The job's block."""
    return {"key_secret": "canary", "send": settings_of(server, **fields).model_dump()}


@pytest.mark.parametrize("mode", ["tls", "starttls"])
def test_it_comes_back(real: Real, mode: str) -> None:
    """Through the mail server into the mailbox, found there by the next run: no ticket, and its delay in the job's row."""
    with Submission(into(real), security=served(mode), users={USER: PASSWORD}) as server:
        real.job(canary=canary_by(server, security=mode))
        assert real.run().comments == ()
        assert server.heard[-4:] == ["AUTH PLAIN", "MAIL", "RCPT", "DATA"]
    (message,) = real.dovecot.messages(real.user)
    assert f"To: {real.user.name}\r\n".encode() in message.data
    real.clock.advance(timedelta(minutes=5))
    report = real.run()
    assert (report.received, report.created, report.errors) == (1, 0, 0)
    canary = real.record().state.canary
    assert canary.delay is not None
    assert timedelta(minutes=5) <= canary.delay < timedelta(hours=1)
    assert real.storage.tickets.page(limit=9)[0] == []
    assert list(real.flags().values()) == [r"\Seen"]


def test_one_that_left_though_no_answer_came_is_known_all_the_same(real: Real) -> None:
    """The run says that it may not have gone; it comes back, raises no alarm, and makes no ticket."""
    with Submission(into(real), users={USER: PASSWORD}, hangs_up=True) as server:
        real.job(canary=canary_by(server))
        report = real.run()
        assert (report.outcome, report.errors) == (RunOutcome.COMPLETED, 0)
        assert report.comments[0].startswith("The canary could not be sent: The connection with")
        real.clock.advance(timedelta(minutes=5))
        report = real.run()
    assert report.comments[0].startswith("The canary came back after")
    assert (real.record().state.canary.missing_since, real.record().state.canary.fault) == (None, "")
    assert real.storage.tickets.page(limit=9)[0] == []


def test_a_mail_server_that_is_away_harms_no_run_and_is_told_when_it_lasts(real: Real) -> None:
    """The mailbox is read; after the time allowed the job is delayed and says why."""
    with Submission(into(real), users={USER: PASSWORD}) as server:
        block = canary_by(server, security="none", allow_insecure=True)
    real.job(canary=block)
    assert real.run().outcome is RunOutcome.COMPLETED
    assert real.record().state.health is Health.HEALTHY
    report = real.later()
    assert (report.outcome, report.errors) == (RunOutcome.COMPLETED, 0)
    state = real.record().state
    assert state.health is Health.DELAYED
    assert "cannot be reached" in state.last_error


# --- one letter ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_each_security_mode_reaches_the_server(taken: list[bytes], mode: str) -> None:
    """With the password only after TLS where that is asked for."""
    with Submission(taken.append, security=served(mode), users={USER: PASSWORD}) as server:
        send(server, security=mode, allow_insecure=True)
        greetings = [one for one in server.heard if one.startswith("EHLO")]
    assert greetings[-1] == ("EHLO in plain text" if mode == "none" else "EHLO over TLS")
    (raw,) = taken
    assert raw.startswith(f"Return-Path: <{USER}>\r\n".encode())
    assert b"X-Mail-Connector-Canary: t=2026-" in raw


def test_starttls_if_available_goes_on_without(taken: list[bytes]) -> None:
    """Where a person allowed that."""
    with Submission(taken.append, security="none", users={USER: PASSWORD}) as server:
        send(server, security="starttls_if_available", allow_insecure=True)
    assert len(taken) == 1


def test_a_server_without_starttls_is_sent_nothing(taken: list[bytes]) -> None:
    """No password either."""
    with Submission(taken.append, security="none", users={USER: PASSWORD}) as server:
        fault = refused(server, security="starttls")
        assert server.heard == ["EHLO in plain text"]
    assert isinstance(fault, ConfigInvalid)
    assert "does not offer STARTTLS" in fault.what


@pytest.mark.parametrize("mode", ["tls", "starttls"])
def test_a_certificate_of_a_stranger_is_not_taken(taken: list[bytes], dovecot: Dovecot, mode: str) -> None:
    """Nothing secret is sent; what to set is told with its place."""
    with Submission(taken.append, security=served(mode), users={USER: PASSWORD}) as server:
        fault = refused(server, security=mode, ca_file=str(dovecot.ca_file))
        assert "AUTH PLAIN" not in server.heard
    assert isinstance(fault, ConfigInvalid)
    assert "authority that is not trusted" in fault.what


def test_tls_on_the_port_of_plain_text_says_which_port_to_use(taken: list[bytes]) -> None:
    """465 and 587 are confused all the time."""
    with Submission(taken.append, security="none", users={USER: PASSWORD}) as server:
        fault = refused(server)
    assert isinstance(fault, ConfigInvalid)
    assert "the TLS port (465), or 'starttls' with the plain one (587)" in fault.remedy


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_wrong_password_is_tried_once(taken: list[bytes], mechanism: str) -> None:
    """More tries may lock the account. User and secret are named; the password is not, also where it is not ASCII."""
    with Submission(taken.append, users={USER: "another"}, mechanisms=frozenset({mechanism, "XOAUTH2"})) as server:
        fault = refused(server)
        assert [one for one in server.heard if one.startswith("AUTH")] == [f"AUTH {mechanism}"]
    assert isinstance(fault, AuthFailed)
    assert USER in fault.what
    assert "'smtp'" in fault.remedy
    with Submission(taken.append, users={USER: PASSWORD}, mechanisms=frozenset({mechanism})) as server:
        send(server)
    assert len(taken) == 1


@pytest.mark.parametrize(
    ("replies", "kind", "words"),
    [
        ({"AUTH": "454 4.7.0 Temporary authentication failure"}, Unavailable, "454 4.7.0"),
        ({"AUTH": f"535 5.7.8 What is {PASSWORD}"}, AuthFailed, "refused the sign-in"),
        (
            {"AUTH": "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant"},
            AuthFailed,
            "-SmtpClientAuthenticationDisabled $false",
        ),
        ({"MAIL": "550 5.7.60 Client does not have permissions to send as this sender"}, ConfigInvalid, "5.7.60"),
        ({"MAIL": "451 4.3.2 Try again"}, Unavailable, "451 4.3.2"),
        ({"RCPT": "550 5.1.1 No such user"}, ConfigInvalid, "550 5.1.1 No such user"),
        ({"RCPT": "450 4.2.1 Greylisted"}, Unavailable, "450 4.2.1"),
        ({"DATA": "554 5.7.1 Looks like spam"}, ConfigInvalid, "554 5.7.1"),
        ({"DATA": "452 4.3.1 Disk full"}, Unavailable, "452 4.3.1"),
    ],
)
def test_what_the_server_says_is_told(
    taken: list[bytes], replies: dict[str, str], kind: type[JobError], words: str
) -> None:
    """And whether it may pass by itself."""
    with Submission(taken.append, users={USER: PASSWORD}, replies=replies) as server:
        fault = refused(server)
    assert type(fault) is kind
    assert words in str(fault)
    assert taken == []


def test_a_server_that_takes_no_passwords_is_sent_none(taken: list[bytes]) -> None:
    """And one that takes no tokens, no token."""
    with Submission(taken.append, mechanisms=frozenset({"XOAUTH2"})) as server:
        assert "takes no passwords" in refused(server).args[0]
        assert not [one for one in server.heard if one.startswith("AUTH")]


@pytest.mark.parametrize("greeting", [b"", b"421 4.3.2 Busy\r\n", b"* OK IMAP4 ready\r\n", b"220 \xff\xfe\r\n\x00\r\n"])
def test_a_stranger_on_the_port_is_a_fault_in_plain_words(greeting: bytes) -> None:
    """Another protocol, nonsense, a server that is busy, one that hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        settings = BySmtp.model_validate(
            {
                "by": "smtp",
                "host": "127.0.0.1",
                "port": port,
                "username": USER,
                "password_secret": "smtp",
                "security": "none",
                "allow_insecure": True,
            }
        )

        def answer() -> None:
            with stranger.accept()[0] as caller:
                caller.sendall(greeting)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unavailable) as caught:
            post_by_smtp(settings, a_letter(), secrets=SecretsOf(smtp=PASSWORD), deadline=deadline())
        thread.join(timeout=10)
    assert f"127.0.0.1:{port}" in caught.value.what


def test_it_keeps_to_the_deadline(taken: list[bytes]) -> None:
    """A run that is over sends nothing."""
    with Submission(taken.append, users={USER: PASSWORD}) as server, pytest.raises(Unavailable, match="was up"):
        post_by_smtp(settings_of(server), a_letter(), secrets=SecretsOf(smtp=PASSWORD), deadline=deadline(0))
    assert server.heard == []


def test_no_password_and_no_canary_is_logged(taken: list[bytes], caplog: pytest.LogCaptureFixture) -> None:
    """Not even with our loggers at their most talkative."""
    caplog.set_level(logging.DEBUG)
    with Submission(taken.append, users={USER: PASSWORD}) as server:
        send(server)
    ours = " ".join(one.getMessage() for one in caplog.records if one.name.startswith("shared"))
    assert PASSWORD not in ours
    assert "X-Mail-Connector-Canary" not in ours


# --- tokens ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def app(entra: Entra) -> App:
    """An app registration that may send by SMTP."""
    app = entra.register(secrets={SECRET: True})
    app.roles = ("SMTP.SendAsApp",)
    return app


def send_by_token(server: Submission, entra: Entra, app: App) -> None:
    """One canary, signed in for by a token of a local Entra."""
    settings = settings_of(server, sign_in=by_secret(app).model_dump())
    secrets = SecretsOf(graph=SECRET)
    post_by_smtp(settings, a_letter(), secrets=secrets, deadline=deadline(), clouds={settings.cloud: entra.cloud})


def letting(entra: Entra, app: App) -> Callable[[str], str | None]:
    """What Exchange Online does with an app that was let into the mailbox."""

    def judge(token: str) -> str | None:
        claims = entra.claims(token, OUTLOOK) or {}
        allowed = claims.get("appid") == app.client_id and "SMTP.SendAsApp" in claims.get("roles", ())
        return USER if allowed else None

    return judge


def test_a_token_sends(taken: list[bytes], entra: Entra, app: App) -> None:
    """By XOAUTH2. A real token is longer than a command may be, and this server counts."""
    with Submission(taken.append, judge=letting(entra, app)) as server:
        send_by_token(server, entra, app)
        assert [one for one in server.heard if one.startswith(("AUTH", "answered"))] == ["AUTH XOAUTH2"]
    assert len(taken) == 1


def test_a_token_that_lacks_the_permission_says_which(taken: list[bytes], entra: Entra, app: App) -> None:
    """The challenge is answered with an empty line; what it told is told on; and the next token is a fresh one."""
    app.roles = ("IMAP.AccessAsApp",)
    with Submission(taken.append, judge=letting(entra, app)) as server:
        with pytest.raises(AuthFailed, match=r"lacks the permission SMTP\.SendAsApp") as caught:
            send_by_token(server, entra, app)
        assert server.heard[-1] == "answered b''"
        assert "535 5.7.3 Authentication unsuccessful; status 401, scope mail" in caught.value.what
        app.roles = ("SMTP.SendAsApp",)
        send_by_token(server, entra, app)
    assert len(taken) == 1


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
            (ConfigInvalid, f"Set-CASMailbox {USER} -SmtpClientAuthenticationDisabled $false"),
        ),
        ("454 4.7.0 Temporary server error", (Unavailable, "454 4.7.0")),
        ("535 5.7.3 Authentication unsuccessful", (AuthFailed, "New-ServicePrincipal")),
    ],
)
def test_what_exchange_online_says_of_a_token_is_understood(
    taken: list[bytes], entra: Entra, app: App, reply: str, told: tuple[type[JobError], str]
) -> None:
    """Switched off for the mailbox; not now; not let into the mailbox."""
    with Submission(taken.append, replies={"AUTH": reply}) as server, pytest.raises(JobError) as caught:
        send_by_token(server, entra, app)
    assert type(caught.value) is told[0]
    assert told[1] in str(caught.value)


def test_a_server_that_takes_no_tokens_is_sent_none(taken: list[bytes], entra: Entra, app: App) -> None:
    """It says so before."""
    with Submission(taken.append, mechanisms=frozenset({"PLAIN"})) as server:
        with pytest.raises(ConfigInvalid, match="does not offer AUTH XOAUTH2"):
            send_by_token(server, entra, app)
        assert not [one for one in server.heard if one.startswith("AUTH")]


def test_the_service_takes_the_way_that_the_job_says(taken: list[bytes]) -> None:
    """As runs call it."""
    with Submission(taken.append, users={USER: PASSWORD}) as server:
        opening = OpenRequest("support", None, SecretsOf(smtp=PASSWORD), deadline())
        post(PostRequest(opening, settings_of(server), a_letter()))
    assert len(taken) == 1
