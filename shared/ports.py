"""Every border of the domain, in one file. The docstring of a port is its contract; tests/contract holds it to that.

Synchronous throughout. All instants are aware and in UTC. A method raises only errors of ``shared.errors``, and never
puts a secret or a message body in one. Nothing here is safe to share between threads unless it says so.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import Any, ClassVar, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict

from shared.canary import Letter
from shared.errors import MessageError
from shared.ledger import LedgerEntry
from shared.model import (
    CanaryState,
    Clock,
    Delivered,
    Delivery,
    Disposition,
    DueJob,
    JobRecord,
    Listing,
    MessageKey,
    MessageRef,
    OutsideTicket,
    ParkedMessage,
    Picking,
    PurgedMessage,
    RawMessage,
    Receipt,
    RunReport,
    RunRequest,
    SecretInfo,
    StoredAttachment,
    Ticket,
    TicketStatus,
    TicketSummary,
)
from shared.why import Why


class Settings(BaseModel):
    """Base of every piece of a job config: frozen, and a field that nobody knows is an error, not a surprise."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- mailboxes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server answers, and how a connection with it becomes secure."""

    host: str
    port: int
    #: TLS from the first octet, by STARTTLS of that protocol, or plain text.
    tls: Literal["at once", "imap4", "pop3", "none"] = "at once"
    #: Go on in plain text where STARTTLS is not offered.
    tls_optional: bool = False
    #: PEM file with the CAs to trust in place of the system's.
    ca_file: str | None = None
    #: The setting that holds the address; empty where it is fixed.
    setting: str = ""
    #: The usual ports of the protocol, with TLS and without, as a remedy names them.
    ports: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class NoEndpoint:
    """There is no server on a network, or its address is known only once the mailbox is open; ``why`` says which."""

    why: str


class ServerSettings(Settings, ABC):
    """The ``server`` block of a job. Each connector has its own subclass, which narrows ``type`` to a literal.

    Secrets stand in it by name only (``password_secret: support-mailbox``); the value never enters the model.
    """

    type: str

    @abstractmethod
    def identity(self) -> str:
        """Name the mailbox and folder so that two jobs on the same one give the same text, whatever its spelling."""

    @abstractmethod
    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""

    def warnings(self) -> tuple[str, ...]:
        """Sentences about choices that work but should be known (an insecure connection, an API near its end)."""
        return ()

    def refuses(self, disposition: Disposition) -> str:
        """Why ``disposition`` can never be done on this kind of server: a sentence, or empty where it can.

        What every kind of server can do, read and deleted and purged, is never refused here.
        """
        if disposition.flag or disposition.category or disposition.move_to:
            return f"A {self.type} job can mark messages as read or deleted, but not flag, categorise or move them."
        return ""

    def endpoint_to_reach(self) -> Endpoint | NoEndpoint:
        """Where a run will connect to first, for the connection test."""
        return NoEndpoint("This mailbox is not reached over a network.")

    def address(self) -> str:
        """The mail address of the mailbox as far as the settings tell; empty where they do not."""
        return ""

    @property
    def reached_at(self) -> str:
        """The server and port that a run connects to first; empty where that is none, or not known before."""
        endpoint = self.endpoint_to_reach()
        return f"{endpoint.host}:{endpoint.port}" if isinstance(endpoint, Endpoint) else ""


class Secrets(Protocol):
    """Where secret values live. Safe to share between threads."""

    def get(self, name: str) -> str:
        """The value of the secret called ``name``.

        Raises `ConfigInvalid` (no such secret: says where it was looked for) or `Unavailable` (the vault is away).
        """
        ...


class SecretStore(Secrets, Protocol):
    """A place for secrets that can be written to. Safe to share between threads.

    Names are compared without regard to case. Raises `ConfigInvalid` (what the app may not do, or the place is none)
    or `Unavailable`; neither holds a value.
    """

    def known(self) -> Sequence[SecretInfo]:
        """What is there, in the order of the names."""
        ...

    def put(self, name: str, value: str, *, expires: datetime | None) -> SecretInfo:
        """Store a value, which counts from the next `get` of this process on; of others within minutes."""
        ...

    def delete(self, name: str) -> bool:
        """Remove a secret; whether it was there."""
        ...


