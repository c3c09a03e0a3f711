"""Tokens of Google from a local token endpoint."""

import json
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.signin.google import AnyGoogleSignIn, Google, GoogleRefreshToken, GoogleServiceAccount, forget, google_token
from tests.servers.entra import Scripted
from tests.servers.google_token import Client, GoogleServer
from tests.servers.tls import Authority
from tests.signin.identities import SecretsOf

USER = "support@example.com"
BY_ACCOUNT = GoogleServiceAccount(method="google_service_account", key_secret="key")


def by_consent(client: Client) -> GoogleRefreshToken:
    """A sign-in with the refresh token in the secret ``refresh``."""
    return GoogleRefreshToken(
        method="google_refresh_token",
        client_id=client.client_id,
        client_secret="client",
        refresh_token_secret="refresh",
    )


def consented(server: GoogleServer, user: str = USER) -> tuple[GoogleRefreshToken, SecretsOf]:
    """A client with one user's consent."""
    client = server.new_client()
    refresh = f"1//{client.client_id}"
    client.consents[refresh] = user
    return by_consent(client), SecretsOf(client=client.secret, refresh=f"{refresh}\n")


def fault(sign_in: AnyGoogleSignIn, secrets: SecretsOf, place: Google, user: str = USER) -> JobError:
    """What the sign-in raises; it never tells a secret, and neither do its causes."""
    with pytest.raises(JobError) as caught:
        google_token(sign_in, secrets, user, place)
    told: BaseException | None = caught.value
    while told:
        assert not [value for value in secrets.values.values() if value and value.strip() in str(told)]
        assert "PRIVATE KEY" not in str(told)
        told = told.__cause__
    return caught.value


def test_a_service_account_acts_for_the_user(google: GoogleServer) -> None:
    """One key for many mailboxes, each with a token of its own."""
    account = google.new_account(USER, "sales@example.com")
    secrets = SecretsOf(key=account.key_file())
    for user in (USER, "sales@example.com"):
        assert google.issued[google_token(BY_ACCOUNT, secrets, user, google.place)] == user


def test_a_refresh_token_stands_for_its_user(google: GoogleServer) -> None:
    """A line end at its end, as pasting leaves it, does no harm."""
    sign_in, secrets = consented(google)
    assert google.issued[google_token(sign_in, secrets, USER, google.place)] == USER


def test_a_token_serves_many_runs_and_is_renewed_ahead(google: GoogleServer) -> None:
    """Asked for once while it is good for more than five minutes."""
    sign_in, secrets = consented(google)
    google.lifetime = 290
    try:
        first = google_token(sign_in, secrets, USER, google.place)
    finally:
        google.lifetime = 3599
    found = {google_token(sign_in, secrets, USER, google.place) for _ in range(3)}
    assert len(found) == 1
    assert first not in found


def test_a_token_that_is_still_good_bridges_an_outage(google: GoogleServer) -> None:
    """Renewing ahead leaves room for that."""
    sign_in, secrets = consented(google)
    google.lifetime = 290
    try:
        first = google_token(sign_in, secrets, USER, google.place)
    finally:
        google.lifetime = 3599
    google.scripted.append(Scripted(503))
    assert google_token(sign_in, secrets, USER, google.place) == first
    assert not google.scripted


def test_a_rotated_secret_counts_at_once(google: GoogleServer) -> None:
    """No token that was had with the old key is used."""
    account = google.new_account(USER)
    secrets = SecretsOf(key=account.key_file())
    first = google_token(BY_ACCOUNT, secrets, USER, google.place)
    account.key_id, account.key = "new", rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secrets.values["key"] = account.key_file()
    assert google_token(BY_ACCOUNT, secrets, USER, google.place) != first


def test_a_token_that_was_refused_is_not_used_again(google: GoogleServer) -> None:
    """Whoever forgets it gets another."""
    sign_in, secrets = consented(google)
    first = google_token(sign_in, secrets, USER, google.place)
    forget(sign_in, USER, google.place)
    assert google_token(sign_in, secrets, USER, google.place) != first


def test_a_service_account_that_may_not_act_says_where_to_allow_it(google: GoogleServer) -> None:
    """The usual omission."""
    account = google.new_account(USER)
    account.delegated = False
    found = fault(BY_ACCOUNT, SecretsOf(key=account.key_file()), google.place)
    assert isinstance(found, AuthFailed)
    assert "may not act for 'support@example.com'" in found.what
    assert "Domain-wide delegation" in found.remedy
    assert "https://mail.google.com/" in found.remedy


