"""One run of one job: the way of a message, from the mailbox to its ticket and back to the mailbox.

::

    claim the occurrence and lease the mailbox (begin.py)
    open the mailbox
      finish what the last run left           delivered but not disposed, disposed but not purged
      list candidates, drop those that the ledger knows
      for each batch
        claim                                 counts the attempt, before a message is touched
        fetch, parse, route
        deliver                               idempotent under the message's key
        keep a copy                           of what is to be purged (soft purge)
        ledger: delivered                     before any disposition, always
        acknowledge                           where the job wants it: once, and by this run or never (acknowledging.py)
        dispose                               read, deleted
        ledger: disposed
      dispose of what was parked
      purge what this job deleted
      once a day, forget what is gone         (retention.py)
    send a canary, where the job has one and it is time (canary_watch.py)
    write the run record and release the mailbox: one transaction

A process that is killed between any two lines leaves the mailbox and the ledger so that the next run goes on there.
"""

import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import TypeVar

from pydantic import ValidationError

from shared.acknowledging import Acknowledging
from shared.backoff import job_pause, message_pause
from shared.begin import Services, begin, new_run_id
from shared.canary import REASON
from shared.canary_watch import CanaryWatch
from shared.errors import (
    ConfigInvalid,
    JobError,
    LeaseLost,
    MailConnectorError,
    MessageError,
    MessageGone,
    Unreadable,
)
from shared.events import Event, tell
from shared.jobs import Job, load_job
from shared.judging import Judge, Judgement, read_traffic
from shared.ledger import LedgerEntry, Stage, batches, claim, claimable, suspicious, worn_out
from shared.metrics import run_ended
from shared.model import (
    KEPT,
    Action,
    Delivered,
    Delivery,
    Disposition,
    Message,
    MessageKey,
    MessageRef,
    PurgedMessage,
    RawMessage,
    Reject,
    RunOutcome,
    RunReport,
    RunRequest,
    TicketSummary,
    Trigger,
)
from shared.parking import parked_message, read_apart
from shared.ports import Deadline, Fetched, Mailbox, OpenRequest, RunEnding, RunLease, Target, TargetRequest
from shared.purging import is_kept, purged_message
from shared.retention import STRETCH, review, review_due
from shared.routing.traffic import Traffic
from shared.standing import events_after, health_after, waiting_sentence
from shared.tally import Tally
from shared.tracing import span
from shared.why import Why, why_of

_log = logging.getLogger(__name__)

#: Raw bytes in hand between two deliveries; parsed, they take a few times as much memory.
_IN_HAND_BYTES = 8 * 1024 * 1024
_MB = 1024 * 1024

#: Entries and listings of copies that are written at once: a transaction takes 99 rows.
_PAIRS = 49

_WORN_OUT = "The worker stopped every time it handled this message."

T = TypeVar("T")


def run_job(job_id: str, trigger: Trigger, services: Services, *, run_id: str = "") -> RunReport | None:
    """Run a job if it is due, or whether or not by hand. None: nothing was due, or another run has the mailbox.

    Raises `Unavailable` when storage is away; every other fault ends in the run record.
    """
    lease = begin(job_id, trigger, services, run_id=run_id)
    if lease is None:
        return None
    try:
        with span("run", job=job_id, trigger=trigger.value, run=lease.record.state.lease_run):
            return Run(lease, trigger, services).perform()
    except LeaseLost as lost:
        _log.warning("A run of job %s stops: %s", job_id, lost)
        return None
    finally:
        lease.abandon()


