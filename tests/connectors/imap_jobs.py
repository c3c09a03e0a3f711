"""Opening IMAP mailboxes in tests, with a password that must never be seen again."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.connectors._imap_mailbox import ImapMailbox
from shared.connectors.imap import Imap4Settings, open_mailbox
from shared.errors import ConfigInvalid
from shared.model import MessageKey, MessageRef
from shared.ports import Deadline, OpenRequest
from tests.servers.dovecot import Dovecot
from tests.servers.imap_host import User
from tests.servers.scripted_imap import ScriptedImap

PASSWORD = "hunter2 hunter2"


class OneSecret:
    """A secret store with ``mailbox`` in it."""

    def __init__(self, password: str = PASSWORD) -> None:
        self._password = password

    def get(self, name: str) -> str:
        """See `Secrets.get`."""
        if name != "mailbox":
            raise ConfigInvalid(f"There is no secret {name!r}.")
        return self._password


def request(settings: Imap4Settings, *, password: str = PASSWORD, seconds: float = 30) -> OpenRequest:
    """What the flow hands to a connector, with that much time left."""
    deadline = Deadline(datetime.now(UTC) + timedelta(seconds=seconds), lambda: datetime.now(UTC))
    return OpenRequest("job", settings, OneSecret(password), deadline)


def settings_of(**fields: Any) -> Imap4Settings:
    """Settings with everything filled in that a test does not care about."""
    return Imap4Settings(**{"type": "imap4", "host": "h", "username": "u", "password_secret": "mailbox", **fields})


def open_scripted(server: ScriptedImap, *, seconds: float = 30, password: str = PASSWORD, **fields: Any) -> ImapMailbox:
    """A session with a scripted server, in plain text unless ``fields`` say otherwise."""
    plain = {"security": "none", "allow_insecure": True}
    settings = settings_of(**{"host": server.host, "port": server.port, **plain, **fields})
    return open_mailbox(request(settings, password=password, seconds=seconds))


def open_dovecot(server: Dovecot, user: User, **fields: Any) -> ImapMailbox:
    """A session with Dovecot, with TLS unless ``fields`` say otherwise."""
    usual = {"host": server.host, "port": server.imaps_port, "username": user.name, "ca_file": str(server.ca_file)}
    return open_mailbox(request(settings_of(**{**usual, **fields}), password=user.password))


def ref_to(mailbox: ImapMailbox, uid: int, *, uidvalidity: int = 7, size: int | None = None) -> MessageRef:
    """A ref as the mailbox would list it."""
    item = f"{uidvalidity:010d}.{uid:010d}"
    return MessageRef(MessageKey("job", mailbox.identity, item), item, size)
