"""The ``server`` block of an Exchange Online job on Microsoft Graph."""

import subprocess
import sys
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from shared.connectors import connector_for, connectors
from shared.connectors._graph_clouds import CLOUDS
from shared.connectors.graph import CONNECTOR
from shared.signin.entra import CloudName
from tests.connectors.graph_jobs import settings_of


def test_the_connector_is_found_by_its_type() -> None:
    """The file alone makes it known."""
    assert CONNECTOR in connectors()
    assert connector_for(settings_of()) is CONNECTOR


def test_graph_the_inbox_and_the_global_cloud_are_what_one_gets_without_asking() -> None:
    """The defaults come without a warning; the secret is a name."""
    settings = settings_of()
    assert (settings.api, settings.folder, settings.cloud) == ("graph", "Inbox", "global")
    assert settings.warnings() == ()
    assert settings.secret_names() == {"graph"}


@pytest.mark.parametrize(
    "fields",
    [
        {"mailbox": ""},
        {"mailbox": "support"},
        {"mailbox": "a@b@c"},
        {"mailbox": "a b@example.com"},
        {"mailbox": "a/b@example.com"},
        {"mailbox": "a\u0000@example.com"},
        {"folder": ""},
        {"folder": " / "},
        {"folder": "a\x00b"},
        {"folder": "Deleted Items"},
        {"folder": "deleteditems/"},
        {"cloud": "germany"},
        {"api": "mapi"},
        {"sign_in": {}},
        {"password": "hunter2"},
        {"endpoint": "https://graph.example.com"},
        {"endpoint": "http://127.0.0.1.example.com"},
        {"endpoint": "http://127.0.0.1:80/path"},
        {"endpoint": "http://user@127.0.0.1"},
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any]) -> None:
    """What cannot work is a validation error; a token can be sent nowhere but to Graph, or to this machine."""
    with pytest.raises(ValidationError):
        settings_of(**fields)


@pytest.mark.parametrize(
    "mailbox", ["support@example.com", "o'neil+x@exa-mple.co.uk", "5F1C8F9E-6a0f-4d0c-9a3e-0c6e4a1f7b11"]
)
def test_a_mailbox_is_an_address_or_an_id(mailbox: str) -> None:
    """Both of which Graph takes."""
    assert settings_of(mailbox=mailbox).mailbox == mailbox


@pytest.mark.parametrize(
    "fields",
    [
        {"mailbox": "SUPPORT@Example.com"},
        {"folder": "inbox/team"},
        {"folder": "/Inbox/Team/"},
        {"folder": "INBOX / Team"},
        {"cloud": "usgov"},
    ],
)
def test_one_mailbox_has_one_identity(fields: dict[str, Any]) -> None:
    """Whatever the spelling and the way there."""
    usual = {"mailbox": "support@example.com", "folder": "Inbox/Team"}
    assert settings_of(**{**usual, **fields}).identity() == settings_of(**usual).identity()


def test_different_mailboxes_have_different_identities() -> None:
    """Address and folder tell them apart."""
    found = {
        settings_of(**fields).identity()
        for fields in ({}, {"mailbox": "x@example.com"}, {"folder": "Archive"}, {"folder": "Inbox/Archive"})
    }
    assert len(found) == 4


def test_a_standard_folder_is_known_by_each_of_its_names() -> None:
    """As people see it and as Graph calls it."""
    assert settings_of(folder="Sent Items").identity() == settings_of(folder="sentitems").identity()


def test_a_simulator_is_never_taken_for_the_real_thing() -> None:
    """A job that does not talk to Exchange Online says so."""
    assert "not to Exchange Online" in settings_of(endpoint="http://127.0.0.1:8080").warnings()[0]


def test_every_cloud_is_in_the_table() -> None:
    """Each with its own root, whose scope it is, over TLS."""
    assert set(CLOUDS) == set(get_args(CloudName))
    assert len({cloud.root for cloud in CLOUDS.values()}) == 4
    for cloud in CLOUDS.values():
        assert cloud.scope == f"{cloud.root}/.default"
        assert cloud.root.startswith("https://")
    assert [name for name, cloud in CLOUDS.items() if cloud.permanent_delete] == ["global"]
    assert [name for name, cloud in CLOUDS.items() if not cloud.delta] == ["china"]


def test_the_sdk_is_not_imported_until_a_mailbox_is_opened() -> None:
    """A job of another kind does not pay for msgraph, azure-identity or httpx (asked of a fresh interpreter)."""
    question = (
        "import sys, shared.connectors.graph; "
        "print([name for name in ('msgraph', 'kiota_http', 'azure', 'httpx', 'msal') if name in sys.modules])"
    )
    asked = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "[]"


def test_an_open_mailbox_leaves_the_generated_part_of_the_sdk_alone() -> None:
    """The request adapter is enough: the models and request builders would cost most of the memory."""
    question = (
        "import sys, shared.connectors._graph_client; "
        "print(sum(name.startswith('msgraph.generated.') for name in sys.modules) < 20, 'msgraph' in sys.modules)"
    )
    asked = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "True True"
