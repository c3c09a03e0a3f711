r"""A mail server of each kind, one interface: what a job on it looks like, and its mailbox as others see it.

::

    with Counterparts(folder) as servers:
        mailbox = servers.new("imap4")
        mailbox.deliver(b"Subject: m1\r\n\r\n...")
        ... a worker process runs a job with ``mailbox.block`` and ``mailbox.given`` ...
        mailbox.originals()     # {"m1": "deleted read"}

The servers live in this process (or are its children), so that killing a worker leaves them alone. What a worker needs
to open such a mailbox travels as JSON: see `opener` and `GivenSecret`.
"""

import mailbox
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from shared.begin import open_mailbox
from shared.connectors.spool import MARKER
from shared.ports import Mailbox, OpenRequest
from tests.servers.dovecot import Dovecot
from tests.servers.ews import Exchange
from tests.servers.ews_accounts import Person, token
from tests.servers.graph import Graph
from tests.servers.graph_tokens import FixedCredential, Tokens
from tests.servers.tls import Authority

S = TypeVar("S")

_SIGN_IN = {"method": "client_secret", "tenant_id": "example.com", "client_id": "app", "client_secret": "mailbox"}
#: Long enough for the key of a canary, since a worker has one secret.
_PASSWORD = "correct horse battery staple"
_READ, _DELETED = {"mark_as_read": True}, {"mark_as_deleted": True}
_GONE = {**_DELETED, "purge_deleted_at_end_of_session": True}


class Counterpart(ABC):
    """One mailbox on a server, with the job that integrates it."""

    #: How tables name it.
    name: ClassVar[str]
    #: The handling blocks of its job.
    handling: ClassVar[Mapping[str, Any]]
    #: What an original is in the end, by what became of its message; "gone" where it is not there any more.
    ends: ClassVar[Mapping[str, str]]

    #: The ``server`` block of its job.
    block: dict[str, Any]
    #: What a worker needs beside the block, as JSON.
    given: dict[str, str]
    #: Where its server listens, which is somewhere in the block.
    port: int

    @abstractmethod
    def deliver(self, *messages: bytes) -> None:
        """Put messages into the folder of the job, unread, in this order."""

    @abstractmethod
    def originals(self) -> dict[str, str]:
        """What another client sees, in the folder or deleted from it: subject -> "read", "deleted", both or ""."""


class _OnDovecot(Counterpart):
    def __init__(self, servers: "Counterparts") -> None:
        self._server = servers.dovecot
        self._user = self._server.new_mailbox(password=_PASSWORD)
        kind, self.port = self._where(self._server)
        self.block = {
            "type": kind,
            "host": self._server.host,
            "port": self.port,
            "username": self._user.name,
            "password_secret": "mailbox",
            "ca_file": str(self._server.ca_file),
        }
        self.given = {"kind": self.name, "secret": _PASSWORD}

    @staticmethod
    @abstractmethod
    def _where(server: Dovecot) -> tuple[str, int]: ...

    def deliver(self, *messages: bytes) -> None:
        self._server.append(self._user, "INBOX", list(messages))

    def originals(self) -> dict[str, str]:
        return {
            subject_of(one.data): _state(r"\Seen" in one.flags, r"\Deleted" in one.flags)
            for one in self._server.messages(self._user)
        }


class _Imap4(_OnDovecot):
    name = "imap4"
    handling: ClassVar[Mapping[str, Any]] = {"on_success": {**_READ, **_GONE}, "on_reject": _READ}
    ends: ClassVar[Mapping[str, str]] = {"ticket": "gone", "rejected": "read", "parked": ""}

    @staticmethod
    def _where(server: Dovecot) -> tuple[str, int]:
        return "imap4", server.imaps_port


class _Pop3(_OnDovecot):
    name = "pop3"
    handling: ClassVar[Mapping[str, Any]] = {}
    ends: ClassVar[Mapping[str, str]] = {"ticket": "gone", "rejected": "", "parked": ""}

    @staticmethod
    def _where(server: Dovecot) -> tuple[str, int]:
        return "pop3", server.pop3s_port

    def originals(self) -> dict[str, str]:
        """Without read marks: POP3 has none, and Dovecot sets IMAP4's by itself at each RETR."""
        return {subject: state.replace("read", "").strip() for subject, state in super().originals().items()}


