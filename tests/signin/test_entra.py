"""Tokens of Microsoft Entra ID through the real azure-identity and msal, from a local token endpoint."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ConfigInvalid, JobError
from shared.signin.entra import AnyEntraSignIn, Cloud, ManagedIdentity, claims_in, credential_for, token
from tests.servers.entra import App, Entra
from tests.signin.identities import (
    SECRET,
    SecretsOf,
    by_certificate,
    by_secret,
    by_workload,
    federated_token,
    new_pair,
)

OUTLOOK = "https://outlook.office365.com"


def ask(sign_in: AnyEntraSignIn, secrets: SecretsOf, cloud: Cloud, scope: str = "") -> str:
    """What a connector does."""
    return token(credential_for(sign_in, secrets, cloud), scope or cloud.outlook_scope)


def test_a_client_secret_gets_a_token_for_the_scope(entra: Entra) -> None:
    """Issued for that audience, to that app, in that tenant."""
    app = entra.register(secrets={SECRET: True})
    found = ask(by_secret(app), SecretsOf(graph=SECRET), entra.cloud)
    claims = entra.claims(found, OUTLOOK)
    assert claims
    assert (claims["appid"], claims["tid"]) == (app.client_id, app.tenant)
    assert claims_in(found)["roles"] == list(app.roles)


def test_a_token_serves_many_runs(entra: Entra) -> None:
    """Asked for once for each scope, however often a run signs in."""
    app = entra.register(secrets={SECRET: True})
    secrets = SecretsOf(graph=SECRET)
    first = [ask(by_secret(app), secrets, entra.cloud) for _ in range(5)]
    other = [ask(by_secret(app), secrets, entra.cloud, entra.cloud.graph_scope) for _ in range(5)]
    assert len({*first, *other}) == 2
    assert entra.requests(app) == 2


def test_a_token_is_renewed_before_it_ends(entra: Entra) -> None:
    """One that is good for less than five more minutes is not handed out again."""
    app = entra.register(secrets={SECRET: True})
    secrets = SecretsOf(graph=SECRET)
    entra.lifetime = 290
    try:
        first = ask(by_secret(app), secrets, entra.cloud)
    finally:
        entra.lifetime = 3599
    second = ask(by_secret(app), secrets, entra.cloud)
    assert first != second
    assert entra.claims(first, OUTLOOK), "the first one was still good"
    assert ask(by_secret(app), secrets, entra.cloud) == second


def test_a_rotated_secret_counts_at_once(entra: Entra) -> None:
    """The next sign-in uses the new value, and no token that was had with the old one."""
    app = entra.register(secrets={SECRET: True})
    secrets = SecretsOf(graph=SECRET)
    first = ask(by_secret(app), secrets, entra.cloud)
    app.secrets = {"Nn11Q~new": True}
    secrets.values["graph"] = "Nn11Q~new"
    assert ask(by_secret(app), secrets, entra.cloud) != first
    assert [form["client_secret"] for tenant, form in entra.asked if tenant == app.tenant] == [SECRET, "Nn11Q~new"]


def test_what_was_mended_works_at_once(entra: Entra) -> None:
    """A refusal is not remembered: the administrator's next try sees what is true now."""
    app = entra.register()
    secrets = SecretsOf(graph=SECRET)
    with pytest.raises(JobError):
        ask(by_secret(app), secrets, entra.cloud)
    app.secrets = {SECRET: True}
    assert ask(by_secret(app), secrets, entra.cloud)


def test_tenants_live_side_by_side_in_one_app(entra: Entra) -> None:
    """Each job signs in to its own tenant, with the one secret store."""
    apps = [entra.register(secrets={f"Aa{n}Q~x": True}) for n in range(3)]
    for n, app in enumerate(apps):
        claims = entra.claims(ask(by_secret(app), SecretsOf(graph=f"Aa{n}Q~x"), entra.cloud), OUTLOOK)
        assert claims
        assert claims["tid"] == app.tenant


@pytest.mark.parametrize(
    "kept",
    [
        lambda pair: pair.pem(),
        lambda pair: pair.pfx_text(),
        lambda pair: pair.pfx_text()[:76] + "\n" + pair.pfx_text()[76:],
    ],
    ids=["PEM", "PKCS#12", "PKCS#12 in lines"],
)
def test_a_certificate_in_a_secret_signs_the_request(entra: Entra, kept: Callable[[Any], str]) -> None:
    """The server checks the signature against the certificate that the app registered."""
    pair = new_pair()
    app = entra.register(certificates=[pair.certificate])
    text = kept(pair)
    assert entra.claims(ask(by_certificate(app), SecretsOf(cert=text), entra.cloud), OUTLOOK)
    assert all("client_secret" not in form for tenant, form in entra.asked if tenant == app.tenant)


