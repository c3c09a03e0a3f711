"""An embedded mail server: one mailbox in memory, read over IMAP4 with TLS, fed by APPEND or by SMTP.

pymap serves IMAP4rev1 with UIDPLUS, MOVE and flags as imapclient needs them. Two limits: no UNSELECT, and CLOSE of a
folder that was opened read-only is refused (LOGOUT instead). aiosmtpd takes the mail in.
"""

import asyncio
import re
import secrets
import socket
import ssl
import tempfile
import threading
from argparse import Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import trustme
from aiosmtpd.smtp import SMTP, Envelope, Session
from imapclient import IMAPClient
from proxyprotocol.reader import ProxyProtocolReader
from proxyprotocol.sock import SocketInfo
from pymap.backend.dict import Config, DictBackend, Login
from pymap.concurrent import Subsystem
from pymap.context import connection_exit
from pymap.imap import IMAPConnection
from pymap.imap.state import ConnectionState
from pymap.parsing.command import Command
from pymap.parsing.response import CommandResponse

_HOST = "127.0.0.1"
_TIMEOUT = 20


class _Config(Config):
    """Without host name look-ups, and without threads whose event loops nobody closes."""

    @property
    def greeting(self) -> bytes:
        return b"Mail Connector demo server ready"

    @classmethod
    def _get_cpu_subsystem(cls) -> Subsystem:
        return Subsystem.for_asyncio()


class Hold:
    """Commands of one kind wait, so that a client can be looked at, or killed, at that very point.

    When it ends, they take effect; those of a client that has gone away by then never do.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        #: Set as soon as a client waits.
        self.reached = threading.Event()
        self._released: asyncio.Event = asyncio.Event()

    async def wait(self, command: bytes, client: asyncio.StreamReader) -> None:
        """Wait here if ``command`` (``STORE``, ``UID STORE``) is the one that is held."""
        if command.decode().rpartition(" ")[2] == self.command:
            self.reached.set()
            await self._released.wait()
            if client.at_eof():
                raise EOFError

    def release(self) -> None:
        """Let go; to be called on the server's loop."""
        self._released.set()


class _State(ConnectionState):
    def __init__(self, server: "MailServer", login: Login, config: Config, client: asyncio.StreamReader) -> None:
        super().__init__(login, config)
        self._server = server
        self._client = client

    async def do_command(self, cmd: Command) -> CommandResponse:
        for hold in tuple(self._server.holds):
            await hold.wait(cmd.command, self._client)
        return await super().do_command(cmd)


class MailServer:
    """One user, one mailbox, for the length of a ``with`` block; a thread of this process serves it.

    IMAP4 on ``port`` is TLS from the first byte (IMAPS), signed by a certificate authority of its own: ``ca_file``.
    SMTP on ``smtp_port`` is plain, takes any sender and recipient, and puts the mail into INBOX.
    """

    def __init__(self, *, user: str = "support@example.com", password: str | None = None) -> None:
        self.host = _HOST
        self.user = user
        self.password = password or secrets.token_urlsafe(12)
        self.port = 0
        self.smtp_port = 0
        self.holds: list[Hold] = []
        self._folder = tempfile.TemporaryDirectory(prefix="mailserver-")
        authority = trustme.CA()
        self.ca_file = Path(self._folder.name) / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(_HOST, "localhost").configure_cert(self._tls)
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._connections: set[asyncio.Task[Any]] = set()
        self._writers: WeakSet[asyncio.StreamWriter] = WeakSet()
        self._thread = threading.Thread(target=self._run, name="mail server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result(_TIMEOUT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ready.result().call_soon_threadsafe(self._stop.set)
        self._thread.join(_TIMEOUT)
        self._folder.cleanup()

    @contextmanager
    def client(self, folder: str | None = "INBOX") -> Iterator[IMAPClient]:
        """A signed-in imapclient; ``folder`` is selected unless None."""
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        with IMAPClient(_HOST, self.port, ssl=True, ssl_context=trust, timeout=_TIMEOUT) as client:
            # A literal goes out in small pieces: without this each APPEND waits 40 ms for a delayed ACK.
            client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.login(self.user, self.password)
            if folder is not None:
                client.select_folder(folder)
            yield client

    def append(self, *messages: bytes, flags: Sequence[bytes] = (), folder: str = "INBOX") -> list[int]:
        """Put messages into a folder byte for byte, by IMAP4 APPEND; their UIDs (RFC 4315)."""
        with self.client(None) as client:
            answers = [client.append(folder, raw, flags=flags) for raw in messages]
        found = [re.search(rb"\[APPENDUID \d+ (\d+)\]", answer) for answer in answers]
        return [int(match[1]) for match in found if match]

    @contextmanager
    def holding(self, command: str) -> Iterator[Hold]:
        """Make every IMAP4 ``command`` ("STORE", "FETCH", ...) of any client wait within the block."""
        hold = Hold(command.upper())
        self.holds.append(hold)
        try:
            yield hold
        finally:
            self.holds.remove(hold)
            self._ready.result().call_soon_threadsafe(hold.release)

    # --- aiosmtpd calls this

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        """Final delivery (RFC 5321 section 4.4): the sender of the envelope is kept as Return-Path."""
        raw = envelope.original_content or b""
        mark = f"Return-Path: <{envelope.mail_from or ''}>\r\n".encode()
        await asyncio.to_thread(self.append, mark + raw)
        return "250 2.0.0 Delivered"

    # --- on the server's thread

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:
            if self._ready.done():
                raise
            self._ready.set_exception(exc)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        arguments = Namespace(passlib_cfg=None, proxy_protocol=None)
        # Implicit TLS: for pymap, ``tls_enabled`` is about STARTTLS.
        config = _Config(
            arguments,
            host=_HOST,
            port=0,
            demo_data=False,
            demo_user=self.user,
            demo_password=self.password,
            ssl_context=self._tls,
            tls_enabled=False,
            reject_dnsbl=False,
        )
        config.apply_context()
        login = Login(config)
        await DictBackend._add_demo_user(config, login)  # noqa: SLF001 - the only way to add a user without argparse

        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, info: SocketInfo) -> None:
            task = asyncio.current_task()
            if task:
                self._writers.add(writer)
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)
            async with AsyncExitStack() as stack:
                connection_exit.set(stack)
                connection = IMAPConnection(config.commands, config, reader, writer, info)
                stack.callback(connection.close)
                await connection.run(_State(self, login, config, reader))

        accept = ProxyProtocolReader(config.proxy_protocol).get_callback(converse)
        imap = await asyncio.start_server(accept, _HOST, 0, ssl=self._tls)
        smtp = await loop.create_server(lambda: SMTP(self, hostname="localhost", loop=loop), _HOST, 0)
        self.port = imap.sockets[0].getsockname()[1]
        self.smtp_port = smtp.sockets[0].getsockname()[1]
        self._ready.set_result(loop)
        await self._stop.wait()
        imap.close()
        smtp.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        for writer in self._writers:
            # A plain close would wait for the client to end its side of TLS.
            writer.transport.abort()
        await asyncio.sleep(0)
