"""The `webhook` target holds the contract on a plain tracker, with files inside, before and after a note."""

from collections.abc import Iterator, Mapping

import pytest

from tests.contract.target import TargetContract
from tests.contract.target_world import Entry, Seen, TargetWorld
from tests.servers.tracker import TOKEN, Tracker, tracker_block
from tests.targets.webhook_world import WebhookWorld


class _World(WebhookWorld):
    system: Tracker

    def tickets(self) -> Mapping[str, Seen]:
        return {
            str(one.number): Seen(one.subject, tuple(Entry(note.text, tuple(sorted(note.files))) for note in one.notes))
            for one in self.system.tickets.values()
        }

    def close_ticket(self, ticket_id: str) -> None:
        self.system.tickets[int(ticket_id)].status = "closed"

    def refuse(self, subject: str) -> None:
        self.system.refuses.add(subject)

    def recover(self) -> None:
        super().recover()
        self.system.refuses.clear()


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[TargetWorld]:
    """A tracker of its own."""
    with Tracker() as tracker:
        block = tracker_block(tracker.url, files=getattr(request, "param", "inline"))
        yield _World(tracker, block, tracker_token=TOKEN)


class TestWebhook(TargetContract):
    """Over real sockets, with files inside of a note."""

    @pytest.fixture
    def world(self, world: TargetWorld) -> TargetWorld:
        """See above."""
        return world


@pytest.mark.parametrize("world", ["uploads", "multipart", "content"], indirect=True)
class TestFiles:
    """Where files travel in requests of their own, those cases that have any."""

    def test_a_message_becomes_a_ticket(self, world: TargetWorld) -> None:
        """See the contract."""
        TargetContract().test_a_message_becomes_a_ticket(world)

    def test_a_reply_is_added_to_its_ticket(self, world: TargetWorld) -> None:
        """See the contract."""
        TargetContract().test_a_reply_is_added_to_its_ticket(world)

    @pytest.mark.parametrize("modifies", [False, True])
    def test_killed_anywhere_nothing_is_lost_or_doubled(self, world: TargetWorld, *, modifies: bool) -> None:
        """See the contract."""
        TargetContract().test_killed_anywhere_nothing_is_lost_or_doubled(world, modifies=modifies)
