"""The rows of the jobs table: keys, and each noun written as columns and read back."""

import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.ledger import LedgerEntry, Stage
from shared.model import (
    Action,
    CanaryState,
    Disposition,
    Health,
    JobRecord,
    JobState,
    MessageKey,
    MessageRef,
    ParkedMessage,
    PurgedMessage,
    RunOutcome,
    RunReport,
    Trigger,
)
from shared.ports import RunEnding
from shared.storage.keys import bucket, digest, escape, newest_first, read_time, write_time
from shared.storage.limits import cut_to_units
from shared.storage.table import Row

#: Sorts after every written time: such a job is never due.
NEVER = "never"

#: IMAP4 items end in a UID, zero-padded.
_DIGITS = 10
_NUMBERED = re.compile(rf"\.\d{{{_DIGITS}}}$", re.ASCII)

#: A config of any sane size fits into a few properties of the row.
_CHUNK = 16_000
_COMMENT_UNITS = 500
#: So that 99 entries fit into a transaction whatever their mail says.
_TEXT_UNITS = 2_000
_COMMENTS = 50
_CANARY_TIMES = ("sent", "expected_by", "seen", "missing_since")


def job_key(job_id: str) -> str:
    """RowKey of a job."""
    return f"job:{job_id}"


def run_key(job_id: str, run_id: str) -> str:
    """RowKey of a run record: a run id begins with its time, so the newest comes first."""
    return f"run:{job_id}:{newest_first(escape(run_id))}"


def parked_key(job_id: str, parked_id: str) -> str:
    """RowKey of a parked message: its id begins with its time, so the newest comes first."""
    return f"parked:{job_id}:{newest_first(escape(parked_id))}"


def purged_key(job_id: str, purged_id: str) -> str:
    """RowKey of the copy of a purged message: its id begins with its time, so the newest comes first."""
    return f"purged:{job_id}:{newest_first(escape(purged_id))}"


def ledger_prefix(job_id: str, mailbox: str = "") -> str:
    """What the RowKeys of a job's ledger, or of its part for one mailbox, begin with."""
    return f"msg:{job_id}:{digest(mailbox)[:12]}:" if mailbox else f"msg:{job_id}:"


def ledger_key(key: MessageKey) -> str:
    """RowKey of a message: the same for every generation of it."""
    return ledger_prefix(key.job_id, key.mailbox) + escape(key.item)


def left_key(job_id: str, mailbox: str) -> str:
    """RowKey of the note of when a job left a mailbox: by its deletion, or for another one."""
    return f"left:{ledger_prefix(job_id, mailbox)[4:-1]}"


def ledger_of_left(row_key: str) -> str:
    """What the RowKeys of that ledger begin with."""
    return f"msg:{row_key.removeprefix('left:')}:"


def write_left(job_id: str, mailbox: str, since: datetime | None) -> Row:
    """The note as a row; ``since`` None: the job has that mailbox (again)."""
    return {**keys(job_id, left_key(job_id, mailbox)), "job_id": job_id, "mailbox": mailbox, "since": write_time(since)}


def keys(job_id: str, row_key: str) -> Row:
    """The two keys of any row that belongs to a job."""
    return {"PartitionKey": bucket(job_id), "RowKey": row_key}


# --- jobs ------------------------------------------------------------------------------------------------------------


def write_due(instant: datetime | None) -> str:
    """The column that the sweep compares."""
    return write_time(instant) or NEVER


def config_columns(record: JobRecord) -> Row:
    """What a change of the config writes. Runs write other columns, so the two never undo each other."""
    chunks = [record.config[start : start + _CHUNK] for start in range(0, len(record.config), _CHUNK)]
    return {
        **{f"config{index}": chunk for index, chunk in enumerate(chunks)},
        "config_chunks": len(chunks),
        "revision": record.revision,
        "ncrontab": record.ncrontab,
        "enabled": record.enabled,
        "mailbox": record.mailbox,
        "name": record.name,
    }


