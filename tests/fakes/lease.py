"""The run lease and the ledger in memory.

Expiry goes by the given clock alone: a test that lets more than a lease's time pass without a write has a run that
died, and no background thread hides it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.errors import LeaseLost
from shared.ledger import LedgerEntry, Stage
from shared.model import CanaryState, Health, JobRecord, MessageKey, MessageRef, ParkedMessage, PurgedMessage
from shared.ports import Ledger, RunEnding
from shared.why import Why
from tests.fakes.rows import Place, Rows

#: What one transaction holds beside the row that carries the lease.
TRANSACTION = 99


class FakeLease:
    """See `shared.ports.RunLease`."""

    def __init__(self, rows: Rows, record: JobRecord) -> None:
        self._rows = rows
        self._record = record
        self._ledger = FakeLedger(rows, record)

    @property
    def record(self) -> JobRecord:
        """See the port."""
        return self._record

    @property
    def ledger(self) -> Ledger:
        """See the port."""
        return self._ledger

    def note_canary(self, canary: CanaryState) -> None:
        """See the port."""
        with self._rows.writing("lease.note_canary"):
            stored = still_held(self._rows, self._record)
            expires = self._rows.clock() + self._rows.lease
            moved = stored.mailbox != self._record.mailbox
            known = CanaryState() if moved else canary
            self._rows.store(replace(stored, state=replace(stored.state, lease_expires=expires, canary=known)))

    def finish(self, ending: RunEnding) -> None:
        """See the port."""
        rows = self._rows
        with rows.writing("lease.finish"):
            stored = still_held(rows, self._record)
            before = stored.state
            health = Health(ending.health)
            state = replace(
                before,
                next_due=ending.next_due or before.next_due,
                failures=ending.failures,
                health=health,
                health_since=before.health_since if health == before.health else rows.clock(),
                last_error=ending.last_error,
                waiting_since=ending.waiting_since,
                unfinished=ending.unfinished or before.reopened != self._record.state.reopened,
                reviewed=ending.reviewed or before.reviewed,
                cursor=ending.cursor if stored.mailbox == self._record.mailbox else None,
                canary=_canary(ending, stored, self._record),
                traffic=before.traffic if ending.traffic is None else ending.traffic,
                lease_run="",
                lease_trigger="",
                lease_started=None,
                lease_expires=None,
            )
            rows.store(replace(stored, state=state))
            rows.runs.setdefault(stored.job_id, {})[ending.report.run_id] = ending.report

    def abandon(self) -> None:
        """See the port. Nothing renews this lease in the background, so there is nothing to stop."""


class FakeLedger:
    """See `shared.ports.Ledger`."""

    def __init__(self, rows: Rows, record: JobRecord) -> None:
        self._rows = rows
        self._record = record
        self._entries = rows.ledger.setdefault(record.job_id, {})
        self._may_be_open = record.state.unfinished

    def unfinished(self) -> Sequence[LedgerEntry]:
        """See the port."""
        if not self._may_be_open:
            return ()
        with self._rows.lock:
            mine = [entry for entry in self._entries.values() if entry.key.mailbox == self._record.mailbox]
        return sorted((entry for entry in mine if entry.open), key=lambda entry: entry.key)

    def look_up(self, refs: Sequence[MessageRef]) -> Mapping[MessageKey, LedgerEntry]:
        """See the port."""
        with self._rows.lock:
            found = {ref.key: self._entries.get(place(ref.key)) for ref in refs}
        return {key: entry for key, entry in found.items() if entry}

    def record(
        self, entries: Sequence[LedgerEntry], kept: Sequence[PurgedMessage] = (), whys: Sequence[Why] = ()
    ) -> None:
        """See the port."""
        listed = {one.key: one for one in kept}
        explained = {one.key: one for one in whys}
        part: list[LedgerEntry] = []
        rows = 0
        for entry in entries:
            page = any(one.key in explained for one in (*part, entry))
            if rows + 1 + (entry.key in listed) + page > TRANSACTION:
                self._store_listed(part, listed, explained)
                part, rows = [], 0
            part.append(entry)
            rows += 1 + (entry.key in listed)
        if part:
            self._store_listed(part, listed, explained)

    def _store_listed(
        self,
        part: Sequence[LedgerEntry],
        listed: Mapping[MessageKey, PurgedMessage],
        explained: Mapping[MessageKey, Why],
    ) -> None:
        with self._rows.writing("ledger.record"):
            self._store(part)
            for one in (listed[entry.key] for entry in part if entry.key in listed):
                self._rows.purged.setdefault(one.key.job_id, {})[one.purged_id] = one
            self._explain([explained[entry.key] for entry in part if entry.key in explained])

    def _explain(self, whys: Sequence[Why]) -> None:
        self._rows.whys.update({(self._record.state.lease_run, why.key): why for why in whys})

    def outdated(self, before: datetime, *, limit: int) -> Sequence[LedgerEntry]:
        """See the port."""
        now = self._rows.clock()
        with self._rows.lock:
            found = [
                entry
                for entry in self._entries.values()
                if entry.key.mailbox == self._record.mailbox
                and not entry.open
                and self._rows.changed[self._record.job_id, place(entry.key)] <= before
                and not (entry.stage is Stage.PARKED and entry.kept)
                and not (entry.kept_until and entry.kept_until > now)
            ]
        return sorted(found, key=lambda entry: entry.key)[:limit]

    def forget(self, entries: Sequence[LedgerEntry]) -> None:
        """See the port."""
        for start in range(0, len(entries), TRANSACTION):
            with self._rows.writing("ledger.forget"):
                self._store([])
                for entry in entries[start : start + TRANSACTION]:
                    self._entries.pop(place(entry.key), None)
                    self._rows.copies.pop((entry.key.job_id, place(entry.key)), None)

    def keep(self, originals: Sequence[tuple[PurgedMessage, bytes]]) -> Sequence[PurgedMessage]:
        """See the port."""
        if not originals:
            return []
        path = f"{originals[0][0].expires_at:%Y-%m-%d}/{next(self._rows.numbers)}"
        placed: list[PurgedMessage] = []
        whole = b""
        for purged, data in originals:
            placed.append(replace(purged, blob=path, offset=len(whole), size=len(data)))
            whole += data
        with self._rows.writing("ledger.keep"):
            self._rows.originals[path] = whole
        return placed

    def kept_copy(self, entry: LedgerEntry) -> bytes | None:
        """See the port."""
        purged = self._rows.purged.get(entry.key.job_id, {}).get(entry.copy)
        if purged and purged.blob in self._rows.originals:
            return self._rows.originals[purged.blob][purged.offset : purged.offset + purged.size]
        return self._rows.copies.get((entry.key.job_id, place(entry.key)))

    def park(self, entry: LedgerEntry, parked: ParkedMessage, raw: bytes | None, why: Why | None = None) -> None:
        """See the port."""
        if raw is not None:
            with self._rows.writing("ledger.keep_copy"):
                self._rows.copies[entry.key.job_id, place(entry.key)] = raw
        with self._rows.writing("ledger.park"):
            self._store([entry])
            self._rows.parked.setdefault(parked.job_id, {})[parked.parked_id] = parked
            self._explain([why] if why else [])

    def _store(self, entries: Sequence[LedgerEntry]) -> None:
        own = (self._record.job_id, self._record.mailbox)
        if strangers := {(entry.key.job_id, entry.key.mailbox) for entry in entries} - {own}:
            raise AssertionError(f"The ledger of {own} was given entries of {strangers}.")
        stored = still_held(self._rows, self._record)
        self._may_be_open |= any(entry.open for entry in entries)
        state = replace(
            stored.state,
            lease_expires=self._rows.clock() + self._rows.lease,
            unfinished=stored.state.unfinished or self._may_be_open,
        )
        self._rows.store(replace(stored, state=state))
        self._entries.update({place(entry.key): entry for entry in entries})
        self._rows.changed.update({(entry.key.job_id, place(entry.key)): self._rows.clock() for entry in entries})


def _canary(ending: RunEnding, stored: JobRecord, held: JobRecord) -> CanaryState:
    """What is known of the canary after the run; nothing, where the job has another mailbox by now."""
    if stored.mailbox != held.mailbox:
        return CanaryState()
    return stored.state.canary if ending.canary is None else ending.canary


def still_held(rows: Rows, record: JobRecord) -> JobRecord:
    """The job's row as it stands, if the lease that ``record`` shows is still the one in force."""
    stored = rows.jobs.get(record.job_id)
    mine = (record.state.lease_run, record.state.fence)
    if stored is None or (stored.state.lease_run, stored.state.fence) != mine:
        raise LeaseLost(f"Run {mine[0]!r} no longer holds the mailbox of job {record.job_id!r}.")
    return stored


def place(key: MessageKey) -> Place:
    """Where a message's row is."""
    return key.mailbox, key.item
