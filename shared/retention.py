"""What a job's ledger forgets: once a day, after the mail, in stretches of bounded time, under the run's own lease.

::

    settled, and not written for ledger_days
      ├─ there ──────────────────────────── written anew: looked at again after as many days
      ├─ missing for the first time ─────── noted, written anew: looked at again after as many days
      └─ missing once more, or purged by us ─ forgotten

A message that is missing may come back under the same key: from the recoverable items of an Exchange mailbox, from a
backup, from wherever else servers let messages keep their names. So what a job did not remove itself must be missing
twice, ``ledger_days`` apart. So no entry is looked at more often than that, however often the mailbox is polled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.ledger import LedgerEntry, Stage
from shared.model import JobState
from shared.ports import Deadline, Ledger, Mailbox

#: Entries that are looked at together.
_PAGE = 500
#: How long a stretch may take; the next run goes on.
STRETCH = timedelta(seconds=30)
_EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a stretch came to."""

    looked_at: int
    forgotten: int
    #: Nothing is left to look at today.
    complete: bool


def review_due(state: JobState, now: datetime) -> bool:
    """Whether a day has passed since the ledger was last looked through, or the job was made."""
    return now - (state.reviewed or state.created) >= _EVERY


def review(ledger: Ledger, mailbox: Mailbox, *, days: int, deadline: Deadline) -> Reviewed:
    """Look through what was not written for ``days``, and forget what is certainly not in the mailbox any more.

    ``days`` are the job's ``ledger_days``. Raises what the ledger and the mailbox raise; what was done by then stays.
    """
    looked_at = forgotten = 0
    while True:
        now = deadline.clock()
        entries = ledger.outdated(now - timedelta(days=days), limit=_PAGE)
        looked_at += len(entries)
        forgotten += _judge(ledger, mailbox, entries, now) if entries else 0
        if len(entries) < _PAGE:
            return Reviewed(looked_at, forgotten, complete=True)
        if deadline.passed:
            return Reviewed(looked_at, forgotten, complete=False)


def _judge(ledger: Ledger, mailbox: Mailbox, entries: Sequence[LedgerEntry], now: datetime) -> int:
    """Forget or write anew each of these; how many were forgotten."""
    there = mailbox.still_there([entry.ref for entry in entries])
    missing = [entry for entry in entries if entry.ref.key not in there]
    gone = [entry for entry in missing if entry.missing_since or _purged(entry)]
    seen = [replace(entry, missing_since=None) for entry in entries if entry.ref.key in there]
    noted = [replace(entry, missing_since=now) for entry in missing if not (entry.missing_since or _purged(entry))]
    ledger.forget(gone)
    ledger.record([*seen, *noted])
    return len(gone)


def _purged(entry: LedgerEntry) -> bool:
    return entry.stage is Stage.DONE and entry.disposition.purges
