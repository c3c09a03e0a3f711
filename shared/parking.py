"""What is kept of a message that is given up on."""

from datetime import datetime

from shared.ledger import LedgerEntry
from shared.mime import parse
from shared.model import ParkedMessage, RawMessage


def parked_message(
    entry: LedgerEntry, reason: str, raw: RawMessage | None, now: datetime, *, unopened: bool
) -> ParkedMessage:
    """The line by which a person finds it. An ``unopened`` one is not even looked into for its subject."""
    message = parse(raw.data, header_only=True) if raw and not unopened else None
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
    )