class _OnExchange(Counterpart):
    #: How accounts sign in there.
    scheme: ClassVar[str]

    def __init__(self, servers: "Counterparts") -> None:
        self._server, self._ca_file = servers.exchange(self.scheme), str(servers.authority.ca_file)
        self.port = self._server.port
        self._address = f"{uuid.uuid4().hex[:12]}@example.com"
        self._mailbox = self._server.add_mailbox(self._address)
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None: ...

    def deliver(self, *messages: bytes) -> None:
        for data in messages:
            self._mailbox.deliver(data)

    def originals(self) -> dict[str, str]:
        trash = self._mailbox.trash
        return {one.subject: _state(one.read, one.folder is trash) for one in self._mailbox.items.values()}


class _Ews(_OnExchange):
    name = "ews"
    scheme = "basic"
    handling: ClassVar[Mapping[str, Any]] = {"on_success": {**_READ, **_DELETED}, "on_reject": _DELETED}
    ends: ClassVar[Mapping[str, str]] = {"ticket": "deleted read", "rejected": "deleted", "parked": ""}

    def _prepare(self) -> None:
        owner = f"CORP\\{self._address.partition('@')[0]}"
        self._server.people[owner] = Person(_PASSWORD, self._address)
        self.block = {
            "type": "exchange",
            "service_url": self._server.url,
            "mailbox": self._address,
            "username": owner,
            "password_secret": "mailbox",
            "authentication": "basic",
            "ca_file": self._ca_file,
        }
        self.given = {"kind": self.name, "secret": _PASSWORD}


class _EwsOnline(_OnExchange):
    name = "ews online"
    scheme = "bearer"
    handling: ClassVar[Mapping[str, Any]] = {"on_success": _GONE, "on_reject": _READ}
    ends: ClassVar[Mapping[str, str]] = {"ticket": "gone", "rejected": "read", "parked": ""}

    def _prepare(self) -> None:
        self._server.people["app"].may_act_for.add(self._address)
        self.block = {"type": "exchange_online", "api": "ews", "mailbox": self._address, "sign_in": _SIGN_IN}
        self.given = {"kind": self.name, "secret": "-", "url": self._server.url, "ca_file": self._ca_file}


class _Graph(Counterpart):
    name = "graph"
    handling: ClassVar[Mapping[str, Any]] = {"on_success": {**_READ, **_GONE}, "on_reject": _READ}
    ends: ClassVar[Mapping[str, str]] = {"ticket": "gone", "rejected": "read", "parked": ""}

    def __init__(self, servers: "Counterparts") -> None:
        address = f"{uuid.uuid4().hex[:12]}@example.com"
        self._store = servers.graph.new_mailbox(address)
        self.port = servers.graph.port
        self.block = {
            "type": "exchange_online",
            "mailbox": address,
            "sign_in": _SIGN_IN,
            "endpoint": servers.graph.root,
        }
        self.given = {"kind": self.name, "secret": "-", "key": servers.graph.tokens.key}

    def deliver(self, *messages: bytes) -> None:
        for data in messages:
            self._store.deliver(data)

    def originals(self) -> dict[str, str]:
        trash = self._store.folder("deleteditems").id
        return {subject_of(one.data): _state(one.seen, one.folder == trash) for one in self._store.items.values()}


class _Spool(Counterpart):
    """A Maildir folder; the standard library is the other client. Nobody listens: its port is 0."""

    name = "spool"
    handling: ClassVar[Mapping[str, Any]] = {"on_success": {**_READ, **_GONE}, "on_reject": _READ}
    ends: ClassVar[Mapping[str, str]] = {"ticket": "gone", "rejected": "read", "parked": ""}
    port = 0

    def __init__(self, servers: "Counterparts") -> None:
        folder = servers.folder / f"spool-{uuid.uuid4().hex[:12]}"
        self._maildir = mailbox.Maildir(folder, create=True)
        (folder / MARKER).touch()
        self.block = {"type": "spool", "format": "maildir", "path": str(folder)}
        self.given = {"kind": self.name, "secret": "-"}

    def deliver(self, *messages: bytes) -> None:
        for data in messages:
            self._maildir.add(data)

    def originals(self) -> dict[str, str]:
        return {one["Subject"]: _state("S" in one.get_flags(), "T" in one.get_flags()) for one in self._maildir}


