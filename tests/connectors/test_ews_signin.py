"""Signing in to Exchange: by NTLM with the whole handshake, and with a token as Exchange Online takes it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.connectors._ews_account import open_account
from shared.connectors._ews_mailbox import EwsMailbox
from shared.connectors.ews_online import ExchangeOnlineEwsSettings, account_of
from shared.errors import AuthFailed, ConfigInvalid, Unavailable
from tests.connectors.ews_jobs import open_exchange, request
from tests.contract.mailbox import UNREAD, listed, mail
from tests.servers.ews import Exchange, Status
from tests.servers.ews_accounts import Person, token, write_passwords
from tests.servers.ews_fixture import MAILBOX, OWNER, exchange, exchange_authority
from tests.servers.tls import Authority

__all__ = ["exchange", "exchange_authority"]

#: NTLM passwords travel as UTF-16, so any letters will do.
_PASSWORD = "hünter2 中"


@pytest.fixture
def ntlm(exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    """A server that takes NTLM alone: the proof of the password and the binding to its certificate are checked."""
    exchange.schemes.clear()
    exchange.schemes.add("ntlm")
    exchange.people[OWNER] = Person(_PASSWORD, MAILBOX)
    write_passwords(tmp_path / "people", exchange.people)
    monkeypatch.setenv("NTLM_USER_FILE", str(tmp_path / "people"))
    return exchange


def test_ntlm_signs_in_once_for_a_session(ntlm: Exchange, exchange_authority: Authority) -> None:
    """One handshake, one connection, all requests on it."""
    for number in range(3):
        ntlm.mailboxes[MAILBOX].deliver(mail(f"m{number}"))
    with open_exchange(ntlm, exchange_authority, authentication="ntlm", password=_PASSWORD) as mailbox:
        assert listed(mailbox) == ["m0", "m1", "m2"]
    assert ntlm.connections == 1
    assert {one.user for one in ntlm.heard} == {OWNER}


def test_a_wrong_ntlm_password_is_a_refusal(ntlm: Exchange, exchange_authority: Authority) -> None:
    """Not throttling, not a loop: one handshake, then the sentence."""
    with pytest.raises(AuthFailed, match="refused the sign-in") as caught:
        open_exchange(ntlm, exchange_authority, authentication="ntlm", password="another")
    assert "another" not in str(caught.value)
    assert ntlm.heard == []
    assert ntlm.connections == 1


def test_a_server_that_takes_only_ntlm_says_so(ntlm: Exchange, exchange_authority: Authority) -> None:
    """The password does cross the TLS connection once with Basic; the answer names the other way."""
    with pytest.raises(AuthFailed, match="takes no sign-in by basic; it offers NTLM"):
        open_exchange(ntlm, exchange_authority, authentication="basic")


# --- Exchange Online -------------------------------------------------------------------------------------------------


@pytest.fixture
def online(exchange: Exchange) -> Exchange:
    """A server that takes tokens alone, from an application that may act for the mailbox."""
    exchange.schemes.clear()
    exchange.schemes.add("bearer")
    exchange.people["app"] = Person("", may_act_for={MAILBOX})
    return exchange


def open_online(server: Exchange, authority: Authority, tokens: Callable[[], str]) -> EwsMailbox:
    """A session with a token of the test's."""
    sign_in = {"method": "client_secret", "tenant_id": "example.com", "client_id": "app", "client_secret": "entra"}
    settings = ExchangeOnlineEwsSettings.model_validate(
        {"type": "exchange_online", "api": "ews", "mailbox": MAILBOX, "sign_in": sign_in}
    )
    account = account_of(settings, tokens, service_url=server.url, ca_file=str(authority.ca_file))
    return open_account(account, request(settings))


def test_an_application_acts_for_the_mailbox(online: Exchange, exchange_authority: Authority) -> None:
    """With a token for EWS, and by impersonation."""
    online.mailboxes[MAILBOX].deliver(mail("one"))
    with open_online(online, exchange_authority, token) as mailbox:
        assert listed(mailbox) == ["one"]
    assert {(one.user, one.acts_for) for one in online.heard} == {("app", MAILBOX)}


def test_every_request_has_the_token_of_the_moment(online: Exchange, exchange_authority: Authority) -> None:
    """One that runs out during a long run is replaced by whoever gives them."""
    tokens = [token(exp=int(time.time()) + 3600), token(exp=int(time.time()) - 1)]
    with open_online(online, exchange_authority, lambda: tokens[0]) as mailbox:
        mailbox.candidates(UNREAD)
        tokens.reverse()
        with pytest.raises(AuthFailed, match="expired"):
            mailbox.candidates(UNREAD)
        tokens.reverse()
        mailbox.candidates(UNREAD)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "https://graph.microsoft.com"}, "audience claim value is invalid"),
        ({"roles": []}, "contains no permissions"),
        ({"roles": ["IMAP.AccessAsApp"]}, "contains no permissions"),
        ({"exp": 0}, "expired"),
    ],
)
def test_a_token_that_is_refused_says_why(
    online: Exchange, exchange_authority: Authority, claims: dict[str, Any], words: str
) -> None:
    """In Exchange's own words, and with what to grant; the token itself is not shown."""
    bad = token(**claims)
    with pytest.raises(AuthFailed, match=words) as caught:
        open_online(online, exchange_authority, lambda: bad)
    assert "full_access_as_app" in caught.value.remedy
    assert bad not in str(caught.value)


def test_a_token_of_another_issuer_is_refused(online: Exchange, exchange_authority: Authority) -> None:
    """The simulator checks signatures too."""
    forged = token() + "x"
    with pytest.raises(AuthFailed, match="trusted issuer"):
        open_online(online, exchange_authority, lambda: forged)


def test_a_mailbox_outside_the_applications_scope_is_named(online: Exchange, exchange_authority: Authority) -> None:
    """RBAC for Applications narrows an application to its mailboxes."""
    online.people["app"].may_act_for.clear()
    with pytest.raises(ConfigInvalid, match="may not act for") as caught:
        open_online(online, exchange_authority, token)
    assert "Application EWS.AccessAsApp" in caught.value.remedy


def test_a_tenant_that_has_closed_ews_says_so_with_both_dates(online: Exchange, exchange_authority: Authority) -> None:
    """The switch, the list, how long it takes, and the way to Graph."""
    online.script("GetFolder", Status(403))
    with pytest.raises(ConfigInvalid) as caught:
        open_online(online, exchange_authority, token)
    for word in ("403", "2026-10-01", "2027-04-01", "-EwsEnabled", "-EwsAllowedAppIDs", "24 hours", "'graph'"):
        assert word in str(caught.value)


def test_a_scope_too_narrow_is_a_matter_of_the_token(online: Exchange, exchange_authority: Authority) -> None:
    """Some of these come as 403; they have nothing to do with the end of EWS."""
    why = '2000008;reason="The token contains not enough scope to make this call.";error_category="invalid_grant"'
    online.script("GetFolder", Status(403, (("x-ms-diagnostics", why),)))
    with pytest.raises(AuthFailed, match="not enough scope"):
        open_online(online, exchange_authority, token)


def test_what_the_token_giver_raises_is_raised(online: Exchange, exchange_authority: Authority) -> None:
    """Its errors are ours already."""

    def none() -> str:
        raise Unavailable("The vault is away.")

    with pytest.raises(Unavailable, match="vault is away"):
        open_online(online, exchange_authority, none)
