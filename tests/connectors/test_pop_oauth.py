"""POP3 with tokens: on Dovecot, which asks our endpoint what a token is worth, and on the answers of the big ones."""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from shared.connectors._pop_mailbox import PopMailbox
from shared.connectors.pop import Pop3Settings, open_mailbox
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.model import Disposition
from shared.ports import Deadline, OpenRequest
from shared.signin.entra import CLOUDS, Cloud, CloudName
from shared.signin.google import GOOGLE, Google
from tests.contract.mailbox import UNREAD
from tests.servers.dovecot import Dovecot
from tests.servers.entra import App, Entra, entra
from tests.servers.google_token import GoogleServer, google
from tests.servers.imap_host import User
from tests.servers.scripted_pop3 import ScriptedPop3, Step, capable, listing
from tests.signin.identities import SECRET, SecretsOf, by_secret

__all__ = ["entra", "google"]

OUTLOOK = "https://outlook.office365.com"
PLAIN: dict[str, Any] = {"security": "none", "allow_insecure": True}
ASKED = [capable("SASL PLAIN XOAUTH2", "UIDL", "TOP"), Step("AUTH XOAUTH2$", "+ \r\n")]


def open_by_token(
    sign_in: Mapping[str, Any], secrets: SecretsOf, cloud: Cloud | None = None, place: Google = GOOGLE, **fields: Any
) -> PopMailbox:
    """A session that signs in with a token of a local issuer."""
    settings = Pop3Settings.model_validate({"type": "pop3", "sign_in": sign_in, **fields})
    deadline = Deadline(datetime.now(UTC).replace(year=2100), lambda: datetime.now(UTC))
    clouds: Mapping[CloudName, Cloud] = {**CLOUDS, settings.cloud: cloud} if cloud else CLOUDS
    return open_mailbox(OpenRequest("job", settings, secrets, deadline), clouds=clouds, google=place)


def exchange(entra: Entra, app: App, server: ScriptedPop3) -> PopMailbox:
    """A session with a scripted Exchange Online."""
    where: dict[str, Any] = {"host": server.host, "port": server.port, "username": "support@example.com", **PLAIN}
    return open_by_token(by_secret(app).model_dump(), SecretsOf(graph=SECRET), entra.cloud, **where)


def fault(entra: Entra, app: App, *answers: Step) -> JobError:
    """What opening the mailbox raises there; it tells neither token nor secret."""
    with ScriptedPop3([*ASKED, *answers]) as server, pytest.raises(JobError) as caught:
        exchange(entra, app, server)
    sent = server.heard[2]
    assert base64.b64decode(sent).startswith(b"user=support@example.com\x01auth=Bearer ey")
    assert sent[:24] not in str(caught.value)
    assert "eyJ" not in str(caught.value)
    assert SECRET not in str(caught.value)
    return caught.value


@pytest.fixture
def app(entra: Entra) -> App:
    """An app registration with a client secret and everything consented."""
    return entra.register(secrets={SECRET: True})


def letting(entra: Entra, app: App, user: User) -> Callable[[str], str | None]:
    """What Exchange Online does with FullAccess: tokens of this app, with the permission for POP, open this mailbox."""

    def judge(token: str) -> str | None:
        claims = entra.claims(token, OUTLOOK) or {}
        allowed = claims.get("appid") == app.client_id and "POP.AccessAsApp" in claims.get("roles", ())
        return user.name if allowed else None

    return judge


def open_dovecot(entra: Entra, app: App, server: Dovecot, user: User) -> PopMailbox:
    """A session with Dovecot over TLS."""
    where: dict[str, Any] = {"host": server.host, "port": server.pop3s_port, "ca_file": str(server.ca_file)}
    secrets = SecretsOf(graph=SECRET)
    return open_by_token(by_secret(app).model_dump(), secrets, entra.cloud, username=user.name, **where)


def test_a_token_opens_the_mailbox_and_deletes(entra: Entra, app: App, dovecot: Dovecot) -> None:
    """From Entra to the commit: the server has asked what the token is worth."""
    user = dovecot.new_mailbox()
    dovecot.append(user, "INBOX", b"Subject: hello\r\n\r\nbody\r\n")
    with dovecot.trusting(letting(entra, app, user)), open_dovecot(entra, app, dovecot, user) as mailbox:
        (ref,) = mailbox.candidates(UNREAD).refs
        (answer,) = mailbox.fetch([ref], max_bytes=1_000)
        assert answer.raw
        mailbox.dispose([ref], Disposition(deleted=True, purge=True))
        assert [one.error for one in mailbox.purge([ref])] == [None]
    assert dovecot.messages(user) == []