@pytest.mark.parametrize("binary", [True, False])
def test_a_certificate_in_a_file_may_have_a_password(entra: Entra, tmp_path: Path, *, binary: bool) -> None:
    """PEM or PKCS#12, with the password in a secret."""
    pair = new_pair()
    app = entra.register(certificates=[pair.certificate])
    path = tmp_path / "graph.pfx"
    path.write_bytes(pair.pfx("opensesame") if binary else pair.pem("opensesame").encode())
    sign_in = by_certificate(app, certificate_file=str(path), password_secret="word")
    assert entra.claims(ask(sign_in, SecretsOf(word="opensesame"), entra.cloud), OUTLOOK)


def test_a_new_certificate_file_counts_at_once(entra: Entra, tmp_path: Path) -> None:
    """Replacing the file is enough."""
    old, new = new_pair(), new_pair()
    app = entra.register(certificates=[old.certificate])
    path = tmp_path / "graph.pem"
    path.write_text(old.pem())
    sign_in = by_certificate(app, certificate_file=str(path))
    first = ask(sign_in, SecretsOf(), entra.cloud)
    app.certificates = [new.certificate]
    path.write_text(new.pem())
    assert ask(sign_in, SecretsOf(), entra.cloud) != first


def _federate(entra: Entra) -> tuple[App, Any]:
    key = new_pair().key
    return entra.register(federated={("https://idp.example", "connector"): key.public_key()}), key


def test_a_workload_token_file_is_exchanged(entra: Entra, tmp_path: Path) -> None:
    """And read anew for the next token: the platform replaces it."""
    app, key = _federate(entra)
    path = tmp_path / "token"
    path.write_text(federated_token(key, "https://idp.example", "connector") + "\n")
    sign_in = by_workload(app, token_file=str(path))
    assert entra.claims(ask(sign_in, SecretsOf(), entra.cloud), OUTLOOK)
    fresh = federated_token(key, "https://idp.example", "connector", lifetime=900)
    path.write_text(fresh)
    assert entra.claims(ask(sign_in, SecretsOf(), entra.cloud, entra.cloud.graph_scope), entra.cloud.graph)
    assert entra.asked[-1][1]["client_assertion"] == fresh


@pytest.fixture
def in_azure(entra: Entra, monkeypatch: pytest.MonkeyPatch) -> Entra:
    """The process believes that it is a function app: azure-identity finds that out from the environment alone."""
    for name, value in entra.environment.items():
        monkeypatch.setenv(name, value)
    entra.identities.clear()
    return entra


def test_a_system_assigned_identity_needs_no_settings(in_azure: Entra) -> None:
    """The platform's endpoint gives the token; the tenant's is not asked."""
    in_azure.identities[""] = "tenant-of-the-app"
    sign_in = ManagedIdentity(method="managed_identity")
    found = ask(sign_in, SecretsOf(), replace(in_azure.cloud, patience=5.0))
    assert claims_in(found)["tid"] == "tenant-of-the-app"
    assert in_azure.asked[-1] == ("msi", {"api-version": "2019-08-01", "resource": OUTLOOK})


def test_a_user_assigned_identity_is_named(in_azure: Entra) -> None:
    """By its client ID, and asked for once for many runs."""
    in_azure.identities["mine"] = "t"
    sign_in = ManagedIdentity(method="managed_identity", client_id="mine")
    asked = len(in_azure.asked)
    found = {ask(sign_in, SecretsOf(), in_azure.cloud) for _ in range(3)}
    assert len(found) == 1
    assert claims_in(found.pop())["sub"] == "mine"
    assert len(in_azure.asked) == asked + 1


def test_a_managed_identity_vouches_for_an_app_in_another_tenant(in_azure: Entra) -> None:
    """Its token for the exchange audience is the assertion with which the app signs in."""
    in_azure.identities["bridge"] = "home"
    app = in_azure.register(federated={(in_azure.issuer("home"), "bridge"): in_azure.public_key})
    claims = in_azure.claims(ask(by_workload(app, managed_identity="bridge"), SecretsOf(), in_azure.cloud), OUTLOOK)
    assert claims
    assert claims["tid"] == app.tenant != "home"


@pytest.mark.parametrize("text", ["", "opaque", "a.b.c", "a.!!!.c", "a.WzFd.c"])
def test_a_token_that_says_nothing_of_itself_has_no_claims(text: str) -> None:
    """Opaque tokens are no fault."""
    assert claims_in(text) == {}


def test_the_sdks_are_not_imported_until_a_token_is_wanted() -> None:
    """A job with a password does not pay for azure-identity (asked of a fresh interpreter)."""
    question = (
        "import sys, shared.signin.entra, shared.signin.credential, shared.connectors.imap; "
        "print([name for name in ('azure', 'msal', 'cryptography', 'jwt', 'requests') if name in sys.modules])"
    )
    asked = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "[]"


@pytest.mark.parametrize("value", ["", "two\nlines", "tab\there"])
def test_a_secret_that_cannot_be_one_is_not_sent(entra: Entra, value: str) -> None:
    """A line end at its end is the usual accident."""
    app = entra.register()
    with pytest.raises(ConfigInvalid, match="'graph'"):
        ask(by_secret(app), SecretsOf(graph=value), entra.cloud)
    assert entra.requests(app) == 0
