"""HTTPS as one EWS job speaks it: its own certificates, its own sign-in, and a connection that can be cut from outside.

Nothing here is kept in a class or a module, where another job in the same process would find it.
"""

import logging
import socket
import ssl
from threading import Lock
from typing import Any

from requests import PreparedRequest, Session
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from requests_ntlm import HttpNtlmAuth
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from shared.connectors._ews_account import Account

#: What the server's logs and its allow lists for client programs know us by.
USER_AGENT = "MailConnector"

_log = logging.getLogger(__name__)


class Line:
    """A second handle on the TCP connection in use: it ends an exchange from outside, whatever TLS wraps around."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._cord: socket.socket | None = None

    def hold(self, connected: socket.socket) -> None:
        """This connection is in use from now on."""
        cord = connected.dup()
        with self._lock:
            self._cord, before = cord, self._cord
        if before is not None:
            before.close()

    def cut(self) -> None:
        """End the connection now. Called from another thread."""
        with self._lock:
            try:
                if self._cord is not None:
                    self._cord.shutdown(socket.SHUT_RDWR)
            except OSError as exc:
                _log.debug("The connection was closed already: %s", exc)

    def close(self) -> None:
        """Let go of the handle."""
        with self._lock:
            if self._cord is not None:
                self._cord.close()
            self._cord = None


class _Bearer(AuthBase):
    def __init__(self, account: Account) -> None:
        self._account = account

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._account.credential()}"
        return request


def _sign_in(account: Account) -> AuthBase:
    if account.authentication == "bearer":
        return _Bearer(account)
    password = account.credential()
    if account.authentication == "ntlm":
        # Binds the sign-in to the TLS channel, which Exchange demands where Extended Protection is on.
        return HttpNtlmAuth(account.username, password)
    # As octets: requests itself would write anything outside Latin-1 as nothing at all.
    return HTTPBasicAuth(account.username.encode(), password.encode())


class _Adapter(HTTPAdapter):
    """One connection at a time, trusting what ``context`` trusts and nothing that the environment says."""

    def __init__(self, context: ssl.SSLContext, line: Line) -> None:
        self._context = context
        self._line = line
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0, pool_block=True)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:  # noqa: FBT001, FBT002 - the SDK's signature
        line = self._line

        class Connection(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                connected = super()._new_conn()
                line.hold(connected)
                return connected

        class Pool(HTTPSConnectionPool):
            ConnectionCls = Connection

        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, **options)
        self.poolmanager.pool_classes_by_scheme = {"https": Pool}

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The context says all about certificates."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context says all about certificates."""


def new_session(account: Account, context: ssl.SSLContext, line: Line) -> Session:
    """An HTTPS session that signs in as the account. Proxies, netrc and CA files of the environment are not looked at.

    Raises what reading the secret raises.
    """
    session = Session()
    session.trust_env = False
    session.auth = _sign_in(account)
    session.headers.update({"Content-Type": "text/xml; charset=utf-8", "User-Agent": USER_AGENT})
    session.adapters.clear()
    session.mount("https://", _Adapter(context, line))
    return session
