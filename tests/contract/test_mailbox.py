"""The Mailbox contract over the fake, over IMAP4 and POP3 on Dovecot, and over Graph and EWS on their simulators."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.connectors import imap, pop
from shared.connectors.ews import ExchangeSettings
from shared.connectors.ews import open_mailbox as open_exchange
from shared.connectors.imap import Imap4Settings
from shared.connectors.pop import Pop3Settings
from shared.model import Disposition
from shared.ports import Deadline, Mailbox, OpenRequest
from tests.connectors.graph_jobs import ADDRESS, open_graph
from tests.contract.mailbox import Abilities, MailboxContract, Outside, World
from tests.fakes.mailbox import FakeFolder, FakeMailbox, Stored
from tests.servers.dovecot import Dovecot, dovecot
from tests.servers.ews import Exchange
from tests.servers.ews_fixture import MAILBOX, OWNER, PASSWORD, exchange, exchange_authority
from tests.servers.graph import Graph, graph
from tests.servers.imap_host import User
from tests.servers.tls import Authority

__all__ = ["dovecot", "exchange", "exchange_authority", "graph"]


#: One message can be kept, marked for nothing, or deleted; only the last is what jobs do.
_POP3 = Abilities(
    dispositions=(Disposition(), Disposition(deleted=True), Disposition(deleted=True, purge=True)),
    heeds_marks=False,
    knows_arrival=False,
    marks_last=False,
    session_stands_still=True,
    has_rights=False,
)


def _subject(data: bytes) -> str:
    found = re.search(rb"^Subject: (.*?)\r?$", data, re.MULTILINE)
    assert found
    return found[1].decode()


class _FakeWorld(World):
    def __init__(self) -> None:
        self._folder = FakeFolder()

    def open(self) -> Mailbox:
        return FakeMailbox(self._folder)

    def deliver(self, data: bytes, *, seen: bool = False, received: datetime | None = None) -> None:
        self._folder.deliver(data, seen=seen, received=received)

    def outside(self) -> Sequence[Outside]:
        return [Outside(_subject(one.data), one.seen, one.deleted) for one in self._folder.messages.values()]

    def make_read_only(self) -> None:
        self._folder.read_only = True

    def _find(self, subject: str) -> Stored:
        return next(one for one in self._folder.messages.values() if _subject(one.data) == subject)

    def mark_read(self, subject: str) -> None:
        self._find(subject).seen = True

    def mark_deleted(self, subject: str) -> None:
        self._find(subject).deleted = True

    def restore(self, subject: str) -> None:
        self._find(subject).deleted = False

    def remove(self, subject: str) -> None:
        del self._folder.messages[self._find(subject).uid]


class _Password:
    def __init__(self, user: User) -> None:
        self._user = user

    def get(self, name: str) -> str:
        assert name == "mailbox"
        return self._user.password


class _ImapWorld(World):
    def __init__(self, server: Dovecot) -> None:
        self._server = server
        self._user = server.new_mailbox()

    def open(self) -> Mailbox:
        settings = Imap4Settings(
            type="imap4",
            host=self._server.host,
            port=self._server.imaps_port,
            username=self._user.name,
            password_secret="mailbox",
            ca_file=str(self._server.ca_file),
        )
        return imap.open_mailbox(self._request(settings))

    def _request(self, settings: Imap4Settings | Pop3Settings) -> OpenRequest:
        deadline = Deadline(datetime.now(UTC) + timedelta(minutes=1), lambda: datetime.now(UTC))
        return OpenRequest("job", settings, _Password(self._user), deadline)

    def deliver(self, data: bytes, *, seen: bool = False, received: datetime | None = None) -> None:
        when = received.strftime("%d-%b-%Y %H:%M:%S +0000") if received else None
        self._server.append(self._user, "INBOX", data, r"\Seen" if seen else "", received=when)

    def deliver_many(self, messages: Sequence[bytes]) -> None:
        self._server.append(self._user, "INBOX", list(messages))

    def outside(self) -> Sequence[Outside]:
        return [
            Outside(_subject(one.data), r"\Seen" in one.flags, r"\Deleted" in one.flags)
            for one in self._server.messages(self._user)
        ]

    def make_read_only(self) -> None:
        self._server.make_read_only(self._user)

    def _uid(self, subject: str) -> int:
        return next(one.uid for one in self._server.messages(self._user) if _subject(one.data) == subject)

    def mark_read(self, subject: str) -> None:
        self._server.flag(self._user, self._uid(subject), "+FLAGS", r"\Seen")

    def mark_deleted(self, subject: str) -> None:
        self._server.flag(self._user, self._uid(subject), "+FLAGS", r"\Deleted")

    def restore(self, subject: str) -> None:
        self._server.flag(self._user, self._uid(subject), "-FLAGS", r"\Deleted")

    def remove(self, subject: str) -> None:
        self._server.expunge(self._user, self._uid(subject))


class _GraphWorld(World):
    """A person deletes by moving to Deleted Items, as the service does. MIME is made anew; ids do not sort."""

    abilities = Abilities(keeps_bytes=False, items_sort=False, counts_deleted=False)

    def __init__(self, server: Graph) -> None:
        self._server = server
        self._store = server.new_mailbox(ADDRESS)
        self._roles = ["Mail.ReadWrite"]

    def open(self) -> Mailbox:
        return open_graph(self._server, credential=self._server.credential(roles=self._roles))

    def make_read_only(self) -> None:
        self._roles = ["Mail.Read"]

    def deliver(self, data: bytes, *, seen: bool = False, received: datetime | None = None) -> None:
        self._store.deliver(data, seen=seen, received=received)

    def outside(self) -> Sequence[Outside]:
        deleted = self._store.folder("deleteditems").id
        return [Outside(_subject(one.data), one.seen, one.folder == deleted) for one in self._store.items.values()]

    def mark_read(self, subject: str) -> None:
        self._store.mark(self._store.find(subject), seen=True)

    def mark_deleted(self, subject: str) -> None:
        self._store.move(self._store.find(subject), "deleteditems")

    def restore(self, subject: str) -> None:
        self._store.move(self._store.find(subject), "inbox")

    def remove(self, subject: str) -> None:
        self._store.remove(self._store.find(subject))


class _PopWorld(_ImapWorld):
    """The same mailbox through POP3: other people see it over IMAP4, whose marks mean nothing here."""

    abilities = _POP3

    def open(self) -> Mailbox:
        settings = Pop3Settings(
            type="pop3",
            host=self._server.host,
            port=self._server.pop3s_port,
            username=self._user.name,
            password_secret="mailbox",
            ca_file=str(self._server.ca_file),
        )
        return pop.open_mailbox(self._request(settings))

    def outside(self) -> Sequence[Outside]:
        """Without read marks: POP3 has none, and some servers (Dovecot) set IMAP4's by themselves at each RETR."""
        return [replace(one, seen=False) for one in super().outside()]