def read_job(row: Row) -> JobRecord:
    """A row of the table as the port gives it."""
    return JobRecord(
        job_id=row["RowKey"].removeprefix("job:"),
        config="".join(row[f"config{index}"] for index in range(row["config_chunks"])),
        revision=row["revision"],
        ncrontab=row["ncrontab"],
        enabled=row["enabled"],
        mailbox=row["mailbox"],
        state=JobState(
            created=_time(row["created"]),
            last_occurrence=read_time(row.get("last_occurrence", "")),
            next_due=None if row["next_due"] == NEVER else read_time(row["next_due"]),
            failures=row.get("failures", 0),
            health=Health(row.get("health", Health.HEALTHY)),
            health_since=read_time(row.get("health_since", "")),
            last_error=row.get("last_error", ""),
            waiting_since=read_time(row.get("waiting_since", "")),
            lease_run=row.get("lease_run", ""),
            lease_trigger=row.get("lease_trigger", ""),
            lease_started=read_time(row.get("lease_started", "")),
            lease_expires=read_time(row.get("lease_expires", "")),
            fence=row.get("fence", 0),
            unfinished=row.get("unfinished", False),
            reopened=row.get("reopened", ""),
            cursor=row.get("cursor") or None,
            traffic=row.get("traffic", ""),
            canary=read_canary(row.get("canary", "")),
            reviewed=read_time(row.get("reviewed", "")),
        ),
        name=row.get("name", ""),
        etag=row["etag"],
    )


def lease_columns(run_id: str, trigger: str, *, token: str, fence: int, now: datetime, lasts: timedelta) -> Row:
    """What taking the lease writes. ``token`` tells this taking from every other, even by the same run."""
    return {
        "lease_token": token,
        "lease_run": run_id,
        "lease_trigger": trigger,
        "lease_started": write_time(now),
        "lease_expires": write_time(now + lasts),
        "fence": fence,
    }


def ending_columns(ending: RunEnding, now: datetime, *, health_before: str) -> Row:
    """What the end of a run writes into the job's row: its result, and the release."""
    columns: Row = {
        "lease_run": "",
        "lease_expires": "",
        "failures": ending.failures,
        "health": ending.health,
        "last_error": cut_to_units(ending.last_error, _COMMENT_UNITS),
        "waiting_since": write_time(ending.waiting_since),
        "unfinished": ending.unfinished,
        "cursor": ending.cursor or "",
    }
    if ending.health != health_before:
        columns["health_since"] = write_time(now)
    if ending.canary is not None:
        columns["canary"] = write_canary(ending.canary)
    if ending.traffic is not None:
        columns["traffic"] = ending.traffic
    if ending.reviewed:
        columns["reviewed"] = write_time(ending.reviewed)
    if ending.next_due:
        columns["next_due"] = write_due(ending.next_due)
    return columns


def write_canary(canary: CanaryState) -> str:
    """The column of a job with a canary; empty where nothing is known of one."""
    if canary == CanaryState():
        return ""
    instants = {name: write_time(getattr(canary, name)) for name in _CANARY_TIMES}
    delay = None if canary.delay is None else canary.delay // timedelta(milliseconds=1)
    rest = {"out": canary.out, "posted": canary.posted, "fault": cut_to_units(canary.fault, _COMMENT_UNITS)}
    return json.dumps({**instants, **rest, "delay_ms": delay})


def read_canary(text: str) -> CanaryState:
    """The reverse, to the millisecond."""
    if not text:
        return CanaryState()
    found = json.loads(text)
    delay = found["delay_ms"]
    return CanaryState(
        **{name: read_time(found[name]) for name in _CANARY_TIMES},
        out=found["out"],
        posted=found["posted"],
        fault=found["fault"],
        delay=None if delay is None else timedelta(milliseconds=delay),
    )


# --- the ledger ------------------------------------------------------------------------------------------------------


