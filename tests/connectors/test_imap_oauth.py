"""IMAP4 with tokens: on Dovecot, which asks our endpoint what a token is worth, and on the answers of the big ones."""

import base64
import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from shared.connectors._imap_mailbox import ImapMailbox
from shared.connectors.imap import Imap4Settings, open_mailbox
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.model import Pick, Picking
from shared.ports import Deadline, OpenRequest
from shared.signin.entra import CLOUDS, Cloud, CloudName, claims_in
from shared.signin.google import GOOGLE, Google
from tests.servers.dovecot import Dovecot
from tests.servers.entra import App, Entra, entra
from tests.servers.google_token import GoogleServer, google
from tests.servers.imap_host import User
from tests.servers.scripted_imap import ScriptedImap, Step, capable, opened
from tests.signin.identities import SECRET, SecretsOf, by_secret

__all__ = ["entra", "google"]

OUTLOOK = "https://outlook.office365.com"
UNREAD = Picking(Pick.UNREAD, since=datetime(2026, 1, 1, tzinfo=UTC))
READY = b"* OK The Microsoft Exchange IMAP4 service is ready.\r\n"
PLAIN: dict[str, Any] = {"security": "none", "allow_insecure": True}


class SaslImap(ScriptedImap):
    """A scripted server that takes part in XOAUTH2: after AUTHENTICATE each step hears one untagged line, also an empty one.

    What is heard after AUTHENTICATE is told decoded from base64.
    """

    def _talk(self, plain: socket.socket, steps: list[Step]) -> None:
        plain.settimeout(30)
        plain.sendall(self._greeting)
        tag, saying = "", False
        with plain.makefile("rb") as lines:
            while raw := lines.readline():
                line = raw.decode("latin-1").rstrip("\r\n")
                if saying:
                    words = base64.b64decode(line).decode()
                else:
                    tag, _, words = line.partition(" ")
                self.heard.append(words)
                if words == "LOGOUT":
                    plain.sendall(f"* BYE bye\r\n{tag} OK done\r\n".encode())
                    break
                step = steps.pop(0) if steps else Step("nothing more")
                if not re.match(step.expect, words):
                    self._faults.append(f"expected {step.expect!r}, heard {words!r}")
                    return
                answer = step.answer.replace("{tag}", tag)
                plain.sendall(answer.encode("latin-1"))
                if step.then == "close":
                    break
                saying = answer.startswith("+")
        if steps:
            self._faults.append(f"never heard {steps}")


def authenticating(*answers: str) -> list[Step]:
    """Capabilities as Exchange Online has them, AUTHENTICATE XOAUTH2, and what follows the token."""
    heard = ["user=.*\x01auth=Bearer .*\x01\x01$", *["$"] * len(answers)]
    says = [Step(expect, answer) for expect, answer in zip(heard, answers, strict=False)]
    return [capable("AUTH=PLAIN", "AUTH=XOAUTH2", "SASL-IR"), Step("AUTHENTICATE XOAUTH2$", "+ \r\n"), *says]


def challenge(text: str) -> str:
    """A server's challenge."""
    return f"+ {base64.b64encode(text.encode()).decode()}\r\n"


def open_by_token(
    sign_in: Mapping[str, Any],
    secrets: SecretsOf,
    cloud: Cloud | None = None,
    place: Google = GOOGLE,
    **fields: Any,
) -> ImapMailbox:
    """A session that signs in with a token of a local issuer."""
    settings = Imap4Settings.model_validate({"type": "imap4", "sign_in": sign_in, **fields})
    deadline = Deadline(datetime.now(UTC).replace(year=2100), lambda: datetime.now(UTC))
    clouds: Mapping[CloudName, Cloud] = {**CLOUDS, settings.cloud: cloud} if cloud else CLOUDS
    return open_mailbox(OpenRequest("job", settings, secrets, deadline), clouds=clouds, google=place)


def exchange(entra: Entra, app: App, server: ScriptedImap, username: str = "support@example.com") -> ImapMailbox:
    """A session with a scripted Exchange Online."""
    return open_by_token(
        by_secret(app).model_dump(),
        SecretsOf(graph=SECRET),
        entra.cloud,
        host=server.host,
        port=server.port,
        username=username,
        **PLAIN,
    )


def fault(entra: Entra, app: App, *talk: Step) -> JobError:
    """What opening the mailbox raises there; it tells neither token nor secret."""
    with SaslImap(talk, greeting=READY) as server, pytest.raises(JobError) as caught:
        exchange(entra, app, server)
    token = next(line for line in server.heard if "auth=Bearer" in line).partition("Bearer ")[2].strip("\x01")
    assert token[:24] not in str(caught.value)
    assert SECRET not in str(caught.value)
    return caught.value


