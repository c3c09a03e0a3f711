"""The nouns of the product: frozen data without behaviour worth mocking. Nothing here does I/O or reads a clock."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote

#: Tells the present instant, always aware and in UTC. Passed in, so that tests own the time.
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, order=True)
class MessageKey:
    """The identity of one message in one mailbox, for ever: everything idempotent hangs on it.

    ``item`` is the server's own identity written so that it sorts as the server's does, where that sorts at all:
    IMAP4 ``UIDVALIDITY.UID`` with both zero-padded to ten digits (RFC 9051 section 2.3.1.1), POP3 UIDL (RFC 1939),
    Graph immutable id, EWS id. Message-ID plays no part in it: that is for threading.
    """

    job_id: str
    #: Which mailbox and folder, as ``ServerSettings.identity()`` gives it.
    mailbox: str
    item: str
    #: Counts up only where ``reprocess`` asks for a new ticket from a message that was done before.
    generation: int = 0

    @property
    def digest(self) -> str:
        """64 hex digits that stand for the whole key, safe as a storage key or an idempotency key."""
        text = "\x1f".join((self.job_id, self.mailbox, self.item, str(self.generation)))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class MessageRef:
    """One message as a mailbox listed it: enough to fetch it or to dispose of it, without its content."""

    key: MessageKey
    #: What the connector needs to act on the message; a move may change it (the key stays).
    handle: str
    #: Octets as the server announces them, or None where it does not say before the fetch.
    size: int | None = None
    #: When the server received it, in UTC.
    received: datetime | None = None


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A fetched message: its bytes exactly as the server gave them."""

    ref: MessageRef
    data: bytes
    #: Octets of the whole message; more than ``len(data)`` when only the header was fetched.
    size: int
    #: True when the message is over the size limit, so that ``data`` holds its header alone.
    header_only: bool = False


class Pick(StrEnum):
    """Which messages of the folder are candidates."""

    #: Unread and not deleted.
    UNREAD = "unread"
    #: Everything that arrived since the job was created, read or not, and is not deleted.
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Picking:
    """What to list. ``cursor`` is what the mailbox returned with the last listing that was taken up completely."""

    pick: Pick
    #: For ``Pick.NEW``: nothing that was received before this instant is a candidate.
    since: datetime
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A snapshot of candidates, oldest first."""

    refs: tuple[MessageRef, ...]
    #: How many messages the folder holds, candidates or not ("Messages In Box" of the run record).
    in_box: int
    #: Hand it back with the next `Picking` once every one of ``refs`` is in the ledger; None: list afresh each time.
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Disposition:
    """What happens to an original. ``purge`` counts only with ``deleted``, and ``move_to`` only without."""

    read: bool = False
    deleted: bool = False
    purge: bool = False
    #: Flagged for follow-up, as people do it with the star or the little flag.
    flag: bool = False
    #: A category (Exchange) or keyword (IMAP4) that is added to those that the message has; empty for none.
    category: str = ""
    #: Path of the folder into which the message goes, written as the job's own folder is; empty for where it is.
    move_to: str = ""

    @property
    def marks(self) -> bool:
        """Whether there is anything to do in the mailbox before the end of the run."""
        return self.read or self.deleted or self.flag or bool(self.category or self.move_to)

    @property
    def purges(self) -> bool:
        """Whether the message is to be removed for good at the end of the run."""
        return self.deleted and self.purge

    def __str__(self) -> str:
        done = [name for name in ("read", "deleted", "purge", "flag") if getattr(self, name)]
        done += [f"{name}={quote(text, safe='')}" for name in ("category", "move_to") if (text := getattr(self, name))]
        return "+".join(done) or "kept"

    @classmethod
    def parse(cls, text: str) -> "Disposition":
        """The reverse of ``str()``."""
        done = dict(word.partition("=")[::2] for word in text.split("+"))
        return cls(
            read="read" in done,
            deleted="deleted" in done,
            purge="purge" in done,
            flag="flag" in done,
            category=unquote(done.get("category", "")),
            move_to=unquote(done.get("move_to", "")),
        )


KEPT = Disposition()


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox address as the header gave it. ``email`` is lower-cased for comparison where the header was sane."""

    email: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name else self.email


