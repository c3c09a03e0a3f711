"""What the API answers, as models: the OpenAPI document is made from them, and so is every answer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from shared.connection import Stage, StageName, StageOutcome
from shared.expiry import EARLY, sentence
from shared.jobs import Job
from shared.mime.replies import sections
from shared.model import (
    Action,
    Address,
    CanaryState,
    Ending,
    FieldValue,
    Health,
    JobRecord,
    ParkedMessage,
    PurgedMessage,
    RunOutcome,
    RunReport,
    StoredAttachment,
    Ticket,
    TicketEntry,
    TicketStatus,
    Trigger,
)
from shared.standing import standing


class View(BaseModel):
    """Base of every answer. Instants are in UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def body(self) -> dict[str, Any]:
        """As parsed JSON."""
        return self.model_dump(mode="json", by_alias=True)


# --- jobs ------------------------------------------------------------------------------------------------------------


class CanaryView(View):
    """What is known of the job's canaries."""

    last_sent: datetime | None = Field(description="When the newest was sent.")
    expected_by: datetime | None = Field(description="When the one that is out has to be back; null: none is out.")
    last_seen: datetime | None = Field(description="When one last came back.")
    delay: float | None = Field(description="How long that one took, in seconds, from its sending to its handling.")
    missing_since: datetime | None = Field(description="Since when one should be back and none is; null: all is well.")
    last_fault: str = Field(description="Why the newest could not be sent; empty where it was.")


class JobStateView(View):
    """What the runs of the job know. Read-only: sent back in a PUT, it is ignored."""

    created: datetime = Field(description="When the job was first stored.")
    health: Health = Field(
        description="delayed: a fault that mostly passes, or mail that waits too long. failing: such faults go on. "
        "paused: a person must mend something."
    )
    since: datetime | None = Field(description="Since when the health is what it is.")
    failures: int = Field(description="Runs in a row that failed.")
    last_error: str = Field(description="Why it is not healthy, and what to do; empty when it is.")
    waiting_since: datetime | None = Field(
        description="When the oldest message arrived that the last run listed and made no ticket of."
    )
    last_occurrence: datetime | None = Field(description="The newest occurrence of the schedule that a run took up.")
    next_due: datetime | None = Field(description="When the next run is due; null: never (disabled, or ended).")
    running: str | None = Field(description="The id of the run that holds the mailbox now.")
    timer: str = Field(description="The NCRONTAB expression (UTC) of the job's timer; empty when it never fires.")
    canary: CanaryView | None = Field(description="null: no canary was ever sent to this mailbox.")


class JobView(Job):
    """A job: its config with every default filled in, its state, and sentences about what is surely not meant."""

    state: JobStateView
    warning_list: list[str] = Field(serialization_alias="warnings", validation_alias="warnings")


class UnreadableJobView(View):
    """A stored job whose config does not fit this version of the product; ``warnings`` say why."""

    id: str
    enabled: bool
    state: JobStateView
    warnings: list[str]


class JobPage(View):
    """Jobs in the order of their ids."""

    items: list[JobView | UnreadableJobView]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


class AlarmView(View):
    """What is wrong with a job."""

    kind: Literal["health", "secret_expiring", "secret_expired"] = Field(
        description="health: the job is not healthy. The others: a secret or certificate that it names ends soon, or "
        "has ended."
    )
    job_id: str
    job_name: str
    health: Health
    since: datetime | None = Field(description="Since when.")
    why: str = Field(description="What is wrong, and what to do.")


class AlarmsView(View):
    """What is wrong with jobs, in the order of their ids. Disabled ones are left out."""

    items: list[AlarmView]


def state_view(record: JobRecord, now: datetime) -> JobStateView:
    """The state of a job as it stands at ``now``."""
    state = record.state
    running = bool(state.lease_run) and state.lease_expires is not None and state.lease_expires > now
    stands = standing(record, now)
    return JobStateView(
        created=state.created,
        health=stands.health,
        since=stands.since,
        failures=state.failures,
        last_error=stands.why,
        waiting_since=state.waiting_since,
        last_occurrence=state.last_occurrence,
        next_due=state.next_due,
        running=state.lease_run if running else None,
        timer=record.ncrontab,
        canary=_canary_view(state.canary, now),
    )


