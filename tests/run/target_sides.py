"""Targets as the judge of a run sees them: from outside, without the code under test.

A further kind of target gets the faults of `tests.run.storage_faults` by a class here and a line in its ``WAYS``.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient, TextBase64DecodePolicy

from dev.azurite import Azurite
from tests.run.real import Tables
from tests.servers.tracker import Tracker, tracker_block


class TargetSide(Protocol):
    """A target, seen from outside."""

    @property
    def block(self) -> Mapping[str, Any]:
        """The ``target`` block of a job."""
        ...

    def made(self, name: str) -> tuple[Counter[str], Counter[str]]:
        """How often each subject that begins with ``name`` became a ticket, and how often an entry of one."""
        ...


class TableSide:
    """The embedded target, read with the table SDK."""

    block: Mapping[str, Any] = {"type": "table"}

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def made(self, name: str) -> tuple[Counter[str], Counter[str]]:
        """See `TargetSide`."""
        where = f"subject ge '{name} ' and subject lt '{name}!'"
        tickets, entries = (
            Counter(row["subject"] for row in self._tables.rows("tickets", begin, where=where))
            for begin in ("ticket:", "entry:")
        )
        return tickets, entries


class QueueSide:
    """A queue, as the system that reads it sees it: the same event twice is one event, by its id."""

    def __init__(self, azurite: Azurite, name: str) -> None:
        self.block: Mapping[str, Any] = {"type": "queue", "queue": name}
        self._client = QueueClient.from_connection_string(
            azurite.connection_string, name, message_decode_policy=TextBase64DecodePolicy()
        )
        self._events: dict[str, tuple[str, str]] = {}

    def made(self, name: str) -> tuple[Counter[str], Counter[str]]:
        """See `TargetSide`."""
        try:
            for message in self._client.receive_messages():
                event = json.loads(message.content)
                self._events[event["id"]] = (event["type"].rpartition(".")[2], event["data"]["subject"])
                self._client.delete_message(message)
        except ResourceNotFoundError:
            # Nobody has put anything there yet.
            return Counter(), Counter()
        ours = [(what, subject) for what, subject in self._events.values() if subject.startswith(f"{name} ")]
        return Counter(subject for what, subject in ours if what == "created"), Counter(subject for _, subject in ours)


class TrackerSide:
    """A tracker in this process, behind the `webhook` target. The text of a note names its message."""

    def __init__(self, tracker: Tracker, secret: str, *, url: str = "") -> None:
        """``secret``: what jobs are given for a token. ``url``: where they reach it, if not directly."""
        tracker.authorization = f"Bearer {secret}"
        self.block: Mapping[str, Any] = tracker_block(url or tracker.url)
        self._tracker = tracker

    def made(self, name: str) -> tuple[Counter[str], Counter[str]]:
        """See `TargetSide`."""
        there = list(self._tracker.tickets.values())
        texts = [note.text for one in there for note in one.notes]
        named = [found[1] for text in texts if (found := re.search(rf"The text of ({name} \w+)\.", text))]
        return Counter(one.subject for one in there if one.subject.startswith(f"{name} ")), Counter(named)