@dataclass(frozen=True, slots=True)
class Attachment:
    """One part that is not the message's own text. ``name`` is safe as a file name and unique within its message."""

    name: str
    #: Lower-case ``type/subtype`` as declared, or ``application/octet-stream``.
    content_type: str
    data: bytes
    #: Without angle brackets; what the HTML refers to as ``cid:``.
    content_id: str | None = None
    #: Shown inside the text rather than beside it.
    inline: bool = False

    @property
    def sha256(self) -> str:
        """64 hex digits over the content."""
        return hashlib.sha256(self.data).hexdigest()


class ReportKind(StrEnum):
    """What a machine reports about a message."""

    #: What became of it on its way: a bounce, a delay, a success (RFC 3464).
    DELIVERY = "delivery"
    #: What its recipient did with it: a read receipt (RFC 8098).
    DISPOSITION = "disposition"


class ReportAction(StrEnum):
    """What became of a message at one recipient."""

    # RFC 3464 section 2.3.3
    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    # RFC 8098 section 3.2.6; those after the second are of its predecessors
    DISPLAYED = "displayed"
    DELETED = "deleted"
    DISPATCHED = "dispatched"
    PROCESSED = "processed"
    DENIED = "denied"
    #: It is not said, or in a word that no standard has.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """One recipient of the message that a report concerns."""

    #: Lower case: whom the message was sent to where the report says so, else where it went; "" where unreadable.
    address: str
    action: ReportAction
    #: Enhanced status code such as ``5.1.1`` (RFC 3463), or "".
    status: str = ""
    #: What the refusing server said, or "".
    diagnostic: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a machine says of a message that was sent earlier. All of it is the sender's word: anybody can forge it."""

    kind: ReportKind
    recipients: tuple[ReportedRecipient, ...]
    #: Of the message that it concerns, with angle brackets; None where it is not said.
    message_id: str | None
    #: What that message and the report refer to besides, nearest first.
    references: tuple[str, ...] = ()
    #: Of the message that it concerns; "" where it is not said.
    subject: str = ""

    @property
    def bounced(self) -> bool:
        """Whether the message did not reach somebody, for good."""
        return self.kind is ReportKind.DELIVERY and any(
            recipient.action is ReportAction.FAILED for recipient in self.recipients
        )


@dataclass(frozen=True, slots=True)
class Message:
    """A parsed e-mail. Every field is there whatever the bytes were; ``defects`` says what made no sense."""

    subject: str
    sender: Address | None
    reply_to: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    #: From the Date header, in UTC; None where it is missing or absurd.
    date: datetime | None
    #: As sent, with its angle brackets; None where missing.
    message_id: str | None
    in_reply_to: tuple[str, ...]
    #: Oldest first, as the References header has them.
    references: tuple[str, ...]
    #: Readable text, never None; made from the HTML where the mail has no text of its own.
    text: str
    #: Sanitised HTML, or None.
    html: str | None
    attachments: tuple[Attachment, ...]
    #: All header fields in their order, names as written, values decoded.
    headers: tuple[tuple[str, str], ...]
    defects: tuple[str, ...]
    #: Octets of the original.
    size: int
    #: 64 hex digits over the bytes that were parsed.
    sha256: str
    #: Only the header could be read because the message is over the size limit.
    header_only: bool = False
    #: What it reports of another message, when it is a bounce or a read receipt.
    report: Report | None = None

    def header(self, name: str) -> str | None:
        """The first field of that name, whatever its case, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


#: What a field of a ticket holds: as JSON has it. Amounts of money and instants are texts (``1234.50``, ISO 8601).
FieldValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one guard or rule said of a message."""

    #: ``guard``, ``rule`` and the like.
    kind: str
    name: str
    #: Whether it applied to this message.
    matched: bool
    #: What was found in the message: no full stop, for it stands within a sentence.
    evidence: str


