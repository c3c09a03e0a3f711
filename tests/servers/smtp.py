"""A mail server that takes mail in: aiosmtpd, which asks who is sending, and hands on what it took.

::

    with Submission(deliver, users={"support@example.com": "correct horse"}) as server:
        ...
        server.heard        # ["EHLO", "AUTH PLAIN", "MAIL", "RCPT", "DATA"]
"""

import asyncio
import base64
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.tls import HOST, Authority

_TIMEOUT = 20
#: What XOAUTH2 is told of a token that is not taken.
_FAILURE = base64.b64encode(b'{"status":"401","schemes":"bearer","scope":"mail"}')


class _Server(SMTP):
    #: RFC 4954 section 4: of a line within AUTH. A command has 512 all the same.
    line_length_limit = 12_288


class Submission:
    """A running server. Nobody sends without a sign-in; whoever has signed in may send as anybody.

    ``users`` have passwords; ``judge`` tells for a token which user it is for, or None. ``replies`` are said in place of
    what would be right, by verb (AUTH, MAIL, RCPT, DATA); ``hangs_up``: after DATA the mail is delivered and no answer given.
    """

    host = HOST

    def __init__(
        self,
        deliver: Callable[[bytes], None],
        *,
        security: Literal["tls", "starttls", "none"] = "tls",
        users: Mapping[str, str] | None = None,
        judge: Callable[[str], str | None] = lambda _: None,
        replies: Mapping[str, str] | None = None,
        mechanisms: frozenset[str] = frozenset({"PLAIN", "LOGIN", "XOAUTH2"}),
        hangs_up: bool = False,
    ) -> None:
        self._deliver = deliver
        self._security = security
        self._users = dict(users or {})
        self._judge = judge
        self._replies = dict(replies or {})
        self._mechanisms = mechanisms
        self._hangs_up = hangs_up
        #: What clients said: the verb alone, and of AUTH the mechanism; before all, how the connection was secured.
        self.heard: list[str] = []
        self.port = 0
        self._folder = tempfile.TemporaryDirectory(prefix="smtp-")
        authority = Authority(Path(self._folder.name))
        self.ca_file = authority.ca_file
        certificate = authority.issue()
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate.chain, certificate.key)
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="SMTP", daemon=True)

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

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        implicit = self._tls if self._security == "tls" else None
        server = await loop.create_server(lambda: self._protocol(loop), HOST, 0, ssl=implicit)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set_result(loop)
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    def _protocol(self, loop: asyncio.AbstractEventLoop) -> SMTP:
        return _Server(
            self,
            hostname="smtp.example.com",
            loop=loop,
            tls_context=self._tls if self._security == "starttls" else None,
            auth_require_tls=False,
            auth_exclude_mechanism={"PLAIN", "LOGIN", "XOAUTH2"} - self._mechanisms,
            authenticator=self._check,
        )

    # --- aiosmtpd calls these

    def _check(self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        right = self._users.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=right, auth_data=data, handled=False)

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802 - its name
        """The token beside the mechanism or after it; a failure is told in a challenge first."""
        said = base64.b64decode(args[1]) if len(args) > 1 else await server.challenge_auth("")
        assert isinstance(said, bytes)
        user, bearer, *_ = said.decode().split("\x01")
        if self._judge(bearer.removeprefix("auth=Bearer ")) == user.removeprefix("user="):
            return AuthResult(success=True, auth_data=LoginPassword(user.encode(), b""))
        answer = await server.challenge_auth(_FAILURE, encode_to_b64=False)
        self.heard.append(f"answered {answer!r}")
        message = "535 5.7.3 Authentication unsuccessful"
        return AuthResult(success=False, handled=False, message=message)

    async def handle_EHLO(  # noqa: N802 - its name
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Greeting."""
        secure = session.ssl or _transport(server).get_extra_info("ssl_object")
        self.heard.append(f"EHLO {'over TLS' if secure else 'in plain text'}")
        session.host_name = hostname
        return responses

    async def handle_AUTH(self, _server: SMTP, _session: Session, _envelope: Envelope, args: list[str]) -> Any:  # noqa: N802 - its name
        """Before the sign-in."""
        self.heard.append(f"AUTH {args[0]}")
        return self._replies.get("AUTH", MISSING)

    async def handle_MAIL(  # noqa: N802 - its name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """The sender."""
        self.heard.append("MAIL")
        if not session.authenticated:
            return "530 5.7.57 Client not authenticated to send mail"
        envelope.mail_from = address
        return self._replies.get("MAIL", "250 2.1.0 Sender OK")

    async def handle_RCPT(  # noqa: N802 - its name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """The recipient."""
        self.heard.append("RCPT")
        envelope.rcpt_tos.append(address)
        return self._replies.get("RCPT", "250 2.1.5 Recipient OK")

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        """Final delivery (RFC 5321 section 4.4): the sender of the envelope is kept as Return-Path."""
        self.heard.append("DATA")
        if "DATA" in self._replies:
            return self._replies["DATA"]
        raw = envelope.original_content or b""
        returns = (envelope.mail_from or "").strip("<>")
        mark = f"Return-Path: <{returns}>\r\nReceived: by smtp.example.com; today\r\n".encode()
        await asyncio.to_thread(self._deliver, mark + raw)
        if self._hangs_up:
            _transport(server).abort()
        return "250 2.0.0 Delivered"


def _transport(server: SMTP) -> asyncio.Transport:
    assert isinstance(server.transport, asyncio.Transport)
    return server.transport