@pytest.fixture
def app(entra: Entra) -> App:
    """An app registration with a client secret and everything consented."""
    return entra.register(secrets={SECRET: True})


def letting(entra: Entra, app: App, user: User) -> Callable[[str], str | None]:
    """What Exchange Online does with FullAccess: tokens of this app, with the permission for IMAP, open this mailbox."""

    def judge(token: str) -> str | None:
        claims = entra.claims(token, OUTLOOK) or {}
        allowed = claims.get("appid") == app.client_id and "IMAP.AccessAsApp" in claims.get("roles", ())
        return user.name if allowed else None

    return judge


def open_dovecot(entra: Entra, app: App, server: Dovecot, user: User) -> ImapMailbox:
    """A session with Dovecot over TLS."""
    return open_by_token(
        by_secret(app).model_dump(),
        SecretsOf(graph=SECRET),
        entra.cloud,
        host=server.host,
        port=server.imaps_port,
        ca_file=str(server.ca_file),
        username=user.name,
    )


def test_a_token_opens_the_mailbox(entra: Entra, app: App, dovecot: Dovecot) -> None:
    """From Entra to the listing: the server has asked what the token is worth."""
    user = dovecot.new_mailbox()
    dovecot.append(user, "INBOX", b"Subject: hello\r\n\r\nbody\r\n")
    with dovecot.trusting(letting(entra, app, user)), open_dovecot(entra, app, dovecot, user) as mailbox:
        assert len(mailbox.candidates(UNREAD).refs) == 1


def test_many_sessions_share_a_token(entra: Entra, app: App, dovecot: Dovecot) -> None:
    """Two mailboxes, three runs each, one request to the token endpoint."""
    for user in (dovecot.new_mailbox(), dovecot.new_mailbox()):
        with dovecot.trusting(letting(entra, app, user)):
            for _ in range(3):
                with open_dovecot(entra, app, dovecot, user):
                    pass
    assert entra.requests(app) == 1


def test_a_token_for_somebody_elses_mailbox_is_refused_with_the_servers_words(
    entra: Entra, app: App, dovecot: Dovecot
) -> None:
    """The base64 JSON of the failure is told in plain words, beside the tagged answer and what to do."""
    user, other = dovecot.new_mailbox(), dovecot.new_mailbox()
    with dovecot.trusting(letting(entra, app, other)), pytest.raises(AuthFailed) as caught:
        open_dovecot(entra, app, dovecot, user)
    assert user.name in caught.value.what
    assert "Authentication failed; status 401, scope mail" in caught.value.what
    assert f"New-ServicePrincipal -AppId {app.client_id}" in caught.value.remedy


def test_a_permission_that_was_granted_meanwhile_counts_in_the_next_run(
    entra: Entra, app: App, dovecot: Dovecot
) -> None:
    """A refused token is not kept until it ends: consent, try again, done."""
    user = dovecot.new_mailbox()
    app.roles = ()
    with dovecot.trusting(letting(entra, app, user)):
        with pytest.raises(AuthFailed, match=r"lacks the permission IMAP\.AccessAsApp"):
            open_dovecot(entra, app, dovecot, user)
        app.roles = ("IMAP.AccessAsApp",)
        with open_dovecot(entra, app, dovecot, user):
            pass


def test_google_mailboxes_open_with_a_service_account(google: GoogleServer, dovecot: Dovecot) -> None:
    """The token is for the user, and for no other."""
    user, other = dovecot.new_mailbox(), dovecot.new_mailbox()
    account = google.new_account(user.name, other.name)
    sign_in = {"method": "google_service_account", "key_secret": "key"}
    usual: dict[str, Any] = {"host": dovecot.host, "port": dovecot.imaps_port, "ca_file": str(dovecot.ca_file)}
    secrets = SecretsOf(key=account.key_file())
    with dovecot.trusting(google.issued.get):
        with open_by_token(sign_in, secrets, place=google.place, username=user.name, **usual) as mailbox:
            assert mailbox.candidates(UNREAD).refs == ()
        google.issued.clear()
        with pytest.raises(AuthFailed, match="did not take the token"):
            open_by_token(sign_in, secrets, place=google.place, username=user.name, **usual)
        with open_by_token(sign_in, secrets, place=google.place, username=user.name, **usual):
            pass


def test_the_whole_exchange_of_a_good_token(entra: Entra, app: App) -> None:
    """As Microsoft's page shows it, with the mailbox's own address as the user."""
    talk = [
        *authenticating("{tag} OK AUTHENTICATE completed.\r\n"),
        capable("UIDPLUS", "MOVE"),
        opened(),
    ]
    with SaslImap(talk, greeting=READY) as server, exchange(entra, app, server):
        pass
    said = server.heard[2]
    assert said.startswith("user=support@example.com\x01auth=Bearer ey")
    assert claims_in(said.partition("Bearer ")[2])["aud"] == OUTLOOK