@dataclass(frozen=True, slots=True)
class Create:
    """Make a new ticket. ``links`` are tickets that the message refers to but must not modify."""

    evidence: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    #: Fields of the ticket that the job's rules set or extracted.
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    #: Sentences for the reader of the ticket: what was left out, what a rule has to say.
    notes: tuple[str, ...] = ()
    #: Whether the sender becomes the ticket's requester; else it has none.
    with_requester: bool = True


@dataclass(frozen=True, slots=True)
class Modify:
    """Add the message to an existing ticket."""

    ticket_id: str
    evidence: tuple[str, ...] = ()
    #: As in `Create`; they replace the ticket's.
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """Make no ticket of it. ``reason`` is the sentence that a person reads when asking why."""

    reason: str
    evidence: tuple[str, ...] = ()


Decision = Create | Modify | Reject


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a target is asked to make of one message: idempotent under ``key``."""

    key: MessageKey
    message: Message
    decision: Create | Modify
    #: When the server received the original, or None.
    received: datetime | None = None


class Action(StrEnum):
    """What a target did."""

    CREATED = "created"
    MODIFIED = "modified"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target's answer: the ticket exists now, and would not be made again by asking again."""

    ticket_id: str
    action: Action


class TicketStatus(StrEnum):
    """Whether replies still belong to it."""

    OPEN = "open"
    CLOSED = "closed"
    #: Another ticket took its place: `TicketSummary.merged_into`.
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class TicketSummary:
    """What routing needs to know of a ticket that a message refers to."""

    ticket_id: str
    status: TicketStatus
    #: Lower-case addresses of the requester and everybody who was on its messages so far; in a crowd, senders first.
    participants: frozenset[str] = frozenset()
    #: The ticket that took its place; empty for one that was not merged.
    merged_into: str = ""


@dataclass(frozen=True, slots=True)
class StoredAttachment:
    """An attachment of a ticket entry as the ``table`` target keeps it. ``blob`` is its path in the container."""

    name: str
    content_type: str
    size: int
    sha256: str
    blob: str
    content_id: str | None = None
    inline: bool = False


