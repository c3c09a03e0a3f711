"""One Exchange mailbox and folder is one text, by EWS or by Graph, however it is spelled."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.connectors._exchange_identity import mailbox_identity
from shared.jobs import Server
from shared.ports import ServerSettings
from shared.signin.entra import CLOUDS

ADDRESS = "support@example.com"
_SIGN_IN = {"method": "client_secret", "tenant_id": "example.com", "client_id": "app", "client_secret": "entra"}


def online(api: str, **fields: Any) -> ServerSettings:
    """The ``server`` block of a job in Exchange Online, as an administrator writes it."""
    document = {"type": "exchange_online", "api": api, "mailbox": ADDRESS, "sign_in": _SIGN_IN, **fields}
    settings: ServerSettings = TypeAdapter(Server).validate_python(document)
    return settings


def on_premises(**fields: Any) -> ServerSettings:
    """The same mailbox, on a server of one's own."""
    document = {"type": "exchange", "autodiscover": True, "mailbox": ADDRESS, "username": "u", "password_secret": "s"}
    settings: ServerSettings = TypeAdapter(Server).validate_python({**document, **fields})
    return settings


@pytest.mark.parametrize("folder", ["Inbox", "inbox", "INBOX", "/Inbox/", " InBox "])
def test_the_inbox_is_one_by_every_way_and_spelling(folder: str) -> None:
    """By Graph, by EWS online and on-premises, with the address in capitals too."""
    found = {
        settings.identity()
        for address in (ADDRESS, "SUPPORT@Example.com")
        for settings in (
            online("graph", mailbox=address, folder=folder),
            online("ews", mailbox=address, folder=folder),
            on_premises(mailbox=address, folder=folder),
        )
    }
    assert found == {"exchange:support@example.com/inbox"}


@pytest.mark.parametrize(
    ("spellings", "path"),
    [
        (("Sent Items", "sentitems", "SentItems"), "sentitems"),
        (("Junk Email", "junkemail"), "junkemail"),
        (("Conversation History", "conversationhistory"), "conversationhistory"),
        (("Archive/2026", "archive / 2026"), "archive/2026"),
        (("Inbox/Support", "INBOX/support/"), "inbox/support"),
        (("Team/Anfragen", "team/ANFRAGEN"), "team/anfragen"),
        (("Grüße", "GRU\u0308SSE"), "grüsse"),
    ],
)
def test_a_folder_is_one_by_ews_and_by_graph(spellings: tuple[str, ...], path: str) -> None:
    """Standard folders by each of their English names, others by the names that people see."""
    found = {online(api, folder=folder).identity() for api in ("graph", "ews") for folder in spellings}
    assert found == {f"exchange:support@example.com/{path}"}


@given(st.text("abYZ ü/", min_size=1).filter(lambda path: path.strip(" /")))
def test_one_path_has_one_spelling(path: str) -> None:
    """Case, spaces around the names and slashes too many do not count; names do."""
    once = mailbox_identity(ADDRESS, path)
    assert mailbox_identity(ADDRESS, path.swapcase()) == once
    assert mailbox_identity(ADDRESS, f"/ {path.replace('/', ' // ')} /") == once
    assert mailbox_identity(ADDRESS, f"{path}/x") != once
    assert mailbox_identity("x" + ADDRESS, path) != once


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_token_for_ews_goes_where_it_is_for(cloud: str) -> None:
    """The host of EWS in each cloud is the one for which Entra is asked for a token."""
    settings: Any = online("ews", cloud=cloud)
    split = urlsplit(settings.service_url)
    assert (split.scheme, split.path) == ("https", "/EWS/Exchange.asmx")
    assert f"https://{split.netloc}/.default" == CLOUDS[settings.cloud].outlook_scope
