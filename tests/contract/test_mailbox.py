"""The Mailbox contract over the fake, over IMAP4 and POP3 on Dovecot, and over Graph and EWS on their simulators."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from shared.connectors.ews import ExchangeSettings
from shared.connectors.ews import open_mailbox as open_exchange
from shared.ports import Deadline, Mailbox, OpenRequest
from tests.connectors.graph_jobs import ADDRESS, open_graph
from tests.contract.mail_servers import ImapWorld, PopWorld, subject_in
from tests.contract.mailbox import Abilities, MailboxContract, Outside, World
from tests.fakes.mailbox import FakeFolder, FakeMailbox, Stored
from tests.servers.dovecot import Dovecot, dovecot
from tests.servers.ews import Exchange
from tests.servers.ews_fixture import MAILBOX, OWNER, PASSWORD, exchange, exchange_authority
from tests.servers.graph import Graph, graph
from tests.servers.tls import Authority

__all__ = ["dovecot", "exchange", "exchange_authority", "graph"]


class _FakeWorld(World):
    def __init__(self) -> None:
        self._folder = FakeFolder()

    def open(self) -> Mailbox:
        return FakeMailbox(self._folder)

    def deliver(self, data: bytes, *, seen: bool = False, received: datetime | None = None) -> None:
        self._folder.deliver(data, seen=seen, received=received)

    def outside(self) -> Sequence[Outside]:
        return [Outside(subject_in(one.data), one.seen, one.deleted) for one in self._folder.messages.values()]

    def make_read_only(self) -> None:
        self._folder.read_only = True

    def flagged(self) -> list[str]:
        return [subject_in(one.data) for one in self._folder.messages.values() if one.flagged]

    def categories(self, subject: str) -> set[str]:
        return self._find(subject).categories

    def categorise(self, subject: str, category: str) -> None:
        self._find(subject).categories.add(category)

    def add_folder(self, name: str) -> str:
        self._folder.others[name] = []
        return name

    def inside(self, path: str) -> list[str]:
        return [subject_in(one.data) for one in self._folder.others[path]]

    def _find(self, subject: str) -> Stored:
        return next(one for one in self._folder.messages.values() if subject_in(one.data) == subject)

    def mark_read(self, subject: str) -> None:
        self._find(subject).seen = True

    def mark_deleted(self, subject: str) -> None:
        self._find(subject).deleted = True

    def restore(self, subject: str) -> None:
        self._find(subject).deleted = False

    def remove(self, subject: str) -> None:
        del self._folder.messages[self._find(subject).uid]


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

    def flagged(self) -> list[str]:
        return [subject_in(one.data) for one in self._store.items.values() if one.flagged]

    def categories(self, subject: str) -> set[str]:
        return set(self._store.find(subject).categories)

    def categorise(self, subject: str, category: str) -> None:
        self._store.find(subject).categories.append(category)

    def add_folder(self, name: str) -> str:
        self._done = self._store.add_folder(name, under=self._store.folder("inbox").id)
        return f"Inbox/{name}"

    def inside(self, path: str) -> list[str]:
        assert path.endswith(self._done.name)
        return [subject_in(one.data) for one in self._store.within(self._done.id)]

    def deliver(self, data: bytes, *, seen: bool = False, received: datetime | None = None) -> None:
        self._store.deliver(data, seen=seen, received=received)

    def outside(self) -> Sequence[Outside]:
        deleted = self._store.folder("deleteditems").id
        return [Outside(subject_in(one.data), one.seen, one.folder == deleted) for one in self._store.items.values()]

    def mark_read(self, subject: str) -> None:
        self._store.mark(self._store.find(subject), seen=True)

    def mark_deleted(self, subject: str) -> None:
        self._store.move(self._store.find(subject), "deleteditems")

    def restore(self, subject: str) -> None:
        self._store.move(self._store.find(subject), "inbox")

    def remove(self, subject: str) -> None:
        self._store.remove(self._store.find(subject))


class _ExchangePassword:
    def get(self, name: str) -> str:
        assert name == "mailbox"
        return PASSWORD


class _EwsWorld(World):
    # The MIME is made anew each time; what is deleted lies in another folder.
    # And so is it when a person deletes it, under another id, before a job put its own mark on it.
    abilities = Abilities(keeps_bytes=False, counts_deleted=False, deletion_keeps_key=False)

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

    def flagged(self) -> list[str]:
        return [one.subject for one in self._mailbox.items.values() if one.flagged]

    def categories(self, subject: str) -> set[str]:
        return set(self._mailbox.find(subject).categories)

    def categorise(self, subject: str, category: str) -> None:
        item = self._mailbox.find(subject)
        item.categories.append(category)
        self._mailbox.touch(item)

    def add_folder(self, name: str) -> str:
        self._done = self._mailbox.add_folder(name, self._mailbox.inbox)
        return f"Inbox/{name}"

    def inside(self, path: str) -> list[str]:
        assert path.endswith(self._done.name)
        return [one.subject for one in self._mailbox.items.values() if one.folder is self._done]

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
        return ImapWorld(dovecot)


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
        return PopWorld(dovecot)


class TestEwsMailbox(MailboxContract):
    """EWS by exchangelib on the simulator, over TLS; five to a page, so that every listing turns pages."""

    @pytest.fixture
    def world(self, exchange: Exchange, exchange_authority: Authority) -> World:
        """A mailbox on a server of its own."""
        exchange.page = 5
        return _EwsWorld(exchange, exchange_authority)