@dataclass(frozen=True, slots=True)
class Deadline:
    """The instant at which a run must have stopped. Time limits of calls are cut to what is left."""

    at: datetime
    clock: Clock

    @property
    def left(self) -> timedelta:
        """Time left, never negative."""
        return max(timedelta(0), self.at - self.clock())

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self.clock() >= self.at


@dataclass(frozen=True, slots=True)
class Fetched:
    """The answer for one message: its bytes, or why not."""

    ref: MessageRef
    raw: RawMessage | None = None
    error: MessageError | None = None


@dataclass(frozen=True, slots=True)
class Disposed:
    """The answer for one message: done (``ref`` tells how to find it from now on), or why not.

    A message that is no longer there is answered with `MessageGone`.
    """

    ref: MessageRef
    error: MessageError | None = None


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Something that stands against a disposition: what it is, and what to do, each as a sentence."""

    what: str
    remedy: str = ""
    #: It stands against every message; else only against some, or in some runs.
    always: bool = True


class Mailbox(Protocol):
    """One opened mailbox and folder. A context manager; leaving it never raises and commits nothing.

    Faults of the connection, the server or the sign-in raise `Unavailable`, `AuthFailed` or `ConfigInvalid`; what
    concerns one message alone is in the answer for that message, and the others go on. Every call has a time limit.
    Messages are named by the server's lasting ids, never by sequence number or page.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def candidates(self, picking: Picking) -> Listing:
        """A snapshot of what ``picking`` asks for, oldest first. Changes nothing in the mailbox."""
        ...

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:
        """Yield one answer for each of ``refs``, in their order. Changes nothing in the mailbox (PEEK).

        Fetches ahead by at most about 10 MB or one message, whichever is more, so that memory does not grow with
        ``refs``; between two answers the caller may `dispose`. A message of more than ``max_bytes`` octets is answered
        with its header alone (``header_only``).
        A message that is gone is answered with `MessageGone`; a body that the server announces but does not give,
        with `Unreadable`. ``refs`` may come from an earlier run: their ``size`` may be None.
        """
        ...

    def dispose(self, refs: Sequence[MessageRef], disposition: Disposition) -> Sequence[Disposed]:
        """Mark every one of ``refs`` as ``disposition`` says; one answer for each, in their order.

        Marks come first and a move last, so that a message that lies in the other folder has all of them. Asked again
        for one that was moved, the answer is done or `MessageGone`, and there is still one such message. Raises
        `ConfigInvalid` where the folder of ``move_to`` does not exist; it is not made.
        Doing it again is harmless. Nothing is removed for good here.
        """
        ...

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        """Remove for good those of ``refs`` that are (still) marked deleted, and nothing else, ever.

        ``refs`` were disposed of by this job with ``deleted``, in this session or an earlier one. A message that is
        gone, or that a person has restored since, is answered as done. A message that cannot be removed without
        touching others' mail is answered with an error that says why; the caller asks again in a later run.
        """
        ...

    def still_there(self, refs: Sequence[MessageRef]) -> frozenset[MessageKey]:
        """The keys of those of ``refs`` that are in the mailbox, or may come back as candidates. Changes nothing.

        Left out is only what is certainly gone. What the server does not tell about counts as there: a message of
        another folder or another UIDVALIDITY, one that it refuses to show, and, where a move keeps the key, one in any
        folder of the mailbox. ``refs`` may come from an earlier run.
        """
        ...

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:
        """What is known to stand against `dispose`, and then `purge`, with ``disposition``. Changes nothing.

        As far as the server tells of its own accord: nothing known is no promise.
        """
        ...


@dataclass(frozen=True, slots=True)
class Connector:
    """What the rest of the product knows of a kind of mail server. Each connector file ends in one: ``CONNECTOR``."""

    #: The value of ``type`` in the ``server`` block; connectors that share it are told apart by ``api``.
    kind: str
    settings: type[ServerSettings]
    #: Opens the mailbox. Imports its SDK itself, so that no other kind of job pays for it.
    open: Callable[["OpenRequest"], Mailbox]
    #: Set where the protocol leaves no choice (POP3): handling settings are then refused.
    fixed_disposition: Disposition | None = None
    #: A message's bytes are the same at every fetch, so that other bytes under the same key are another message.
    keeps_bytes: bool = False
    #: Has the server itself put a message of ours into the mailbox, and what a ``canary`` block calls that way.
    #: Raises what `Mailbox` does; after `Unavailable` the message may be there all the same.
    post: "Callable[[OpenRequest, Letter], None] | None" = None
    posts_by: str = ""


