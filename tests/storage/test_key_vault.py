"""Secrets in Key Vault, through the real SDK and azure-identity, against a vault that refuses as the real one does."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from azure.identity import ManagedIdentityCredential

from shared.errors import ConfigInvalid, Unavailable
from shared.model import SecretInfo
from shared.ports import SecretStore
from shared.signin.entra import CLOUDS, Certificate, credential_for
from shared.storage.key_vault import KeyVaultSecrets
from tests.builders import NOW
from tests.fakes.clock import FakeClock
from tests.servers.entra import Entra, entra
from tests.servers.key_vault import KeyVault, Refusal, key_vault
from tests.signin.identities import new_pair

__all__ = ["entra", "key_vault"]

AGE = timedelta(minutes=5)
VALUE = "hunter2-Zx81-marked"


@pytest.fixture
def clock() -> FakeClock:
    """Stands still until it is moved."""
    return FakeClock(NOW)


@pytest.fixture
def store(key_vault: KeyVault, clock: FakeClock) -> SecretStore:
    """The store over the test's vault."""
    return KeyVaultSecrets(key_vault.url, ManagedIdentityCredential(), clock, max_age=AGE)


def test_a_secret_is_read_once_for_many_runs(key_vault: KeyVault, store: SecretStore, entra: Entra) -> None:
    """The challenge, one token for what it names, one read."""
    key_vault.store("box", VALUE)
    before = len(entra.asked)
    assert [store.get(name) for name in ("box", "box", "BOX")] == [VALUE] * 3
    assert [status for _, _, status in key_vault.asked] == [401, 200]
    assert entra.asked[before:] == [("msi", {"api-version": "2019-08-01", "resource": key_vault.resource})]


def test_a_rotation_counts_within_the_bound(key_vault: KeyVault, store: SecretStore, clock: FakeClock) -> None:
    """No value is older than the setting says, and a vault that is away then is a fault, not an old password."""
    key_vault.store("box", "old")
    assert store.get("box") == "old"
    key_vault.store("box", "new")
    clock.advance(AGE - timedelta(seconds=1))
    assert store.get("box") == "old"
    clock.advance(timedelta(seconds=1))
    assert store.get("box") == "new"
    clock.advance(AGE)
    key_vault.script.append(Refusal(503, "ServiceUnavailable", "Away."))
    with pytest.raises(Unavailable, match="503"):
        store.get("box")
    assert store.get("box") == "new"
    assert key_vault.reads("box") == 3


def test_what_this_process_stores_counts_at_once(store: SecretStore, key_vault: KeyVault) -> None:
    """With its expiry, which the listing tells, and never the value."""
    ends = datetime(2027, 3, 1, tzinfo=UTC)
    store.put("box", "old", expires=None)
    assert store.get("box") == "old"
    assert store.put("box", VALUE, expires=ends).expires == ends
    assert store.get("box") == VALUE
    (found,) = store.known()
    assert (found.name, found.expires, found.enabled) == ("box", ends, True)
    assert VALUE not in repr((found, store, store.put("box", VALUE, expires=ends)))
    assert key_vault.secrets["box"].expires == int(ends.timestamp())


def test_all_pages_are_listed(store: SecretStore, key_vault: KeyVault) -> None:
    """The vault gives 25 at a time."""
    for number in range(60):
        key_vault.store(f"box-{number:02}", VALUE, enabled=number != 7)
    found = store.known()
    assert [secret.name for secret in found] == [f"box-{number:02}" for number in range(60)]
    assert [secret.name for secret in found if not secret.enabled] == ["box-07"]
    assert all(isinstance(secret, SecretInfo) for secret in found)
    assert key_vault.asked.count(("GET", "/secrets", 200)) == 3


def test_a_deleted_secret_can_be_stored_again(store: SecretStore, key_vault: KeyVault) -> None:
    """It lies in soft delete, where its name is taken: it comes back first."""
    store.put("box", "old", expires=None)
    assert store.delete("box")
    assert not store.delete("box")
    with pytest.raises(ConfigInvalid, match="does not exist"):
        store.get("box")
    assert key_vault.deleted
    store.put("box", VALUE, expires=None)
    assert store.get("box") == VALUE
    assert not key_vault.deleted


