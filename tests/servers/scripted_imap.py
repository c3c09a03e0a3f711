"""An IMAP server that says exactly what a test wrote down: for the answers that no decent server gives."""

import re
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from tests.servers.tls import HOST, Certificate

GREETING = b"* OK ready\r\n"
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange: the next command, without its tag, matches ``expect``; the answer has ``{tag}`` for its tag.

    ``then``: go on, close the connection, drip one octet after another for ever, or switch to TLS.
    """

    expect: str
    answer: str = "{tag} OK done\r\n"
    then: Literal["go on", "close", "drip", "starttls"] = "go on"


def capable(*names: str) -> Step:
    """CAPABILITY, asked for before the sign-in."""
    return Step("CAPABILITY", f"* CAPABILITY {' '.join(('IMAP4rev1', *names))}\r\n{{tag}} OK done\r\n")


def signed_in(*names: str) -> list[Step]:
    """A sign-in that succeeds; ``names`` are the capabilities from then on."""
    return [capable(), Step("LOGIN ", f"{{tag}} OK [CAPABILITY {' '.join(('IMAP4rev1', *names))}] done\r\n")]


def opened(*, exists: int = 0, uidvalidity: int = 7, extra: str = "", verb: str = "EXAMINE") -> Step:
    """The folder is opened, for reading or (``verb="SELECT"``) for writing."""
    era = f"* OK [UIDVALIDITY {uidvalidity}] x\r\n" if uidvalidity else ""
    mode = "READ-ONLY" if verb == "EXAMINE" else "READ-WRITE"
    return Step(
        f"{verb} ",
        f"* FLAGS (\\Seen \\Deleted)\r\n* {exists} EXISTS\r\n* 0 RECENT\r\n{era}{extra}{{tag}} OK [{mode}] x\r\n",
    )


def found(expect: str, *uids: int) -> Step:
    """A UID SEARCH and the UIDs that it finds."""
    return Step(f"UID SEARCH {expect}", f"* SEARCH {' '.join(map(str, uids))}\r\n{{tag}} OK done\r\n")


class ScriptedImap:
    """Each connection gets the next of ``talks``; when none is left it is closed at once. LOGOUT is always understood.

    Leaving the context fails when a client said something else than expected, or when a step was never reached.
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
        #: Every command that arrived, without its tag.
        self.heard: list[str] = []
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="scripted IMAP", daemon=True)
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
        if error is None:
            assert not self._faults, self._faults

    def _serve(self) -> None:
        for talk in self._talks:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                self._faults.append(f"nobody came for {talk}")
                return
            # A client that hangs up is a client's right; what it left unsaid shows in the steps.
            with connection, suppress(OSError):
                self._talk(connection, list(talk))
        while True:
            try:
                self._listener.accept()[0].close()
            except OSError:
                return

    def _talk(self, plain: socket.socket, steps: list[Step]) -> None:
        plain.settimeout(30)
        line = plain
        if self._context and self._tls_at_once:
            line = self._context.wrap_socket(plain, server_side=True)
        try:
            line.sendall(self._greeting)
        except OSError:
            line.close()  # a client that does not like the certificate is gone by now
            raise
        commands = line.makefile("rb")
        try:
            while command := commands.readline().decode("latin-1").strip():
                tag, _, words = command.partition(" ")
                self.heard.append(words)
                if words == "LOGOUT":
                    line.sendall(f"* BYE bye\r\n{tag} OK done\r\n".encode())
                    break
                step = steps.pop(0) if steps else Step("nothing more")
                if not re.match(step.expect, words):
                    self._faults.append(f"expected {step.expect!r}, heard {words!r}")
                    return
                line.sendall(step.answer.replace("{tag}", tag).encode("latin-1"))
                if step.then == "close":
                    break
                if step.then == "drip":
                    while not self._stop.wait(_PAUSE):
                        line.sendall(b"x")
                if step.then == "starttls" and self._context:
                    commands.close()
                    line = self._context.wrap_socket(line, server_side=True)
                    commands = line.makefile("rb")
            if steps:
                self._faults.append(f"never heard {steps}")
        finally:
            commands.close()
            line.close()