def write_entry(entry: LedgerEntry, now: datetime) -> Row:
    """A ledger entry as a row."""
    return {
        **keys(entry.key.job_id, ledger_key(entry.key)),
        "mailbox": cut_to_units(entry.key.mailbox, 1_000),
        "item": entry.key.item,
        "generation": entry.key.generation,
        "handle": entry.handle,
        "stage": entry.stage.value,
        "open": entry.open,
        "attempts": entry.attempts,
        "run_id": entry.run_id,
        "ticket_id": entry.ticket_id,
        "action": entry.action.value if entry.action else "",
        "disposition": str(entry.disposition),
        "message_id": cut_to_units(entry.message_id, _TEXT_UNITS),
        "sha256": entry.sha256,
        "reason": cut_to_units(entry.reason, _TEXT_UNITS),
        "retry_at": write_time(entry.retry_at),
        "kept": entry.kept,
        "kept_until": write_time(entry.kept_until),
        "copy": entry.copy,
        "missing_since": write_time(entry.missing_since),
        "changed": write_time(now),
    }


def read_entry(row: Row, job_id: str, mailbox: str) -> LedgerEntry:
    """The reverse. ``mailbox`` comes from the caller, who has it whole."""
    return LedgerEntry(
        key=MessageKey(job_id, mailbox, row["item"], row["generation"]),
        handle=row["handle"],
        stage=Stage(row["stage"]),
        attempts=row["attempts"],
        run_id=row["run_id"],
        ticket_id=row["ticket_id"],
        action=Action(row["action"]) if row["action"] else None,
        disposition=Disposition.parse(row["disposition"]),
        message_id=row["message_id"],
        sha256=row["sha256"],
        reason=row["reason"],
        retry_at=read_time(row["retry_at"]),
        kept=row["kept"],
        kept_until=read_time(row.get("kept_until", "")),
        copy=row.get("copy", ""),
        missing_since=read_time(row.get("missing_since", "")),
    )


def key_ranges(refs: Sequence[MessageRef], *, span: int = 1_000, points: int = 100) -> list[tuple[str, str]]:
    """RowKey ranges, both ends included, that cover ``refs`` with about as few requests as can be.

    Items that end in a number sort as the mailbox does, so neighbours share a range as long as it cannot hold more
    rows than one answer. Others are read one by one, or all in one sweep where there are many.
    """
    ordered = sorted(ledger_key(ref.key) for ref in refs)
    numbered = [key for key in ordered if _NUMBERED.search(key)]
    others = [key for key in ordered if not _NUMBERED.search(key)]
    ranges: list[tuple[str, str]] = []
    for key in numbered:
        if ranges and _distance(ranges[-1][0], key) < span:
            ranges[-1] = (ranges[-1][0], key)
        else:
            ranges.append((key, key))
    return [*ranges, *([(others[0], others[-1])] if len(others) > points else [(key, key) for key in others])]


def _distance(low: str, high: str) -> int:
    """How many rows can lie between two numbered keys; very many where they are of different kinds."""
    if low[:-_DIGITS] != high[:-_DIGITS]:
        return sys.maxsize
    return int(high[-_DIGITS:]) - int(low[-_DIGITS:])


# --- runs, parked and purged messages --------------------------------------------------------------------------------


def write_run(report: RunReport) -> Row:
    """A run record as a row; its columns are those of the incoming-mail log."""
    comments = [cut_to_units(" ".join(comment.split()), _COMMENT_UNITS) for comment in report.comments]
    if len(comments) > _COMMENTS:
        comments[_COMMENTS - 1 :] = [f"... and {len(comments) - _COMMENTS + 1} more like these."]
    return {
        **keys(report.job_id, run_key(report.job_id, report.run_id)),
        "run_id": report.run_id,
        "job_name": report.job_name,
        "trigger": report.trigger.value,
        "outcome": report.outcome.value,
        "started": write_time(report.started),
        "ended": write_time(report.ended),
        "created": report.created,
        "updated": report.updated,
        "received": report.received,
        "in_box": report.in_box,
        "rejected": report.rejected,
        "parked": report.parked,
        "purged": report.purged,
        "errors": report.errors,
        "comments": "\n".join(comments),
    }


