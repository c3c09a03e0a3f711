"""A TCP connection that can be cut: a proxy between us and a server, which counts octets and breaks on script.

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
#: FIN; silence: nothing more comes or goes, and nobody hangs up.
How = Literal["close", "reset", "garbage", "silence"]

_PIECE = 16_384
_MOMENT = 0.05
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
        self._left: int | None = None
        self._how: How = "close"
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
        self._listener.close()
        with self._lock:
            for one in self._sockets:
                _hang_up(one)

    def clear(self) -> None:
        """Count from zero, and break nothing."""
        with self._lock:
            self.passed, self._left = 0, None

    def cut_after(self, octets: int, how: How = "close") -> None:
        """Break every connection once so many more octets have passed; later ones are whole again."""
        with self._lock:
            self._left, self._how = octets, how

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
                allowed = self._take(len(data))
                target.sendall(data[:allowed])
                if allowed < len(data):
                    self._break(target)
                    return
        _hang_up(target)

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
            self._left = None
            how, sockets = self._how, set(self._sockets)
            self._sockets.clear()
        if how == "silence":
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