class Opening(StrEnum):
    """What is done, in this order, until a mailbox is open. Not every protocol tells all of them apart."""

    SIGN_IN = "sign_in"
    MAILBOX = "mailbox"
    FOLDER = "folder"


def _nobody(_: Opening) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """Everything that a connector gets from outside."""

    job_id: str
    settings: Any
    secrets: Secrets
    deadline: Deadline
    #: Told what begins now; what begins later than another ends it. May be told again, also after the opening.
    begins: Callable[[Opening], None] = _nobody


@dataclass(frozen=True, slots=True)
class PostRequest:
    """A message of our own that is to be sent."""

    #: For the way there by the job's own server: its settings, the secrets, and the deadline.
    opening: OpenRequest
    #: The ``send`` block that says how.
    send: Any
    letter: Letter


# --- targets ---------------------------------------------------------------------------------------------------------


class TargetSettings(Settings, ABC):
    """The ``target`` block of a job. Each target has its own subclass, which narrows ``type`` to a literal."""

    type: str

    def warnings(self) -> tuple[str, ...]:
        """Sentences about choices that work but should be known."""
        return ()

    @abstractmethod
    def scope(self) -> str:
        """Name the set of tickets that the target reaches: jobs with the same scope continue each other's threads."""

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        return frozenset()


