"""What Microsoft Entra ID refuses, and the sentence for it: never a secret, always what to do."""

import logging
import socket
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.signin.entra import CLOUDS, AnyEntraSignIn, Cloud, EntraSignIn, ManagedIdentity, credential_for, token
from tests.servers.entra import Entra, Scripted, refusal
from tests.servers.tls import Authority
from tests.signin.identities import (
    SECRET,
    WRONG,
    SecretsOf,
    by_certificate,
    by_secret,
    by_workload,
    federated_token,
    new_pair,
)


def fault(sign_in: AnyEntraSignIn, cloud: Cloud, secrets: SecretsOf | None = None, scope: str = "") -> JobError:
    """What the sign-in raises; it never tells a secret, and neither do its causes."""
    secrets = secrets or SecretsOf(graph=SECRET)
    with pytest.raises(JobError) as caught:
        token(credential_for(sign_in, secrets, cloud), scope or cloud.outlook_scope)
    told: BaseException | None = caught.value
    while told:
        assert not [value for value in secrets.values.values() if value in str(told)]
        told = told.__cause__ or told.__context__
    return caught.value


def test_a_wrong_secret_and_an_expired_one_are_two_things(entra: Entra, caplog: pytest.LogCaptureFixture) -> None:
    """One was mistyped, the other must be made anew; both name the secret to look at, and no log tells its value."""
    app = entra.register(secrets={SECRET: False})
    with caplog.at_level(logging.DEBUG):
        wrong = fault(by_secret(app), entra.cloud, SecretsOf(graph=WRONG))
        expired = fault(by_secret(app), entra.cloud, SecretsOf(graph=SECRET))
    assert isinstance(wrong, AuthFailed)
    assert isinstance(expired, AuthFailed)
    assert "is wrong (AADSTS7000215)" in wrong.what
    assert "not its ID" in wrong.remedy
    assert "has expired (AADSTS7000222)" in expired.what
    assert "'graph'" in wrong.remedy
    assert "'graph'" in expired.remedy
    assert not [value for value in (SECRET, WRONG) if value in caplog.text]


def test_an_unknown_app_and_an_unknown_tenant_name_the_setting(entra: Entra) -> None:
    """client_id or tenant_id: a person must change it, and sees which."""
    app = entra.register(secrets={SECRET: True})
    no_app = fault(by_secret(replace(app, client_id="nobody")), entra.cloud)
    no_tenant = fault(by_secret(replace(app, tenant="nowhere.example")), entra.cloud)
    assert isinstance(no_app, ConfigInvalid)
    assert isinstance(no_tenant, ConfigInvalid)
    assert "nobody is not known in the tenant" in no_app.what
    assert "client_id" in no_app.remedy
    assert "no tenant nowhere.example" in no_tenant.what
    assert "cloud" in no_tenant.remedy


def test_an_unknown_tenant_is_known_by_its_federated_app_too(entra: Entra, tmp_path: Path) -> None:
    """The other way through the SDK gives the same sentence."""
    path = tmp_path / "token"
    path.write_text(federated_token(new_pair().key, "https://idp.example", "x"))
    app = replace(entra.register(), tenant="nowhere.example")
    assert "no tenant nowhere.example" in fault(by_workload(app, token_file=str(path)), entra.cloud).what


@pytest.mark.parametrize(
    ("code", "error", "kind", "words"),
    [
        (65001, "invalid_grant", AuthFailed, "Nobody has consented"),
        (650057, "invalid_resource", AuthFailed, "grant consent"),
        (7000112, "unauthorized_client", AuthFailed, "is disabled"),
        (53003, "access_denied", AuthFailed, "Conditional Access"),
        (500011, "invalid_resource", ConfigInvalid, "does not know what the token is for"),
        (7000229, "invalid_client", ConfigInvalid, "needs an administrator's consent"),
        (900023, "invalid_request", ConfigInvalid, "tenant_id"),
        (99999, "invalid_grant", AuthFailed, "It said: Something new happened."),
    ],
)
def test_each_refusal_has_its_sentence(entra: Entra, code: int, error: str, kind: type, words: str) -> None:
    """With Entra's number, for those who want to look it up."""
    app = entra.register(secrets={SECRET: True})
    entra.script(app, Scripted(400, refusal(error, code, "Something new happened.")))
    found = fault(by_secret(app), entra.cloud)
    assert type(found) is kind
    assert words in str(found)
    assert f"AADSTS{code}" in found.what


def test_a_refusal_without_a_number_is_still_one(entra: Entra) -> None:
    """A proxy's page, for example: the status is all there is to tell."""
    app = entra.register(secrets={SECRET: True})
    entra.script(app, Scripted(403, "<html>"))
    found = fault(by_secret(app), entra.cloud)
    assert isinstance(found, AuthFailed)
    assert "(HTTP 403)" in found.what


