"""Connection tests through the API, over real servers and simulators."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.begin import open_mailbox as open_by_connector
from shared.connection import Way, endpoint_of
from shared.connectors import graph as graph_connector
from shared.connectors import imap as imap_connector
from shared.connectors._dial import https_endpoint
from shared.connectors._ews_account import open_account
from shared.connectors.ews_online import ExchangeOnlineEwsSettings, account_of
from shared.connectors.graph import ExchangeOnlineGraphSettings
from shared.connectors.imap import Imap4Settings
from shared.ports import Endpoint, Mailbox, NoEndpoint, Opening, OpenRequest, ServerSettings
from shared.signin.entra import CLOUDS, credential_for
from shared.storage.local_secrets import LocalSecrets
from tests.api.world import World
from tests.servers.entra import Entra
from tests.servers.ews import Exchange
from tests.servers.graph import Graph
from tests.servers.graph_tokens import FixedCredential
from tests.servers.tls import Authority


class Elsewhere:
    """Exchange Online, Microsoft Graph and Entra as simulators on this machine; all other servers as they are."""

    def __init__(
        self,
        *,
        entra: Entra | None = None,
        graph: Graph | None = None,
        exchange: Exchange | None = None,
        authority: Authority | None = None,
    ) -> None:
        self._entra = entra
        self._graph = graph
        self._exchange = exchange
        self._ca_file = str(authority.ca_file) if authority else None
        #: Gives tokens of the Graph simulator; None: they are asked of Entra.
        self.credential: FixedCredential | None = graph.credential() if graph and not entra else None
        self.tokens: Callable[[], str] = str

    def way(self, limit: timedelta = timedelta(seconds=30)) -> Way:
        """As the API takes it."""
        return Way(self._endpoint, self._open, limit)

    def _endpoint(self, settings: ServerSettings) -> Endpoint | NoEndpoint:
        if isinstance(settings, ExchangeOnlineEwsSettings) and self._exchange:
            return https_endpoint(self._exchange.url, ca_file=self._ca_file)
        return endpoint_of(settings)

    def _open(self, request: OpenRequest) -> Mailbox:
        settings = request.settings
        if isinstance(settings, Imap4Settings) and self._entra:
            return imap_connector.open_mailbox(request, clouds={**CLOUDS, settings.cloud: self._entra.cloud})
        if isinstance(settings, ExchangeOnlineGraphSettings):
            given, entra = self.credential, self._entra
            if given:
                return graph_connector.open_mailbox(request, credential=lambda *_: given)
            if entra:
                return graph_connector.open_mailbox(
                    request, credential=lambda sign_in, secrets, _: credential_for(sign_in, secrets, entra.cloud)
                )
        if isinstance(settings, ExchangeOnlineEwsSettings) and self._exchange:
            request.begins(Opening.SIGN_IN)
            account = account_of(settings, self.tokens, service_url=self._exchange.url, ca_file=self._ca_file)
            return open_account(account, request)
        return open_by_connector(request)


def now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


def serve(world: World, elsewhere: Elsewhere | None = None, /, **secrets: str) -> World:
    """The API with these secrets, the real clock, and these servers in the place of Microsoft's."""
    environment = {f"MAILCONNECTOR_SECRET_{name.upper().replace('-', '_')}": value for name, value in secrets.items()}
    world.serve(clock=now, secrets=LocalSecrets(environment, ""), way=(elsewhere or Elsewhere()).way())
    return world


def tried(world: World, server: Mapping[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    """The answer of the test of a config with this ``server``, which is not stored; without one, of the stored job."""
    body = {"server": dict(server), **config} if server is not None else None
    answer = world.client.post("/api/jobs/support/test", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def outcomes(answer: Mapping[str, Any]) -> dict[str, str]:
    """What became of each stage."""
    return {stage["name"]: stage["outcome"] for stage in answer["stages"]}


def stage(answer: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One stage."""
    found: dict[str, Any] = next(stage for stage in answer["stages"] if stage["name"] == name)
    return found


def failed(answer: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The stage that failed, which is this one; those before it went well, those after it were skipped."""
    assert not answer["ok"]
    found = outcomes(answer)
    names = list(found)
    place = names.index(name)
    assert found[name] == "failed", answer
    assert set(list(found.values())[:place]) <= {"ok", "not_applicable"}
    assert set(list(found.values())[place + 1 :]) <= {"skipped"}
    return stage(answer, name)
