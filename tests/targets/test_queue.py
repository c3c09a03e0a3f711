"""The `queue` target holds the contract; its messages are CloudEvents that a consumer reads with the blobs beside them."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from dev.azurite import Azurite
from shared.api.records import check_job
from shared.ports import Target
from shared.storage.open import Account
from shared.targets import target_for
from shared.targets.queue import QueueTarget, QueueTargetSettings
from tests.builders import NOW, make_attachment, make_message
from tests.contract.target import TargetContract
from tests.contract.target_world import Abilities, Entry, Seen, TargetWorld, ids, new, reply
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage
from tests.targets.requests import make_target_request
from tests.targets.storages import Breakable, InMemory, OnAzurite

_LACKS = {
    "close": "Nothing comes back from a queue.",
    "refuse": "A queue takes every message.",
}


class _Queue(TargetWorld):
    """A consumer that takes everything off the queue, and knows an event by its id, as CloudEvents asks for."""

    abilities: ClassVar[Abilities] = Abilities(_LACKS)

    def __init__(self, storage: Breakable, queue: str) -> None:
        self._storage, self._queue = storage, queue
        self._events: dict[str, dict[str, Any]] = {}

    def open(self) -> Target:
        return QueueTarget(
            make_target_request(QueueTargetSettings(type="queue", queue=self._queue), self._storage.open())
        )

    def tickets(self) -> Mapping[str, Seen]:
        for text in self.take():
            event = json.loads(text)
            assert self._events.setdefault(event["id"], event) == event
        found: dict[str, list[tuple[str, Entry]]] = {}
        for event in self._events.values():
            data = event["data"] if "data" in event else json.loads(self.fetch(event["dataref"]))
            files = sorted((one["name"], self.fetch(one["url"])) for one in data["attachments"])
            found.setdefault(event["subject"], []).append((data["subject"], Entry(data["text"], tuple(files))))
        return {ticket: Seen(each[0][0], tuple(entry for _, entry in each)) for ticket, each in found.items()}

    def take(self) -> list[str]:
        """What waits on the queue; it waits no longer."""
        raise NotImplementedError

    def fetch(self, url: str) -> bytes:
        """A blob, with the consumer's own rights."""
        raise NotImplementedError

    def crash_at(self, nth: int) -> None:
        self._storage.crash_at(nth)

    def go_away(self) -> None:
        self._storage.go_away()

    def recover(self) -> None:
        self._storage.recover()


class _QueueInMemory(_Queue):
    abilities: ClassVar[Abilities] = Abilities({**_LACKS, "look up away": "Only writes of this fake can fail."})

    def __init__(self) -> None:
        storage = InMemory()
        self._outbox = storage.fake.outbox
        super().__init__(storage, "tickets")

    def take(self) -> list[str]:
        return self._outbox.queues.pop("tickets", [])

    def fetch(self, url: str) -> bytes:
        return self._outbox.blobs[url]


class _QueueOnAzurite(_Queue):
    def __init__(self, azurite: Azurite, prefix: str) -> None:
        self._account = Account(azurite.connection_string)
        super().__init__(OnAzurite(azurite, prefix), f"{prefix}-events")

    def take(self) -> list[str]:
        from azure.core.exceptions import ResourceNotFoundError

        taken = []
        with self._account.queue(self._queue) as queue:
            try:
                for message in queue.receive_messages(messages_per_page=32):
                    taken.append(str(message.content))
                    queue.delete_message(message)
            except ResourceNotFoundError:
                return []
        return taken

    def fetch(self, url: str) -> bytes:
        container, _, path = url.split("/devstoreaccount1/", 1)[1].partition("/")
        with self._account.blobs() as blobs:
            return blobs.get_blob_client(container, path).download_blob().readall()


class TestQueueInMemory(TargetContract):
    """Over the fake."""

    @pytest.fixture
    def world(self) -> TargetWorld:
        """An empty queue."""
        return _QueueInMemory()


class TestQueueOnAzurite(TargetContract):
    """Over real storage."""

    @pytest.fixture
    def world(self, azurite: Azurite, prefix: str) -> TargetWorld:
        """A queue and tables of its own."""
        return _QueueOnAzurite(azurite, prefix)


@pytest.fixture
def storage() -> FakeStorage:
    """Empty storage."""
    return FakeStorage(FakeClock(NOW))


def _target(storage: FakeStorage) -> Target:
    return QueueTarget(make_target_request(QueueTargetSettings(type="queue", queue="tickets"), storage))


def test_an_event_says_what_happened(storage: FakeStorage) -> None:
    """CloudEvents 1.0: its id is the message's key, its subject the ticket, its data what the message was."""
    message = make_message(1, attachments=(make_attachment(),), html="<p>Come</p>")
    (ticket,) = ids(_target(storage).apply([new(1, message)]))
    ids(_target(storage).apply([reply(2, ticket)]))
    first, second = map(json.loads, storage.outbox.queues["tickets"])
    data = first.pop("data")
    assert first == {
        "specversion": "1.0",
        "id": new(1).key.digest,
        "source": "urn:mail-connector:job:support",
        "type": "mail-connector.ticket.created",
        "subject": ticket,
        "datacontenttype": "application/json",
    }
    assert (data["sender"], data["subject"], data["html"]) == (
        {"email": "ann@customer.example", "name": "Ann"},
        "Printer 1 is on fire",
        "<p>Come</p>",
    )
    assert data["date"] == NOW.isoformat()
    assert (second["type"], second["subject"]) == ("mail-connector.ticket.modified", ticket)


@pytest.mark.parametrize("text", ["x" * 60_000, "\ud800" * 20_000, "ä" * 20_000])
def test_a_long_message_is_a_link(storage: FakeStorage, text: str) -> None:
    """What a queue would not take is a blob; what is on the queue stays under 48 KiB."""
    (ticket,) = ids(_target(storage).apply([new(1, make_message(1, text=text))]))
    (event,) = map(json.loads, storage.outbox.queues["tickets"])
    assert "data" not in event
    assert event["subject"] == ticket
    assert json.loads(storage.outbox.blobs[event["dataref"]])["text"] == text


def test_the_longest_that_fits_is_sent_whole(storage: FakeStorage) -> None:
    """Every length around the border arrives, and none is too long for the queue."""
    target = _target(storage)
    for uid in range(40):
        target.apply([new(uid, make_message(uid, text="x" * (47_500 + uid * 20)))])
    events = storage.outbox.queues["tickets"]
    assert all(len(event) <= 48 * 1024 for event in events)
    assert {"data" in json.loads(event) for event in events} == {True, False}


@pytest.mark.parametrize("name", ["tickets", "a-b-3", "x" * 63])
def test_a_queue_has_a_name_that_storage_takes(name: str) -> None:
    """And a job finds the target by its block."""
    job = check_job(_document(name))
    assert target_for(job.target).kind == "queue"


@pytest.mark.parametrize("name", ["", "ab", "Tickets", "a--b", "-ab", "ab-", "x" * 64, "a_b", "mailconnector-runs"])
def test_other_names_are_refused(name: str) -> None:
    """When the config is saved, not at the first mail."""
    with pytest.raises(Exception, match=r"target\.queue|queue"):
        check_job(_document(name))


def _document(queue: str) -> dict[str, Any]:
    server = {"type": "imap4", "host": "mail.example", "username": "support", "password_secret": "box"}
    return {"id": "support", "server": server, "target": {"type": "queue", "queue": queue}}
