"""A server that does not answer is left alone for a while by all jobs on it, not by each one after its own time-outs.

Per process, in memory: each instance learns by itself, at the price of a few tries, and storage is asked nothing more.
Only silence counts. Refused sign-ins, wrong folders and throttling, which comes with its own pause, are the matter of
one job or one mailbox.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from shared.errors import AuthFailed, Unavailable, Unreachable
from shared.model import Clock

#: Different jobs that found a server silent, with nobody reaching it in between, until the others stay away.
_WITNESSES = 2
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=5)

#: So long a single job may try a silent server before the next one does.
_TRIAL = timedelta(minutes=1)


@dataclass(slots=True)
class _Silence:
    """What is known of one server that did not answer."""

    jobs: set[str] = field(default_factory=set)
    pauses: int = 0
    until: datetime | None = None


class Circuit:
    """Which servers are silent. Safe to share between threads."""

    def __init__(self) -> None:
        self._silent: dict[str, _Silence] = {}
        self._lock = Lock()

    @contextmanager
    def calling(self, server: str, job: str, clock: Clock) -> Iterator[None]:
        """Surround the opening of a connection. Raises `Unavailable` at once while ``server`` is left alone.

        Empty where it is not known before: then nothing is remembered.
        """
        if not server:
            yield
            return
        self._enter(server, clock())
        try:
            yield
        except Unreachable:
            self._silent_to(server, job, clock())
            raise
        except AuthFailed:
            self._answered(server)
            raise
        self._answered(server)

    def _enter(self, server: str, now: datetime) -> None:
        with self._lock:
            silence = self._silent.get(server)
            if silence is None or silence.until is None:
                return
            if silence.until > now:
                raise Unavailable(
                    f"{server} has not answered the last {len(silence.jobs)} jobs on it, so this one waits.",
                    remedy="It goes on by itself once the server answers again.",
                    retry_after=silence.until - now,
                )
            silence.until = now + _TRIAL

    def _answered(self, server: str) -> None:
        with self._lock:
            self._silent.pop(server, None)

    def _silent_to(self, server: str, job: str, now: datetime) -> None:
        with self._lock:
            silence = self._silent.setdefault(server, _Silence())
            silence.jobs.add(job)
            if len(silence.jobs) >= _WITNESSES:
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << min(silence.pauses, 10)))
                silence.until = now + pause
                silence.pauses += 1