def test_a_certificate_that_is_not_registered_or_has_expired(entra: Entra) -> None:
    """To be uploaded, or to be made anew: two sentences."""
    known, stranger, ended = new_pair(), new_pair(), new_pair(days=-1)
    app = entra.register(certificates=[known.certificate, ended.certificate])
    found = fault(by_certificate(app), entra.cloud, SecretsOf(cert=stranger.pem()))
    assert isinstance(found, AuthFailed)
    assert "not one of the app's certificates (AADSTS700027)" in found.what
    assert "the secret 'cert'" in found.remedy
    expired = fault(by_certificate(app), entra.cloud, SecretsOf(cert=ended.pem()))
    assert "has expired" in expired.what


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("", "does not hold a certificate"),
        ("not a certificate!", "holds no certificate"),
        ("bm90IGEgY2VydGlmaWNhdGU=", "does not hold a certificate"),
        ("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "does not hold a certificate"),
        (new_pair(elliptic=True).pem(), "not RSA"),
        (new_pair().pem("opensesame"), "password is missing or wrong"),
    ],
    ids=["empty", "text", "base64 of text", "broken PEM", "elliptic", "locked"],
)
def test_an_unusable_certificate_says_why(entra: Entra, kept: str, words: str) -> None:
    """Before anybody is asked for anything."""
    app = entra.register()
    with pytest.raises(ConfigInvalid, match=words) as caught:
        token(credential_for(by_certificate(app), SecretsOf(cert=kept), entra.cloud), entra.cloud.outlook_scope)
    assert "'cert'" in caught.value.what
    assert entra.requests(app) == 0


def test_a_missing_file_is_named(entra: Entra, tmp_path: Path) -> None:
    """The certificate's, and the workload's token."""
    app, path = entra.register(), str(tmp_path / "nothing")
    assert path in fault(by_certificate(app, certificate_file=path), entra.cloud).what
    assert path in fault(by_workload(app, token_file=path), entra.cloud).what


def test_a_federated_token_that_is_not_trusted_or_too_old(entra: Entra, tmp_path: Path) -> None:
    """No such issuer and subject; or the right one, an hour late."""
    key = new_pair().key
    app = entra.register(federated={("https://idp.example", "connector"): key.public_key()})
    path = tmp_path / "token"
    path.write_text(federated_token(key, "https://idp.example", "somebody"))
    sign_in = by_workload(app, token_file=str(path))
    stranger = fault(sign_in, entra.cloud)
    assert "does not trust the token" in stranger.what
    assert "subject" in stranger.remedy
    path.write_text(federated_token(key, "https://idp.example", "connector", lifetime=-60))
    assert "not valid at this time" in fault(sign_in, entra.cloud).what


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (Scripted(503, "", {"Retry-After": "600"}), timedelta(minutes=10)),
        (
            Scripted(429, refusal("temporarily_unavailable", 90055, "Busy."), {"Retry-After": "17"}),
            timedelta(seconds=17),
        ),
        (Scripted(500, "<html>"), None),
        (Scripted(200, "<html>"), None),
        (Scripted(200, "{}"), None),
    ],
)
def test_a_busy_authority_is_away_for_as_long_as_it_says(
    entra: Entra, answer: Scripted, wait: timedelta | None
) -> None:
    """Not the sign-in's fault: the run ends at once and comes back later, when it was asked to."""
    app = entra.register(secrets={SECRET: True})
    entra.script(app, answer)
    found = fault(by_secret(app), entra.cloud)
    assert isinstance(found, Unavailable)
    assert found.retry_after == wait
    assert "127.0.0.1" in found.what
    assert entra.requests(app) == 1


def test_a_busy_authority_is_left_alone_meanwhile(entra: Entra) -> None:
    """Asked again too early, we answer for it, with the same words."""
    app = entra.register(secrets={SECRET: True})
    entra.script(app, Scripted(429, refusal("temporarily_unavailable", 90055, "Busy."), {"Retry-After": "60"}))
    first = fault(by_secret(app), entra.cloud)
    assert str(fault(by_secret(app), entra.cloud)) == str(first)
    assert entra.requests(app) == 1


@pytest.mark.parametrize("then", ["hang", "close"])
@pytest.mark.parametrize("federated", [False, True])
def test_an_authority_that_says_nothing_is_unavailable(
    entra: Entra, tmp_path: Path, *, then: Any, federated: bool
) -> None:
    """Silent, or gone in the middle: within its time limit, for either way through the SDK."""
    app = entra.register(secrets={SECRET: True})
    path = tmp_path / "token"
    path.write_text("x.y.z")
    entra.script(app, Scripted(then=then), Scripted(then=then))
    sign_in = by_workload(app, token_file=str(path)) if federated else by_secret(app)
    found = fault(sign_in, replace(entra.cloud, patience=0.3))
    assert isinstance(found, Unavailable)
    assert "did not answer in time" in found.what


def test_a_lost_connection_is_tried_once_more(entra: Entra) -> None:
    """One hiccup is no reason to end a run."""
    app = entra.register(secrets={SECRET: True})
    entra.script(app, Scripted(then="close"))
    assert token(credential_for(by_secret(app), SecretsOf(graph=SECRET), entra.cloud), entra.cloud.outlook_scope)