def read_run(row: Row, job_id: str) -> RunReport:
    """The reverse."""
    return RunReport(
        run_id=row["run_id"],
        job_id=job_id,
        job_name=row["job_name"],
        trigger=Trigger(row["trigger"]),
        outcome=RunOutcome(row["outcome"]),
        started=_time(row["started"]),
        ended=read_time(row["ended"]),
        created=row["created"],
        updated=row["updated"],
        received=row["received"],
        in_box=row["in_box"],
        rejected=row["rejected"],
        parked=row["parked"],
        purged=row["purged"],
        errors=row["errors"],
        comments=tuple(row["comments"].splitlines()),
    )


def write_parked(parked: ParkedMessage) -> Row:
    """A parked message as a row."""
    return {
        **keys(parked.job_id, parked_key(parked.job_id, parked.parked_id)),
        "parked_id": parked.parked_id,
        "item": parked.item,
        "mailbox": parked.mailbox,
        "reason": cut_to_units(parked.reason, 1_000),
        "parked_at": write_time(parked.parked_at),
        "attempts": parked.attempts,
        "size": parked.size,
        "subject": cut_to_units(parked.subject, 500),
        "sender": cut_to_units(parked.sender, 500),
        "message_id": cut_to_units(parked.message_id, 1_000),
        "has_raw": parked.has_raw,
        "expires": write_time(parked.expires_at),
    }


def read_parked(row: Row, job_id: str) -> ParkedMessage:
    """The reverse."""
    return ParkedMessage(
        parked_id=row["parked_id"],
        job_id=job_id,
        item=row["item"],
        mailbox=row["mailbox"],
        reason=row["reason"],
        parked_at=_time(row["parked_at"]),
        attempts=row["attempts"],
        size=row["size"],
        subject=row["subject"],
        sender=row["sender"],
        message_id=row["message_id"],
        has_raw=row["has_raw"],
        expires_at=read_time(row.get("expires", "")),
    )


def write_purged(purged: PurgedMessage) -> Row:
    """The listing of a kept copy as a row."""
    return {
        **keys(purged.key.job_id, purged_key(purged.key.job_id, purged.purged_id)),
        "purged_id": purged.purged_id,
        "mailbox": cut_to_units(purged.key.mailbox, 1_000),
        "item": purged.key.item,
        "generation": purged.key.generation,
        "purged_at": write_time(purged.purged_at),
        "expires": write_time(purged.expires_at),
        "size": purged.size,
        "sha256": purged.sha256,
        "ticket_id": purged.ticket_id,
        "reason": cut_to_units(purged.reason, 1_000),
        "subject": cut_to_units(purged.subject, 500),
        "sender": cut_to_units(purged.sender, 500),
        "message_id": cut_to_units(purged.message_id, 1_000),
        "blob": purged.blob,
        "offset": purged.offset,
    }


def read_purged(row: Row, job_id: str) -> PurgedMessage:
    """The reverse."""
    return PurgedMessage(
        purged_id=row["purged_id"],
        key=MessageKey(job_id, row["mailbox"], row["item"], row["generation"]),
        purged_at=_time(row["purged_at"]),
        expires_at=_time(row["expires"]),
        size=row["size"],
        sha256=row["sha256"],
        ticket_id=row["ticket_id"],
        reason=row["reason"],
        subject=row["subject"],
        sender=row["sender"],
        message_id=row["message_id"],
        blob=row["blob"],
        offset=row["offset"],
    )


def copy_path(key: MessageKey) -> str:
    """Where the raw copy of a parked message is kept."""
    return f"{key.job_id}/{key.digest}.eml"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
