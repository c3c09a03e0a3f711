"""A clock that stands still until a test moves it or sets it."""

from datetime import datetime, timedelta
from threading import Lock


class FakeClock:
    """Call it for the present instant; only `advance` and `set_back` change the answer."""

    def __init__(self, now: datetime) -> None:
        if now.tzinfo is None:
            raise ValueError("A clock tells aware instants: give FakeClock a datetime with a time zone.")
        self._now = now
        self._lock = Lock()

    def __call__(self) -> datetime:
        """The present instant."""
        with self._lock:
            return self._now

    def advance(self, by: timedelta) -> datetime:
        """Let ``by`` pass and return the new instant. Time never runs backwards."""
        if by < timedelta(0):
            raise ValueError("Time does not run backwards.")
        with self._lock:
            self._now += by
            return self._now

    def set_back(self, by: timedelta) -> None:
        """Set the clock to another time, as an operator or a time server does; forward where ``by`` is negative."""
        with self._lock:
            self._now -= by