def test_an_authority_that_cannot_be_reached_says_so(entra: Entra) -> None:
    """Nobody listens, or no such host."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    app = entra.register()
    for url in (f"https://127.0.0.1:{port}", "https://no-such-host.invalid"):
        found = fault(by_secret(app), replace(entra.cloud, authority=url))
        assert isinstance(found, Unavailable)
        assert "could not be reached" in found.what


def test_a_certificate_of_the_authority_that_is_not_trusted_says_so(entra: Entra, tmp_path: Path) -> None:
    """That is what a proxy in between looks like."""
    stranger = Authority(tmp_path).ca_file
    found = fault(by_secret(entra.register()), replace(entra.cloud, ca_file=str(stranger)))
    assert isinstance(found, Unavailable)
    assert "not trusted" in found.what
    assert "proxy" in found.remedy


@pytest.mark.parametrize(
    ("client_id", "answer", "kind", "words"),
    [
        (None, None, ConfigInvalid, "does not have a system-assigned managed identity"),
        ("stranger", None, ConfigInvalid, "does not have the managed identity stranger"),
        ("busy", Scripted(500, '{"statusCode":500,"message":"try later"}'), Unavailable, "is busy"),
        ("html", Scripted(502, "<html>"), Unavailable, "is busy"),
    ],
)
def test_a_managed_identity_that_is_not_there(
    *,
    entra: Entra,
    monkeypatch: pytest.MonkeyPatch,
    client_id: str | None,
    answer: Scripted | None,
    kind: type,
    words: str,
) -> None:
    """Not assigned, or its endpoint is out of order."""
    for name, value in entra.environment.items():
        monkeypatch.setenv(name, value)
    entra.identities.clear()
    if answer:
        entra.script(replace(entra.register(), tenant="msi"), answer)
    found = fault(ManagedIdentity(method="managed_identity", client_id=client_id), entra.cloud)
    assert type(found) is kind
    assert words in found.what


def test_no_managed_identity_outside_azure(entra: Entra, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens where a virtual machine would have its endpoint: the sentence names the other ways."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{port}")
    found = fault(ManagedIdentity(method="managed_identity", client_id="outside"), entra.cloud)
    assert isinstance(found, ConfigInvalid)
    assert "client_secret or certificate" in found.remedy


APP = {"tenant_id": "t.example", "client_id": "c"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"method": "client_secret", **APP, "client_secret": SECRET}, "name of a secret, not the secret"),
        ({"method": "client_secret", **APP}, "client_secret"),
        ({"method": "client_secret", "client_id": "c", "client_secret": "s"}, "tenant_id"),
        ({"method": "client_secret", **APP, "client_secret": "s", "tenant_id": "a/b"}, "tenant_id"),
        ({"method": "certificate", **APP}, "either certificate_secret or certificate_file"),
        ({"method": "certificate", **APP, "certificate_secret": "s", "certificate_file": "f"}, "not both"),
        ({"method": "workload_identity", **APP}, "either token_file or managed_identity"),
        ({"method": "managed_identity", **APP}, "tenant_id"),
        ({"method": "password"}, "method"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields: Mapping[str, str], words: str) -> None:
    """When they are saved; and what was pasted as a name does not come back."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter[Any](EntraSignIn).validate_python(fields)
    told = str(caught.value.errors(include_input=False, include_url=False))
    assert words in told
    assert SECRET not in told


def test_settings_name_their_secrets() -> None:
    """So that saving a job can tell which of them are missing."""
    read = TypeAdapter[Any](EntraSignIn).validate_python
    assert read({"method": "client_secret", **APP, "client_secret": "s"}).secret_names() == {"s"}
    pair = {"certificate_secret": "s", "password_secret": "p"}
    assert read({"method": "certificate", **APP, **pair}).secret_names() == {"s", "p"}
    assert read({"method": "workload_identity", **APP, "token_file": "f"}).secret_names() == frozenset()
    assert read({"method": "managed_identity"}).secret_names() == frozenset()


def test_each_cloud_asks_its_own_hosts() -> None:
    """No token for one cloud is ever asked of another's authority, save that both US ones share theirs."""
    assert {name: (cloud.graph_scope, cloud.outlook_scope) for name, cloud in CLOUDS.items()} == {
        "global": ("https://graph.microsoft.com/.default", "https://outlook.office365.com/.default"),
        "usgov": ("https://graph.microsoft.us/.default", "https://outlook.office365.us/.default"),
        "usgovhigh": ("https://dod-graph.microsoft.us/.default", "https://outlook-dod.office365.us/.default"),
        "china": ("https://microsoftgraph.chinacloudapi.cn/.default", "https://partner.outlook.cn/.default"),
    }
    assert CLOUDS["usgov"].authority == CLOUDS["usgovhigh"].authority
    assert len({cloud.authority for cloud in CLOUDS.values()}) == 3
