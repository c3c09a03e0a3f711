"""What is kept of a message whose original goes for good."""

from datetime import datetime, timedelta

from shared.ledger import LedgerEntry
from shared.model import Message, PurgedMessage


def purged_message(entry: LedgerEntry, message: Message, now: datetime, days: int) -> PurgedMessage:
    """The line by which a person finds it. It is kept for ``days`` whole days, and then until midnight (UTC)."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return PurgedMessage(
        purged_id=f"{now:%Y%m%dT%H%M%S}-{entry.key.digest[:12]}",
        key=entry.key,
        purged_at=now,
        expires_at=midnight + timedelta(days=days + 1),
        size=message.size,
        sha256=message.sha256,
        ticket_id=entry.ticket_id if not entry.reason else "",
        reason=entry.reason,
        subject=message.subject,
        sender=str(message.sender or ""),
        message_id=message.message_id or "",
    )


def is_kept(entry: LedgerEntry, now: datetime, days: int) -> bool:
    """Whether the copy that the entry tells of lasts long enough already.

    So a message that a server shows again and again after it was purged is kept anew once a day, not in every run.
    """
    return entry.kept_until is not None and entry.kept_until >= now + timedelta(days=days)