@dataclass(frozen=True, slots=True)
class TicketEntry:
    """One message within a ticket."""

    entry_id: str
    action: Action
    sender: Address | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    subject: str
    date: datetime
    text: str
    html: str | None
    message_id: str | None
    attachments: tuple[StoredAttachment, ...] = ()
    #: What parsing could not make sense of, for the person who reads the entry.
    defects: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    #: See `Create`.
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket of the ``table`` target."""

    ticket_id: str
    job_id: str
    subject: str
    status: TicketStatus
    requester: Address | None
    created: datetime
    updated: datetime
    participants: frozenset[str] = frozenset()
    links: tuple[str, ...] = ()
    #: The ticket that took its place; empty for one that was not merged.
    merged_into: str = ""
    #: Oldest first; empty in listings.
    entries: tuple[TicketEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """How far the delivery of one message to a system outside has come, as far as that is known here.

    ::

        step    0        1              2
                ├─begun─▶├─begun───────▶│ action is set: it is done, for ever
                         └ killed here: whether step 2 was done, the other side must be asked
    """

    #: `MessageKey.digest`.
    digest: str
    #: Steps whose answer is known.
    step: int = 0
    #: The step after those has begun.
    begun: bool = False
    #: What the steps so far answered, and what the later ones need of it; JSON can hold it.
    facts: Mapping[str, Any] = field(default_factory=dict)
    ticket_id: str = ""
    #: None until all is done.
    action: Action | None = None
    #: When it was written last.
    since: datetime | None = field(default=None, compare=False)
    #: Storage's own version of it; empty before it is stored.
    etag: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class OutsideTicket:
    """A ticket in a system outside, as our own deliveries to it know it."""

    ticket_id: str
    #: Lower-case addresses of everybody who was on its messages so far.
    participants: frozenset[str] = frozenset()
    #: What the other side calls it beside its id.
    facts: Mapping[str, Any] = field(default_factory=dict)


class Trigger(StrEnum):
    """What started a run."""

    TIMER = "timer"
    SWEEP = "sweep"
    MANUAL = "manual"
    CONTINUATION = "continuation"


class RunOutcome(StrEnum):
    """How a run stands or ended."""

    QUEUED = "queued"
    RUNNING = "running"
    #: Everything that was there has been handled.
    COMPLETED = "completed"
    #: The time was up with mail left; a continuation is queued.
    CONTINUED = "continued"
    #: A `JobError` ended it: the mailbox, the storage or the target is not as it should be.
    FAILED = "failed"
    #: Asked for by hand while another run held the mailbox.
    SKIPPED = "skipped"
    #: The worker was killed or lost its lease; the next run noticed and took over.
    DIED = "died"


@dataclass(frozen=True, slots=True)
class RunReport:
    """The record of one run: the columns of the incoming-mail log that administrators know, and why."""

    run_id: str
    job_id: str
    job_name: str
    trigger: Trigger
    outcome: RunOutcome
    started: datetime
    #: None while it runs or waits.
    ended: datetime | None = None
    created: int = 0
    updated: int = 0
    #: Candidates that this run took up, whatever became of them.
    received: int = 0
    #: Messages in the folder when it was listed.
    in_box: int = 0
    rejected: int = 0
    parked: int = 0
    purged: int = 0
    #: Messages that could not be handled this time, and one for a run that failed as a whole.
    errors: int = 0
    #: Sentences for people: what failed, what was left, what to do.
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run that does not come from the job's own timer; travels on the run queue."""

    job_id: str
    run_id: str
    trigger: Trigger


class Health(StrEnum):
    """How a job is doing, so that a broken mailbox never looks like a quiet one."""

    HEALTHY = "healthy"
    #: Its last run met a fault that mostly passes by itself, or mail waits longer than the job allows.
    DELAYED = "delayed"
    #: Such faults go on, or a run met a defect of ours: somebody should look.
    FAILING = "failing"
    #: Its last run met a fault that a person must mend (sign-in, configuration); it is tried again, rarely.
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class CanaryState:
    """What is known of the canaries of a job: see ``shared.canary``."""

    #: When the newest was sent, or was about to be.
    sent: datetime | None = None
    #: The number of the one that is out; empty when none is.
    out: str = ""
    #: The server took the one that is out.
    posted: bool = False
    #: When the one that is out has to be back though no run came: `lacking_since` goes by it.
    expected_by: datetime | None = None
    #: When one last came back, and how long after it was sent.
    seen: datetime | None = None
    delay: timedelta | None = None
    #: Since when one should have come back and none has.
    missing_since: datetime | None = None
    #: Why the newest could not be sent; empty where it was.
    fault: str = ""

    def lacking_since(self, now: datetime) -> datetime | None:
        """Since when a canary is missing, or None. One that never left, because its run died, is not."""
        if self.missing_since or not self.out or self.expected_by is None:
            return self.missing_since
        return self.expected_by if now > self.expected_by and (self.posted or self.fault) else None


