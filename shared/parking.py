"""Messages that are not to be trusted with our process: read apart, and what is kept of those that are given up on."""

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.apart import call_apart
from shared.errors import Unreadable
from shared.ledger import LedgerEntry
from shared.model import Message, ParkedMessage, RawMessage

#: Far longer than any message within the size limit takes (150 MB: 1.5 s here).
_SECONDS = timedelta(seconds=60)
#: For a head, which is nice to have.
_HEAD_SECONDS = timedelta(seconds=5)
#: Memory for a message: some for all, and so many times its size.
_MEMORY_MB, _MEMORY_TIMES = 256, 12


def read_apart(
    read: Callable[[bytes], Message], data: bytes, left: timedelta, *, most: timedelta = _SECONDS
) -> Message:
    """Read a message in a process of its own, within ``most`` and half of ``left``: parking it takes time as well.

    Raises `Unreadable` when it dies of it.
    """
    memory_mb = _MEMORY_MB + _MEMORY_TIMES * len(data) // (1024 * 1024)
    return call_apart(read, data, within=min(most, left / 2), memory_mb=memory_mb)


def parked_message(
    entry: LedgerEntry,
    reason: str,
    raw: RawMessage | None,
    now: datetime,
    *,
    read_head: Callable[[bytes], Message],
    left: timedelta,
    days: int = 0,
) -> ParkedMessage:
    """The line by which a person finds it. Even its head is read apart, and left out where that cannot be had.

    It stands for ``days``; 0 is for ever. ``left`` is what the run still has; a message that stops its readers may do
    so by its head alone.
    """
    message = _head(read_head, raw, left) if raw else None
    return ParkedMessage(
        parked_id=f"{now:%Y%m%dT%H%M%S}-{entry.key.digest[:12]}",
        job_id=entry.key.job_id,
        item=entry.key.item,
        mailbox=entry.key.mailbox,
        reason=reason,
        parked_at=now,
        attempts=entry.attempts,
        size=raw.size if raw else 0,
        subject=message.subject if message else "",
        sender=str(message.sender or "") if message else "",
        message_id=(message.message_id or "") if message else "",
        has_raw=raw is not None,
        expires_at=now + timedelta(days=days) if days else None,
    )


def _head(read_head: Callable[[bytes], Message], raw: RawMessage, left: timedelta) -> Message | None:
    try:
        return read_apart(read_head, raw.data, left, most=_HEAD_SECONDS)
    except Unreadable:
        return None
