"""Tells the story on the terminal, and keeps what it claims apart from what was seen."""

import textwrap
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

#: The whole demo, once everything is installed.
SECONDS = 120

_WIDTH = 100
_POLL_SECONDS = 0.1

T = TypeVar("T")


class NotSeen(Exception):
    """Something that the rest of the story needs did not happen; says what."""


class Story:
    """Numbered chapters with claims. Every claim is checked; `missing` lists those that were not true."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._began = time.monotonic()
        self._seconds = seconds
        self._chapters = 0
        self._claims = 0
        self._at_gap = False
        self.missing: list[str] = []

    def title(self, *lines: str) -> None:
        """What stands above the first chapter."""
        self._print(*lines)

    def chapter(self, title: str, *sentences: str) -> None:
        """Begin a chapter."""
        self._chapters += 1
        self._print("", "", f"{self._chapters}. {title}", "")
        for sentence in sentences:
            self.tell(sentence)

    def tell(self, sentence: str) -> None:
        """One paragraph."""
        self._print(*textwrap.wrap(sentence, _WIDTH, initial_indent="   ", subsequent_indent="   "))

    def show(self, lines: Iterable[str], *, title: str = "") -> None:
        """Something to look at, set off from the text."""
        self._gap()
        self._print(*([f"   {title}"] if title else []), *(f"     {line}" for line in lines), "")

    def claim(self, sentence: str, *, seen: bool, found: object = "") -> None:
        """Something that the product promises, and whether it was seen just now; else what was ``found`` instead."""
        self._claims += 1
        if seen:
            self._print(f"   ✓ {sentence}")
            return
        instead = f" Instead: {found}" if found != "" else ""
        self._print(f"   ✗ NOT SEEN: {sentence}{instead}")
        self.missing.append(sentence)

    def wait_for(self, what: str, look: Callable[[], T | None], *, seconds: float) -> T:
        """What ``look`` gives as soon as it is something. Raises `NotSeen` after ``seconds``, or at the story's end."""
        allowed = min(seconds, self.left)
        deadline = time.monotonic() + allowed
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > deadline:
                raise NotSeen(f"{what} within {max(allowed, 0):.0f} seconds.")
            time.sleep(_POLL_SECONDS)

    @property
    def left(self) -> float:
        """Seconds that are left for the rest."""
        return self._began + self._seconds - time.monotonic()

    def end(self) -> int:
        """Say how it went. 0 when every claim was seen in time, else 1."""
        took = self._seconds - self.left
        if self.left < 0:
            self.missing.append(f"All of this within {self._seconds:g} seconds: it took {took:.0f}.")
        self._gap()
        if self.missing:
            self._print("Not seen:", *(f"  - {claim}" for claim in self.missing))
            return 1
        self._print(f"All {self._claims} claims (✓) were checked and seen, in {took:.0f} seconds.")
        return 0

    def _gap(self) -> None:
        if not self._at_gap:
            self._print("")

    def _print(self, *lines: str) -> None:
        print("\n".join(lines), flush=True)
        self._at_gap = lines[-1] == ""