@dataclass(frozen=True, slots=True)
class JobState:
    """What the runs of a job know of each other."""

    #: When the config was first stored, in UTC: `Pick.NEW` looks at nothing older.
    created: datetime
    #: The newest occurrence that was claimed; None before the first.
    last_occurrence: datetime | None = None
    #: The instant from which the job is due; None when it never is (disabled, ended).
    next_due: datetime | None = None
    #: Runs in a row that failed.
    failures: int = 0
    health: Health = Health.HEALTHY
    #: Since when ``health`` is what it is.
    health_since: datetime | None = None
    last_error: str = ""
    #: When the oldest of the messages arrived that the last run listed and made no ticket of; None where there is none.
    waiting_since: datetime | None = None
    #: The run that holds the mailbox, and until when if it does not renew.
    lease_run: str = ""
    lease_trigger: str = ""
    lease_started: datetime | None = None
    lease_expires: datetime | None = None
    #: Counts up with every lease: who holds a lower number holds nothing.
    fence: int = 0
    #: Ledger entries may be open (delivered but not disposed, failed, given back): look before listing.
    unfinished: bool = False
    #: Changes when a person has parked messages taken up again, so that a run under way does not miss it.
    reopened: str = ""
    #: See `Listing.cursor`.
    cursor: str | None = None
    #: How many messages came lately, by sender and ticket (`shared.routing.traffic`).
    traffic: str = ""
    canary: CanaryState = CanaryState()
    #: When the ledger was last looked through for what it may forget; None before the first time.
    reviewed: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One row of the job table: the config as validated JSON, a few plain columns of it, and the state."""

    job_id: str
    #: The stored form of ``shared.jobs.Job``, as JSON text.
    config: str
    #: Changes with every change of the config and only then: what the API gives as ETag.
    revision: str
    #: The six-field UTC expression of the job's timer; empty when no timer can ever fire.
    ncrontab: str
    enabled: bool
    #: ``ServerSettings.identity()``: two jobs may not share it.
    mailbox: str
    state: JobState
    #: The job's name, for run records.
    name: str = ""
    #: Storage's own version of the row (config and state).
    etag: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class TimerColumns:
    """All that function_app needs to register a job's timer while it is imported."""

    job_id: str
    ncrontab: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """What may be known of a secret: everything but its value."""

    name: str
    expires: datetime | None = None
    changed: datetime | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """One value of a document that changed: parsed JSON, None where there was or is none."""

    pointer: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """Who changed what, when."""

    at: datetime
    #: Object id of a person or app; empty for a function key.
    caller_id: str
    caller_name: str
    #: The operation of the API, by its name.
    action: str
    #: What it was done to: the values in the request's address.
    subject: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """A secret or certificate that ends soon or has ended."""

    #: Of the secret, or the path of the certificate's file.
    name: str
    ends: datetime
    #: The enabled jobs that name it, by their ids.
    jobs: tuple[str, ...]
    #: ``ends`` is what the certificate says of itself; else the expiry that the vault keeps.
    certificate: bool = False
    #: The day on which it was last told (ISO 8601), in UTC.
    said: str = ""


@dataclass(frozen=True, slots=True)
class DueJob:
    """A job that is due and that nobody has claimed yet."""

    job_id: str
    #: As in `TimerColumns`: whoever registered another expression knows that its timer is stale.
    ncrontab: str
    next_due: datetime


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """A message that was given up on after ``max_attempts``: kept with its raw bytes and the reason, never lost."""

    #: Begins with its time, written in digits: listings sort by it.
    parked_id: str
    job_id: str
    #: The message's key, to find its ledger entry again.
    item: str
    mailbox: str
    reason: str
    parked_at: datetime
    attempts: int
    size: int
    subject: str = ""
    sender: str = ""
    message_id: str = ""
    #: Whether the raw bytes could be fetched and kept.
    has_raw: bool = True
    #: When it is discarded unless somebody looks after it; None: never.
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PurgedMessage:
    """The kept copy of an original that a job removes from its mailbox for good: there until ``expires_at``."""

    #: Begins with its time, written in digits: listings sort by it.
    purged_id: str
    key: MessageKey
    #: When it was decided that the original goes; a moment before it went.
    purged_at: datetime
    #: From then on the copy is gone: the beginning of a day in UTC.
    expires_at: datetime
    size: int
    sha256: str
    #: The ticket that was made of it; empty for a rejected message.
    ticket_id: str = ""
    #: Why it was rejected; empty where it has a ticket.
    reason: str = ""
    subject: str = ""
    sender: str = ""
    message_id: str = ""
    #: Where the bytes are: a blob that holds those of several messages, and where in it they begin.
    blob: str = ""
    offset: int = 0
