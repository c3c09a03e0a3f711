"""A POP3 server that says exactly what a test wrote down: for the answers that no decent server gives."""

import re
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from tests.servers.tls import HOST, Certificate

GREETING = b"+OK ready <1896.697170952@dbc.mtview.ca.us>\r\n"
OK = "+OK done\r\n"
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange: the next command matches ``expect`` and gets ``answer`` (Latin-1).

    ``then``: go on, close the connection, drip one octet after another for ever, or switch to TLS.
    """

    expect: str
    answer: str = OK
    then: Literal["go on", "close", "drip", "starttls"] = "go on"


def capable(*names: str) -> Step:
    """The answer to CAPA."""
    return Step("CAPA$", "+OK\r\n" + "".join(f"{name}\r\n" for name in names) + ".\r\n")


def signed_in(*names: str) -> list[Step]:
    """A sign-in that succeeds; ``names`` are the capabilities besides USER."""
    return [capable("USER", *names), Step("USER "), Step("PASS "), capable(*names)]


def listing(messages: Mapping[str, int]) -> list[Step]:
    """A mailbox with these messages, numbered from 1: octets by UIDL."""
    ids = "".join(f"{number} {uidl}\r\n" for number, uidl in enumerate(messages, 1))
    sizes = "".join(f"{number} {size}\r\n" for number, size in enumerate(messages.values(), 1))
    return [
        Step("UIDL$", f"+OK\r\n{ids}.\r\n"),
        Step("LIST$", f"+OK\r\n{sizes}.\r\n"),
        Step("STAT$", f"+OK {len(messages)} {sum(messages.values())}\r\n"),
    ]


def given(number: int, body: str, verb: str = "RETR") -> Step:
    """A message as it travels: ``body`` with its dots stuffed and its last line end."""
    return Step(f"{verb} {number}( 0)?$", f"+OK\r\n{body}.\r\n")


class ScriptedPop3:
    """Each connection gets the next of ``talks``, beside those that go on; when none is left it is closed at once.

    A QUIT for which there is no step is answered where no step is left; else it is a fault, like every command that
    was not expected. Leaving the context fails on a fault, and when a step was never reached.
    """

    host = HOST

    def __init__(
        self, *talks: Sequence[Step], greeting: bytes = GREETING, tls: Certificate | None = None, at_once: bool = False
    ) -> None:
        self._talks = talks
        self._greeting = greeting
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if tls and self._context:
            self._context.load_cert_chain(tls.chain, tls.key)
        self._tls_at_once = at_once
        self._faults: list[str] = []
        self._stop = threading.Event()
        self._talking: list[threading.Thread] = []
        #: Every command that arrived.
        self.heard: list[str] = []
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="scripted POP3", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)
        for talk in self._talking:
            talk.join(timeout=10)
        if error is None:
            assert not self._faults, self._faults

    def _serve(self) -> None:
        for talk in self._talks:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                self._faults.append(f"nobody came for {talk}")
                return
            talking = threading.Thread(target=self._follow, args=(connection, list(talk)), daemon=True)
            self._talking.append(talking)
            talking.start()
        while True:
            try:
                self._listener.accept()[0].close()
            except OSError:
                return

    def _follow(self, connection: socket.socket, steps: list[Step]) -> None:
        # A client that hangs up is a client's right; what it left unsaid shows in the steps.
        with connection, suppress(OSError):
            self._talk(connection, steps)
        if steps:
            self._faults.append(f"never heard {steps}")

    def _talk(self, plain: socket.socket, steps: list[Step]) -> None:
        plain.settimeout(30)
        line = plain
        if self._context and self._tls_at_once:
            line = self._context.wrap_socket(plain, server_side=True)
        line.sendall(self._greeting)
        commands = line.makefile("rb")
        try:
            while received := commands.readline():
                command = received.decode("latin-1").strip("\r\n")
                self.heard.append(command)
                if command == "QUIT" and not steps:
                    line.sendall(OK.encode())
                    break
                if not steps or not re.match(steps[0].expect, command):
                    self._faults.append(f"expected {steps[:1]}, heard {command!r}")
                    break
                step = steps.pop(0)
                line.sendall(step.answer.encode("latin-1"))
                if step.then == "close":
                    break
                if step.then == "drip":
                    while not self._stop.wait(_PAUSE):
                        line.sendall(b"x")
                if step.then == "starttls" and self._context:
                    commands.close()
                    line = self._context.wrap_socket(line, server_side=True)
                    commands = line.makefile("rb")
        finally:
            commands.close()
            line.close()