def _canary_view(canary: CanaryState, now: datetime) -> CanaryView | None:
    if canary.sent is None:
        return None
    return CanaryView(
        last_sent=canary.sent,
        expected_by=canary.expected_by,
        last_seen=canary.seen,
        delay=None if canary.delay is None else canary.delay.total_seconds(),
        missing_since=canary.lacking_since(now),
        last_fault=canary.fault,
    )


def alarm_view(record: JobRecord, now: datetime) -> AlarmView | None:
    """What is wrong with a job's health, or None."""
    stands = standing(record, now)
    if stands.health is Health.HEALTHY or not record.enabled:
        return None
    return AlarmView(
        kind="health",
        job_id=record.job_id,
        job_name=record.name,
        health=stands.health,
        since=stands.since,
        why=stands.why,
    )


def ending_alarm(record: JobRecord, ending: Ending, now: datetime) -> AlarmView | None:
    """What is wrong with a secret or certificate that a job names; None for a disabled job."""
    if not record.enabled:
        return None
    ended = ending.ends <= now
    return AlarmView(
        kind="secret_expired" if ended else "secret_expiring",
        job_id=record.job_id,
        job_name=record.name,
        health=standing(record, now).health,
        since=ending.ends if ended else ending.ends - EARLY,
        why=sentence(ending, now),
    )


# --- connection test -------------------------------------------------------------------------------------------------


class StageView(View):
    """One stage of a connection test."""

    name: StageName
    outcome: StageOutcome = Field(description="skipped: a stage before it failed.")
    milliseconds: int
    detail: str = Field(description="What it found, as a sentence; may be empty.")
    warnings: list[str] = Field(description="What works, but should be known.")
    cause: str | None = Field(description="Why it failed; null where it did not.")
    remedy: str | None = Field(description="What to do about it; null where it did not fail.")


class ConnectionView(View):
    """What a connection test found, in the order of its stages. It ends at the first that fails."""

    ok: bool = Field(description="Whether no stage failed.")
    stages: list[StageView]
    warnings: list[str] = Field(description="About the config as a whole.")


def connection_view(stages: Sequence[Stage], warnings: Sequence[str]) -> ConnectionView:
    """A connection test for people."""
    return ConnectionView(
        ok=all(stage.well for stage in stages),
        stages=[
            StageView(
                name=stage.name,
                outcome=stage.outcome,
                milliseconds=stage.milliseconds,
                detail=stage.detail,
                warnings=list(stage.warnings),
                cause=stage.cause if stage.outcome is StageOutcome.FAILED else None,
                remedy=stage.remedy if stage.outcome is StageOutcome.FAILED else None,
            )
            for stage in stages
        ],
        warnings=list(warnings),
    )


# --- runs ------------------------------------------------------------------------------------------------------------


class RunView(View):
    """The record of one run: a line of the incoming-mail log."""

    id: str
    job_id: str
    job_name: str
    trigger: Trigger
    outcome: RunOutcome
    started: datetime = Field(description="When it started; of a queued run, when it was asked for.")
    ended: datetime | None = Field(description="null while it waits or runs.")
    duration: float | None = Field(description="Seconds; null while it waits or runs.")
    created: int = Field(description="Tickets created.")
    updated: int = Field(description="Tickets modified.")
    received: int = Field(description="Messages taken up, whatever became of them.")
    in_box: int = Field(description="Messages in the folder when it was listed.")
    rejected: int
    parked: int
    purged: int
    errors: int
    comments: list[str] = Field(description="What failed, what was left, what to do.")


class RunPage(View):
    """Runs, newest first."""

    items: list[RunView]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


class QueuedView(View):
    """A run that waits on the run queue."""

    run_id: str = Field(description="Follow it at the address in the Location header.")


def run_view(report: RunReport) -> RunView:
    """A run record for people."""
    return RunView(
        id=report.run_id,
        job_id=report.job_id,
        job_name=report.job_name,
        trigger=report.trigger,
        outcome=report.outcome,
        started=report.started,
        ended=report.ended,
        duration=(report.ended - report.started).total_seconds() if report.ended else None,
        created=report.created,
        updated=report.updated,
        received=report.received,
        in_box=report.in_box,
        rejected=report.rejected,
        parked=report.parked,
        purged=report.purged,
        errors=report.errors,
        comments=list(report.comments),
    )


# --- tickets ---------------------------------------------------------------------------------------------------------


