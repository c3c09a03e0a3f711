"""Why one message became what it is: everything that was asked about it, the answers, and one sentence that says it.

Kept for a while beside the ledger, for the person who asks where a message went.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from shared.ledger import LedgerEntry, Stage
from shared.model import Action, Decision, FieldValue, Message, MessageKey, Reject, Verdict

#: How long records are kept, in days.
WHY_DAYS: Final = 30
#: Characters of a record's JSON: what says least is left out beyond it.
_MOST: Final = 6_000
_TEXT: Final = 300


class Outcome(StrEnum):
    """What became of a message, as far as the record knows."""

    CREATED = "created"
    MODIFIED = "modified"
    REJECTED = "rejected"
    #: It could not be handled; a later run tries again.
    FAILED = "failed"
    PARKED = "parked"
    #: It left the mailbox before it could be read.
    GONE = "gone"
    #: It came back after it had been purged, and had its ticket already.
    SEEN_BEFORE = "seen_before"


@dataclass(frozen=True, slots=True)
class Why:
    """What was read of a message, what was asked of it, and what came of it.

    Texts are cut. Of a body it has what rules quote and fields hold, and no more.
    """

    key: MessageKey
    run_id: str
    outcome: Outcome
    #: When this was decided.
    decided: datetime
    #: When the run took the message up.
    taken_up: datetime | None = None
    #: When the server received it, or None.
    received: datetime | None = None
    attempts: int = 1
    ticket_id: str = ""
    #: Why it was rejected, failed or parked.
    reason: str = ""
    retry_at: datetime | None = None
    #: What was to happen to the original.
    disposition: str = ""
    message_id: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()
    subject: str = ""
    size: int = 0
    attachments: int = 0
    verdicts: tuple[Verdict, ...] = ()
    evidence: tuple[str, ...] = ()
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    #: Something was left out because the record would have become too long.
    cut: bool = False

    @property
    def sentence(self) -> str:
        """What a person wants to know first."""
        times = "once" if self.attempts == 1 else f"{self.attempts} times"
        again = f"from {self.retry_at:%Y-%m-%d %H:%M} UTC on" if self.retry_at else "in the next run"
        return {
            Outcome.CREATED: f"It made ticket {self.ticket_id}.",
            Outcome.MODIFIED: f"It was added to ticket {self.ticket_id}.",
            Outcome.REJECTED: f"It made no ticket: {self.reason}",
            Outcome.FAILED: f"It has no ticket yet: it was tried {times}, and is tried again {again}. {self.reason}",
            Outcome.PARKED: f"It has no ticket: it was tried {times} and is parked. {self.reason}",
            Outcome.GONE: "It made no ticket: it left the mailbox before it could be read.",
            Outcome.SEEN_BEFORE: f"It is in ticket {self.ticket_id}: it came back after it was purged, and goes again.",
        }[self.outcome]


def why_of(
    entry: LedgerEntry,
    now: datetime,
    *,
    taken_up: datetime | None = None,
    received: datetime | None = None,
    message: Message | None = None,
    decision: Decision | None = None,
    verdicts: tuple[Verdict, ...] = (),
    seen_before: bool = False,
) -> Why:
    """The record of a message by the entry that is about to be stored, and what else is known of it."""
    why = Why(
        key=entry.key,
        run_id=entry.run_id,
        outcome=Outcome.SEEN_BEFORE if seen_before else _outcome(entry),
        decided=now,
        taken_up=taken_up,
        received=received,
        attempts=entry.attempts,
        ticket_id=entry.ticket_id if entry.action else "",
        reason=entry.reason[:1_000],
        retry_at=entry.retry_at,
        disposition=str(entry.disposition),
        message_id=entry.message_id[:1_000],
        verdicts=verdicts,
    )
    if message:
        why = replace(
            why,
            message_id=(message.message_id or "")[:1_000],
            sender=message.sender.email.lower()[:320] if message.sender else "",
            recipients=tuple(address.email.lower()[:320] for address in (*message.to, *message.cc)[:5]),
            subject=message.subject[:_TEXT],
            size=message.size,
            attachments=len(message.attachments),
            defects=message.defects,
        )
    if decision:
        why = replace(why, evidence=decision.evidence)
    if decision and not isinstance(decision, Reject):
        why = replace(why, fields=decision.fields, notes=decision.notes)
    return _bounded(why)


def _outcome(entry: LedgerEntry) -> Outcome:
    if entry.stage is Stage.FAILED:
        return Outcome.FAILED
    if entry.stage in {Stage.PARKED, Stage.SET_ASIDE}:
        return Outcome.PARKED
    if entry.action and not entry.reason:
        return Outcome.CREATED if entry.action is Action.CREATED else Outcome.MODIFIED
    return Outcome.REJECTED if entry.reason else Outcome.GONE


def _bounded(why: Why) -> Why:
    """Cut long texts; then leave out rules that did not match, then half of the rest, until the record is short."""
    short = replace(
        why,
        verdicts=tuple(replace(one, evidence=one.evidence[:_TEXT]) for one in why.verdicts),
        evidence=tuple(one[:_TEXT] for one in why.evidence),
        notes=tuple(one[:_TEXT] for one in why.notes),
        defects=tuple(one[:_TEXT] for one in why.defects),
        fields={name: value[:_TEXT] if isinstance(value, str) else value for name, value in why.fields.items()},
    )
    if len(json.dumps(write_why(short))) <= _MOST:
        return short
    short = replace(short, verdicts=tuple(one for one in short.verdicts if one.matched), cut=True)
    while len(json.dumps(write_why(short))) > _MOST and any(
        (short.verdicts, short.evidence, short.notes, short.defects, short.fields, short.recipients)
    ):
        short = replace(
            short,
            verdicts=short.verdicts[: len(short.verdicts) // 2],
            evidence=short.evidence[: len(short.evidence) // 2],
            notes=short.notes[: len(short.notes) // 2],
            defects=short.defects[: len(short.defects) // 2],
            fields=dict(list(short.fields.items())[: len(short.fields) // 2]),
            recipients=short.recipients[: len(short.recipients) // 2],
        )
    return short


def write_why(why: Why) -> dict[str, Any]:
    """As JSON has it; what is empty is left out."""
    written: dict[str, Any] = {
        "job_id": why.key.job_id,
        "mailbox": why.key.mailbox,
        "item": why.key.item,
        "generation": why.key.generation,
        "run_id": why.run_id,
        "outcome": why.outcome.value,
        "decided": why.decided.isoformat(),
        "taken_up": why.taken_up.isoformat() if why.taken_up else None,
        "received": why.received.isoformat() if why.received else None,
        "retry_at": why.retry_at.isoformat() if why.retry_at else None,
        "verdicts": [[one.kind, one.name, one.matched, one.evidence] for one in why.verdicts],
        "fields": dict(why.fields),
    }
    for name in _PLAIN:
        written[name] = getattr(why, name)
    return {name: value for name, value in written.items() if value not in (None, "", [], {}, ())}


def read_why(written: Mapping[str, Any]) -> Why:
    """The reverse."""
    key = MessageKey(written["job_id"], written["mailbox"], written["item"], written.get("generation", 0))
    times: dict[str, Any] = {
        name: datetime.fromisoformat(written[name]) for name in ("taken_up", "received", "retry_at") if name in written
    }
    plain: dict[str, Any] = {name: written[name] for name in _PLAIN if name in written}
    lists = {name: tuple(value) for name, value in plain.items() if isinstance(value, list)}
    return Why(
        key=key,
        run_id=written["run_id"],
        outcome=Outcome(written["outcome"]),
        decided=datetime.fromisoformat(written["decided"]),
        verdicts=tuple(
            Verdict(kind, name, matched=matched, evidence=evidence)
            for kind, name, matched, evidence in written.get("verdicts", ())
        ),
        fields=written.get("fields", {}),
        **times,
        **{**plain, **lists},
    )


#: Columns that JSON takes as they are.
_PLAIN: Final = (
    "attempts", "ticket_id", "reason", "disposition", "message_id", "sender", "recipients", "subject", "size",
    "attachments", "evidence", "notes", "defects", "cut",
)  # fmt: skip
