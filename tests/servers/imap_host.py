"""What a real IMAP4 server shows to the other people who use a mailbox, through the standard library's client."""

import imaplib
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.tls import HOST


@dataclass(frozen=True, slots=True)
class User:
    """One mailbox of the server."""

    name: str
    password: str
    separator: str


@dataclass(frozen=True, slots=True)
class Stored:
    r"""One message as somebody else's client sees it. ``flags`` without ``\Recent``, which belongs to a session."""

    uid: int
    flags: frozenset[str]
    data: bytes


class ImapHost:
    """A server that listens for IMAP4 with TLS."""

    host = HOST
    imaps_port: int
    ca_file: Path

    @contextmanager
    def session(self, user: User) -> Iterator[imaplib.IMAP4]:
        """A signed-in client of the standard library, for what the class has no method for."""
        context = ssl.create_default_context(cafile=self.ca_file)
        client = imaplib.IMAP4_SSL(self.host, self.imaps_port, ssl_context=context, timeout=30)
        # The library sends a literal in pieces: without this, each APPEND may wait 40 ms for a delayed ACK.
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            client.login(user.name, user.password)
            yield client
        finally:
            with suppress(imaplib.IMAP4.error, OSError):
                client.logout()

    def create_folder(self, user: User, folder: str) -> None:
        """Make a folder; ``folder`` as it travels (quoted by us, not encoded)."""
        with self.session(user) as client:
            _ok(client.create(f'"{folder}"'))

    def append(
        self, user: User, folder: str, data: bytes | list[bytes], flags: str = "", *, received: str | None = None
    ) -> None:
        r"""Put messages there. ``flags`` like ``\Seen \Flagged``; ``received`` like ``"01-Nov-2026 10:00:00 +0000"``."""
        with self.session(user) as client:
            for one in [data] if isinstance(data, bytes) else data:
                _ok(client.append(f'"{folder}"', f"({flags})", received and f'"{received}"', one))

    def messages(self, user: User, folder: str = "INBOX") -> list[Stored]:
        """Everything in the folder, by UID, seen by a client that changes nothing."""
        with self.session(user) as client:
            _ok(client.select(f'"{folder}"', readonly=True))
            answer = _ok(client.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])"))
        return sorted((_stored(*part) for part in answer if isinstance(part, tuple)), key=lambda stored: stored.uid)

    def flag(self, user: User, uid: int, change: str, flags: str, folder: str = "INBOX") -> None:
        r"""What a person's client does: ``flag(user, 3, "-FLAGS", r"\Deleted")``."""
        with self.session(user) as client:
            _ok(client.select(f'"{folder}"'))
            _ok(client.uid("STORE", str(uid), change, f"({flags})"))

    def expunge(self, user: User, uid: int, folder: str = "INBOX") -> None:
        """Remove one message for good, as a person would."""
        with self.session(user) as client:
            _ok(client.select(f'"{folder}"'))
            _ok(client.uid("STORE", str(uid), "+FLAGS", r"(\Deleted)"))
            _ok(client.uid("EXPUNGE", str(uid)))


def _ok(answer: tuple[str, Any]) -> Any:
    kind, data = answer
    assert kind == "OK", data
    return data


def _stored(head: bytes, data: bytes) -> Stored:
    uid = re.search(rb"UID (\d+)", head)
    flags = re.search(rb"FLAGS \(([^)]*)\)", head)
    assert uid, head
    assert flags, head
    return Stored(int(uid[1]), frozenset(flags[1].decode().split()) - {r"\Recent"}, data)