class AddressView(View):
    """A mail address."""

    email: str
    name: str


class AttachmentView(View):
    """An attachment of an entry. ``href`` is where its bytes are."""

    name: str
    content_type: str
    size: int = Field(description="Octets.")
    sha256: str
    content_id: str | None
    inline: bool
    href: str


class EntryView(View):
    """One message within a ticket."""

    id: str
    action: Action
    sender: AddressView | None
    to: list[AddressView]
    cc: list[AddressView]
    subject: str
    date: datetime
    new_text: str = Field(description="What the sender wrote this time, without quotations and signature.")
    signature: str
    history: str = Field(description="What the message quotes of earlier ones.")
    text: str = Field(description="All of it, as it came.")
    html: str | None = Field(description="Sanitised. Show it in a sandbox all the same.")
    message_id: str | None
    attachments: list[AttachmentView]
    defects: list[str] = Field(description="What made no sense in the message.")
    evidence: list[str] = Field(description="Why the message became what it is.")
    fields: dict[str, FieldValue] = Field(description="What the job's rules set, or found in the message.")
    notes: list[str] = Field(description="Sentences for the reader: what was left out, what a rule has to say.")


class TicketSummaryView(View):
    """A ticket without its entries."""

    id: str
    job_id: str
    subject: str
    status: TicketStatus
    requester: AddressView | None
    created: datetime
    updated: datetime
    participants: list[str]
    links: list[str] = Field(description="Ids of tickets that it refers to.")
    merged_into: str | None = Field(description="The ticket that took its place; null for one that was not merged.")


class TicketView(TicketSummaryView):
    """A ticket with all its entries, oldest first."""

    entries: list[EntryView]


class TicketPage(View):
    """Tickets, newest first."""

    items: list[TicketSummaryView]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


def ticket_summary(ticket: Ticket) -> TicketSummaryView:
    """A line of a listing."""
    return TicketSummaryView(**_summary(ticket))


def ticket_view(ticket: Ticket) -> TicketView:
    """A whole ticket."""
    return TicketView(**_summary(ticket), entries=[_entry(ticket.ticket_id, entry) for entry in ticket.entries])


def _summary(ticket: Ticket) -> dict[str, Any]:
    return {
        "id": ticket.ticket_id,
        "job_id": ticket.job_id,
        "subject": ticket.subject,
        "status": ticket.status,
        "requester": _address(ticket.requester),
        "created": ticket.created,
        "updated": ticket.updated,
        "participants": sorted(ticket.participants),
        "links": list(ticket.links),
        "merged_into": ticket.merged_into or None,
    }


def _entry(ticket_id: str, entry: TicketEntry) -> EntryView:
    here = f"/api/tickets/{quote(ticket_id, safe='')}/entries/{quote(entry.entry_id, safe='')}/attachments"
    taken_apart = sections(entry.text, entry.subject)
    return EntryView(
        id=entry.entry_id,
        action=entry.action,
        sender=_address(entry.sender),
        to=_addresses(entry.to),
        cc=_addresses(entry.cc),
        subject=entry.subject,
        date=entry.date,
        new_text=taken_apart.new,
        signature=taken_apart.signature,
        history=taken_apart.history,
        text=entry.text,
        html=entry.html,
        message_id=entry.message_id,
        attachments=[_attachment(each, f"{here}/{index}") for index, each in enumerate(entry.attachments)],
        defects=list(entry.defects),
        evidence=list(entry.evidence),
        fields=dict(entry.fields),
        notes=list(entry.notes),
    )


def _attachment(stored: StoredAttachment, href: str) -> AttachmentView:
    return AttachmentView(
        name=stored.name,
        content_type=stored.content_type,
        size=stored.size,
        sha256=stored.sha256,
        content_id=stored.content_id,
        inline=stored.inline,
        href=href,
    )


def _address(address: Address | None) -> AddressView | None:
    return AddressView(email=address.email, name=address.name) if address else None


def _addresses(addresses: tuple[Address, ...]) -> list[AddressView]:
    return [AddressView(email=each.email, name=each.name) for each in addresses]


# --- parked messages -------------------------------------------------------------------------------------------------


