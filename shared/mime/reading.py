"""What one reading of one message gathers besides its content: defects, and how much of each limit is used up."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from shared.mime import limits

P = ParamSpec("P")
T = TypeVar("T")


class Reading:
    """The state of one `parse`: what made no sense, what was cut, what is left of the limits."""

    def __init__(self) -> None:
        self._defects: dict[str, None] = {}
        self._more = 0
        #: Something of the body was left out: the original has to be kept as a whole.
        self.incomplete = False
        self.parts = 0
        self.boundary_lines = 0
        self.html_left = limits.HTML_CHARS
        self.rtf_left = limits.RTF_OCTETS
        self.inflated_left = limits.INFLATED_OCTETS
        #: Forms within forms that are being unpacked just now.
        self.unpacking = 0

    @property
    def defects(self) -> tuple[str, ...]:
        """The sentences noted so far, each once, in their order."""
        if not self._more:
            return tuple(self._defects)
        return (*self._defects, f"{self._more} more defects are not listed.")

    def note(self, defect: str) -> None:
        """Keep a sentence about something that made no sense."""
        if defect in self._defects:
            return
        if len(self._defects) < limits.DEFECTS:
            self._defects[defect] = None
        else:
            self._more += 1

    def cut(self, defect: str) -> None:
        """Keep a sentence about something of the body that is left out."""
        self.incomplete = True
        self.note(defect)

    def guard(self, what: str, default: T, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do one step; if it raises, which is a defect of ours, note that and go on with ``default``.

        A fault in one field must never cost the message. The tests let nothing through that comes out of here.
        """
        try:
            return step(*args, **kwargs)
        except Exception as fault:  # noqa: BLE001 - total by contract; the fault is in the defects
            self.cut(f"{what} could not be read ({type(fault).__name__}).")
            return default
