"""Worlds of the Mailbox contract on any server that has both IMAP4 and POP3."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.connectors import imap, pop
from shared.connectors.imap import Imap4Settings
from shared.connectors.pop import Pop3Settings
from shared.model import Disposition
from shared.ports import Deadline, Mailbox, OpenRequest
from tests.contract.mailbox import Abilities, Outside, World
from tests.servers.cyrus import Cyrus
from tests.servers.dovecot import Dovecot
from tests.servers.imap_host import User

#: One message can be kept, marked for nothing, or deleted; only the last is what jobs do.
POP3 = Abilities(
    dispositions=(Disposition(), Disposition(deleted=True), Disposition(deleted=True, purge=True)),
    heeds_marks=False,
    knows_arrival=False,
    marks_last=False,
    session_stands_still=True,
    has_rights=False,
    lacks=dict.fromkeys(
        ("flag", "category", "move_to"), "POP3 knows neither flags, nor categories, nor folders: such a job is refused."
    ),
)


def subject_in(data: bytes) -> str:
    """The subject of a message as it lies in a mailbox."""
    found = re.search(rb"^Subject: (.*?)\r?$", data, re.MULTILINE)
    assert found
    return found[1].decode()


class _Password:
    def __init__(self, user: User) -> None:
        self._user = user

    def get(self, name: str) -> str:
        assert name == "mailbox"
        return self._user.password


class ImapWorld(World):
    """A mailbox of its own, over IMAP4 and TLS. A message that is moved gets another UID (RFC 6851 section 3.3)."""

    abilities = Abilities(moves_keep_keys=False)

    def __init__(self, server: Dovecot | Cyrus) -> None:
        self._server = server
        self._user = server.new_mailbox()

    def open(self) -> Mailbox:
        """See `World`."""
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
        """See `World`."""
        when = received.strftime("%d-%b-%Y %H:%M:%S +0000") if received else None
        self._server.append(self._user, "INBOX", data, r"\Seen" if seen else "", received=when)

    def deliver_many(self, messages: Sequence[bytes]) -> None:
        """See `World`."""
        self._server.append(self._user, "INBOX", list(messages))

    def outside(self) -> Sequence[Outside]:
        """See `World`."""
        return [
            Outside(subject_in(one.data), r"\Seen" in one.flags, r"\Deleted" in one.flags)
            for one in self._server.messages(self._user)
        ]

    def make_read_only(self) -> None:
        """See `World`."""
        self._server.make_read_only(self._user)

    def flagged(self) -> list[str]:
        """See `World`."""
        return [subject_in(one.data) for one in self._server.messages(self._user) if r"\Flagged" in one.flags]

    def categories(self, subject: str) -> set[str]:
        """See `World`. Keywords; some servers add their own, with a dollar sign."""
        (found,) = [one for one in self._server.messages(self._user) if subject_in(one.data) == subject]
        return {flag for flag in found.flags if not flag.startswith(("\\", "$"))}

    def categorise(self, subject: str, category: str) -> None:
        """See `World`."""
        self._server.flag(self._user, self._uid(subject), "+FLAGS", category)

    def add_folder(self, name: str) -> str:
        """See `World`."""
        path = f"{self._folder_prefix}{name}"
        self._server.create_folder(self._user, path)
        return path

    @property
    def _folder_prefix(self) -> str:
        return "INBOX/" if isinstance(self._server, Cyrus) else ""

    def inside(self, path: str) -> list[str]:
        """See `World`."""
        return [subject_in(one.data) for one in self._server.messages(self._user, path)]

    def _uid(self, subject: str) -> int:
        return next(one.uid for one in self._server.messages(self._user) if subject_in(one.data) == subject)

    def mark_read(self, subject: str) -> None:
        """See `World`."""
        self._server.flag(self._user, self._uid(subject), "+FLAGS", r"\Seen")

    def mark_deleted(self, subject: str) -> None:
        """See `World`."""
        self._server.flag(self._user, self._uid(subject), "+FLAGS", r"\Deleted")

    def restore(self, subject: str) -> None:
        """See `World`."""
        self._server.flag(self._user, self._uid(subject), "-FLAGS", r"\Deleted")

    def remove(self, subject: str) -> None:
        """See `World`."""
        self._server.expunge(self._user, self._uid(subject))


class PopWorld(ImapWorld):
    """The same mailbox through POP3: other people see it over IMAP4, whose marks mean nothing here."""

    abilities = POP3

    def open(self) -> Mailbox:
        """See `World`."""
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
