"""Secrets for local use: found where a person put them, and never told to anybody else."""

import json
from pathlib import Path

import pytest

from shared.errors import ConfigInvalid
from shared.storage.local_secrets import LocalSecrets

VALUE = "hunter2-Zx81-marked"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A secrets file with one secret."""
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps({"support-mailbox": VALUE}), encoding="utf-8")
    return file


def test_a_secret_comes_from_the_environment() -> None:
    """Its name in capitals, with underscores for hyphens."""
    assert LocalSecrets({"MAILCONNECTOR_SECRET_SUPPORT_MAILBOX": VALUE}, "").get("support-mailbox") == VALUE


def test_a_secret_comes_from_the_file(file: Path) -> None:
    """Under its own name."""
    assert LocalSecrets({}, str(file)).get("support-mailbox") == VALUE


def test_the_environment_wins(file: Path) -> None:
    """Also over a file that cannot be read."""
    environment = {"MAILCONNECTOR_SECRET_SUPPORT_MAILBOX": "newer"}
    assert LocalSecrets(environment, str(file)).get("support-mailbox") == "newer"
    assert LocalSecrets(environment, "/no/such/file").get("support-mailbox") == "newer"


def test_a_changed_file_counts_at_once(file: Path) -> None:
    """Nobody needs to restart anything."""
    secrets = LocalSecrets({}, str(file))
    assert secrets.get("support-mailbox") == VALUE
    file.write_text('{"support-mailbox": "Grüße"}', encoding="utf-8")
    assert secrets.get("support-mailbox") == "Grüße"


def test_a_missing_secret_says_where_it_was_looked_for(file: Path) -> None:
    """Both places, by name; and no other secret's value."""
    for secrets in (LocalSecrets({}, str(file)), LocalSecrets({}, "")):
        with pytest.raises(ConfigInvalid, match="There is no secret 'lost-one'") as caught:
            secrets.get("lost-one")
        assert "MAILCONNECTOR_SECRET_LOST_ONE" in caught.value.remedy
        assert "MAILCONNECTOR_SECRETS_FILE" in caught.value.remedy
        assert VALUE not in str(caught.value)


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_secret_is_a_missing_one(tmp_path: Path, value: str | None) -> None:
    """A sign-in with an empty password would only lock the account."""
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps({"support-mailbox": value}), encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="There is no secret"):
        LocalSecrets({"MAILCONNECTOR_SECRET_SUPPORT_MAILBOX": ""}, str(file)).get("support-mailbox")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", f'{{"support-mailbox": "{VALUE}"'.encode()])
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, content: bytes) -> None:
    """The file, what it must hold, and nothing of what it does hold."""
    file = tmp_path / "secrets.json"
    file.write_bytes(content)
    with pytest.raises(ConfigInvalid, match="cannot be read") as caught:
        LocalSecrets({}, str(file)).get("support-mailbox")
    assert str(file) in caught.value.what
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "7", '"support-mailbox"', "null"])
def test_a_file_of_another_shape_has_no_secrets(tmp_path: Path, content: str) -> None:
    """JSON, but no object."""
    file = tmp_path / "secrets.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="There is no secret"):
        LocalSecrets({}, str(file)).get("support-mailbox")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Whoever set the variable meant something by it."""
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        LocalSecrets({}, str(tmp_path / "none.json")).get("support-mailbox")
