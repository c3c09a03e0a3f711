"""A mailbox from both sides, as the contract of the `Mailbox` port needs it: ours, and that of the people who use it.

What a server cannot do is data (`Abilities`), never a branch on its kind.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import ClassVar

import pytest

from shared.model import Disposition, MessageRef, Pick, Picking
from shared.ports import Fetched, Mailbox

#: Before everything that a test delivers without a date of its own.
EARLIER = datetime.now(UTC) - timedelta(days=2)
UNREAD = Picking(Pick.UNREAD, since=EARLIER)
NEW = Picking(Pick.NEW, since=EARLIER)
LIMIT = 1_000_000

READ, DELETED = Disposition(read=True), Disposition(deleted=True)
EVERY_DISPOSITION = tuple(
    Disposition(read=read, deleted=deleted, purge=purge) for read, deleted, purge in product((False, True), repeat=3)
)


def mail(subject: str, *, size: int = 0) -> bytes:
    """A message of at least ``size`` octets that its subject tells apart from the others."""
    head = f"From: A <a@example.com>\r\nTo: b@example.com\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.com>\r\n\r\n"
    return (head + "Grüße\r\n" + "0123456789abcde\r\n" * (size // 17 + bool(size))).encode()


@dataclass(frozen=True, slots=True)
class Outside:
    """One message as another client of the mailbox sees it."""

    subject: str
    seen: bool
    deleted: bool


@dataclass(frozen=True, slots=True)
class Abilities:
    """Facts of a kind of server."""

    #: What `Mailbox.dispose` can be asked for.
    dispositions: tuple[Disposition, ...] = EVERY_DISPOSITION
    #: The bytes come back as they were delivered.
    keeps_bytes: bool = True
    #: ``MessageKey.item`` sorts as the messages arrived.
    items_sort: bool = True
    #: A message marked as deleted is still counted as being in the folder.
    counts_deleted: bool = True
    #: Marks that people set, read or deleted, tell candidates from others.
    heeds_marks: bool = True
    #: It is known when a message arrived: ``Pick.NEW`` begins with the job, and goes on from a cursor.
    knows_arrival: bool = True
    #: A mark outlasts the session that set it, and others see it.
    marks_last: bool = True
    #: What others remove while a session is open may still be given and marked in it.
    session_stands_still: bool = False
    #: Why nobody else can remove a message while a session is open; empty where they can.
    locks_others_out: str = ""
    #: What beside reading and deleting it cannot do, ``flag``, ``category`` or ``move_to``, and why.
    lacks: Mapping[str, str] = field(default_factory=dict)
    #: A message has the same ``MessageKey`` in whatever folder it lies, and after it was put back.
    moves_keep_keys: bool = True
    #: So it has while a person has marked it as deleted.
    deletion_keeps_key: bool = True
    #: Accounts may be allowed to look and not to touch, and the server tells.
    has_rights: bool = True


class World(ABC):
    """One mailbox from both sides: ours, and that of the people who use it too. Messages go by their subject."""

    abilities: ClassVar[Abilities] = Abilities()

    @abstractmethod
    def open(self) -> Mailbox:
        """A new session of the job ``job``."""

    @abstractmethod
    def deliver(self, data: bytes, *, seen: bool = False, received: datetime | None = None) -> None:
        """Put one message into the folder."""

    @abstractmethod
    def outside(self) -> Sequence[Outside]:
        """What is in the mailbox, in the folder or marked as deleted, in the order of arrival."""

    @abstractmethod
    def mark_read(self, subject: str) -> None:
        """A person reads the message."""

    @abstractmethod
    def mark_deleted(self, subject: str) -> None:
        """A person deletes the message; it can still be restored."""

    @abstractmethod
    def restore(self, subject: str) -> None:
        """A person takes the deletion back."""

    @abstractmethod
    def remove(self, subject: str) -> None:
        """A person removes the message for good."""

    def while_others_remove(self) -> "World":
        """Ourselves, where others can remove a message while a session is open; elsewhere the test does not apply."""
        if self.abilities.locks_others_out:
            pytest.skip(self.abilities.locks_others_out)
        return self

    def able(self, what: str) -> "World":
        """Ourselves, where the server can do ``what`` (see `Abilities.lacks`); elsewhere the test does not apply."""
        if reason := self.abilities.lacks.get(what):
            pytest.skip(reason)
        return self

    def flagged(self) -> list[str]:
        """The subjects of what is flagged for follow-up; asked only of servers that can."""
        raise NotImplementedError

    def categories(self, subject: str) -> set[str]:
        """The categories or keywords of a message; asked only of servers that can."""
        raise NotImplementedError

    def categorise(self, subject: str, category: str) -> None:
        """A person gives the message a category."""
        raise NotImplementedError

    def add_folder(self, name: str) -> str:
        """A person makes a folder; how a job writes its path."""
        raise NotImplementedError

    def inside(self, path: str) -> list[str]:
        """The subjects of what is in that folder."""
        raise NotImplementedError

    def make_read_only(self) -> None:
        """From now on our account may look but not touch; called only where the server has rights."""
        raise NotImplementedError

    def deliver_all(self, *subjects: str) -> None:
        """Several unread messages, in this order."""
        self.deliver_many([mail(subject) for subject in subjects])

    def deliver_many(self, messages: Sequence[bytes]) -> None:
        """Put several messages into the folder, unread, in this order."""
        for data in messages:
            self.deliver(data)

    def subjects(self) -> list[str]:
        """The subjects of what is in the mailbox."""
        return [one.subject for one in self.outside()]


def subject_of(fetched: Fetched) -> str:
    """The subject of a fetched message."""
    assert fetched.raw, fetched.error
    return next(line[9:] for line in fetched.raw.data.decode().splitlines() if line.startswith("Subject: "))


def listed(mailbox: Mailbox, picking: Picking = UNREAD) -> list[str]:
    """The subjects of the candidates, in their order."""
    return [subject_of(one) for one in mailbox.fetch(mailbox.candidates(picking).refs, max_bytes=LIMIT)]


def by_subject(mailbox: Mailbox, picking: Picking = UNREAD) -> dict[str, MessageRef]:
    """The candidates by their subjects."""
    refs = mailbox.candidates(picking).refs
    return {subject_of(one): one.ref for one in mailbox.fetch(refs, max_bytes=LIMIT)}


def as_the_ledger_has_it(ref: MessageRef) -> MessageRef:
    """A ref as an earlier run stored it."""
    return MessageRef(ref.key, ref.handle)