_KINDS: Mapping[str, type[Any]] = {kind.name: kind for kind in (_Imap4, _Pop3, _Ews, _EwsOnline, _Graph, _Spool)}

#: The kinds that there are.
KINDS = tuple(_KINDS)


@dataclass
class Counterparts:
    """The servers, started when first asked for. A context manager; ``folder`` is for keys and certificates."""

    folder: Path
    _running: ExitStack = field(default_factory=ExitStack)
    _started: dict[str, Any] = field(default_factory=dict)

    def new(self, kind: str) -> Counterpart:
        """A fresh mailbox of this kind, of `KINDS`."""
        made: Counterpart = _KINDS[kind](self)
        return made

    @property
    def dovecot(self) -> Dovecot:
        """IMAP4 and POP3."""
        return self._once("dovecot", Dovecot)

    @property
    def graph(self) -> Graph:
        """Microsoft Graph."""
        return self._once("graph", Graph)

    @property
    def authority(self) -> Authority:
        """Who signs the certificate of Exchange."""
        if "authority" not in self._started:
            self._started["authority"] = Authority(self.folder)
        made: Authority = self._started["authority"]
        return made

    def exchange(self, scheme: str) -> Exchange:
        """Exchange on-premises, which takes passwords (``basic``), or Online, which takes tokens (``bearer``)."""
        people = {"app": Person("")}
        return self._once(scheme, lambda: Exchange(self.authority.issue(), schemes={scheme}, people=people))

    def behind(self, port: int, kind: str) -> None:
        """From now on the server of this kind is reached at another port: Graph names its own in its links."""
        if kind == _Graph.name:
            self.graph.service.root = f"http://127.0.0.1:{port}"

    def _once(self, name: str, make: Callable[[], AbstractContextManager[S]]) -> S:
        if name not in self._started:
            self._started[name] = self._running.enter_context(make())
        started: S = self._started[name]
        return started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()


# --- in the worker ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GivenSecret:
    """See `shared.ports.Secrets`: a value for all names, since a worker has one job, but for those given apart."""

    given: Mapping[str, str]

    def get(self, name: str) -> str:
        """See the port."""
        return self.given.get(f"secret {name}", self.given["secret"])


def opener(given: Mapping[str, str]) -> Callable[[OpenRequest], Mailbox]:
    """What opens the mailbox of a counterpart in another process, from its ``given``."""
    if given["kind"] == _Graph.name:
        return lambda request: _open_graph(request, given["key"])
    if given["kind"] == _EwsOnline.name:
        return lambda request: _open_ews_online(request, given["url"], given["ca_file"])
    return open_mailbox


def _open_graph(request: OpenRequest, key: str) -> Mailbox:
    from shared.connectors import graph

    return graph.open_mailbox(request, credential=lambda *_: FixedCredential(Tokens(key=key)))


def _open_ews_online(request: OpenRequest, url: str, ca_file: str) -> Mailbox:
    from shared.connectors._ews_account import open_account
    from shared.connectors.ews_online import account_of

    return open_account(account_of(request.settings, token, service_url=url, ca_file=ca_file), request)


# --- looking ---------------------------------------------------------------------------------------------------------


def subject_of(data: bytes) -> str:
    """The subject of a message as it lies in a mailbox."""
    found = re.search(rb"^Subject: (.*?)\r?$", data, re.MULTILINE)
    assert found
    return found[1].decode()


def _state(read: bool, deleted: bool) -> str:  # noqa: FBT001 (two marks)
    return " ".join(["deleted"] * deleted + ["read"] * read)
