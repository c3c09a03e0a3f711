"""How many messages came lately: by sender, by ticket, and alike ones. What caps and folding go by.

A run reads it with the job's state and writes it back with its end, so it costs no request. A run that is killed
forgets what it counted, and a cap then allows a few messages more.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.model import Message

#: Senders and tickets that are kept in mind. Where there are more, those with the fewest messages are forgotten.
_MOST: Final = 300


@dataclass(slots=True)
class _Line:
    """Messages under one key."""

    #: Seconds since 1970 at the first of them: the window begins there.
    since: int
    count: int = 0
    #: The ticket that the last of them went to.
    ticket_id: str = ""


class Traffic:
    """Counts of one job's messages within a window. What a run has judged but not settled yet counts in that run."""

    def __init__(self, text: str, now: datetime, window: timedelta) -> None:
        """``text`` is what `written` gave; what lies before the window is forgotten."""
        self._now = int(now.timestamp())
        self._window = int(window.total_seconds())
        self._lines: dict[str, _Line] = {}
        self._pending: Counter[str] = Counter()
        for key, (since, count, ticket_id) in _read(text).items():
            if since + self._window > self._now:
                self._lines[key] = _Line(since, count, ticket_id)

    def count(self, key: str) -> int:
        """How many messages there were under ``key``."""
        line = self._lines.get(_short(key))
        return (line.count if line else 0) + self._pending[_short(key)]

    def ticket(self, key: str) -> str:
        """The ticket that the last of them went to; empty where none is known."""
        line = self._lines.get(_short(key))
        return line.ticket_id if line else ""

    def expect(self, keys: Iterable[str]) -> None:
        """A message under these keys was judged, and may yet fail."""
        self._pending.update(map(_short, keys))

    def waits(self, key: str) -> bool:
        """Whether a message under ``key`` was judged whose ticket is not made yet."""
        return self._pending[_short(key)] > 0

    def settle(self, keys: Iterable[str], ticket_id: str) -> None:
        """It went to this ticket."""
        for key in map(_short, keys):
            self._pending[key] = max(0, self._pending[key] - 1)
            line = self._lines.setdefault(key, _Line(self._now))
            line.count += 1
            line.ticket_id = ticket_id

    def give_back(self) -> None:
        """What was judged and is not settled by now did not come through."""
        self._pending.clear()

    def written(self) -> str:
        """As text, to be kept until the next run; bounded."""
        busiest = sorted(self._lines.items(), key=lambda each: each[1].count, reverse=True)[:_MOST]
        if not busiest:
            return ""
        return json.dumps(
            {key: [line.since, line.count, line.ticket_id[:64]] for key, line in busiest}, separators=(",", ":")
        )


def by_sender(message: Message) -> str:
    """The key of a sender."""
    return f"s:{message.sender.email.lower() if message.sender else ''}"


def by_program(message: Message) -> str:
    """The key of a sender's automatic answers."""
    return f"a:{message.sender.email.lower() if message.sender else ''}"


def by_ticket(ticket_id: str, target: str = "") -> str:
    """The key of a ticket in a target."""
    return f"t:{target}:{ticket_id}"


def alike(message: Message) -> str:
    """The key of messages that are alike: of one sender, and with one subject but for numbers and case."""
    sender = message.sender.email.lower() if message.sender else ""
    subject = re.sub(r"[\W\d_]+", " ", message.subject.casefold()).strip()
    return f"l:{sender}:{subject}"


def _short(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:12]


def _read(text: str) -> dict[str, tuple[int, int, str]]:
    """What a run of this or an older version wrote; nothing where it cannot be read."""
    try:
        return {key: (int(since), int(count), str(ticket)) for key, (since, count, ticket) in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