class _ExchangePassword:
    def get(self, name: str) -> str:
        assert name == "mailbox"
        return PASSWORD


class _EwsWorld(World):
    # The MIME is made anew each time; what is deleted lies in another folder.
    abilities = Abilities(keeps_bytes=False, counts_deleted=False)

    def __init__(self, server: Exchange, authority: Authority) -> None:
        self._server = server
        self._authority = authority
        self._mailbox = server.mailboxes[MAILBOX]

    def open(self) -> Mailbox:
        settings = ExchangeSettings(
            type="exchange",
            service_url=self._server.url,
            mailbox=MAILBOX,
            username=OWNER,
            password_secret="mailbox",
            authentication="basic",
            ca_file=str(self._authority.ca_file),
        )
        deadline = Deadline(datetime.now(UTC) + timedelta(minutes=1), lambda: datetime.now(UTC))
        return open_exchange(OpenRequest("job", settings, _ExchangePassword(), deadline))

    def deliver(self, data: bytes, *, seen: bool = False, received: datetime | None = None) -> None:
        self._mailbox.deliver(data, read=seen, received=received)

    def outside(self) -> Sequence[Outside]:
        trash = self._mailbox.trash
        return [Outside(one.subject, one.read, one.folder is trash) for one in self._mailbox.items.values()]

    def make_read_only(self) -> None:
        self._server.people[OWNER].may_write = False

    def mark_read(self, subject: str) -> None:
        item = self._mailbox.find(subject)
        item.read = True
        self._mailbox.touch(item)

    def mark_deleted(self, subject: str) -> None:
        self._mailbox.move(self._mailbox.find(subject), self._mailbox.trash)

    def restore(self, subject: str) -> None:
        self._mailbox.move(self._mailbox.find(subject), self._mailbox.inbox)

    def remove(self, subject: str) -> None:
        self._mailbox.remove(self._mailbox.find(subject))


class TestFakeMailbox(MailboxContract):
    """The fake that stands for a mailbox in the tests of the flow."""

    @pytest.fixture
    def world(self) -> World:
        """A folder in memory."""
        return _FakeWorld()


class TestImapMailbox(MailboxContract):
    """IMAP4 on Dovecot, over TLS."""

    @pytest.fixture
    def world(self, dovecot: Dovecot) -> World:
        """A mailbox of its own on the server of the session."""
        return _ImapWorld(dovecot)


class TestGraphMailbox(MailboxContract):
    """Microsoft Graph on the strict simulator, through the real SDK."""

    @pytest.fixture
    def world(self, graph: Graph) -> World:
        """A mailbox on a simulator of its own."""
        return _GraphWorld(graph)


class TestPopMailbox(MailboxContract):
    """POP3 on Dovecot, over TLS."""

    @pytest.fixture
    def world(self, dovecot: Dovecot) -> World:
        """A mailbox of its own on the server of the session."""
        return _PopWorld(dovecot)


class TestEwsMailbox(MailboxContract):
    """EWS by exchangelib on the simulator, over TLS; five to a page, so that every listing turns pages."""

    @pytest.fixture
    def world(self, exchange: Exchange, exchange_authority: Authority) -> World:
        """A mailbox on a server of its own."""
        exchange.page = 5
        return _EwsWorld(exchange, exchange_authority)
