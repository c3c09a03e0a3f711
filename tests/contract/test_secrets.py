"""The contract of `SecretStore`, over Key Vault by its real SDK and over the fake that the API's tests use."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.identity import ManagedIdentityCredential

from shared.errors import ConfigInvalid
from shared.ports import SecretStore
from shared.storage.key_vault import KeyVaultSecrets
from tests.builders import NOW
from tests.fakes.secrets import FakeSecrets
from tests.servers.entra import entra
from tests.servers.key_vault import KeyVault, key_vault

__all__ = ["entra", "key_vault"]

ENDS = datetime(2027, 3, 1, tzinfo=UTC)


@pytest.fixture(params=["key vault", "fake"])
def store(request: pytest.FixtureRequest, key_vault: KeyVault) -> SecretStore:
    """An empty store."""
    if request.param == "fake":
        return FakeSecrets()
    return KeyVaultSecrets(key_vault.url, ManagedIdentityCredential(), lambda: NOW, max_age=timedelta(minutes=5))


def test_what_was_put_can_be_had_and_is_known(store: SecretStore) -> None:
    """With its expiry; a new value replaces the old one and its expiry."""
    assert store.put("box", "old", expires=ENDS).expires == ENDS
    store.put("Alpha", "a", expires=None)
    assert store.get("box") == "old"
    assert [(secret.name, secret.expires) for secret in store.known()] == [("Alpha", None), ("box", ENDS)]
    store.put("box", "new", expires=None)
    assert store.get("box") == "new"
    assert [secret.expires for secret in store.known()] == [None, None]


def test_names_are_compared_without_regard_to_case(store: SecretStore) -> None:
    """As Key Vault does."""
    store.put("Box", "one", expires=None)
    store.put("bOX", "two", expires=None)
    assert (store.get("box"), store.get("Box"), len(store.known())) == ("two", "two", 1)
    assert store.delete("BOX")


def test_what_is_not_there(store: SecretStore) -> None:
    """Not to be had, and not to be deleted."""
    with pytest.raises(ConfigInvalid, match="'box'"):
        store.get("box")
    assert not store.delete("box")
    store.put("box", "one", expires=None)
    assert store.delete("box")
    assert store.known() == []
    with pytest.raises(ConfigInvalid, match="'box'"):
        store.get("box")
    store.put("box", "two", expires=None)
    assert store.get("box") == "two"
