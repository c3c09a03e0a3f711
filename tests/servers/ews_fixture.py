"""The EWS simulator as fixtures."""

from collections.abc import Iterator

import pytest

from tests.servers.ews import Exchange
from tests.servers.ews_accounts import Person
from tests.servers.tls import Authority

#: The mailbox of the tests, and its owner, who signs in with a password.
MAILBOX, OWNER, PASSWORD = "support@example.com", "CORP\\support", "hunter2 hünter2"


@pytest.fixture(scope="session")
def exchange_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA of every simulated Exchange server."""
    return Authority(tmp_path_factory.mktemp("exchange"))


@pytest.fixture
def exchange(exchange_authority: Authority) -> Iterator[Exchange]:
    """A server with one mailbox and its owner, who may sign in by Basic."""
    people = {OWNER: Person(PASSWORD, MAILBOX)}
    with Exchange(exchange_authority.issue(), schemes={"basic"}, people=people) as server:
        server.add_mailbox(MAILBOX)
        yield server
