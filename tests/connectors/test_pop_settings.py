"""The ``server`` block of a POP3 job."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from shared.connectors import connector_for, connectors
from shared.connectors.pop import CONNECTOR
from shared.jobs import Job
from shared.model import Disposition
from tests.connectors.pop_jobs import settings_of


def test_the_connector_is_found_by_its_type() -> None:
    """The file alone makes it known."""
    assert CONNECTOR in connectors()
    assert connector_for(settings_of()) is CONNECTOR


def test_tls_is_what_one_gets_without_asking() -> None:
    """The defaults are the safe ones, and come without a warning."""
    settings = settings_of()
    assert (settings.security, settings.effective_port, settings.authentication) == ("tls", 995, "auto")
    assert settings.warnings() == ()
    assert settings.secret_names() == {"mailbox"}
    assert settings_of(security="starttls").effective_port == 110
    assert settings_of(security="starttls", port=1110).effective_port == 1110


@pytest.mark.parametrize("security", ["none", "starttls_if_available"])
def test_plain_text_must_be_asked_for_twice(security: str) -> None:
    """Without allow_insecure the fault is at ``security`` and explains; with it, there is a warning."""
    with pytest.raises(ValidationError) as caught:
        settings_of(security=security)
    (fault,) = caught.value.errors()
    assert fault["loc"] == ("security",)
    assert "plain text" in fault["msg"]
    assert "allow_insecure" in fault["msg"]
    (warning,) = settings_of(security=security, allow_insecure=True).warnings()
    assert "password" in warning
    assert "plain text" in warning
    (warning,) = settings_of(security=security, allow_insecure=True, authentication="apop").warnings()
    assert "password" not in warning


@pytest.mark.parametrize(
    "fields",
    [
        {"host": ""},
        {"host": "pop3://mail.example.com"},
        {"port": 0},
        {"username": ""},
        {"username": "a\r\nDELE 1"},
        {"username": "two words", "authentication": "apop"},
        {"folder": "INBOX"},
        {"password": "hunter2"},
        {"authentication": "ntlm"},
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
        {"security": "starttls"},
        {"port": 110, "security": "none", "allow_insecure": True},
        {"password_secret": "another"},
        {"authentication": "apop"},
    ],
)
def test_one_mailbox_has_one_identity(fields: dict[str, Any]) -> None:
    """Whatever the spelling and the way there."""
    usual = {"host": "mail.example.com", "username": "support@example.com"}
    assert settings_of(**{**usual, **fields}).identity() == settings_of(**usual).identity()


def test_different_mailboxes_have_different_identities() -> None:
    """Host, odd port and user tell them apart."""
    ways: tuple[dict[str, Any], ...] = ({}, {"host": "other"}, {"port": 1995}, {"username": "v"})
    assert len({settings_of(**fields).identity() for fields in ways}) == 4


@pytest.mark.parametrize("block", ["on_success", "on_reject", "on_error"])
def test_handling_settings_are_refused_with_the_reason(block: str) -> None:
    """POP3 leaves no choice: after success a message is deleted."""
    server = {"type": "pop3", "host": "h", "username": "u", "password_secret": "s"}
    job = Job.model_validate({"id": "support", "server": server})
    assert job.success_disposition == Disposition(deleted=True, purge=True)
    assert job.reject_disposition == Disposition()
    with pytest.raises(ValidationError, match="can only delete"):
        Job.model_validate({"id": "support", "server": server, block: {"mark_as_read": True}})


def test_no_library_is_imported_for_it() -> None:
    """A job of another kind pays for neither poplib nor imapclient (asked of a fresh interpreter)."""
    question = "import sys, shared.connectors.pop; print({'poplib', 'imapclient'} & set(sys.modules))"
    asked = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "set()"
