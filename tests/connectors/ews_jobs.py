"""Opening Exchange mailboxes in tests, with a password that must never be seen again."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.connectors._ews_account import Account
from shared.connectors._ews_mailbox import EwsMailbox
from shared.connectors._ews_wire import Wire
from shared.connectors.ews import ExchangeSettings, open_mailbox
from shared.errors import ConfigInvalid
from shared.ports import Deadline, OpenRequest
from tests.servers.ews import Exchange
from tests.servers.ews_fixture import MAILBOX, OWNER, PASSWORD
from tests.servers.tls import Authority


class OneSecret:
    """A secret store with ``mailbox`` in it."""

    def __init__(self, password: str = PASSWORD) -> None:
        self._password = password

    def get(self, name: str) -> str:
        """See `Secrets.get`."""
        if name != "mailbox":
            raise ConfigInvalid(f"There is no secret {name!r}.")
        return self._password


def request(settings: Any, *, password: str = PASSWORD, seconds: float = 30) -> OpenRequest:
    """What the flow hands to a connector, with that much time left."""
    deadline = Deadline(datetime.now(UTC) + timedelta(seconds=seconds), lambda: datetime.now(UTC))
    return OpenRequest("job", settings, OneSecret(password), deadline)


def settings_of(**fields: Any) -> ExchangeSettings:
    """Settings with everything filled in that a test does not care about."""
    usual = {
        "type": "exchange",
        "service_url": "https://mail.example.com/EWS/Exchange.asmx",
        "mailbox": MAILBOX,
        "username": OWNER,
        "password_secret": "mailbox",
        "authentication": "basic",
    }
    return ExchangeSettings(**{**usual, **fields})


def open_exchange(
    server: Exchange, authority: Authority, *, seconds: float = 30, password: str = PASSWORD, **fields: Any
) -> EwsMailbox:
    """A session with the simulator, as the mailbox's owner unless ``fields`` say otherwise."""
    settings = settings_of(**{"service_url": server.url, "ca_file": str(authority.ca_file), **fields})
    return open_mailbox(request(settings, password=password, seconds=seconds))


def open_patiently(server: Exchange, authority: Authority, waits: list[float], *, seconds: float = 300) -> EwsMailbox:
    """A session whose waits are written down instead of waited."""
    account = Account(
        service_url=server.url,
        mailbox=MAILBOX,
        authentication="basic",
        credential=lambda: PASSWORD,
        access="own",
        username=OWNER,
        sign_in_remedy="Check it.",
        ca_file=str(authority.ca_file),
    )
    deadline = request(None, seconds=seconds).deadline
    wire = Wire(account, deadline, pause=waits.append)
    return EwsMailbox(wire, folder="Inbox", job_id="job", identity="exchange:support@example.com/inbox")