def test_an_unknown_user_is_the_settings_fault(google: GoogleServer) -> None:
    """The user name must change."""
    account = google.new_account(USER)
    found = fault(BY_ACCOUNT, SecretsOf(key=account.key_file()), google.place, user="nobody@example.com")
    assert isinstance(found, ConfigInvalid)
    assert "nobody@example.com" in found.what


def test_a_key_that_was_deleted_says_so(google: GoogleServer) -> None:
    """Made anew elsewhere, or the whole account is gone."""
    account = google.new_account(USER)
    old = account.key_file()
    account.key_id = "new"
    gone = json.dumps({**json.loads(old), "client_email": "gone@mail.iam.gserviceaccount.com"})
    for key in (old, gone):
        found = fault(BY_ACCOUNT, SecretsOf(key=key), google.place)
        assert isinstance(found, AuthFailed)
        assert "does not accept the key" in found.what
        assert "'key'" in found.remedy


def test_a_clock_that_is_wrong_says_so(google: GoogleServer) -> None:
    """As Google words it."""
    account = google.new_account(USER)
    words = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
    google.scripted.append(Scripted(400, json.dumps({"error": "invalid_grant", "error_description": words})))
    assert "clock" in fault(BY_ACCOUNT, SecretsOf(key=account.key_file()), google.place).remedy


@pytest.mark.parametrize(
    "kept", ["", "{}", "[]", "no JSON", '{"client_email": 1, "private_key": "x", "private_key_id": ""}']
)
def test_a_secret_that_is_no_key_file_says_so(google: GoogleServer, kept: str) -> None:
    """Before anybody is asked."""
    asked = len(google.asked)
    found = fault(BY_ACCOUNT, SecretsOf(key=kept), google.place)
    assert isinstance(found, ConfigInvalid)
    assert "'key'" in found.what
    assert len(google.asked) == asked


def test_a_revoked_consent_a_wrong_client_and_a_strangers_token_are_three_things(google: GoogleServer) -> None:
    """Each with what to do about it."""
    sign_in, secrets = consented(google)
    revoked = fault(sign_in, SecretsOf(secrets.values, refresh="1//revoked"), google.place)
    wrong = fault(sign_in, SecretsOf(secrets.values, client="GOCSPX-wrong"), google.place)
    _, other = consented(google)
    stranger = fault(sign_in, SecretsOf(secrets.values, refresh=other.values["refresh"]), google.place)
    assert "expired or was revoked" in revoked.what
    assert "'refresh'" in revoked.remedy
    assert "invalid_client" in wrong.what
    assert "'client'" in wrong.remedy
    assert "another OAuth client" in stranger.what
    assert {type(one) for one in (revoked, wrong, stranger)} == {AuthFailed}


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (Scripted(503, "", {"Retry-After": "120"}), timedelta(minutes=2)),
        (Scripted(429, "{}"), None),
        (Scripted(200, "<html>"), None),
        (Scripted(200, "[]"), None),
        (Scripted(200, '{"token_type": "Bearer"}'), None),
        (Scripted(then="close"), None),
        (Scripted(then="hang"), None),
    ],
)
def test_an_endpoint_that_is_away_is_unavailable(
    google: GoogleServer, answer: Scripted, wait: timedelta | None
) -> None:
    """Not the sign-in's fault: the run comes back later."""
    sign_in, secrets = consented(google)
    google.scripted.append(answer)
    found = fault(sign_in, secrets, replace(google.place, patience=0.3))
    assert isinstance(found, Unavailable)
    assert found.retry_after == wait


@pytest.mark.parametrize("body", ["", "<html>", "[]"])
def test_a_refusal_without_words_is_still_one(google: GoogleServer, body: str) -> None:
    """It names the status at least."""
    sign_in, secrets = consented(google)
    google.scripted.append(Scripted(403, body))
    found = fault(sign_in, secrets, google.place)
    assert isinstance(found, AuthFailed)


def test_an_endpoint_that_cannot_be_reached_says_so(google: GoogleServer, tmp_path: Path) -> None:
    """Nobody listens there, or somebody else does."""
    sign_in, secrets = consented(google)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    places: list[Any] = [
        Google(f"https://127.0.0.1:{port}/token"),
        replace(google.place, ca_file=str(Authority(tmp_path).ca_file)),
    ]
    for place in places:
        found = fault(sign_in, secrets, place)
        assert isinstance(found, Unavailable)
        assert "could not be reached" in found.what