class Target(Protocol):
    """Where tickets live."""

    #: How many deliveries one `apply` takes at best; the caller does not hand over more.
    batch: ClassVar[int]

    def look_up(self, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        """What is known of these tickets; unknown ids are left out. Raises `Unavailable` or `AuthFailed`."""
        ...

    def apply(self, deliveries: Sequence[Delivery]) -> Sequence[Delivered | MessageError]:
        """Create or modify a ticket for each; one answer for each, in their order.

        Idempotent under ``Delivery.key``: asked again, by this process or another, after any crash, it gives the
        same ticket and the same action, and changes nothing. What one message does wrong is its own answer
        (`Refused`); a target that is away raises `Unavailable`, and then any part may have been done.
        """
        ...


@dataclass(frozen=True, slots=True)
class TargetKind:
    """What the rest of the product knows of a kind of target. Each target file ends in one: ``TARGET``."""

    #: The value of ``type`` in the ``target`` block.
    kind: str
    settings: type[TargetSettings]
    open: Callable[["TargetRequest"], Target]


@dataclass(frozen=True, slots=True)
class TargetRequest:
    """Everything that a target gets from outside."""

    job_id: str
    settings: Any
    secrets: Secrets
    tickets: "TicketStore"
    receipts: "Receipts"
    outbox: "Outbox"
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class NewTicket:
    """A delivery for the ticket store: ``ticket_ids`` are the ids it may have, best first, derived from the key."""

    delivery: Delivery
    ticket_ids: tuple[str, ...]


class TicketStore(Protocol):
    """The tables and blobs of the embedded ``table`` target. Safe to share between threads."""

    def add(self, additions: Sequence[NewTicket]) -> Sequence[Delivered | MessageError]:
        """Create or modify; the contract of `Target.apply`."""
        ...

    def summaries(self, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        """See `Target.look_up`."""
        ...

    def ticket(self, ticket_id: str) -> Ticket | None:
        """The ticket with all its entries, oldest first."""
        ...

    def page(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        job_id: str | None = None,
        status: TicketStatus | None = None,
        requester: str | None = None,
        changed_since: datetime | None = None,
    ) -> tuple[list[Ticket], str | None]:
        """Tickets without their entries, newest first, and the cursor of the next page or None.

        ``requester`` is an address, in any case. ``changed_since`` compares `Ticket.updated`.
        """
        ...

    def set_open(self, ticket_id: str, *, is_open: bool) -> Ticket | None:
        """Close the ticket or open it again, also one that was merged; as it is then, without entries, or None."""
        ...

    def merge(self, ticket_id: str, into: str) -> Ticket | None:
        """Let the ticket that ``into`` is by now take the place of this one; this one as it is then, without entries.

        Who takes part in this one takes part in the other from then on, and the other refers to this one. The entries
        stay where they are. None where one of them does not exist, or the other has this one in its place already.
        """
        ...

    def attachment(self, ticket_id: str, entry_id: str, index: int) -> tuple[StoredAttachment, Iterator[bytes]] | None:
        """One attachment and its bytes in chunks, or None."""
        ...


class Receipts(Protocol):
    """What was delivered to systems outside, within one target scope. Safe to share between threads.

    Every write is conditional on the receipt being as its caller last saw it, and raises `Stale` otherwise.
    """

    def begin(self, scope: str, receipt: Receipt) -> Receipt:
        """Store the first receipt of a message; the same with its ``etag``. Raises `Stale` where there is one."""
        ...

    def find(self, scope: str, digest: str) -> Receipt | None:
        """The receipt of a message, or None."""
        ...

    def advance(self, scope: str, receipt: Receipt) -> Receipt:
        """Replace a receipt that was read or written with its present ``etag``; the same with the new one."""
        ...

    def finish(self, scope: str, receipt: Receipt, ticket: OutsideTicket) -> None:
        """Store a receipt with its action, for good, and note the ticket: both at once or neither.

        The participants of ``ticket`` join those that are known, its facts replace those of the same name.
        """
        ...

    def tickets(self, scope: str, ticket_ids: Collection[str]) -> Mapping[str, OutsideTicket]:
        """Tickets that were noted; unknown ids are left out. One request for each."""
        ...


class Outbox(Protocol):
    """What systems outside fetch from us. Safe to share between threads."""

    def keep(self, path: str, data: bytes, *, content_type: str = "application/octet-stream") -> str:
        """Store ``data`` as a blob, and give its URL. Doing it again is harmless. The URL opens nothing by itself."""
        ...

    def send(self, queue: str, text: str) -> None:
        """Put ``text`` (at most 48 KiB of UTF-8) onto a queue, where it stays until somebody takes it."""
        ...


class Threads(Protocol):
    """Which ticket a Message-ID belongs to, within one target scope. Safe to share between threads."""

    def find(self, scope: str, message_ids: Sequence[str]) -> Mapping[str, str]:
        """Ticket ids by Message-ID; unknown ones are left out."""
        ...

    def remember(self, scope: str, tickets: Mapping[str, str]) -> None:
        """Keep ``{Message-ID: ticket id}``. Doing it again is harmless; the first ticket of a Message-ID stays."""
        ...


# --- processed-message state -----------------------------------------------------------------------------------------


class Ledger(Protocol):
    """One job's processed-message state for its present mailbox, opened under the lease of one run.

    Every write is conditional on that lease, in the same transaction: once another run has taken over, a write raises
    `LeaseLost` and has no effect. Every write also renews the lease.
    """

    def unfinished(self) -> Sequence[LedgerEntry]:
        """Every open entry, oldest key first. Costs no request when the job's state says that there is none."""
        ...

    def look_up(self, refs: Sequence[MessageRef]) -> Mapping[MessageKey, LedgerEntry]:
        """The entries of these messages; unknown ones are left out. Keyed by the ref's own key (generation 0).

        What it says is final: a write that failed before, whose fate was unknown, happened by then or never will.
        """
        ...

    def record(
        self, entries: Sequence[LedgerEntry], kept: Sequence[PurgedMessage] = (), whys: Sequence[Why] = ()
    ) -> None:
        """Store these entries as they are now; all of up to 99 at once, or none. More are split in their order.

        ``kept`` are answers of `keep` for some of ``entries``. Each is listed together with its entry, at once or not
        at all, and counts among the 99. ``whys`` are records of some of ``entries``, stored with them likewise; all of
        them together count as one.
        """
        ...

    def outdated(self, before: datetime, *, limit: int) -> Sequence[LedgerEntry]:
        """Up to ``limit`` settled entries that were not written since ``before``, oldest key first.

        Left out are those that something else hangs on: a parked message that was not discarded, a purged message whose
        copy is still kept.
        """
        ...

    def forget(self, entries: Sequence[LedgerEntry]) -> None:
        """Remove these entries, and the raw copies that were kept of them. Those that are gone already are no fault."""
        ...

    def keep(self, originals: Sequence[tuple[PurgedMessage, bytes]]) -> Sequence[PurgedMessage]:
        """Store the bytes of originals that are about to go for good; the same messages, with ``blob`` and ``offset``.

        Up to 8 MB of them, or one message, take one request. Nothing is listed before `record` is given the answer;
        bytes for which that never happens are removed on the day on which the messages would have expired.
        """
        ...

    def kept_copy(self, entry: LedgerEntry) -> bytes | None:
        """The raw copy of a message that was parked once or is re-processed (``entry.copy``), or None."""
        ...

    def park(self, entry: LedgerEntry, parked: ParkedMessage, raw: bytes | None, why: Why | None = None) -> None:
        """Keep the raw copy first, then list the message as parked and store its entry, in one transaction."""
        ...


class RunLease(Protocol):
    """The hold of one run on one mailbox. It renews itself in the background until it is finished or lost."""

    @property
    def record(self) -> JobRecord:
        """The job as it was when the lease was taken, with the state that the claim wrote."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The job's ledger under this lease."""
        ...

    def note_canary(self, canary: CanaryState) -> None:
        """Store what is known of the canary now, under the lease. Raises `LeaseLost`."""
        ...

    def finish(self, ending: "RunEnding") -> None:
        """Store the run record, the job's new state, and release the lease: one transaction. Raises `LeaseLost`."""
        ...

    def abandon(self) -> None:
        """Stop renewing without writing anything: the lease expires by itself. Harmless after `finish`."""
        ...


@dataclass(frozen=True, slots=True)
class RunEnding:
    """What a run leaves behind in the job's state."""

    report: RunReport
    #: When the job is due next; None: leave what the claim wrote.
    next_due: datetime | None
    failures: int
    health: str
    last_error: str
    #: See `JobState.waiting_since`.
    waiting_since: datetime | None
    unfinished: bool
    cursor: str | None
    #: None: as it is stored.
    canary: CanaryState | None = None
    #: When the ledger was looked through to its end in this run; None where it was not.
    reviewed: datetime | None = None
    #: See `JobState.traffic`; None: as it is stored.
    traffic: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a run writes when it takes the job up: one conditional write that claims the occurrence and the mailbox."""

    #: Begins with its time, written in digits: listings sort by it.
    run_id: str
    trigger: str
    #: The newest occurrence that this run stands for; None leaves what is stored (a run by hand claims none).
    last_occurrence: datetime | None
    next_due: datetime | None


class JobStore(Protocol):
    """Job configs and their state. Safe to share between threads.

    Configs travel as validated JSON text: this port neither parses nor judges them.
    """

    def read(self, job_id: str) -> JobRecord | None:
        """Config and state in one request, or None."""
        ...

    def create(self, record: JobRecord) -> JobRecord:
        """Store a new job. Raises `Stale` when the id is taken, `MailboxTaken` when its mailbox is."""
        ...

    def replace(self, record: JobRecord, *, revision: str, rescheduled: bool) -> JobRecord:
        """Store a changed config if its revision is still ``revision``; else raise `Stale`.

        ``record.state.next_due`` is stored only when ``rescheduled``; all else that runs write is kept as they wrote
        it. A changed mailbox may raise `MailboxTaken` as in `create`; it forgets cursor and canary, and the next run
        looks for what an earlier time with that mailbox left open.
        """
        ...

    def delete(self, job_id: str, *, revision: str | None = None) -> None:
        """Remove the job and its state. Raises `Stale` as `replace` does; a job that is not there is no fault.

        Its parked messages stay, its ledger, run records and purged messages until their time is over (`Housekeeping`),
        so that a job made again under the same id goes on where this one stopped.
        """
        ...

    def page(self, *, limit: int, cursor: str | None = None) -> tuple[list[JobRecord], str | None]:
        """Jobs in the order of their ids, and the cursor of the next page or None."""
        ...

    def overdue(self, before: datetime) -> list[DueJob]:
        """Enabled jobs that have been due since ``before`` and whose mailbox no live run holds, longest due first.

        A job whose run died is due from the end of that run's lease on.
        """
        ...

    def begin(self, record: JobRecord, claim: Claim) -> RunLease:
        """Claim and lease, if the row is still as ``record`` read it.

        Raises `LeaseHeld` (a live run holds the mailbox) or `Stale` (somebody else claimed or changed it first).
        A lease that expired is taken over, and its run is recorded as died.
        """
        ...

    def note(self, report: RunReport) -> None:
        """Show a run that holds no lease: one that waits on the run queue, or was skipped."""
        ...

    def run(self, job_id: str, run_id: str) -> RunReport | None:
        """One run, also while it waits or runs."""
        ...

    def runs(self, job_id: str, *, limit: int, cursor: str | None = None) -> tuple[list[RunReport], str | None]:
        """Runs of a job, newest first, and the cursor of the next page or None."""
        ...


class ParkedMessages(Protocol):
    """Messages that were given up on. Safe to share between threads."""

    def page(self, job_id: str, *, limit: int, cursor: str | None = None) -> tuple[list[ParkedMessage], str | None]:
        """Newest first, and the cursor of the next page or None."""
        ...

    def everywhere(self, *, limit: int, cursor: str | None = None) -> tuple[list[ParkedMessage], str | None]:
        """Of all jobs, also deleted ones: job by job, newest first within each; and the cursor of the next page.

        Raises `ValueError` for a cursor that it did not give.
        """
        ...

    def get(self, job_id: str, parked_id: str) -> ParkedMessage | None:
        """One of them, or None."""
        ...

    def raw(self, job_id: str, parked_id: str) -> Iterator[bytes] | None:
        """The original bytes in chunks, or None when there is no copy."""
        ...

    def retry(self, job_id: str, parked_id: str) -> bool:
        """Let the next run take the message up again with fresh attempts. The listing goes, the raw copy stays.

        False when there is no such message, when the job is gone, or when it integrates another mailbox by now.
        """
        ...

    def discard(self, job_id: str, parked_id: str) -> bool:
        """Forget the raw copy and the listing; the ledger still knows the message. False when there is none."""
        ...


class PurgedMessages(Protocol):
    """Copies of originals that jobs removed from their mailboxes for good. Safe to share between threads.

    A copy whose time is over is not there any more, whether or not its bytes have been removed yet.
    """

    def page(self, job_id: str, *, limit: int, cursor: str | None = None) -> tuple[list[PurgedMessage], str | None]:
        """Newest first, and the cursor of the next page or None."""
        ...

    def get(self, job_id: str, purged_id: str) -> PurgedMessage | None:
        """One of them, or None."""
        ...

    def raw(self, job_id: str, purged_id: str) -> Iterator[bytes] | None:
        """The original bytes in chunks, or None when there is no such copy."""
        ...

    def reprocess(self, job_id: str, purged_id: str) -> bool:
        """Let the next run take the copy through the rules of that time and make a further ticket of it.

        The copy stays, and may be re-processed again after that run; until then, asking again changes nothing. False
        when there is no such copy, when the job is gone or integrates another mailbox by now, or while the ledger has
        something to do for the message, such as to remove its original.
        """
        ...

    def discard(self, job_id: str, purged_id: str) -> bool:
        """Remove the bytes and the listing before their time. False when there is no such copy."""
        ...


class WhyRecords(Protocol):
    """Why messages became what they are: kept for 30 days. Safe to share between threads.

    Asked without ``job_id``, about all jobs. The newest records come first.
    """

    def find(
        self, *, message_id: str = "", ticket_id: str = "", job_id: str | None = None, limit: int = 50
    ) -> Sequence[Why]:
        """Of the messages with this Message-ID (with its angle brackets), or in this ticket: the last record of each.

        Of a message whose record is gone, what the ledger still knows.
        """
        ...

    def of_day(self, day: date, *, sender: str = "", job_id: str | None = None, limit: int = 50) -> Sequence[Why]:
        """Of the messages that runs took up which began on that day (UTC), those of ``sender`` or all."""
        ...


@dataclass(frozen=True, slots=True)
class Tidied:
    """What one pass of the housekeeping removed."""

    purged_messages: int
    blobs: int
    run_records: int
    #: Nothing is left to remove today; otherwise the time was up, and the next call goes on.
    complete: bool
    #: Whose job keeps them for some days only.
    parked_messages: int = 0
    #: Of jobs that are gone, or of mailboxes that they left.
    ledger_entries: int = 0
    #: Each holds the why-records of the messages of one transaction.
    why_pages: int = 0


class Housekeeping(Protocol):
    """Removes what has been kept long enough. Safe to share between threads."""

    def tidy(self, deadline: Deadline) -> Tidied | None:
        """Remove expired copies, run records older than 90 days and ledgers that were left 180 days ago.

        A job leaves its ledger when it is deleted or given another mailbox; one that comes back in time finds it whole.

        None where today's (UTC) is done already or another caller is at it: of many callers one does the work, once a
        day. One that dies in the middle is followed by another some minutes later. Touches nothing that has not
        expired, and no ledger entry that a parked message hangs on.
        """
        ...


class RunQueue(Protocol):
    """Runs that do not come from a job's own timer. Safe to share between threads."""

    def put(self, request: RunRequest) -> None:
        """Have ``request`` run soon, on any instance, at least once."""
        ...
