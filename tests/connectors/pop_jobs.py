"""Opening POP3 mailboxes in tests, with a password that must never be seen again."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.connectors._pop_mailbox import PopMailbox
from shared.connectors.pop import Pop3Settings, open_mailbox
from shared.model import MessageKey, MessageRef, Pick, Picking
from shared.ports import Deadline, OpenRequest
from tests.connectors.imap_jobs import PASSWORD, OneSecret
from tests.servers.dovecot import Dovecot
from tests.servers.imap_host import User
from tests.servers.scripted_pop3 import ScriptedPop3

PICKING = Picking(Pick.UNREAD, since=datetime(2026, 1, 1, tzinfo=UTC))


def request(settings: Pop3Settings, *, password: str = PASSWORD, seconds: float = 30) -> OpenRequest:
    """What the flow hands to a connector, with that much time left."""
    deadline = Deadline(datetime.now(UTC) + timedelta(seconds=seconds), lambda: datetime.now(UTC))
    return OpenRequest("job", settings, OneSecret(password), deadline)


def settings_of(**fields: Any) -> Pop3Settings:
    """Settings with everything filled in that a test does not care about."""
    return Pop3Settings(**{"type": "pop3", "host": "h", "username": "u", "password_secret": "mailbox", **fields})


def open_scripted(server: ScriptedPop3, *, seconds: float = 30, password: str = PASSWORD, **fields: Any) -> PopMailbox:
    """A session with a scripted server, in plain text unless ``fields`` say otherwise."""
    plain = {"security": "none", "allow_insecure": True}
    settings = settings_of(**{"host": server.host, "port": server.port, **plain, **fields})
    return open_mailbox(request(settings, password=password, seconds=seconds))


def open_dovecot(server: Dovecot, user: User, **fields: Any) -> PopMailbox:
    """A session with Dovecot, with TLS unless ``fields`` say otherwise."""
    usual = {"host": server.host, "port": server.pop3s_port, "username": user.name, "ca_file": str(server.ca_file)}
    return open_mailbox(request(settings_of(**{**usual, **fields}), password=user.password))


def ref_to(mailbox: PopMailbox, uidl: str, *, size: int | None = None) -> MessageRef:
    """A ref as the mailbox would list it."""
    return MessageRef(MessageKey("job", mailbox.identity, uidl), f"{uidl} {'?' if size is None else size}", size)
