"""A TCP connection that can be bad: a proxy between us and a server, which counts octets, and breaks or slows on script.

::

    with Wire(host, port) as wire:
        wire.cut_after(1_234)          # all octets, both ways, from now on
        ... connect to wire.port ...

TLS passes through untouched, so a cut falls anywhere in it.
"""

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

#: close: FIN, as a process that ends; reset: RST, as a firewall that forgot; garbage: noise in place of the rest, then
#: FIN; silence: half-open, nothing more goes in that direction, and nobody hangs up; slow: from then on all octets go
#: one by one, both ways.
How = Literal["close", "reset", "garbage", "silence", "slow"]

_PIECE = 16_384
_MOMENT = 0.05
#: Seconds for each octet of a slow wire.
_TRICKLE = 0.02
_LINGER_OFF = struct.pack("ii", 1, 0)


class Wire:
    """One server behind a port of its own. A context manager."""

    host = "127.0.0.1"

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._left: int | None = None
        self._how: How = "close"
        self._lasting = False
        self._slow = False
        self._delay = 0.0
        self._closed = threading.Event()
        #: Octets that passed since `clear`, both ways.
        self.passed = 0
        #: How often it broke.
        self.cuts = 0
        threading.Thread(target=self._serve, name="wire", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._listener.close()
        with self._lock:
            for one in self._sockets | self._silent:
                _hang_up(one)

    def clear(self) -> None:
        """Count from zero, and do nothing bad any more. Whoever waits on a silent connection learns that it is dead."""
        with self._lock:
            self.passed, self._left = 0, None
            self._slow, self._delay = False, 0.0
            for one in self._silent:
                _hang_up(one)
            self._silent.clear()

    def cut_after(self, octets: int, how: How = "close", *, lasting: bool = False) -> None:
        """Break every connection once so many more octets have passed.

        Later ones are whole again, or, where it is ``lasting``, break at their first octet.
        """
        with self._lock:
            self._left, self._how, self._lasting = octets, how, lasting

    def delay(self, seconds: float) -> None:
        """Let every piece come so much later, both ways."""
        with self._lock:
            self._delay = seconds

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server, timeout=30)
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.settimeout(_MOMENT)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := self._receive(source):
                self._closed.wait(self._delay)
                if self._slow:
                    self._trickle(data, target)
                    continue
                allowed = self._take(len(data))
                target.sendall(data[:allowed])
                if allowed == len(data):
                    continue
                if self._how != "slow":
                    self._break(target)
                    return
                with self._lock:
                    self._slow, self._left = True, None
                    self.cuts += 1
                self._trickle(data[allowed:], target)
        _hang_up(target)

    def _trickle(self, data: bytes, target: socket.socket) -> None:
        for at in range(len(data)):
            if self._slow:
                self._closed.wait(_TRICKLE)
            target.sendall(data[at : at + 1])
            self._take(1)

    def _receive(self, source: socket.socket) -> bytes:
        """What comes next. Never waits for long, so that a socket that is closed meanwhile is closed at once."""
        while True:
            try:
                return source.recv(_PIECE)
            except TimeoutError:
                continue

    def _take(self, octets: int) -> int:
        """How many of these may pass."""
        with self._lock:
            allowed = octets if self._left is None else min(octets, self._left)
            self.passed += allowed
            if self._left is not None:
                self._left -= allowed
            return allowed

    def _break(self, target: socket.socket) -> None:
        with self._lock:
            self.cuts += 1
            self._left = 0 if self._lasting else None
            how, sockets = self._how, set(self._sockets)
            self._sockets.clear()
            if how == "silence":
                self._silent |= sockets
                return
        if how == "garbage":
            with suppress(OSError):
                target.sendall(b"\xff\x00 nonsense \r\n" * 8)
        for one in sockets:
            if how == "reset":
                with suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
                    one.close()
            _hang_up(one)


def _hang_up(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        one.close()
