"""A Roundup from both sides, and the job on it."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from shared.errors import MessageError
from shared.model import Delivered, Delivery, TicketSummary
from shared.ports import Target
from shared.targets._webhook_target import WebhookTarget
from shared.targets.webhook import WebhookSettings, open_target
from tests.builders import NOW
from tests.contract.target_world import Abilities, Entry, Fuse, Seen, TargetWorld
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage
from tests.servers.roundup import Issue, Roundup
from tests.targets.requests import make_target_request


def roundup_block(roundup: Roundup) -> dict[str, Any]:
    """The ``target`` block of a job on this tracker; its password is the secret ``tracker``."""
    return {
        "type": "webhook",
        "preset": "roundup",
        "url": roundup.url,
        "sign_in": {"method": "basic", "username": roundup.user, "password_secret": "tracker"},
        "values": {"author": roundup.user},
        "allow_private": True,
    }


def seen(issue: Issue) -> Seen:
    """An issue as people see it, without the line that names the sender."""
    entries = []
    for one in issue.messages:
        head, _, text = one.content.partition("\n\n")
        assert head == "Ann <ann@customer.example> wrote:"
        entries.append(Entry(text, one.files))
    return Seen(issue.title, tuple(entries))


class _OfOneTest:
    """The tracker outlives a test, so what it knows of a message of another test must not be found."""

    batch: ClassVar[int] = WebhookTarget.batch

    def __init__(self, inner: Target, mark: str) -> None:
        self._inner, self._mark = inner, mark

    def look_up(self, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        return self._inner.look_up(ticket_ids)

    def apply(self, deliveries: Sequence[Delivery]) -> Sequence[Delivered | MessageError]:
        mine = [replace(one, key=replace(one.key, mailbox=f"{one.key.mailbox} {self._mark}")) for one in deliveries]
        return self._inner.apply(mine)


class RoundupWorld(TargetWorld):
    """Issues from before a test are not of it."""

    abilities: ClassVar[Abilities] = Abilities({"refuse": "Roundup takes every message."})

    def __init__(self, roundup: Roundup) -> None:
        self._roundup = roundup
        self._mark = uuid.uuid4().hex
        self._before = set(roundup.issues())
        self._fuse = Fuse()
        clock = FakeClock(NOW)
        self._storage = FakeStorage(clock)
        self._storage.watch(self._fuse.burn)
        self._away = False

    def open(self) -> Target:
        """See `TargetWorld`."""
        block = roundup_block(self._roundup)
        if self._away:
            block["url"] = "http://127.0.0.1:9"
        settings = WebhookSettings.model_validate(block)
        target = open_target(make_target_request(settings, self._storage, tracker=self._roundup.password))
        return _OfOneTest(target, self._mark)

    def tickets(self) -> Mapping[str, Seen]:
        """See `TargetWorld`."""
        return {number: seen(one) for number, one in self._roundup.issues().items() if number not in self._before}

    def crash_at(self, nth: int) -> None:
        """See `TargetWorld`."""
        self._fuse.light(nth)

    def recover(self) -> None:
        """See `TargetWorld`."""
        self._fuse.put_out()
        self._away = False

    def go_away(self) -> None:
        """See `TargetWorld`."""
        self._away = True

    def close_ticket(self, ticket_id: str) -> None:
        """See `TargetWorld`."""
        self._roundup.resolve(ticket_id)
