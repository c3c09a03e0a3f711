"""Stands between clients and a real POP3 server, and breaks the line at a chosen command. Plain text only."""

import re
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

from tests.servers.tls import HOST

#: What becomes of the command: it never arrives, or it takes effect and its answer is lost, or it waits until the
#: client is gone and never arrives.
Break = Literal["lost", "answer lost", "held"]


class Pop3Relay:
    """Passes everything on, until a client says for the first time what matches ``at``; then on again."""

    host = HOST

    def __init__(self, port: int, *, at: str, then: Break) -> None:
        self._target = port
        self._at = re.compile(at)
        self._then = then
        #: Set when the command was met; then nothing of what it does is still under way.
        self.reached = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in (self._accepting, *self._threads):
            thread.join(timeout=10)
        if error is None:
            assert self.reached.is_set(), f"no client said {self._at.pattern}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                thread = threading.Thread(target=self._relay, args=self._listener.accept()[:1], daemon=True)
                self._threads.append(thread)
                thread.start()

    def _relay(self, client: socket.socket) -> None:
        deaf = threading.Event()
        broken = False
        with client, socket.create_connection((self.host, self._target), timeout=30) as server:
            back = threading.Thread(target=_pass_back, args=(server, client, deaf), daemon=True)
            back.start()
            with suppress(OSError), client.makefile("rb") as commands:
                for line in commands:
                    broken = not self.reached.is_set() and bool(self._at.match(line.decode("latin-1").rstrip("\r\n")))
                    if broken and self._then == "held":
                        self.reached.set()
                        commands.read()
                        break
                    if broken and self._then == "answer lost":
                        deaf.set()
                    if not broken or deaf.is_set():
                        server.sendall(line)
                    if broken:
                        break
            # The server finishes what it was told, and hangs up because nobody talks to it any more.
            with suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join(timeout=30)
            if broken:
                self.reached.set()


def _pass_back(server: socket.socket, client: socket.socket, deaf: threading.Event) -> None:
    with suppress(OSError):
        while data := server.recv(65_536):
            if not deaf.is_set():
                client.sendall(data)
