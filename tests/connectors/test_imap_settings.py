"""The ``server`` block of an IMAP4 job."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from shared.connectors import connector_for, connectors
from shared.connectors.imap import CONNECTOR
from tests.connectors.imap_jobs import settings_of


def test_the_connector_is_found_by_its_type() -> None:
    """The file alone makes it known."""
    assert CONNECTOR in connectors()
    assert connector_for(settings_of()) is CONNECTOR


def test_tls_is_what_one_gets_without_asking() -> None:
    """The defaults are the safe ones, and come without a warning."""
    settings = settings_of()
    assert (settings.security, settings.effective_port, settings.folder) == ("tls", 993, "INBOX")
    assert settings.warnings() == ()
    assert settings.secret_names() == {"mailbox"}
    assert settings_of(security="starttls").effective_port == 143
    assert settings_of(security="starttls", port=1143).effective_port == 1143


@pytest.mark.parametrize("security", ["none", "starttls_if_available"])
def test_plain_text_must_be_asked_for_twice(security: str) -> None:
    """Without allow_insecure the fault is at ``security`` and explains; with it, there is a warning."""
    with pytest.raises(ValidationError) as caught:
        settings_of(security=security)
    (fault,) = caught.value.errors()
    assert fault["loc"] == ("security",)
    assert "plain text" in fault["msg"]
    assert "allow_insecure" in fault["msg"]
    allowed = settings_of(security=security, allow_insecure=True)
    assert "plain text" in allowed.warnings()[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"host": ""},
        {"host": "imaps://mail.example.com"},
        {"host": "mail example"},
        {"port": 0},
        {"port": 65_536},
        {"username": ""},
        {"username": "a\r\nb"},
        {"folder": ""},
        {"folder": "a\x00b"},
        {"password_secret": ""},
        {"password": "hunter2"},
        {"security": "ssl"},
        {"ca_file": "ca.pem", "security": "none", "allow_insecure": True},
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any]) -> None:
    """What cannot work is a validation error, and so is a field that nobody knows."""
    with pytest.raises(ValidationError):
        settings_of(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "MAIL.example.com."},
        {"username": "Support@Example.com"},
        {"folder": "inbox.Team"},
        {"folder": "INBOX/Team/"},
        {"security": "starttls"},
        {"port": 143, "security": "none", "allow_insecure": True},
        {"password_secret": "another"},
    ],
)
def test_one_mailbox_has_one_identity(fields: dict[str, Any]) -> None:
    """Whatever the spelling and the way there."""
    usual = {"host": "mail.example.com", "username": "support@example.com", "folder": "INBOX/Team"}
    assert settings_of(**{**usual, **fields}).identity() == settings_of(**usual).identity()


def test_different_mailboxes_have_different_identities() -> None:
    """Host, odd port, user and folder tell them apart, also where a slash might blur the border."""
    found = {
        settings_of(**fields).identity()
        for fields in (
            {},
            {"host": "other"},
            {"port": 1993},
            {"username": "v"},
            {"folder": "a"},
            {"folder": "A"},
            {"username": "u/INBOX", "folder": "a"},
            {"username": "u", "folder": "INBOX/a"},
        )
    }
    assert len(found) == 8


def test_the_sdk_is_not_imported_until_a_mailbox_is_opened() -> None:
    """A job of another kind does not pay for imapclient (asked of a fresh interpreter)."""
    question = "import sys, shared.connectors.imap; print('imapclient' in sys.modules)"
    asked = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "False"
