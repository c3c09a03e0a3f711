"""The life of one message in the ledger, as a value and its transitions. Storage only keeps what this file decides.

::

                      claim                deliver               dispose              purge
    (unknown) ──────────────▶ CLAIMED ──────────────▶ DELIVERED ────────▶ DISPOSED ──────────▶ DONE
                     ▲  │  │                                  └───────(nothing to do)──────────▲
        retry is due │  │  ├──── reject ───▶ REJECTED ─── dispose, purge as above ────────────▶│
                     │  │  └──── gone ────────────────────────────────────────────────────────▶│
                     │  ▼
                    FAILED ── attempts used up ──▶ (SET_ASIDE ── dispose ──▶) PARKED

CLAIMED counts an attempt before the message is touched, so that a message which kills the worker is noticed by its
count. `give_back` takes the attempt away again when the fault was not the message's. Everything but DONE and PARKED
is *open*: the next run looks at it before it lists the mailbox.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.model import KEPT, Action, Delivered, Disposition, MessageKey, MessageRef


class Stage(StrEnum):
    """How far a message has come."""

    CLAIMED = "claimed"
    FAILED = "failed"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    DISPOSED = "disposed"
    DONE = "done"
    #: Parked, and its original is still to be marked.
    SET_ASIDE = "set_aside"
    PARKED = "parked"


CLOSED = frozenset({Stage.DONE, Stage.PARKED})


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One message's row. Frozen: each transition gives a new value."""

    key: MessageKey
    handle: str
    stage: Stage
    attempts: int = 0
    #: Which run wrote it last.
    run_id: str = ""
    ticket_id: str = ""
    action: Action | None = None
    #: What is to happen, or has happened, to the original.
    disposition: Disposition = KEPT
    message_id: str = ""
    sha256: str = ""
    #: Why it was rejected, failed or parked: a sentence for people.
    reason: str = ""
    #: A failed message is left alone until then.
    retry_at: datetime | None = None
    #: A raw copy is kept: the message was parked once.
    kept: bool = False
    #: Until when a copy of the purged original is kept; None where none was.
    kept_until: datetime | None = None
    #: The id of the purged message whose kept copy is to be taken up in place of an original, or empty.
    copy: str = ""
    #: When it was found that the mailbox does not have the message any more; None where it has, or nobody looked.
    missing_since: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether a run still has something to do for it."""
        return self.stage not in CLOSED

    @property
    def undelivered(self) -> bool:
        """Whether it was taken up, but nothing was decided for it yet."""
        return self.stage in {Stage.CLAIMED, Stage.FAILED}

    @property
    def decided(self) -> bool:
        """Whether it was ever delivered or rejected, in any generation; one that was gone before that was not."""
        return bool(self.action or self.sha256)

    @property
    def ref(self) -> MessageRef:
        """The message as a mailbox takes it."""
        return MessageRef(self.key, self.handle)

    def give_back(self) -> "LedgerEntry":
        """Undo the claim: the fault was not the message's, so the attempt does not count."""
        return replace(self, stage=Stage.FAILED, attempts=max(0, self.attempts - 1))

    def fail(self, reason: str, retry_at: datetime, *, message_id: str = "") -> "LedgerEntry":
        """The message could not be handled; leave it untouched and try again from ``retry_at``."""
        named = message_id or self.message_id
        return replace(self, stage=Stage.FAILED, reason=reason, retry_at=retry_at, message_id=named)

    @property
    def undisposed(self) -> bool:
        """Whether it is decided, and the original is still to be marked."""
        return self.stage in {Stage.DELIVERED, Stage.REJECTED, Stage.SET_ASIDE}

    def park(self, reason: str, disposition: Disposition = KEPT, *, message_id: str = "") -> "LedgerEntry":
        """Given up on. The original is never purged: ``disposition`` may only mark or move it."""
        stays = self.disposition if self.copy else replace(disposition, purge=False)
        return replace(
            self,
            stage=Stage.SET_ASIDE if disposition.marks and not self.copy else Stage.PARKED,
            disposition=stays,
            message_id=message_id or self.message_id,
            reason=reason,
            retry_at=None,
            kept=True,
        )

    def retry(self) -> "LedgerEntry":
        """A person wants a parked message to be taken up again, with fresh attempts."""
        return replace(self, stage=Stage.FAILED, attempts=0)

    def reprocess(self, purged_id: str) -> "LedgerEntry":
        """A person wants another ticket of a purged message: the next generation, taken up from its kept copy."""
        return replace(
            self,
            key=replace(self.key, generation=self.key.generation + 1),
            stage=Stage.FAILED,
            attempts=0,
            reason="",
            retry_at=None,
            kept=False,
            copy=purged_id,
        )

    def keep(self, until: datetime) -> "LedgerEntry":
        """A copy of the original is kept before it goes."""
        return replace(self, kept_until=until)

    def deliver(
        self, delivered: Delivered, disposition: Disposition, *, message_id: str = "", sha256: str = ""
    ) -> "LedgerEntry":
        """The ticket exists. From here on the message can only be disposed of."""
        return replace(
            self._decided(Stage.DELIVERED, disposition),
            ticket_id=delivered.ticket_id,
            action=delivered.action,
            message_id=message_id,
            sha256=sha256,
            reason="",
        )

    def reject(self, reason: str, disposition: Disposition, *, message_id: str = "", sha256: str = "") -> "LedgerEntry":
        """A rule or a guard said no: no ticket, and not judged again."""
        decided = self._decided(Stage.REJECTED, disposition)
        return replace(decided, message_id=message_id, sha256=sha256, reason=reason)

    def _decided(self, stage: Stage, disposition: Disposition) -> "LedgerEntry":
        """What was taken up from a copy has no original that could be disposed of; it stays known as purged."""
        if self.copy:
            return replace(self, stage=Stage.DONE, copy="", retry_at=None)
        return replace(self, stage=stage if disposition.marks else Stage.DONE, disposition=disposition, retry_at=None)

    def dispose(self, handle: str) -> "LedgerEntry":
        """The original was marked. ``handle`` is how to find it now."""
        if self.stage is Stage.SET_ASIDE:
            return replace(self, handle=handle, stage=Stage.PARKED)
        return replace(self, handle=handle, stage=Stage.DISPOSED if self.disposition.purges else Stage.DONE)

    def finish(self) -> "LedgerEntry":
        """Nothing is left to do: purged, or gone from the mailbox."""
        return replace(self, stage=Stage.PARKED if self.stage is Stage.SET_ASIDE else Stage.DONE, copy="")


