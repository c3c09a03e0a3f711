"""Servers that we start end when we do."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dev.child import Child, ChildFailed

PATIENCE = 10

ORPHAN = """
import os, signal, sys
from dev.child import Child
child = Child("orphan", ["sh", "-c", 'exec 3>"$0"; echo up; sleep 600', sys.argv[1]])
child.wait_for("up", timeout=10)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_group_dies_when_its_parent_is_killed(tmp_path: Path) -> None:
    """After SIGKILL of the parent, the child and what it started are gone: nobody holds the pipe any more."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with subprocess.Popen([sys.executable, "-c", ORPHAN, str(pipe)]) as parent, pipe.open("rb") as reading:
        assert parent.wait(PATIENCE) == -signal.SIGKILL
        readable, _, _ = select.select([reading], [], [], PATIENCE)
        assert readable
        assert reading.read() == b""


def test_waiting_tells_the_last_words_of_a_process_that_ended() -> None:
    """A server that dies at start is reported at once, with what it said."""
    child = Child("toy", ["sh", "-c", "echo no luck >&2; exit 3"])

    with pytest.raises(ChildFailed, match=r"toy ended(.|\n)*no luck"):
        child.wait_for("ready", timeout=PATIENCE)
    assert child.kill() == 3


def test_waiting_ends_when_the_time_is_up() -> None:
    """A server that never gets ready is reported, too."""
    child = Child("toy", ["sleep", "600"])

    with pytest.raises(ChildFailed, match=r"did not get ready within 0\.05 s"):
        child.wait_for("ready", timeout=0.05)
    assert child.kill() == -signal.SIGKILL


def test_stop_lets_a_process_end_by_itself_even_when_it_was_paused() -> None:
    """SIGTERM reaches a stopped process, and its own exit code comes back."""
    child = Child("toy", ["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"])
    child.wait_for("up", timeout=PATIENCE)
    child.signal(signal.SIGSTOP)

    assert child.stop() == 7
    assert not child.running


def test_stop_kills_what_does_not_want_to_end() -> None:
    """After the grace nothing is left."""
    child = Child("toy", ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"])
    child.wait_for("up", timeout=PATIENCE)

    assert child.stop(grace=0.1) == -signal.SIGKILL
