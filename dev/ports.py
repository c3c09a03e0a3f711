"""Free TCP ports for servers that must come back on the port they had."""

import random
import socket
from contextlib import ExitStack

#: Below the range from which Linux (32768 up) and macOS (49152 up) lend ports to clients. So nobody is lent the port
#: of a server that is down for a moment, and a client that keeps knocking there cannot end up connected to itself.
_RANGE = range(20_000, 32_000)
_TRIES = 1_000


def free_ports(count: int) -> tuple[int, ...]:
    """``count`` different ports on 127.0.0.1 that nobody listens on at this moment."""
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(_RANGE, _TRIES):
            if len(ports) == count:
                return tuple(ports)
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
    raise RuntimeError(f"No {count} free ports were found on 127.0.0.1: close some programs and try again.")
