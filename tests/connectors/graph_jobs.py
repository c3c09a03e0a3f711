"""Opening Exchange Online mailboxes on the Graph simulator in tests."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.connectors.graph import ExchangeOnlineGraphSettings, open_mailbox
from shared.errors import ConfigInvalid
from shared.model import Pick, Picking
from shared.ports import Deadline, Mailbox, OpenRequest
from tests.servers.graph import Graph
from tests.servers.graph_tokens import FixedCredential

ADDRESS = "support@example.com"
SECRET = "hunter2 hunter2"
EARLIER = datetime.now(UTC) - timedelta(days=2)
UNREAD = Picking(Pick.UNREAD, since=EARLIER)
NEW = Picking(Pick.NEW, since=EARLIER)


class OneSecret:
    """A secret store with ``graph`` in it."""

    def get(self, name: str) -> str:
        """See `Secrets.get`."""
        if name != "graph":
            raise ConfigInvalid(f"There is no secret {name!r}.")
        return SECRET


class Pauses:
    """Waits for nobody: remembers how long it should have, and lets the clock of the run go on by that."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Instead of waiting."""
        self.seconds.append(seconds)

    def now(self) -> datetime:
        """The present of the run."""
        return datetime.now(UTC) + timedelta(seconds=sum(self.seconds))


def settings_of(**fields: Any) -> ExchangeOnlineGraphSettings:
    """Settings with everything filled in that a test does not care about."""
    sign_in = {"method": "client_secret", "tenant_id": "example.com", "client_id": "app", "client_secret": "graph"}
    return ExchangeOnlineGraphSettings.model_validate(
        {"type": "exchange_online", "mailbox": ADDRESS, "sign_in": sign_in, **fields}
    )


def open_graph(
    graph: Graph,
    *,
    pauses: Pauses | None = None,
    seconds: float = 60,
    credential: FixedCredential | None = None,
    **fields: Any,
) -> Mailbox:
    """A session with the simulator that never waits, as the flow would open it."""
    pauses = pauses or Pauses()
    deadline = Deadline(pauses.now() + timedelta(seconds=seconds), pauses.now)
    request = OpenRequest("job", settings_of(**{"endpoint": graph.root, **fields}), OneSecret(), deadline)
    pause: Callable[[float], Awaitable[None]] = pauses
    given = credential or graph.credential()
    return open_mailbox(request, credential=lambda *_: given, pause=pause)
