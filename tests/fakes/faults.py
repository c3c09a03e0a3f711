"""Faults on order: the nth storage write from now fails, before or after it took effect.

::

    write   1      2      3      4      5
    fail_next(3, Unavailable(...))                  ok  ok  ✗  ok  ok     nothing of 3 is stored
    fail_next(3, Unavailable(...), after=True)      ok  ok  ✗  ok  ok     3 is stored, its answer is lost
    fail_next(3, Unavailable(...), lasting=True)    ok  ok  ✗  ✗   ✗      until `recover`

A killed worker is a `BaseException` that lasts: nothing that runs on the way out can store anything any more.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one write."""

    error: BaseException
    after: bool
    lasting: bool


class Faults:
    """Counts the writes of one `FakeStorage` and lets the chosen ones fail."""

    def __init__(self) -> None:
        #: The names of all writes that were asked for, in their order, whether they failed or not.
        self.writes: list[str] = []
        #: Called before and after each write; what it raises is the end of whoever writes.
        self.watch: Callable[[], None] = lambda: None
        self._planned: dict[int, Fault] = {}
        self._lasting: BaseException | None = None
        self._lock = Lock()

    def fail_next(self, nth: int, error: BaseException, *, after: bool = False, lasting: bool = False) -> None:
        """Let the ``nth`` write from now (1 is the next one) raise ``error``."""
        if nth < 1:
            raise ValueError("Writes are counted from 1, the next one.")
        with self._lock:
            self._planned[len(self.writes) + nth] = Fault(error, after=after, lasting=lasting)

    def recover(self) -> None:
        """Forget every fault, planned or lasting."""
        with self._lock:
            self._planned.clear()
            self._lasting = None

    @contextmanager
    def write(self, name: str) -> Iterator[None]:
        """Surround one write, which either happens as a whole or not at all."""
        with self._lock:
            self.writes.append(name)
            fault = self._planned.pop(len(self.writes), None)
            lasting = self._lasting
            if fault and fault.lasting:
                self._lasting = fault.error
        if lasting:
            raise lasting
        if fault and not fault.after:
            raise fault.error
        self.watch()
        yield
        self.watch()
        if fault:
            raise fault.error