class ParkedView(View):
    """A message that was given up on: kept, never lost."""

    id: str
    job_id: str
    reason: str
    parked_at: datetime
    attempts: int
    size: int = Field(description="Octets.")
    subject: str
    sender: str
    message_id: str
    mailbox: str
    raw: str | None = Field(description="Where the original is; null when it could not be fetched.")
    expires_at: datetime | None = Field(description="When it is discarded unless somebody does something; null: never.")


class ParkedPage(View):
    """Parked messages, newest first."""

    items: list[ParkedView]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


class RetriedView(View):
    """What came of a retry."""

    retried: list[str] = Field(description="The next run takes these up again, with fresh attempts.")
    refused: list[str] = Field(
        description="There are no such parked messages, or the job integrates another mailbox by now."
    )


class RetriedPage(RetriedView):
    """What came of a retry of many."""

    next: str | None = Field(description="Send it as `cursor` with the same choice to go on; null when that was all.")


class DiscardedPage(View):
    """What came of discarding many."""

    discarded: list[str] = Field(description="Their copies are gone; the messages do not become tickets.")
    refused: list[str] = Field(description="There are no such parked messages.")
    next: str | None = Field(description="Send it as `cursor` with the same choice to go on; null when that was all.")


def parked_view(parked: ParkedMessage) -> ParkedView:
    """A parked message for people."""
    here = f"/api/jobs/{parked.job_id}/parked/{quote(parked.parked_id, safe='')}"
    return ParkedView(
        id=parked.parked_id,
        job_id=parked.job_id,
        reason=parked.reason,
        parked_at=parked.parked_at,
        attempts=parked.attempts,
        size=parked.size,
        subject=parked.subject,
        sender=parked.sender,
        message_id=parked.message_id,
        mailbox=parked.mailbox,
        raw=f"{here}/raw" if parked.has_raw else None,
        expires_at=parked.expires_at,
    )


# --- purged messages -------------------------------------------------------------------------------------------------


class PurgedView(View):
    """A message whose original was removed from the mailbox for good: its copy is kept for some days."""

    id: str
    job_id: str
    purged_at: datetime = Field(description="When it was decided that the original goes, a moment before it went.")
    expires_at: datetime = Field(description="From then on the copy is gone.")
    ticket: str | None = Field(description="The ticket that was made of it; null for a rejected message.")
    reason: str = Field(description="Why it was rejected; empty where it has a ticket.")
    size: int = Field(description="Octets.")
    sha256: str
    subject: str
    sender: str
    message_id: str
    mailbox: str
    raw: str = Field(description="Where the original is.")


class PurgedPage(View):
    """Purged messages, newest first."""

    items: list[PurgedView]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


class ReprocessedView(View):
    """What came of asking for it."""

    reprocessed: list[str] = Field(description="The next run takes these copies up and makes further tickets of them.")
    refused: list[str] = Field(
        description="There are no such copies, the job integrates another mailbox by now, or the message is still "
        "being handled."
    )


def purged_view(purged: PurgedMessage) -> PurgedView:
    """A purged message for people."""
    here = f"/api/jobs/{purged.key.job_id}/purged/{quote(purged.purged_id, safe='')}"
    return PurgedView(
        id=purged.purged_id,
        job_id=purged.key.job_id,
        purged_at=purged.purged_at,
        expires_at=purged.expires_at,
        ticket=purged.ticket_id or None,
        reason=purged.reason,
        size=purged.size,
        sha256=purged.sha256,
        subject=purged.subject,
        sender=purged.sender,
        message_id=purged.message_id,
        mailbox=purged.key.mailbox,
        raw=f"{here}/raw",
    )


# --- the rest --------------------------------------------------------------------------------------------------------


class HealthView(View):
    """Whether the app can do its work. Nothing more, since anybody may ask."""

    status: Literal["ok", "degraded"]


class FaultView(View):
    """One fault, with its place."""

    pointer: str | None = Field(default=None, description="JSON pointer into the document (RFC 6901).")
    parameter: str | None = Field(default=None, description="The query parameter or header.")
    detail: str = Field(description="What is wrong, and what to do.")


class ProblemView(View):
    """Problem details (RFC 9457). ``type`` is stable; compare that, and show the rest."""

    type: str = Field(examples=["urn:mail-connector:problem:config-invalid"])
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FaultView] | None = Field(default=None, description="Every fault of the document or the query.")
    other_job: str | None = Field(default=None, description="mailbox-taken: the job that has the mailbox.")
