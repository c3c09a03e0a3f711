"""The ``server`` block of Exchange jobs that use EWS."""

import subprocess
import sys
from datetime import date
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.connectors import connector_for, connectors
from shared.connectors.ews import CONNECTOR, ExchangeSettings
from shared.connectors.ews_online import CONNECTOR as ONLINE
from shared.connectors.ews_online import ExchangeOnlineEwsSettings, ews_online_is_over
from shared.errors import ConfigInvalid
from tests.connectors.ews_jobs import request, settings_of

_ONLINE = {
    "type": "exchange_online",
    "api": "ews",
    "mailbox": "support@example.com",
    "sign_in": {
        "method": "client_secret",
        "tenant_id": "example.com",
        "client_id": "app",
        "client_secret": "entra-app",
    },
}


def faults(**fields: Any) -> list[str]:
    """What validation says, fault by fault."""
    with pytest.raises(ValidationError) as caught:
        settings_of(**fields)
    return [fault["msg"] for fault in caught.value.errors()]


def test_the_connectors_are_found_by_their_settings() -> None:
    """The files alone make them known."""
    assert {CONNECTOR, ONLINE} <= set(connectors())
    assert connector_for(settings_of()) is CONNECTOR
    assert connector_for(ExchangeOnlineEwsSettings.model_validate(_ONLINE)) is ONLINE


def test_the_defaults_are_an_account_with_a_mailbox_of_its_own() -> None:
    """EWS, NTLM, the Inbox, and no warning."""
    settings = ExchangeSettings(
        type="exchange", service_url="https://m/EWS/Exchange.asmx", mailbox="a@b", username="u", password_secret="s"
    )
    assert (settings.protocol, settings.authentication, settings.access) == ("ews", "ntlm", "own")
    assert settings.folder == "Inbox"
    assert settings.warnings() == ()
    assert settings.secret_names() == {"s"}


def test_mapi_is_refused_with_the_way_out() -> None:
    """One fault, which names EWS, Graph, and what becomes of a profile with several accounts."""
    (fault,) = faults(protocol="mapi", service_url=None)
    for word in ("'ews'", "exchange_online", "'graph'", "several jobs"):
        assert word in fault


def test_the_address_is_given_or_looked_up() -> None:
    """Neither is too little, both are too much."""
    assert settings_of(service_url=None, autodiscover=True).autodiscover
    assert "service_url" in faults(service_url=None)[0]
    assert "service_url" in faults(autodiscover=True)[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"service_url": "http://mail.example.com/EWS/Exchange.asmx"},
        {"service_url": "mail.example.com"},
        {"service_url": "https://user:secret@mail.example.com/EWS/Exchange.asmx"},
        {"service_url": "https://mail.example.com/EWS/Exchange.asmx?x=1"},
        {"service_url": "https://mail.example.com:0/EWS/Exchange.asmx"},
        {"mailbox": "support"},
        {"mailbox": "Support <support@example.com>"},
        {"username": ""},
        {"username": "a\r\nb"},
        {"password_secret": ""},
        {"password": "hunter2"},
        {"authentication": "digest"},
        {"access": "admin"},
        {"folder": ""},
        {"folder": "/"},
        {"folder": "Inbox/\x07"},
        {"folder": "Deleted Items"},
        {"ca_file": ""},
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any]) -> None:
    """What cannot work is a validation error, and so is a field that nobody knows."""
    assert faults(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"mailbox": "Support@Example.com"},
        {"folder": "inbox/TEAM"},
        {"folder": "Inbox/Team/"},
        {"service_url": "https://other.example.com/EWS/Exchange.asmx"},
        {"username": "another", "access": "impersonation", "authentication": "ntlm"},
    ],
)
def test_one_mailbox_has_one_identity(fields: dict[str, Any]) -> None:
    """However it is spelled, and by whichever server and account it is reached."""
    usual = {"folder": "Inbox/Team"}
    assert settings_of(**{**usual, **fields}).identity() == settings_of(**usual).identity()


@pytest.mark.parametrize("fields", [{"mailbox": "sales@example.com"}, {"folder": "Inbox"}, {"folder": "Team"}])
def test_another_mailbox_or_folder_has_another(fields: dict[str, Any]) -> None:
    """Only what is the same is the same."""
    usual = {"folder": "Inbox/Team"}
    assert settings_of(**{**usual, **fields}).identity() != settings_of(**usual).identity()


def test_online_every_job_carries_a_dated_warning() -> None:
    """Both dates and the way out; the same mailbox as on-premises has the same identity."""
    settings = ExchangeOnlineEwsSettings.model_validate(_ONLINE)
    (warning,) = settings.warnings()
    for word in ("2026-10-01", "2027-04-01", "graph"):
        assert word in warning
    assert settings.identity() == settings_of().identity()
    assert settings.secret_names() == {"entra-app"}


@pytest.mark.parametrize(("today", "over"), [(date(2027, 3, 31), False), (date(2027, 4, 1), True)])
def test_online_ends_on_its_day(today: date, *, over: bool) -> None:
    """Who saves a job says what day it is; from the end on it is refused, and Graph is named."""
    assert ews_online_is_over(today) is over
    adapter = TypeAdapter(ExchangeOnlineEwsSettings)
    if over:
        with pytest.raises(ValidationError, match="Graph"):
            adapter.validate_python(_ONLINE, context={"today": today})
    else:
        adapter.validate_python(_ONLINE, context={"today": today})


def test_online_a_stored_job_stays_readable_for_ever() -> None:
    """Without a day, nothing is refused: what is stored can be read, shown and changed after the end."""
    assert ExchangeOnlineEwsSettings.model_validate(_ONLINE).api == "ews"


def test_online_a_secret_that_is_not_there_is_named() -> None:
    """Before anybody is asked for a token."""
    with pytest.raises(ConfigInvalid, match="entra-app"):
        ONLINE.open(request(ExchangeOnlineEwsSettings.model_validate(_ONLINE)))


def test_the_connectors_load_their_sdk_only_when_opened() -> None:
    """Jobs of other kinds do not pay for exchangelib, azure-identity or requests."""
    code = (
        "import sys, shared.connectors; shared.connectors.connectors(); "
        "print([name for name in ('exchangelib', 'lxml', 'requests', 'azure.identity') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
