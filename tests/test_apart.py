"""A call in a process of its own: what it gives, and that nothing which happens there reaches us."""

import ctypes
import os
from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.apart import call_apart
from shared.errors import Unreadable
from shared.mime import parse
from tests.run.world import mail

_WITHIN = timedelta(seconds=30)


def environment() -> dict[str, str]:
    """What the child knows of its surroundings."""
    return dict(os.environ)


def hoard() -> int:
    """Far more memory than is allowed."""
    return len(bytearray(4 * 1024**3))


def spin() -> None:
    """An endless loop that no exception ends."""
    while True:
        pass


def crash() -> None:
    """A fault of the hardware's kind, as a defect in a compiled library gives."""
    ctypes.string_at(0)


def leave() -> None:
    """Out without a word."""
    os._exit(0)


def test_the_answer_is_the_same() -> None:
    """A message read apart is the message."""
    raw = mail("Grüße")
    assert call_apart(parse, raw, within=_WITHIN, memory_mb=256) == parse(raw)
    head = call_apart(parse, raw, header_only=True, size=9, within=_WITHIN, memory_mb=256)
    assert head == parse(raw, header_only=True, size=9)


def test_it_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes the child over finds nothing of our environment there."""
    monkeypatch.setenv("MAILCONNECTOR_SECRET_MAILBOX", "hunter2")
    assert "hunter2" not in str(call_apart(environment, within=_WITHIN, memory_mb=256))


def test_memory_is_bounded() -> None:
    """The sentence tells how much it was given."""
    with pytest.raises(Unreadable, match="more than 256 MB of memory"):
        call_apart(hoard, within=_WITHIN, memory_mb=256)


def test_time_is_bounded() -> None:
    """An endless loop ends when its time is over."""
    with pytest.raises(Unreadable, match="more than 1 seconds"):
        call_apart(spin, within=timedelta(seconds=1), memory_mb=256)


@pytest.mark.parametrize(
    ("deadly", "how"), [(crash, "signal SIGSEGV"), (leave, "exit status 0"), (os.abort, "signal SIGABRT")]
)
def test_its_death_is_an_answer(deadly: Callable[[], object], how: str) -> None:
    """Whatever kills the child leaves us alive, with a sentence."""
    with pytest.raises(Unreadable, match=rf"stopped a process of its own \({how}\)"):
        call_apart(deadly, within=_WITHIN, memory_mb=256)


def test_a_defect_is_an_answer() -> None:
    """A function that raises there does not raise here; its text, which may hold anything, stays there."""
    with pytest.raises(Unreadable, match="stopped a process of its own") as told:
        call_apart(int, "a secret body", within=_WITHIN, memory_mb=256)
    assert "secret" not in str(told.value)