class Run:
    """One pass of one job over its mailbox, under a lease."""

    def __init__(self, lease: RunLease, trigger: Trigger, services: Services) -> None:
        self._lease = lease
        self._ledger = lease.ledger
        self._record = lease.record
        self._services = services
        started = services.clock()
        #: When to stop taking messages up; what is in hand by then may take a little longer.
        self._deadline = Deadline(started + services.budget, services.clock)
        self._hard_deadline = Deadline(started + services.budget * 1.25, services.clock)
        self._run_id = lease.record.state.lease_run
        self._tally = Tally(self._run_id, self._record.job_id, self._record.name, trigger, started)
        self._canary = CanaryWatch(lease, services.secrets, services.clock, self._tally.say)
        self._acknowledging = Acknowledging(
            services.post, services.secrets, services.clock, self._tally.say, self._hard_deadline
        )
        #: Entries that the next run would find open. Unknown until the last run's have been read.
        self._open: dict[MessageKey, LedgerEntry] = {}
        self._open_is_known = not self._record.state.unfinished
        #: Taken up and undecided yet; then decided, but not yet written down.
        self._claimed: dict[MessageKey, LedgerEntry] = {}
        self._deliveries: list[tuple[LedgerEntry, RawMessage, Delivery]] = []
        self._judgements: dict[MessageKey, Judgement] = {}
        #: Why the messages became what they are whose entries are about to be written.
        self._whys: dict[MessageKey, Why] = {}
        self._taken_up = started
        self._traffic: Traffic | None = None
        #: Those of the job's targets that this run needed so far.
        self._targets: dict[str, Target] = {}
        self._settled: list[LedgerEntry] = []
        #: What became of messages whose record is being written.
        self._made: dict[MessageKey, Action] = {}
        #: Copies of what was decided and is to be purged.
        self._copies: list[tuple[PurgedMessage, bytes]] = []
        #: What the ledger said of the listed messages, by the key under which they are listed.
        self._known: Mapping[MessageKey, LedgerEntry] = {}
        self._cursor = self._record.state.cursor
        self._reviewed: datetime | None = None
        self._mail_left = False
        #: When the messages arrived that have no ticket yet, as far as that is known; and how long they may wait.
        self._waiting: dict[MessageKey, datetime] = {}
        self._alarm_after: timedelta | None = None

    def perform(self) -> RunReport:
        """The whole run. Raises `LeaseLost` when another run has taken over."""
        fault: JobError | None = None
        try:
            self._job = self._load()
            self._alarm_after = self._job.alarm_after
            self._canary.follow(self._job)
            self._open_target("")
            self._traffic = read_traffic(self._job, self._record.state, self._services.clock())
            self._acknowledging.follow(self._job, self._traffic)
            self._judge = Judge(self._job, self._look_up, self._services.threads, self._traffic)
            with self._open_mailbox() as mailbox:
                self._finish_what_was_left(mailbox)
                self._take_up_candidates(mailbox)
                self._dispose(mailbox, [entry for entry in self._open.values() if entry.stage is Stage.SET_ASIDE])
                self._purge(mailbox)
                self._review(mailbox)
            self._canary.conclude(self._services.post, self._hard_deadline, complete=not self._mail_left)
        except JobError as error:
            fault = error
            self._give_back(in_doubt=True)
        except LeaseLost:
            raise
        except Exception:  # noqa: BLE001 (logged whole; a job that met a defect must not look like a quiet one)
            # The claims stay counted: if one message did this, it is found by being taken up in ever smaller company.
            _log.exception("Run %s of job %s met a defect.", self._run_id, self._record.job_id)
            fault = JobError(
                "The run stopped at a defect of ours.", remedy="The log has the details; please report it."
            )
        return self._end(fault)

    # --- the way of a message ----------------------------------------------------------------------------------------

    def _finish_what_was_left(self, mailbox: Mailbox) -> None:
        """Whatever has its ticket is disposed of first; whatever was only taken up comes again with the candidates."""
        self._open.update((entry.key, entry) for entry in self._ledger.unfinished())
        self._open_is_known = True
        self._dispose(mailbox, [entry for entry in self._open.values() if entry.undisposed])

    def _take_up_candidates(self, mailbox: Mailbox) -> None:
        """List, drop what is known, and handle the rest batch by batch until the time is up."""
        with span("list"):
            listing = mailbox.candidates(self._job.picking(self._record.state))
        self._tally.in_box = listing.in_box
        left = {_listed_key(entry): entry for entry in self._open.values() if entry.undelivered}
        known = {**self._ledger.look_up(listing.refs), **left}
        # What was left and is not listed any more is older than what is; the listing has the order of arrival.
        listed = {ref.key: ref for ref in listing.refs}
        refs = {key: entry.ref for key, entry in left.items() if key not in listed} | listed
        claiming = partial(
            claimable, now=self._services.clock(), reprocess=self._job.reprocess, keeps_bytes=self._job.keeps_bytes
        )
        self._known = known
        self._waiting = {
            key: ref.received
            for key, ref in refs.items()
            if ref.received and (key not in known or known[key].undelivered)
        }
        todo = [claiming(ref, known.get(key)) for key, ref in refs.items()]
        for batch in batches(filter(None, todo)):
            if self._deadline.passed:
                self._mail_left = True
                break
            self._handle(mailbox, batch)
        if not self._mail_left:
            self._cursor = listing.cursor

    def _handle(self, mailbox: Mailbox, batch: Sequence[tuple[MessageRef, LedgerEntry | None]]) -> None:
        """Claim a batch, then fetch, parse, route and deliver it."""
        claims = [claim(ref, entry, self._run_id) for ref, entry in batch]
        self._taken_up = self._services.clock()
        self._claimed = {entry.key: entry for entry in claims}
        self._record_entries(claims)
        self._tally.received += len(claims)
        for entry in claims:
            if worn_out(entry, self._job.max_attempts, beyond=1):
                # Not even its bytes can be had without the worker stopping.
                self._park(entry, Unreadable(_WORN_OUT), None)
        in_hand = 0
        copied = [entry for entry in self._claimed.values() if entry.copy]
        refs = [entry.ref for entry in self._claimed.values() if not entry.copy]
        fetching = mailbox.fetch(refs, max_bytes=self._job.max_message_mb * _MB) if refs else ()
        for fetched in chain(map(self._copy, copied), map(self._or_copy, fetching)):
            self._take_up(mailbox, self._claimed[fetched.ref.key], fetched)
            in_hand += len(fetched.raw.data) if fetched.raw else 0
            in_full = len(self._deliveries) >= self._batch or in_hand >= _IN_HAND_BYTES
            # One that is to be acknowledged goes at once, so that a kill costs one acknowledgement and not a batch's.
            if in_full or self._acknowledging.waiting:
                self._deliver(mailbox)
                in_hand = 0
                if self._deadline.passed:
                    self._mail_left |= bool(self._claimed)
                    break
        self._deliver(mailbox)
        self._give_back()

    def _take_up(self, mailbox: Mailbox, entry: LedgerEntry, fetched: Fetched) -> None:
        """Decide what becomes of one message. Nothing that is wrong with it reaches the others."""
        raw = fetched.raw
        if raw is None:
            self._fail(entry, fetched.error or Unreadable("The server gave no answer for this message."), None)
            return
        if worn_out(entry, self._job.max_attempts):
            self._park(entry, Unreadable(_WORN_OUT), raw)
            return
        with span("read", octets=len(raw.data), attempt=entry.attempts):
            message = self._isolated(entry, raw, lambda: self._parse(entry, raw))
        if message is None:
            return
        if stamp := self._canary.recognise(message):
            self._canary.take_in(stamp)
            seen = entry.reject(
                REASON, self._job.canary_disposition, message_id=message.message_id or "", sha256=message.sha256
            )
            self._explain(seen, raw, message)
            self._settled.append(seen)
            return
        if again := self._seen_before(entry, message):
            self._explain(again, raw, message, seen_before=True)
            self._settle(again, message, raw)
            return
        if self._follows_one_in_hand(message) or self._judge.waits_for_a_ticket(message):
            self._deliver(mailbox)
        received = raw.ref.received or self._services.clock()
        judgement = self._isolated(entry, raw, lambda: self._judge.judge(message, received), message)
        if judgement is None:
            return
        decision = judgement.decision
        if isinstance(decision, Reject):
            self._tally.rejected += 1
            disposition = self._disposition(self._job.reject_disposition, raw)
            rejected = entry.reject(
                decision.reason, disposition, message_id=message.message_id or "", sha256=message.sha256
            )
            self._explain(rejected, raw, message, judgement)
            self._settle(rejected, message, raw)
        else:
            self._judgements[entry.key] = judgement
            delivery = Delivery(entry.key, judgement.message, decision, raw.ref.received)
            self._deliveries.append((entry, raw, delivery))
            self._acknowledging.plan(entry, delivery)

    def _seen_before(self, entry: LedgerEntry, message: Message) -> LedgerEntry | None:
        """What to record of a purged message that came back as it was: it has its ticket, and only has to go again."""
        before = self._known.get(_listed_key(entry))
        if before is None or before.key == entry.key or not before.disposition.purges or not before.action:
            return None
        if before.sha256 != message.sha256:
            return None
        delivered = Delivered(before.ticket_id, before.action)
        again = entry.deliver(delivered, before.disposition, message_id=before.message_id, sha256=before.sha256)
        return replace(again, kept_until=before.kept_until)

    def _settle(self, entry: LedgerEntry, message: Message, raw: RawMessage) -> None:
        """Note what was decided; a copy goes with it where the original is to be purged."""
        days, now = self._job.days_kept, self._services.clock()
        if days and entry.undisposed and entry.disposition.purges and not is_kept(entry, now, days):
            purged = purged_message(entry, message, now, days)
            self._copies.append((purged, raw.data))
            entry = entry.keep(purged.expires_at)
        self._settled.append(entry)

    def _parse(self, entry: LedgerEntry, raw: RawMessage) -> Message:
        """Read a message. One that is taken up alone, since it may have stopped a worker, is read out of harm's way."""
        read = partial(self._services.parse, header_only=raw.header_only, size=raw.size)
        return read_apart(read, raw.data, self._hard_deadline.left) if suspicious(entry) else read(raw.data)

    def _isolated(
        self, entry: LedgerEntry, raw: RawMessage, act: Callable[[], T], message: Message | None = None
    ) -> T | None:
        """What ``act`` gives, or None when the message or a defect of ours stopped it: its failure, and only its."""
        try:
            return act()
        except MessageError as error:
            self._fail(entry, error, raw, message)
            return None
        except MailConnectorError:
            raise
        except Exception:  # noqa: BLE001 (logged whole; one message must never stop the others)
            _log.exception("Job %s cannot handle message %s.", self._job.id, entry.key.item)
            self._fail(entry, Unreadable("A defect of ours; the log has the details."), raw, message)
            return None

    def _deliver(self, mailbox: Mailbox) -> None:
        """Have the tickets made; keep copies; write both down; only then touch the originals."""
        deliveries, self._deliveries = self._deliveries, []
        if not (deliveries or self._settled):
            return
        with span("deliver", messages=len(deliveries)):
            answers = self._apply([delivery for _, _, delivery in deliveries])
        threads: dict[str, dict[str, str]] = {}
        made: dict[MessageKey, Action] = {}
        counted: list[tuple[Delivery, Delivered, str]] = []
        for (entry, raw, delivery), answer in zip(deliveries, answers, strict=True):
            if isinstance(answer, MessageError):
                self._fail(entry, answer, raw, delivery.message)
                continue
            message_id = delivery.message.message_id or ""
            target = self._target_name(entry.key)
            counted.append((delivery, answer, target))
            for name in self._judge.names_of(delivery.message, delivery.decision):
                threads.setdefault(target, {}).setdefault(name, answer.ticket_id)
            disposition = self._disposition(self._job.success_disposition, raw)
            delivered = entry.deliver(answer, disposition, message_id=message_id, sha256=delivery.message.sha256)
            self._explain(delivered, raw, delivery.message, self._judgements.get(entry.key))
            if planned := self._acknowledging.sentence(entry.key, answer):
                why = self._whys[entry.key]
                self._whys[entry.key] = replace(why, notes=(*why.notes, planned))
            self._settle(delivered, delivery.message, raw)
            made[entry.key] = answer.action
        for target, tickets in threads.items():
            self._services.threads.remember(self._job.target_settings(target).scope(), tickets)
            self._judge.remember(tickets, target)
        settled, self._settled = self._settled, []
        self._record_settled(settled, made)
        for delivery, answer, target in counted:
            self._judge.settle(delivery.message, delivery.decision, answer.ticket_id, target)
        for delivery, answer, _ in counted:
            self._acknowledging.send(delivery, answer)
        self._acknowledging.forget()
        self._dispose(mailbox, [entry for entry in settled if entry.undisposed])

    def _apply(self, deliveries: Sequence[Delivery]) -> list[Delivered | MessageError]:
        """What the target of each delivery answers, in their order."""
        answers: dict[MessageKey, Delivered | MessageError] = {}
        for name in dict.fromkeys(self._target_name(delivery.key) for delivery in deliveries):
            mine = [delivery for delivery in deliveries if self._target_name(delivery.key) == name]
            found = self._open_target(name).apply(mine)
            answers.update({delivery.key: answer for delivery, answer in zip(mine, found, strict=True)})
        return [answers[delivery.key] for delivery in deliveries]

    def _target_name(self, key: MessageKey) -> str:
        judgement = self._judgements.get(key)
        return judgement.target if judgement else ""

    def _open_target(self, name: str) -> Target:
        """One of the job's targets, opened when it is first needed."""
        if name not in self._targets:
            self._targets[name] = target_of(self._job, self._services, self._hard_deadline, name)
        return self._targets[name]

    def _look_up(self, name: str, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        return self._open_target(name).look_up(ticket_ids)

    @property
    def _batch(self) -> int:
        """How many deliveries go out together."""
        return min(target.batch for target in self._targets.values())

    def _record_settled(self, settled: Sequence[LedgerEntry], made: Mapping[MessageKey, Action]) -> None:
        """Write down what was decided, with the copies of what is to go, and count the tickets that this is about."""
        self._made = dict(made)
        copies, self._copies = self._copies, []
        kept = {one.key: one for one in self._ledger.keep(copies)} if copies else {}
        step = _PAIRS if kept else max(1, len(settled))
        for start in range(0, len(settled), step):
            part = settled[start : start + step]
            whys = [self._whys.pop(entry.key) for entry in part if entry.key in self._whys]
            self._record_entries(part, [kept[entry.key] for entry in part if entry.key in kept], whys)
            for entry in part:
                if entry.key in made:
                    self._tally.delivered(self._made.pop(entry.key))

    def _dispose(self, mailbox: Mailbox, entries: Sequence[LedgerEntry]) -> None:
        """Mark the originals as each entry says, and write that down."""
        done: list[LedgerEntry] = []
        for disposition in dict.fromkeys(entry.disposition for entry in entries):
            marked = {entry.key: entry for entry in entries if entry.disposition == disposition}
            with span("dispose", messages=len(marked)):
                answers = mailbox.dispose([entry.ref for entry in marked.values()], disposition)
            for answer in answers:
                entry = marked[answer.ref.key]
                if answer.error is None:
                    done.append(entry.dispose(answer.ref.handle))
                elif isinstance(answer.error, MessageGone):
                    done.append(entry.finish())
                else:
                    self._tally.failed(f"An original is not marked yet: {answer.error}")
        self._record_entries(done)

    def _purge(self, mailbox: Mailbox) -> None:
        """Remove for good what this job marked as deleted, in this run or one that did not get here."""
        marked = {entry.key: entry for entry in self._open.values() if entry.stage is Stage.DISPOSED}
        if not marked:
            return
        done: list[LedgerEntry] = []
        with span("purge", messages=len(marked)):
            answers = mailbox.purge([entry.ref for entry in marked.values()])
        for answer in answers:
            if answer.error is None or isinstance(answer.error, MessageGone):
                done.append(marked[answer.ref.key].finish())
            else:
                self._tally.say(f"Not purged: {answer.error}")
        self._tally.purged += len(done)
        self._record_entries(done)

    def _review(self, mailbox: Mailbox) -> None:
        """Once a day, when no mail waits: forget what is settled and gone. What fails here is tried again tomorrow."""
        now = self._services.clock()
        if self._mail_left or not review_due(self._record.state, now):
            return
        deadline = Deadline(min(self._deadline.at, now + STRETCH), self._services.clock)
        try:
            with span("review"):
                reviewed = review(self._ledger, mailbox, days=self._job.ledger_days, deadline=deadline)
        except JobError as fault:
            self._tally.say(f"What the ledger may forget could not be told: {fault}")
            self._reviewed = now
            return
        if reviewed.complete:
            self._reviewed = now
        counts = (self._job.id, reviewed.looked_at, reviewed.forgotten)
        _log.info("Job %s: of %d old ledger entries, %d were forgotten.", *counts)

    # --- messages that do not come through ---------------------------------------------------------------------------

    def _fail(
        self, entry: LedgerEntry, error: MessageError, raw: RawMessage | None, message: Message | None = None
    ) -> None:
        """Leave the message untouched for a later run, or give up on it."""
        if isinstance(error, MessageGone):
            gone = entry.finish()
            self._explain(gone, raw, message)
            self._settled.append(gone)
        elif entry.attempts >= self._job.max_attempts:
            self._park(entry, error, raw, message)
        else:
            again = self._services.clock() + message_pause(entry.attempts)
            self._tally.failed(f"A message could not be handled (attempt {entry.attempts}): {error}")
            failed = entry.fail(str(error), again, message_id=(message and message.message_id) or "")
            self._explain(failed, raw, message, self._judgements.get(entry.key))
            self._settled.append(failed)

    def _park(
        self, entry: LedgerEntry, error: MessageError, raw: RawMessage | None, message: Message | None = None
    ) -> None:
        """Keep the message aside with its raw bytes and the reason, so that it is neither lost nor in the way."""
        now = self._services.clock()
        head = partial(self._services.parse, header_only=True)
        left, days = self._hard_deadline.left, self._job.parked_days
        parked = parked_message(entry, str(error), raw, now, read_head=head, left=left, days=days)
        # Without a copy of ours the original stays as it is.
        disposition = self._disposition(self._job.error_disposition, raw) if raw else KEPT
        given_up = entry.park(str(error), disposition, message_id=parked.message_id)
        self._explain(given_up, raw, message, self._judgements.get(entry.key))
        self._ledger.park(given_up, parked, raw.data if raw else None, self._whys.pop(entry.key))
        self._note([given_up])
        self._tell_parked(given_up)

    def _tell_parked(self, entry: LedgerEntry) -> None:
        self._tally.parked += 1
        self._tally.failed(f"A message was parked after {entry.attempts} attempts: {entry.reason}")
        tell(_log, Event.MESSAGE_PARKED, f"gave up on message {entry.key.item}: {entry.reason}", job=self._job.id)

    def _give_back(self, *, in_doubt: bool = False) -> None:
        """Take back the claims on messages that nothing was decided for: what stopped us was not their fault.

        ``in_doubt``: the last write may have happened although its answer was lost; then what it decided stands.
        """
        claimed, self._claimed = list(self._claimed.values()), {}
        self._deliveries, self._settled, self._copies = [], [], []
        self._judgements, self._whys = {}, {}
        self._acknowledging.forget()
        if self._traffic:
            self._traffic.give_back()
        if claimed and in_doubt:
            known = self._ledger.look_up([replace(entry.ref, key=_listed_key(entry)) for entry in claimed])
            found = [known.get(_listed_key(entry)) for entry in claimed]
            stored = [one for one, entry in zip(found, claimed, strict=True) if one and one.key == entry.key]
            self._note(stored)
            for entry in stored:
                if entry.key in self._made and not entry.undelivered:
                    self._tally.delivered(self._made.pop(entry.key))
                elif entry.stage in {Stage.SET_ASIDE, Stage.PARKED}:
                    self._tell_parked(entry)
            claimed = [entry for entry in stored if entry.stage is Stage.CLAIMED]
        if claimed:
            self._record_entries([entry.give_back() for entry in claimed])

    def _or_copy(self, fetched: Fetched) -> Fetched:
        """A message that is retried after parking may have left the mailbox; its kept copy has not."""
        if not isinstance(fetched.error, MessageGone):
            return fetched
        data = self._ledger.kept_copy(self._claimed[fetched.ref.key])
        return fetched if data is None else Fetched(fetched.ref, RawMessage(fetched.ref, data, len(data)))

    def _copy(self, entry: LedgerEntry) -> Fetched:
        """A purged message that is re-processed; the mailbox may give its name to another message by now."""
        fetched = self._or_copy(Fetched(entry.ref, error=MessageGone("Its copy is not kept any more.")))
        if fetched.raw is None:
            self._tally.say("A purged message was to be re-processed, but its copy is not kept any more.")
        return fetched

    # --- bookkeeping -------------------------------------------------------------------------------------------------

    def _explain(
        self,
        entry: LedgerEntry,
        raw: RawMessage | None,
        message: Message | None,
        judgement: Judgement | None = None,
        *,
        seen_before: bool = False,
    ) -> None:
        """Note why the message became what ``entry`` says, to be written with it."""
        self._judgements.pop(entry.key, None)
        self._whys[entry.key] = why_of(
            entry,
            self._services.clock(),
            taken_up=self._taken_up,
            received=raw.ref.received if raw else None,
            message=message,
            decision=judgement.decision if judgement else None,
            verdicts=judgement.verdicts if judgement else (),
            seen_before=seen_before,
        )

    def _record_entries(
        self, entries: Sequence[LedgerEntry], kept: Sequence[PurgedMessage] = (), whys: Sequence[Why] = ()
    ) -> None:
        """Write entries to the ledger, and remember which of them the next run would find open."""
        if entries:
            self._ledger.record(entries, kept, whys)
        self._note(entries)

    def _note(self, entries: Sequence[LedgerEntry]) -> None:
        """Keep in mind what the ledger has of these now."""
        for entry in entries:
            if entry.open:
                self._open[entry.key] = entry
            else:
                self._open.pop(entry.key, None)
            if entry.stage is not Stage.CLAIMED:
                self._claimed.pop(entry.key, None)
            if not entry.undelivered:
                self._waiting.pop(_listed_key(entry), None)

    def _disposition(self, wanted: Disposition, raw: RawMessage) -> Disposition:
        """What happens to the original. One that is in no ticket as a whole must not go."""
        if not (raw.header_only and wanted.deleted):
            return wanted
        self._tally.say(
            f"A message is over the limit of {self._job.max_message_mb} MB: only its header was read, so its original "
            "was not deleted."
        )
        return replace(wanted, deleted=False, purge=False)

    def _follows_one_in_hand(self, message: Message) -> bool:
        """Whether it answers a message whose ticket is about to be made."""
        in_hand = {delivery.message.message_id for _, _, delivery in self._deliveries}
        return any(message_id in in_hand for message_id in (*message.in_reply_to, *message.references))

    # --- beginning and end -------------------------------------------------------------------------------------------

    def _load(self) -> Job:
        try:
            return load_job(self._record)
        except ValidationError as error:
            raise ConfigInvalid(
                f"The stored config of job {self._record.job_id!r} is not valid ({error.error_count()} faults).",
                remedy="Save the job again through the API, which names each fault.",
            ) from error

    def _open_mailbox(self) -> Mailbox:
        services, job = self._services, self._job
        with span("open"), services.circuit.calling(job.server.reached_at, job.id, services.clock):
            return services.open_mailbox(OpenRequest(job.id, job.server, services.secrets, self._hard_deadline))

    def _end(self, fault: JobError | None) -> RunReport:
        """Write the run record, the job's new state and the release; tell what is worth an alarm."""
        now = self._services.clock()
        before = self._record.state
        failures = before.failures + 1 if fault else 0
        # Should the continuation get lost on its way, the job is due and the sweep makes up for it.
        next_due = now if self._mail_left and self._record.enabled else None
        outcome = RunOutcome.CONTINUED if self._mail_left else RunOutcome.COMPLETED
        if fault:
            outcome = RunOutcome.FAILED
            self._tally.failed(str(fault))
            if self._record.enabled:
                next_due = now + job_pause(fault, failures, chance=random.random())  # noqa: S311 (spreads load only)
        waiting_since = min(self._waiting.values(), default=None)
        waits = waiting_sentence(waiting_since, now, self._alarm_after)
        missing = self._canary.missing()
        health = health_after(fault, failures, waits=bool(waits or missing))
        report = self._tally.report(outcome, now)
        still_waiting = waiting_since or (before.waiting_since if fault else None)
        self._lease.finish(
            RunEnding(
                report=report,
                next_due=next_due,
                failures=failures,
                health=health,
                last_error=str(fault or waits or missing),
                waiting_since=still_waiting,
                unfinished=bool(self._open) or not self._open_is_known,
                cursor=self._cursor,
                canary=self._canary.ending,
                reviewed=self._reviewed,
                traffic=self._traffic.written() if self._traffic else None,
            )
        )
        run_ended(report, still_waiting)
        for event, sentence in events_after(before, health, fault, waits, missing):
            tell(_log, event, f"run {self._run_id}: {sentence}", job=self._record.job_id)
        if outcome is RunOutcome.CONTINUED:
            again = RunRequest(self._record.job_id, new_run_id(now), Trigger.CONTINUATION)
            self._services.queue.put(again)
        return report


def target_of(job: Job, services: Services, deadline: Deadline, name: str = "") -> Target:
    """One of the job's targets, opened: its own, or a further one by its name."""
    return services.open_target(
        TargetRequest(
            job_id=job.id,
            settings=job.target_settings(name),
            secrets=services.secrets,
            tickets=services.tickets,
            receipts=services.receipts,
            outbox=services.outbox,
            deadline=deadline,
        )
    )


def _listed_key(entry: LedgerEntry) -> MessageKey:
    """The key under which a mailbox lists the entry's message."""
    return replace(entry.key, generation=0)
