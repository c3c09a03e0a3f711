"""A `webhook` target on a system in this process, over storage in memory; both die with the worker."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from shared.ports import Target
from shared.targets.webhook import WebhookSettings, open_target
from tests.builders import NOW
from tests.contract.target_world import Abilities, Seen, TargetWorld
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage
from tests.servers.web_api import ApiAnswer, WebApi
from tests.targets.requests import make_target_request


class WebhookWorld(TargetWorld):
    """Derive, and say what the system shows."""

    abilities: ClassVar[Abilities] = Abilities()

    def __init__(self, system: WebApi, block: Mapping[str, Any], **secrets: str) -> None:
        self.system, self._settings = system, WebhookSettings.model_validate(block)
        self._secrets = secrets
        self.clock = FakeClock(NOW)
        self.storage = FakeStorage(self.clock)
        self.storage.watch(self.system.fuse.burn)

    def open(self) -> Target:
        """See `TargetWorld.open`."""
        return open_target(make_target_request(self._settings, self.storage, clock=self.clock, **self._secrets))

    @abstractmethod
    def tickets(self) -> Mapping[str, Seen]:
        """See `TargetWorld.tickets`."""

    def crash_at(self, nth: int) -> None:
        """See `TargetWorld.crash_at`."""
        self.system.fuse.light(nth)

    def go_away(self) -> None:
        """See `TargetWorld.go_away`."""
        self.system.instead = ApiAnswer(503, {"error": "maintenance"})

    def recover(self) -> None:
        """See `TargetWorld.recover`."""
        self.system.fuse.put_out()
        self.system.instead = None