def test_imap_that_is_switched_off_says_so(entra: Entra, app: App) -> None:
    """Exchange Online says OK to the token, and why it is of no use, in brackets."""
    disabled = '{tag} OK [Error="UserDisabled" AuthResult=27 Proxy=X.PROD.OUTLOOK.COM:1993:SSL Service=Imap4] done.\r\n'
    found = fault(entra, app, *authenticating(disabled))
    assert isinstance(found, ConfigInvalid)
    assert "IMAP4 is switched off for 'support@example.com'" in found.what
    assert "Set-CASMailbox support@example.com -ImapEnabled $true" in found.remedy


def test_a_mailbox_that_the_tenant_does_not_have_says_so(entra: Entra, app: App) -> None:
    """A typing error in the user name, or the wrong tenant."""
    unknown = '{tag} NO AUTHENTICATE failed. [Error="NoADRecipient" Proxy=X.OUTLOOK.COM:1993:SSL]\r\n'
    found = fault(entra, app, *authenticating(unknown))
    assert isinstance(found, ConfigInvalid)
    assert "knows no mailbox 'support@example.com'" in found.what


def test_a_missing_mailbox_permission_says_what_to_grant(entra: Entra, app: App) -> None:
    """Signed in, and then let into nothing: at the first command that concerns the mailbox."""
    talk = [
        *authenticating("{tag} OK AUTHENTICATE completed.\r\n"),
        capable("UIDPLUS"),
        Step("EXAMINE ", "{tag} BAD User is authenticated but not connected.\r\n"),
    ]
    found = fault(entra, app, *talk)
    assert isinstance(found, ConfigInvalid)
    assert "does not open the mailbox 'support@example.com'" in found.what
    assert "Add-MailboxPermission support@example.com" in found.remedy
    assert "-ImapEnabled" in found.remedy


def test_a_refusal_without_words_names_the_service_principal(entra: Entra, app: App) -> None:
    """All that Exchange Online says when the app is not registered there."""
    found = fault(entra, app, *authenticating("{tag} NO AUTHENTICATE failed.\r\n"))
    assert isinstance(found, AuthFailed)
    assert "AUTHENTICATE failed." in found.what
    assert f"New-ServicePrincipal -AppId {app.client_id}" in found.remedy


def test_missing_consent_is_seen_in_the_token(entra: Entra, app: App) -> None:
    """Entra issues tokens without the permission too; the mail server only says no."""
    app.roles = ("POP.AccessAsApp",)
    found = fault(entra, app, *authenticating("{tag} NO AUTHENTICATE failed.\r\n"))
    assert isinstance(found, AuthFailed)
    assert "lacks the permission IMAP.AccessAsApp" in found.what
    assert "grant consent" in found.remedy


def test_an_expired_token_is_seen_in_the_token(entra: Entra, app: App) -> None:
    """Only a wrong clock can bring one about; the failure challenge is answered with an empty line."""
    entra.lifetime = -60
    try:
        told = challenge('{"status":"401","schemes":"bearer","scope":"https://outlook.office.com"}')
        found = fault(entra, app, *authenticating(told, "{tag} NO AUTHENTICATE failed.\r\n"))
    finally:
        entra.lifetime = 3599
    assert isinstance(found, AuthFailed)
    assert "status 401, scope https://outlook.office.com" in found.what
    assert "has expired" in found.what
    assert "clock" in found.remedy


@pytest.mark.parametrize(
    ("told", "answer", "kind", "words"),
    [
        ("", "[ALERT] Your account is not enabled for IMAP use. (Failure)", ConfigInvalid, "IMAP4 is switched off"),
        ("", "[ALERT] IMAP access is disabled for your domain. (Failure)", ConfigInvalid, "Admin console"),
        (
            '{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}',
            "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
            AuthFailed,
            "not consented for the scope https://mail.google.com/",
        ),
        ("not JSON", "[AUTHENTICATIONFAILED] Invalid credentials (Failure)", AuthFailed, "not JSON"),
        ("", "[UNAVAILABLE] Temporary System Error", Unavailable, "Temporary System Error"),
    ],
)
def test_what_gmail_says_is_understood(google: GoogleServer, told: str, answer: str, kind: type, words: str) -> None:
    """Switched off, wrong user or scope, and not now: three things."""
    account = google.new_account("support@example.com")
    answers = [challenge(told)] if told else []
    with (
        SaslImap(authenticating(*answers, f"{{tag}} NO {answer}\r\n")) as server,
        pytest.raises(JobError) as caught,
    ):
        open_by_token(
            {"method": "google_service_account", "key_secret": "key"},
            SecretsOf(key=account.key_file()),
            place=google.place,
            host=server.host,
            port=server.port,
            username="support@example.com",
            **PLAIN,
        )
    assert isinstance(caught.value, kind)
    assert words in str(caught.value)