def claim(ref: MessageRef, before: LedgerEntry | None, run_id: str) -> LedgerEntry:
    """Take a message up: the attempt is counted before the message is touched."""
    if before is None:
        return LedgerEntry(key=ref.key, handle=ref.handle, stage=Stage.CLAIMED, attempts=1, run_id=run_id)
    return replace(
        before,
        key=ref.key,
        handle=ref.handle,
        stage=Stage.CLAIMED,
        attempts=before.attempts + 1,
        run_id=run_id,
        retry_at=None,
        missing_since=None,
    )


#: How many messages are claimed together, by how often one of them was claimed before without coming to an end.
#: A message that kills the worker takes its batch along; so its second try is in small company, and its third alone.
_COMPANY = (98, 10, 1)

#: The sizes in the order in which their messages are taken up.
_ORDER = (10, 98, 1)


#: From this time on a message is taken up alone; before that, it may be an innocent one in bad company.
_ALONE = len(_COMPANY)


def suspicious(entry: LedgerEntry) -> bool:
    """Whether it is taken up alone, because it was there each time when a worker stopped or it failed."""
    return entry.attempts >= _ALONE


def worn_out(entry: LedgerEntry, max_attempts: int, *, beyond: int = 0) -> bool:
    """Whether it was taken up as often as it may be, the last time alone, without the run coming to an end with it.

    ``beyond`` allows so many times more.
    """
    return entry.attempts > max(max_attempts, _ALONE) + beyond


def claimable(
    ref: MessageRef, entry: LedgerEntry | None, *, now: datetime, reprocess: bool, keeps_bytes: bool = False
) -> tuple[MessageRef, LedgerEntry | None] | None:
    """The message as it is to be claimed, or None where the ledger says that nothing is to be done for it now.

    Under ``reprocess`` a message that was done and left as it was is a new one, of the next generation. So is one that
    was purged and is there again, where bytes can tell whether the server gave its key to another message. One that was
    gone before anything was decided for it, and is there again, goes on where it was.
    """
    if entry is None:
        return ref, None
    if entry.undelivered:
        resting = entry.retry_at is not None and entry.retry_at > now
        return None if resting else (replace(ref, key=entry.key), entry)
    if entry.stage is not Stage.DONE:
        return None
    if not entry.decided:
        return replace(ref, key=entry.key), entry
    if (reprocess and not entry.disposition.marks) or (keeps_bytes and entry.disposition.purges):
        return replace(ref, key=replace(ref.key, generation=entry.key.generation + 1)), None
    return None


def batches(
    todo: Iterable[tuple[MessageRef, LedgerEntry | None]],
) -> Iterator[list[tuple[MessageRef, LedgerEntry | None]]]:
    """Group messages for claiming: those of a run that did not end, fresh ones, and last and alone the suspicious.

    The first are mostly innocent, and fresh ones may be replies to them.
    """
    groups: dict[int, list[tuple[MessageRef, LedgerEntry | None]]] = {size: [] for size in _ORDER}
    for ref, entry in sorted(todo, key=lambda pair: pair[1].attempts if pair[1] else 0):
        attempts = entry.attempts if entry else 0
        groups[_COMPANY[min(attempts, _ALONE - 1)]].append((ref, entry))
    for size, members in groups.items():
        for start in range(0, len(members), size):
            yield members[start : start + size]
