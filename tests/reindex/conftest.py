"""An app that believes to be in Azure: a managed identity, a Resource Manager, a job table, and a clock to move."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from azure.identity import ManagedIdentityCredential

from dev.azurite import Azurite
from shared.arm import Site
from shared.reindex import Reindexing
from shared.storage import Storage, open_storage
from shared.storage.open import Account
from shared.storage.table import Table
from shared.storage.timer_table import TimerTable
from tests.builders import NOW
from tests.fakes.clock import FakeClock
from tests.servers.arm import SITE, Arm, arm
from tests.servers.entra import Entra, entra

__all__ = ["arm", "entra"]


class App:
    """One app; `process` is one of its processes."""

    def __init__(self, azurite: Azurite, prefix: str, server: Arm | None) -> None:
        self.clock = FakeClock(NOW)
        account = Account(connection_string=azurite.connection_string)
        #: Requests that the processes sent to storage.
        self.requests = 0
        self._table = Table(account.tables(raw_request_hook=self._count).get_table_client(f"{prefix}jobs"))
        self._server = server
        self.storage: Storage = open_storage(account, prefix=prefix, clock=self.clock)

    def _count(self, _: object) -> None:
        self.requests += 1

    def process(self, timers: Mapping[str, str] | None = None, *, most: int = 500) -> Reindexing:
        """A process that registered these timers when it started."""
        site = site_of(self._server) if self._server else None
        return Reindexing(timers or {}, most, TimerTable(self._table, self.clock), site, self.clock)


def site_of(server: Arm, resource_id: str = SITE) -> Site:
    """The site as the app reaches it, signed in by its system-assigned identity."""
    return Site(resource_id, ManagedIdentityCredential(), arm_url=server.url)


@pytest.fixture
def in_azure(entra: Entra, arm: Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arm:
    """What App Service sets for an app with an identity; the test servers' certificates are trusted as in a company."""
    settings: dict[str, Any] = {**entra.environment, "REQUESTS_CA_BUNDLE": str(tmp_path / "both.pem")}
    (tmp_path / "both.pem").write_text(arm.ca_file.read_text() + Path(str(entra.cloud.ca_file)).read_text())
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    entra.identities.clear()
    entra.identities[""] = "tenant-of-the-app"
    return arm


@pytest.fixture
def app(azurite: Azurite, prefix: str, in_azure: Arm) -> App:
    """An app that may restart itself."""
    return App(azurite, prefix, in_azure)


@pytest.fixture
def app_without_setting(azurite: Azurite, prefix: str) -> App:
    """An app that was not told which site it is."""
    return App(azurite, prefix, None)