@pytest.mark.parametrize("echo", ["token", "line"])
def test_a_server_that_repeats_the_token_does_not_make_us_tell_it(entra: Entra, app: App, echo: str) -> None:
    """Neither the token nor the line in which it was sent comes back in the error."""

    class Echo(SaslImap):
        def _talk(self, plain: socket.socket, steps: list[Step]) -> None:  # noqa: ARG002 - it knows its one step
            with plain.makefile("rwb", buffering=0) as line, suppress(OSError):
                line.write(READY)
                asked = line.readline().split()[0]
                line.write(b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\n" + asked + b" OK x\r\n")
                tag = line.readline().split()[0]
                line.write(b"+ \r\n")
                sent = line.readline().strip()
                token = base64.b64decode(sent).partition(b"Bearer ")[2]
                line.write(tag + b" NO I do not like " + (token if echo == "token" else sent) + b"\r\n")
                line.readline()

    with Echo([]) as server, pytest.raises(AuthFailed) as caught:
        exchange(entra, app, server)
    assert "no reason given" in caught.value.what
    assert "eyJ" not in str(caught.value)


def test_a_challenge_that_is_not_base64_ends_it(entra: Entra, app: App) -> None:
    """Whatever it was meant to say, a challenge after the token is a refusal."""
    talk = [*authenticating(), Step("user=", "+ abcde\r\n", then="close")]
    with SaslImap(talk) as server, pytest.raises(AuthFailed, match="did not take the token"):
        exchange(entra, app, server)


def test_a_server_without_xoauth2_gets_no_token(entra: Entra, app: App) -> None:
    """The remedy is a password, or another host."""
    with SaslImap([capable("AUTH=PLAIN")]) as server, pytest.raises(ConfigInvalid, match="AUTH=XOAUTH2"):
        exchange(entra, app, server)
    assert server.heard == ["CAPABILITY", "LOGOUT"]


def test_a_sign_in_that_fails_at_entra_ends_it_before_the_server_hears_of_it(entra: Entra, app: App) -> None:
    """The sentence is Entra's, not the mail server's."""
    app.secrets = {SECRET: False}
    with SaslImap([capable("AUTH=XOAUTH2")]) as server, pytest.raises(AuthFailed, match="AADSTS7000222"):
        exchange(entra, app, server)
    assert server.heard == ["CAPABILITY", "LOGOUT"]


ENTRA = {"method": "client_secret", "tenant_id": "t", "client_id": "c", "client_secret": "s"}
USUAL: dict[str, Any] = {"type": "imap4", "host": "outlook.office365.com", "username": "support@example.com"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "either password_secret or sign_in"),
        ({"password_secret": "s", "sign_in": ENTRA}, "not both"),
        ({"password_secret": "s", "cloud": "china"}, "cloud has a use only"),
        (
            {"sign_in": {"method": "google_service_account", "key_secret": "k"}, "cloud": "usgov"},
            "cloud has a use only",
        ),
        ({"sign_in": {**ENTRA, "method": "kerberos"}}, "google_service_account"),
        ({"sign_in": {**ENTRA, "client_secret": SECRET}}, "name of a secret"),
        ({"sign_in": ENTRA, "cloud": "mars"}, "cloud"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields: dict[str, Any], words: str) -> None:
    """When they are saved, in words."""
    with pytest.raises(ValidationError) as caught:
        Imap4Settings.model_validate({**USUAL, **fields})
    told = str(caught.value.errors(include_input=False, include_url=False))
    assert words in told
    assert SECRET not in told


def test_settings_with_a_sign_in_name_its_secrets_and_keep_the_mailbox_identity() -> None:
    """A job that changes from a password to a token stays the same mailbox."""
    by_token = Imap4Settings.model_validate({**USUAL, "sign_in": ENTRA, "cloud": "usgov"})
    by_password = Imap4Settings.model_validate({**USUAL, "password_secret": "p"})
    assert by_token.secret_names() == {"s"}
    assert by_token.identity() == by_password.identity()
    assert Imap4Settings.model_validate_json(by_token.model_dump_json()) == by_token
    plain = Imap4Settings.model_validate({**USUAL, "sign_in": ENTRA, **PLAIN})
    assert "token" in plain.warnings()[0]