def test_a_certificate_of_the_vault_signs_in(store: SecretStore, key_vault: KeyVault, entra: Entra) -> None:
    """Its secret is PKCS#12 in base64, or PEM if it was made so."""
    from dataclasses import replace

    pair = new_pair()
    app = entra.register(certificates=[pair.certificate])
    key_vault.store("cert", pair.pfx_text(), managed=True, content_type="application/x-pkcs12")
    key_vault.store("pem-cert", pair.pem(), managed=True, content_type="application/x-pem-file")
    for name in ("cert", "pem-cert"):
        sign_in = Certificate(
            method="certificate", tenant_id=app.tenant, client_id=app.client_id, certificate_secret=name
        )
        cloud = replace(entra.cloud, graph=CLOUDS["global"].graph)
        assert credential_for(sign_in, store, cloud).get_token(cloud.graph_scope).token


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Refusal(403, "Forbidden", "Caller: oid=2d", "ForbiddenByFirewall"), "network rules"),
        (Refusal(403, "Forbidden", "Caller: oid=2d", "ForbiddenByConnection"), "network rules"),
        (Refusal(403, "Forbidden", "Caller: oid=2d", "AccessDenied"), "Key Vault Secrets User"),
        (Refusal(400, "BadParameter", "Caller: oid=2d"), "25 KB"),
    ],
)
def test_a_refusal_says_what_to_do(store: SecretStore, key_vault: KeyVault, refusal: Refusal, words: str) -> None:
    """A person must act; the vault's own sentences, which name callers, are left out."""
    key_vault.script.append(refusal)
    with pytest.raises(ConfigInvalid, match=words) as caught:
        store.get("box")
    assert "oid" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_missing_roles_are_named(store: SecretStore, key_vault: KeyVault) -> None:
    """To read, User; to write, Officer."""
    key_vault.store("box", VALUE)
    key_vault.granted.clear()
    with pytest.raises(ConfigInvalid, match=r"ForbiddenByRbac.*Key Vault Secrets User"):
        store.get("box")
    with pytest.raises(ConfigInvalid, match=r"ForbiddenByRbac.*Key Vault Secrets User"):
        store.known()
    with pytest.raises(ConfigInvalid, match=r"ForbiddenByRbac.*Key Vault Secrets Officer"):
        store.put("box", VALUE, expires=None)
    with pytest.raises(ConfigInvalid, match=r"ForbiddenByRbac.*Key Vault Secrets Officer"):
        store.delete("box")
    assert VALUE not in repr(key_vault.asked)


def test_a_disabled_or_empty_secret(store: SecretStore, key_vault: KeyVault) -> None:
    """Each with its way out."""
    key_vault.store("off", VALUE, enabled=False)
    key_vault.store("empty", "")
    with pytest.raises(ConfigInvalid, match=r"SecretDisabled.*enable it"):
        store.get("off")
    with pytest.raises(ConfigInvalid, match=r"has no value.*PUT /api/secrets/empty"):
        store.get("empty")


def test_throttling_says_how_long(store: SecretStore, key_vault: KeyVault) -> None:
    """The job waits, not the worker: one answer, one fault."""
    key_vault.script.append(Refusal(429, "Throttled", "Too many.", Retry_After="120"))
    with pytest.raises(Unavailable) as caught:
        store.get("box")
    assert caught.value.retry_after == timedelta(minutes=2)
    assert len(key_vault.asked) == 2


def test_no_identity(store: SecretStore, entra: Entra, key_vault: KeyVault) -> None:
    """The app has none: said as such."""
    entra.identities.clear()
    with pytest.raises(ConfigInvalid, match="managed identity"):
        store.get("box")


def test_a_host_that_is_not_the_vaults_gets_no_token(entra: Entra, key_vault: KeyVault, clock: FakeClock) -> None:
    """Whoever answers at the address may not say for what a token is to be had."""
    key_vault.resource = "https://vault.azure.net"
    before = len(entra.asked)
    for url in (key_vault.url, "http://box.vault.azure.net", "box"):
        store = KeyVaultSecrets(url, ManagedIdentityCredential(), clock, max_age=AGE)
        with pytest.raises(ConfigInvalid, match="MAILCONNECTOR_KEY_VAULT_URI"):
            store.get("box")
    assert entra.asked[before:] == []


def test_the_sdk_is_not_imported_until_a_secret_is_wanted() -> None:
    """An app without a vault does not pay for it (asked of a fresh interpreter)."""
    question = "import sys, shared.storage.key_vault; print([n for n in sys.modules if n.startswith('azure.keyvault')])"
    asked = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "[]"
