"""A target from both sides, as the contract of the `Target` port needs it: ours, and that of the people who work there.

What a kind of target cannot do is data (`Abilities`), never a branch on its kind.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from shared.model import Create, Delivered, Delivery, Message, Modify
from shared.ports import Target
from tests.builders import make_delivery, make_message


class Crash(BaseException):
    """The end of a worker, which no ``except Exception`` survives."""


class Fuse:
    """Counts what a worker does outside; from the chosen one on, everything is the end of it.

    Servers call `burns` before and after each effect, and give no answer where it holds; storage calls `burn`.
    """

    def __init__(self) -> None:
        self._left: int | None = None

    def light(self, nth: int) -> None:
        """The ``nth`` step from now is the last."""
        self._left = nth

    def put_out(self) -> None:
        """Nothing is the last."""
        self._left = None

    def burns(self) -> bool:
        """One step: is it over?"""
        if self._left is None:
            return False
        self._left -= 1
        return self._left <= 0

    def burn(self) -> None:
        """One step. Raises `Crash` where it is over."""
        if self.burns():
            raise Crash


@dataclass(frozen=True, slots=True)
class Entry:
    """One message within a ticket, as people there see it."""

    text: str
    #: Name and content of each file, by name.
    files: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One ticket as people there see it."""

    subject: str
    #: Oldest first.
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Abilities:
    """Facts of a kind of target: what it lacks, by the word that a test asks for, and why."""

    lacks: Mapping[str, str] = field(default_factory=dict)


class TargetWorld(ABC):
    """One target from both sides. Messages go by the number from which the builders make them."""

    abilities: ClassVar[Abilities] = Abilities()

    @abstractmethod
    def open(self) -> Target:
        """The target as another process opens it: with nothing in memory."""

    @abstractmethod
    def tickets(self) -> Mapping[str, Seen]:
        """Every ticket by its id, read past the target."""

    @abstractmethod
    def crash_at(self, nth: int) -> None:
        """Let whoever does the ``nth`` thing outside from now on meet `Crash` there, before or after it took effect."""

    @abstractmethod
    def recover(self) -> None:
        """Forget what was planned."""

    @abstractmethod
    def go_away(self) -> None:
        """Answer nobody until `recover`."""

    def close_ticket(self, ticket_id: str) -> None:
        """Close a ticket, as people do there."""
        raise NotImplementedError

    def refuse(self, subject: str) -> None:
        """Take no message with this subject."""
        raise NotImplementedError

    def able(self, word: str) -> "TargetWorld":
        """This world; the test is skipped where the kind of target lacks what it is about."""
        if word in self.abilities.lacks:
            pytest.skip(self.abilities.lacks[word])
        return self


def new(uid: int, message: Message | None = None) -> Delivery:
    """Message ``uid``, to become a new ticket."""
    return make_delivery(uid, message=message or make_message(uid))


def reply(uid: int, ticket_id: str, message: Message | None = None) -> Delivery:
    """Message ``uid``, to be added to a ticket."""
    return make_delivery(uid, message=message or make_message(uid), decision=Modify(ticket_id, ("It replies.",)))


def ids(answers: Iterable[object]) -> list[str]:
    """The tickets of answers that must all be deliveries."""
    found = []
    for answer in answers:
        assert isinstance(answer, Delivered), answer
        found.append(answer.ticket_id)
    return found


def is_new(delivery: Delivery) -> bool:
    """Whether it is to make a ticket."""
    return isinstance(delivery.decision, Create)
