"""Finding the folder of an Exchange job."""

import pytest

from shared.errors import ConfigInvalid
from tests.connectors.ews_jobs import open_exchange
from tests.contract.mailbox import UNREAD, listed, mail
from tests.servers.ews import Exchange
from tests.servers.ews_fixture import MAILBOX, exchange, exchange_authority
from tests.servers.ews_store import Mailbox as Stored
from tests.servers.tls import Authority

__all__ = ["exchange", "exchange_authority"]


@pytest.fixture
def box(exchange: Exchange) -> Stored:
    """The mailbox on the server's side."""
    return exchange.mailboxes[MAILBOX]


def test_a_folder_is_found_by_its_path(exchange: Exchange, exchange_authority: Authority, box: Stored) -> None:
    """From a well-known folder or from the top, whatever the case, and only that folder is looked into."""
    level = box.add_folder("Level 2", box.add_folder("Süpport", box.inbox))
    team = box.add_folder("Team")
    for folder in (box.inbox, level, team):
        box.deliver(mail(folder.name.replace(" ", "-")), folder=folder)
    for path, found in (("inbox/süpport/LEVEL 2", "Level-2"), ("Team", "Team"), ("Inbox", "Inbox")):
        with open_exchange(exchange, exchange_authority, folder=path) as mailbox:
            assert listed(mailbox) == [found]
            assert mailbox.candidates(UNREAD).in_box == 1


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("Inbox/Nowhere", "in Inbox: Inbox/Sales, Inbox/Support."),
        ("Nowhere/At all", "at the top: Deleted Items, Drafts, Inbox, Junk Email, Sent Items, Team."),
        ("Inbox/Sales/x", "in Inbox/Sales: none."),
    ],
)
def test_a_folder_that_is_not_there_names_those_that_are(
    exchange: Exchange, exchange_authority: Authority, box: Stored, path: str, names: str
) -> None:
    """Those that hold mail: no calendar."""
    box.add_folder("Support", box.inbox)
    box.add_folder("Sales", box.inbox)
    box.add_folder("Team")
    with pytest.raises(ConfigInvalid, match=f"no folder '{path}'") as caught:
        open_exchange(exchange, exchange_authority, folder=path)
    assert caught.value.remedy.endswith(names)


def test_a_folder_among_seven_hundred_is_found(exchange: Exchange, exchange_authority: Authority, box: Stored) -> None:
    """Pages of folders are turned as pages of messages are."""
    for number in range(700):
        box.add_folder(f"F{number:03d}", box.inbox)
    with open_exchange(exchange, exchange_authority, folder="Inbox/F699") as mailbox:
        assert listed(mailbox) == []
    with pytest.raises(ConfigInvalid) as caught:
        open_exchange(exchange, exchange_authority, folder="Inbox/F700")
    assert "and 660 more" in caught.value.remedy
