"""What a job would do with messages, without doing it: the dry run of a mailbox, and the replay of one message.

Nothing is written: not to the mailbox (it is listed and fetched from, which changes nothing), not to the target (it is
asked for tickets), not to storage. A message that would make a ticket makes an imagined one, so that answers to it
which come with it are judged as a run would.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.begin import open_mailbox
from shared.errors import MessageError
from shared.jobs import Job, new_state
from shared.judging import Judge, Judgement, LookUp, read_traffic
from shared.mime import parse
from shared.model import Create, JobRecord, Message, Modify, TicketStatus, TicketSummary
from shared.ports import Deadline, Mailbox, OpenRequest, Secrets, Target, Threads
from shared.routing.traffic import Traffic
from shared.why import Outcome, Why

_MB = 1024 * 1024

#: Whoever asks waits for the answer: a message that is larger than this is judged by its header.
_LARGEST_MB = 10


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What would become of one message."""

    message: Message
    judgement: Judgement
    #: The ticket that would be made or modified; one that does not exist yet is called ``new-1`` and so on.
    ticket_id: str = ""
    received: datetime | None = None

    @property
    def outcome(self) -> Outcome:
        """As a why-record has it."""
        decision = self.judgement.decision
        if isinstance(decision, Create):
            return Outcome.CREATED
        return Outcome.MODIFIED if isinstance(decision, Modify) else Outcome.REJECTED

    @property
    def sentence(self) -> str:
        """What a person wants to know first."""
        decision = self.judgement.decision
        if isinstance(decision, Create):
            return "It would make a ticket."
        if isinstance(decision, Modify):
            return f"It would be added to ticket {self.ticket_id}."
        return f"It would make no ticket: {decision.reason}"


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would do now."""

    #: In the order in which a run would take them up.
    messages: tuple[Rehearsed, ...]
    #: Candidates, and messages in the folder.
    candidates: int
    in_box: int
    #: Sentences about messages that could not be fetched, and why not all were looked at.
    comments: tuple[str, ...] = ()


class Rehearsal:
    """Judges messages one after the other by one job's settings, as a run would."""

    def __init__(self, job: Job, look_up: LookUp, threads: Threads, traffic: Traffic | None = None) -> None:
        self._look_up = look_up
        self._imagined: dict[str, TicketSummary] = {}
        self._made_in: dict[str, str] = {}
        self._judge = Judge(job, self._tickets, threads, traffic)

    def judge(self, message: Message, received: datetime) -> Rehearsed:
        """What would become of ``message``. Raises what asking the target or the threads raises."""
        judgement = self._judge.judge(message, received)
        decision = judgement.decision
        ticket_id = ""
        if isinstance(decision, Create):
            ticket_id = f"new-{len(self._imagined) + 1}"
            self._made_in[ticket_id] = judgement.target
            self._imagined[ticket_id] = TicketSummary(ticket_id, TicketStatus.OPEN, _people(message))
        elif isinstance(decision, Modify):
            ticket_id = decision.ticket_id
        if ticket_id:
            self._judge.settle(message, decision, ticket_id, judgement.target)
            self._judge.remember(dict.fromkeys(self._judge.names_of(message, decision), ticket_id), judgement.target)
        return Rehearsed(message, judgement, ticket_id, received)

    def _tickets(self, target: str, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        imagined = {one: self._imagined[one] for one in ticket_ids if self._made_in.get(one) == target}
        real = {one for one in ticket_ids if one not in self._imagined}
        return {**imagined, **(self._look_up(target, real) if real else {})}


def _people(message: Message) -> frozenset[str]:
    named = (message.sender, *message.reply_to, *message.to, *message.cc)
    return frozenset(address.email.lower() for address in named if address)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a rehearsal looks things up."""

    threads: Threads
    #: The job's target of a name; the empty name is that of its own.
    open_target: Callable[[Job, Deadline, str], Target]
    secrets: Secrets
    open_mailbox: Callable[[OpenRequest], Mailbox] = open_mailbox


def _asking(job: Job, stage: Stage, deadline: Deadline) -> LookUp:
    """Asks the job's targets, each opened when it is first needed."""
    opened: dict[str, Target] = {}

    def look_up(name: str, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        if name not in opened:
            opened[name] = stage.open_target(job, deadline, name)
        return opened[name].look_up(ticket_ids)

    return look_up


def replay(job: Job, raw: bytes, received: datetime, stage: Stage, deadline: Deadline) -> Rehearsed:
    """What the job would do with these bytes. Raises `JobError` where the target cannot be asked."""
    return Rehearsal(job, _asking(job, stage, deadline), stage.threads).judge(parse(raw), received)


def dry_run(job: Job, record: JobRecord | None, stage: Stage, deadline: Deadline, *, limit: int) -> DryRun:
    """What a run would do with the first ``limit`` candidates of the mailbox now. Raises `JobError` where it cannot.

    What the ledger knows is not known here: a candidate that a run has dealt with, but left as it was, is among them.
    """
    state = record.state if record else new_state(deadline.clock())
    rehearsal = Rehearsal(job, _asking(job, stage, deadline), stage.threads, read_traffic(job, state, deadline.clock()))
    picking = replace(job.picking(state), cursor=None)
    largest = min(job.max_message_mb, _LARGEST_MB) * _MB
    found: list[Rehearsed] = []
    comments: list[str] = []
    with stage.open_mailbox(OpenRequest(job.id, job.server, stage.secrets, deadline)) as mailbox:
        listing = mailbox.candidates(picking)
        for fetched in mailbox.fetch(listing.refs[:limit], max_bytes=largest):
            raw = fetched.raw
            if raw is None:
                comments.append(f"A message could not be fetched: {fetched.error}")
                continue
            received = raw.ref.received or deadline.clock()
            try:
                message = parse(raw.data, header_only=raw.header_only, size=raw.size)
                found.append(rehearsal.judge(message, received))
            except MessageError as fault:
                comments.append(f"A message could not be judged: {fault}")
            if deadline.passed:
                comments.append("The time was up before all messages were looked at.")
                break
    if len(listing.refs) > limit:
        comments.append(f"There are {len(listing.refs)} candidates; the first {limit} were looked at.")
    return DryRun(tuple(found), len(listing.refs), listing.in_box, tuple(comments))


def difference(now: Rehearsed, before: Why) -> list[str]:
    """What would be otherwise than it was, as sentences; empty where all is the same."""
    found: list[str] = []
    was = Outcome.CREATED if before.outcome is Outcome.SEEN_BEFORE else before.outcome
    if now.outcome is not was:
        found.append(f"It was {was.replace('_', ' ')}, and would be {now.outcome} today.")
    reason = getattr(now.judgement.decision, "reason", "")
    if now.outcome is was is Outcome.REJECTED and reason != before.reason:
        found.append(f"It was rejected with the reason: {before.reason} Today it would be: {reason}")
    if now.outcome is was is Outcome.MODIFIED and now.ticket_id != before.ticket_id:
        found.append(f"It was added to ticket {before.ticket_id}, and would be to {now.ticket_id} today.")
    if now.outcome is not Outcome.REJECTED and was in {Outcome.CREATED, Outcome.MODIFIED} and not before.cut:
        found += _fields(getattr(now.judgement.decision, "fields", {}), before.fields)
        left = len(now.judgement.message.attachments)
        if left != before.attachments:
            found.append(f"It had {before.attachments} attachments, and would have {left}.")
    return found


def _fields(now: Mapping[str, object], before: Mapping[str, object]) -> Sequence[str]:
    names = sorted(now.keys() | before.keys())
    return [
        f"Field {name} was {before.get(name, 'not set')!r}, and would be {now.get(name, 'not set')!r}."
        for name in names
        if str(now.get(name))[:300] != str(before.get(name))[:300]
    ]
