"""Calls a function in a process of its own, under limits of time and memory that hold for any content.

For messages over which a worker stopped once: docs/decisions/0004 says why only for those.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from shared.errors import Unreadable

_MB = 1024 * 1024

#: What the interpreter with our code in it reserves by itself.
_BARE_MB = 512

T = TypeVar("T")


def call_apart(function: Callable[..., T], *arguments: Any, within: timedelta, memory_mb: int, **named: Any) -> T:
    """What ``function`` gives, called in a fresh process that gets none of our environment.

    ``function`` is one at the top of a module; its arguments and its result travel by pickle. Where the platform has
    no limits of memory (Windows) only that of time holds. Raises `Unreadable` when the process died, took too much
    memory or time, or when ``function`` raised.
    """
    command = [sys.executable, "-m", __name__, str(memory_mb)]
    try:
        child = subprocess.run(  # noqa: S603 (our own interpreter and module)
            command,
            input=pickle.dumps((function, arguments, named)),
            capture_output=True,
            timeout=max(0.001, within.total_seconds()),
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "SYSTEMROOT": os.path.sep},
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise Unreadable(
            f"Reading it took more than {within.total_seconds():.0f} seconds, even in a process of its own."
        ) from late
    if child.returncode == _TOO_MUCH:
        raise Unreadable(f"Reading it took more than {memory_mb} MB of memory, even in a process of its own.")
    if child.returncode or not child.stdout:
        raise Unreadable(f"Reading it stopped a process of its own ({_ending(child.returncode)}).")
    # Written by our own code in the child; nobody else has its pipe.
    answer: T = pickle.loads(child.stdout)  # noqa: S301
    return answer


def _ending(code: int) -> str:
    """How a process ended, in a word that can be searched for."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


#: The child's word for: no memory left.
_TOO_MUCH = 87


def _limit_memory(memory_mb: int) -> None:
    try:
        import resource
    except ImportError:
        return
    octets = (_BARE_MB + memory_mb) * _MB
    resource.setrlimit(resource.RLIMIT_AS, (octets, octets))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _serve() -> None:
    """The child: one call from standard input, its result to standard output."""
    _limit_memory(int(sys.argv[1]))
    try:
        function, arguments, named = pickle.load(sys.stdin.buffer)  # noqa: S301 (written by `call_apart`)
        answer = pickle.dumps(function(*arguments, **named))
    except MemoryError:
        sys.exit(_TOO_MUCH)
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    _serve()
