"""Storage under a target in the contract suite: in memory or on Azurite, where each thing done outside can be the last."""

from abc import ABC, abstractmethod
from datetime import timedelta

from dev.azurite import Azurite
from shared.errors import Unavailable
from shared.storage import open_storage
from tests.builders import NOW
from tests.contract.storage import Storage
from tests.contract.target_world import Crash
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage

AWAY = Unavailable("Storage is away.")


class Breakable(ABC):
    """Storage that a worker shares with the people outside; only the worker meets what was planned."""

    #: Past the worker.
    own: Storage

    @abstractmethod
    def open(self) -> Storage:
        """As another process opens it."""

    @abstractmethod
    def crash_at(self, nth: int) -> None:
        """See `TargetWorld.crash_at`."""

    @abstractmethod
    def go_away(self) -> None:
        """See `TargetWorld.go_away`."""

    @abstractmethod
    def recover(self) -> None:
        """See `TargetWorld.recover`."""


class InMemory(Breakable):
    """The fake. Only its writes can fail."""

    def __init__(self) -> None:
        self.fake = FakeStorage(FakeClock(NOW))
        self.own = self.fake

    def open(self) -> Storage:
        """See `Breakable`."""
        return self.own

    def crash_at(self, nth: int) -> None:
        """See `TargetWorld`."""
        # Each write counts twice: a worker may die before it and after it.
        self.fake.fail_next((nth + 1) // 2, Crash(), after=nth % 2 == 0, lasting=True)

    def go_away(self) -> None:
        """See `TargetWorld`."""
        self.fake.fail_next(1, AWAY, lasting=True)

    def recover(self) -> None:
        """See `TargetWorld`."""
        self.fake.recover()


class OnAzurite(Breakable):
    """Real storage. A worker dies before a request leaves, so after the one before it took effect."""

    def __init__(self, azurite: Azurite, prefix: str) -> None:
        self.azurite, self.prefix = azurite, prefix
        time = FakeClock(NOW)
        # Mail of one second is told apart by when it was added.
        self._clock = lambda: time.advance(timedelta(milliseconds=1))
        self._left: int | None = None
        self._error: BaseException = Crash()
        self.own = open_storage(connection_string=azurite.connection_string, prefix=prefix, clock=self._clock)

    def open(self) -> Storage:
        """See `Breakable`."""
        return open_storage(
            connection_string=self.azurite.connection_string,
            prefix=self.prefix,
            clock=self._clock,
            on_request=self._request,
        )

    def crash_at(self, nth: int) -> None:
        """See `TargetWorld`."""
        self._left, self._error = nth, Crash()

    def go_away(self) -> None:
        """See `TargetWorld`."""
        self._left, self._error = 1, AWAY

    def recover(self) -> None:
        """See `TargetWorld`."""
        self._left = None

    def _request(self, _request: object) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                raise self._error