def test_a_token_for_somebody_elses_mailbox_is_refused_with_the_servers_words(
    entra: Entra, app: App, dovecot: Dovecot
) -> None:
    """The base64 JSON of the failure is told in plain words, beside the answer and what to do."""
    user, other = dovecot.new_mailbox(), dovecot.new_mailbox()
    with dovecot.trusting(letting(entra, app, other)), pytest.raises(AuthFailed) as caught:
        open_dovecot(entra, app, dovecot, user)
    assert "status 401" in caught.value.what
    assert f"New-ServicePrincipal -AppId {app.client_id}" in caught.value.remedy


def test_missing_consent_names_the_permission_for_pop(entra: Entra, app: App, dovecot: Dovecot) -> None:
    """That for IMAP is none for POP3."""
    user = dovecot.new_mailbox()
    app.roles = ("IMAP.AccessAsApp",)
    with (
        dovecot.trusting(letting(entra, app, user)),
        pytest.raises(AuthFailed, match=r"lacks the permission POP\.AccessAsApp"),
    ):
        open_dovecot(entra, app, dovecot, user)


def test_google_mailboxes_open_with_a_service_account(google: GoogleServer, dovecot: Dovecot) -> None:
    """The token is for the user."""
    user = dovecot.new_mailbox()
    account = google.new_account(user.name)
    where: dict[str, Any] = {"host": dovecot.host, "port": dovecot.pop3s_port, "ca_file": str(dovecot.ca_file)}
    sign_in = {"method": "google_service_account", "key_secret": "key"}
    secrets = SecretsOf(key=account.key_file())
    with (
        dovecot.trusting(google.issued.get),
        open_by_token(sign_in, secrets, place=google.place, username=user.name, **where) as mailbox,
    ):
        assert mailbox.candidates(UNREAD).refs == ()


def test_the_whole_exchange_of_a_good_token(entra: Entra, app: App) -> None:
    """The token goes in a line of its own, after the server has asked for it."""
    talk = [*ASKED, Step("", "+OK User successfully authenticated.\r\n"), capable("UIDL", "TOP"), *listing({"a": 9})]
    with ScriptedPop3(talk) as server, exchange(entra, app, server) as mailbox:
        assert len(mailbox.candidates(UNREAD).refs) == 1


@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        (["-ERR Authentication failure: unknown user name or bad password."], AuthFailed, "did not take the token"),
        (
            ["+ eyJzdGF0dXMiOiI0MDEiLCJzY29wZSI6Im91dGxvb2sifQ==", "-ERR failed"],
            AuthFailed,
            "status 401, scope outlook",
        ),
        (
            ['-ERR Logon failure [Error="ProtocolDisabled" AuthResult=27 Proxy=X:1995:SSL Service=Pop3]'],
            ConfigInvalid,
            "Set-CASMailbox support@example.com -PopEnabled $true",
        ),
        (['+OK [Error="UserDisabled" Service=Pop3] authenticated'], ConfigInvalid, "POP3 is switched off"),
        (['-ERR [Error="NoADRecipient" Proxy=X]'], ConfigInvalid, "knows no mailbox"),
        (["-ERR [SYS/TEMP] not now"], Unavailable, "is not available now"),
        (["-ERR [IN-USE] locked"], Unavailable, "is not available now"),
    ],
)
def test_what_exchange_online_says_is_understood(
    entra: Entra, app: App, answers: list[str], kind: type, words: str
) -> None:
    """Bad token, closed mailbox, and not now: each with its sentence."""
    found = fault(entra, app, *(Step("", f"{answer}\r\n") for answer in answers))
    assert type(found) is kind
    assert words in str(found)


def test_a_server_without_xoauth2_gets_no_token(entra: Entra, app: App) -> None:
    """The remedy is a password, or another host."""
    with ScriptedPop3([capable("SASL PLAIN")]) as server, pytest.raises(ConfigInvalid, match="SASL XOAUTH2"):
        exchange(entra, app, server)
    assert server.heard[0] == "CAPA"
    assert not [line for line in server.heard if line.startswith("AUTH")]


ENTRA = {"method": "client_secret", "tenant_id": "t", "client_id": "c", "client_secret": "s"}
USUAL: dict[str, Any] = {"type": "pop3", "host": "outlook.office365.com", "username": "support@example.com"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "either password_secret or sign_in"),
        ({"password_secret": "s", "sign_in": ENTRA}, "not both"),
        ({"sign_in": ENTRA, "authentication": "apop"}, "authentication is about passwords"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields: dict[str, Any], words: str) -> None:
    """When they are saved, in words."""
    with pytest.raises(ValidationError, match=words):
        Pop3Settings.model_validate({**USUAL, **fields})


def test_a_job_that_changes_to_a_token_stays_the_same_mailbox() -> None:
    """And names the secret of its sign-in."""
    by_token = Pop3Settings.model_validate({**USUAL, "sign_in": ENTRA})
    assert by_token.identity() == Pop3Settings.model_validate({**USUAL, "password_secret": "p"}).identity()
    assert by_token.secret_names() == {"s"}
    assert "token" in Pop3Settings.model_validate({**USUAL, "sign_in": ENTRA, **PLAIN}).warnings()[0]
