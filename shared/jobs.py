"""A job: the config of one mailbox's integration, in its stored and its wire form (they are the same).

Every fault that can be seen without asking a server is found here, when the config is saved, and all of them at once.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from shared.acknowledgement import Acknowledge
from shared.connectors import ByAppend, ByGraph, BySmtp, connector_for, connectors
from shared.model import KEPT, Disposition, JobRecord, JobState, Pick, Picking
from shared.ports import ServerSettings, Settings, TargetSettings
from shared.routing.attachments import AttachmentSettings
from shared.routing.extract import Extraction
from shared.routing.rules import Rule, faults_of, warnings_of
from shared.routing.samples import RuleTest
from shared.routing.settings import GuardSettings, RoutingSettings
from shared.schedule.model import AnySchedule, Schedule
from shared.targets import targets

#: Also the tail of a function name, hence the narrow alphabet (`job_` + id must fit the platform's 128 characters).
JOB_ID_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"

_ADDRESS = r"^[!-?A-~]+@[!-?A-~]+$"

#: How rules name a further target.
TARGET_NAME = r"^[a-z][a-z0-9-]{0,31}$"

#: Where a message can only be purged, a mistake in the rules would otherwise cost the only copy.
_SOFT_PURGE_DAYS = 30


def _api_of(server: Any) -> str:
    """What tells the connectors of one ``type`` apart; left out, it is Microsoft Graph."""
    api = server.get("api") if isinstance(server, dict) else getattr(server, "api", None)
    return str(api or "graph")


def _one_of(kinds: Iterable[type[Any]]) -> Any:
    """A union that is told apart by ``type``, and where several share a type, by ``api`` within it."""
    families: dict[str, list[type[Any]]] = {}
    for kind in kinds:
        families.setdefault(get_args(kind.model_fields["type"].annotation)[0], []).append(kind)
    members = [_family(members) for members in families.values()]
    return Annotated[reduce(or_, members), Field(discriminator="type")] if len(members) > 1 else members[0]


def _family(members: list[type[Any]]) -> Any:
    if len(members) == 1:
        return members[0]
    tagged = [Annotated[one, Tag(get_args(one.model_fields["api"].annotation)[0])] for one in members]
    return Annotated[Union[tuple(tagged)], Discriminator(_api_of)]  # noqa: UP007 (made from a list)


if TYPE_CHECKING:
    Server = ServerSettings
    TargetChoice = TargetSettings
else:
    Server = _one_of(connector.settings for connector in connectors())
    TargetChoice = _one_of(target.settings for target in targets().values())


class Handling(Settings):
    """What happens to an original message: the three check boxes of the handling window."""

    mark_as_read: bool = Field(default=False, description="Mark the message as read and keep it on the server.")
    mark_as_deleted: bool = Field(
        default=False, description="Mark the message as deleted (IMAP4) or move it to Deleted Items (Exchange)."
    )
    purge_deleted_at_end_of_session: bool = Field(
        default=False,
        description="At the end of the run, remove for good what this job marked as deleted, and nothing else.",
    )
    move_to: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Move the message into this folder of the mailbox, written as the server's folder is. It must be "
        "there.",
    )
    category: str | None = Field(
        default=None, min_length=1, max_length=100, description="Add this category (Exchange) or keyword (IMAP4)."
    )
    flag: bool = Field(default=False, description="Flag the message for follow-up.")

    @model_validator(mode="after")
    def _stays_or_goes(self) -> Self:
        if self.move_to and self.mark_as_deleted:
            raise ValueError("A message can be moved with move_to or deleted with mark_as_deleted, but not both.")
        return self

    @property
    def disposition(self) -> Disposition:
        """As the flow takes it."""
        return Disposition(
            read=self.mark_as_read,
            deleted=self.mark_as_deleted,
            purge=self.purge_deleted_at_end_of_session,
            flag=self.flag,
            category=self.category or "",
            move_to=self.move_to or "",
        )


#: How canaries get on their way, told apart by ``by``.
Sending = Annotated[BySmtp | ByAppend | ByGraph, Field(discriminator="by")]


class Canary(Settings):
    """A message that the job sends to its own mailbox now and then, to see that mail comes through."""

    key_secret: str = Field(
        min_length=1,
        max_length=127,
        description="The name of the secret by which canaries are known: at least 16 random characters.",
    )
    send: Sending
    address: str | None = Field(
        default=None,
        pattern=_ADDRESS,
        max_length=320,
        description="The mail address of the mailbox. Left out: what the server block says, where that is one.",
    )
    sender: str | None = Field(
        default=None, pattern=_ADDRESS, max_length=320, description="Whom it comes from. Left out: address."
    )
    every_minutes: int = Field(
        default=60, ge=5, le=10_080, description="How long after one another is sent, at the end of a run."
    )
    alarm_after_minutes: int = Field(
        default=30,
        ge=1,
        le=10_080,
        description="A run that begins longer than this after the sending and does not find the canary raises the "
        "alarm canary_missing; where no run comes, it is raised so long after the job's next occurrence.",
    )
    max_age_hours: int = Field(
        default=168, ge=1, le=720, description="Whatever is older is no canary any more, but ordinary mail."
    )
    on_return: Handling | None = Field(
        default=None, description="The canary itself, once it came back. Left out: as on_success, but at least read."
    )

    @model_validator(mode="after")
    def _known_while_it_is_missed(self) -> Self:
        if self.max_age < self.alarm_after:
            raise ValueError("max_age_hours is shorter than alarm_after_minutes: a late canary would become a ticket.")
        return self

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        own = self.send.secret_names() if isinstance(self.send, BySmtp) else frozenset[str]()
        return own | {self.key_secret}

    @property
    def every(self) -> timedelta:
        """How long after one another is sent."""
        return timedelta(minutes=self.every_minutes)

    @property
    def alarm_after(self) -> timedelta:
        """How long one may take."""
        return timedelta(minutes=self.alarm_after_minutes)

    @property
    def max_age(self) -> timedelta:
        """How long after its sending one is still known."""
        return timedelta(hours=self.max_age_hours)


class Job(Settings):
    """One mailbox, when to look into it, and what becomes of its messages."""

    id: str = Field(pattern=JOB_ID_PATTERN, description="Lower-case letters, digits and hyphens; never changes.")
    name: str = Field(default="Mail Connector", min_length=1, max_length=100)
    description: str = Field(default="", max_length=1000)
    enabled: bool = Field(default=True, description="A disabled job runs only by hand.")
    server: Server
    schedule: AnySchedule = Field(default_factory=Schedule)
    pick: Pick = Field(
        default=Pick.UNREAD,
        description="Which messages to take: unread ones, or everything new since the job was created.",
    )
    on_success: Handling | None = Field(
        default=None, description="The original, once its ticket exists. Left out: marked as read."
    )
    on_reject: Handling | None = Field(
        default=None, description="The original, when a rule or guard said no. Left out: left as it is."
    )
    on_error: Handling | None = Field(
        default=None,
        description="The original, when it was parked after max_attempts and a copy is kept. Left out: left as it is.",
    )
    reprocess: bool = Field(
        default=False,
        description="Make another ticket, run by run, of a message that stays unread. Off: the ledger prevents it.",
    )
    routing: RoutingSettings = Field(default_factory=RoutingSettings)
    guards: GuardSettings = Field(default_factory=GuardSettings)
    rules: tuple[Rule, ...] = Field(
        default=(), max_length=200, description="In their order; the first that matches a message decides."
    )
    extract: tuple[Extraction, ...] = Field(
        default=(), max_length=100, description="Fields of the ticket that stand in the message."
    )
    attachments: AttachmentSettings = Field(default_factory=AttachmentSettings)
    tests: tuple[RuleTest, ...] = Field(
        default=(), max_length=20, description="Sample mails and what is to become of them; run when the job is saved."
    )
    target: TargetChoice = Field(default_factory=targets()["table"].settings)
    targets: dict[Annotated[str, Field(pattern=TARGET_NAME)], TargetChoice] = Field(
        default={}, max_length=10, description="Further targets by name, for rules that choose one."
    )
    max_attempts: int = Field(
        default=5, ge=1, le=20, description="A message that failed this often is parked, with the reason."
    )
    max_message_mb: int = Field(
        default=25, ge=1, le=150, description="Of a larger message only the header becomes a ticket."
    )
    soft_purge_days: int | None = Field(
        default=None,
        ge=0,
        le=365,
        description="For so many days a copy is kept of every message that is purged; 0 for none. Left out: 30 where "
        "the server leaves no choice but to purge (POP3), else 0.",
    )
    parked_days: int = Field(
        default=0,
        ge=0,
        le=3_650,
        description="A message that is parked from now on is discarded after so many days; the log says so. 0: never.",
    )
    ledger_days: int = Field(
        default=90,
        ge=30,
        le=3_650,
        description="A message that is settled and no longer in the mailbox is remembered for at least so many days.",
    )
    alarm_after_minutes: int = Field(
        default=60,
        ge=0,
        le=10_080,
        description="A message that waits longer for its ticket, counted from its arrival, makes the job delayed and "
        "raises the alarm mail_waiting. 0: never.",
    )
    canary: Canary | None = Field(
        default=None, description="Send messages to the own mailbox to see that mail comes through. Left out: none."
    )
    acknowledge: Acknowledge | None = Field(
        default=None, description="Answer the sender of a message that made a new ticket. Left out: nobody is answered."
    )
    schema_version: Literal[1] = Field(default=1, description="The form of this document.")

    @model_validator(mode="after")
    def _handling_fits_the_server(self) -> Self:
        blocks = self._handling_blocks
        if self._fixed_disposition and blocks:
            raise ValueError(
                f"A {self.server.type} job has no handling settings: this protocol can only delete a message after "
                f"its ticket exists. Leave out {' and '.join(blocks)}."
            )
        for name, handling in blocks.items():
            if reason := self.server.refuses(handling.disposition):
                raise ValueError(f"{name}: {reason}")
        if self.on_error and self.on_error.purge_deleted_at_end_of_session:
            raise ValueError("on_error: a parked message is not purged; leave out purge_deleted_at_end_of_session.")
        return self

    @model_validator(mode="after")
    def _rules_fit_together(self) -> Self:
        if faults := faults_of(self.rules):
            raise ValueError(f"rules: {' '.join(faults)}")
        for rule in self.rules:
            if rule.target is not None and rule.target not in self.targets:
                raise ValueError(
                    f"Rule {rule.name!r} chooses the target {rule.target!r}, which is not one of targets "
                    f"({', '.join(sorted(self.targets)) or 'there are none'})."
                )
        asked = [rule.name for rule in self.rules for part in (rule.when, rule.unless) if part and part.authentication]
        asked += [one.field for one in self.extract if one.when.authentication]
        if asked and not self.routing.authserv_id:
            raise ValueError(
                f"{asked[0]!r} asks what the receiving server found about the sender (authentication). Say in "
                "routing.authserv_id by which name that server signs its Authentication-Results."
            )
        return self

    @model_validator(mode="after")
    def _canary_has_a_way(self) -> Self:
        canary, own = self.canary, connector_for(self.server).posts_by
        if canary is None:
            return self
        if canary.send.by not in {"smtp", own}:
            ways = " or ".join(filter(None, ("'smtp'", own and f"'{own}'")))
            raise ValueError(
                f"canary.send: a job of type {self.server.type!r} cannot send by {canary.send.by!r}; use {ways}."
            )
        if not self.canary_address:
            raise ValueError("canary.address: the server block does not tell the mail address of the mailbox.")
        return self

    @model_validator(mode="after")
    def _acknowledgement_has_a_way(self) -> Self:
        if self.acknowledge is None:
            return self
        if self.acknowledge.send.by not in {"smtp", connector_for(self.server).posts_by}:
            raise ValueError(
                f"acknowledge.send: a job of type {self.server.type!r} cannot send by {self.acknowledge.send.by!r}; "
                "use 'smtp'."
            )
        if not self.acknowledge_sender:
            raise ValueError("acknowledge.sender: the server block does not tell the mail address of the mailbox.")
        return self

    @property
    def _handling_blocks(self) -> dict[str, Handling]:
        blocks = {
            "on_success": self.on_success,
            "on_reject": self.on_reject,
            "on_error": self.on_error,
            "canary.on_return": self.canary.on_return if self.canary else None,
        }
        return {name: handling for name, handling in blocks.items() if handling}

    @property
    def _fixed_disposition(self) -> Disposition | None:
        return connector_for(self.server).fixed_disposition

    @property
    def keeps_bytes(self) -> bool:
        """See `Connector.keeps_bytes`."""
        return connector_for(self.server).keeps_bytes

    @property
    def days_kept(self) -> int:
        """For how many days copies of purged messages are kept; 0 for none."""
        if self.soft_purge_days is None:
            return _SOFT_PURGE_DAYS if self._fixed_disposition else 0
        return self.soft_purge_days

    @property
    def alarm_after(self) -> timedelta | None:
        """How long a message may wait for its ticket; None: for ever."""
        return timedelta(minutes=self.alarm_after_minutes) if self.alarm_after_minutes else None

    @property
    def success_disposition(self) -> Disposition:
        """What happens to an original whose ticket exists."""
        if self._fixed_disposition:
            return self._fixed_disposition
        return self.on_success.disposition if self.on_success else Disposition(read=True)

    @property
    def reject_disposition(self) -> Disposition:
        """What happens to an original that was rejected."""
        return self.on_reject.disposition if self.on_reject else KEPT

    @property
    def canary_disposition(self) -> Disposition:
        """What happens to a canary that came back: it must not lie there as if nobody had seen it."""
        wanted = self.canary.on_return if self.canary else None
        found = wanted.disposition if wanted else self.success_disposition
        return found if found.marks else replace(found, read=True)

    @property
    def canary_address(self) -> str:
        """The mail address of the mailbox, or empty."""
        return (self.canary and self.canary.address) or self.server.address()

    @property
    def acknowledge_sender(self) -> str:
        """Whom acknowledgements come from, or empty."""
        return (self.acknowledge and self.acknowledge.sender) or self.server.address()

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        of_targets = [target.secret_names() for target in (self.target, *self.targets.values())]
        return self.server.secret_names().union(*of_targets) | self._sending_secrets

    def target_settings(self, name: str) -> TargetSettings:
        """The settings of a further target by its name; those of the job's own for an empty one."""
        return self.targets[name] if name else self.target

    @property
    def _sending_secrets(self) -> frozenset[str]:
        return frozenset[str]().union(*(each.secret_names() for each in (self.canary, self.acknowledge) if each))

    @property
    def error_disposition(self) -> Disposition:
        """What happens to an original that was parked."""
        return self.on_error.disposition if self.on_error else KEPT

    def picking(self, state: JobState) -> Picking:
        """What to list in the mailbox now."""
        return Picking(self.pick, since=state.created, cursor=state.cursor)

    def warnings(self) -> list[str]:
        """Sentences about settings that are allowed but surely not meant, or that will stop working."""
        found = list(self.server.warnings())
        for target in (self.target, *self.targets.values()):
            found += target.warnings()
        if self.canary and isinstance(self.canary.send, BySmtp):
            found += self.canary.send.exposed("canary and what signs in for it")
        if self.acknowledge and isinstance(self.acknowledge.send, BySmtp):
            found += self.acknowledge.send.exposed("acknowledgements and what signs in for them")
        for block, handling in self._handling_blocks.items():
            if handling.purge_deleted_at_end_of_session and not handling.mark_as_deleted:
                found.append(f"{block}.purge_deleted_at_end_of_session has no effect without mark_as_deleted.")
        if self.soft_purge_days and not (self.success_disposition.purges or self.reject_disposition.purges):
            found.append("soft_purge_days has no effect: this job purges no message.")
        if self.reprocess and not self.success_disposition.marks:
            found.append("reprocess with neither mark makes one more ticket of every unread message in every run.")
        return [*found, *warnings_of(self.rules)]


def load_job(record: JobRecord) -> Job:
    """The job of a stored row. What was stored was valid, so a fault here is a defect or a hand in the table."""
    return Job.model_validate_json(record.config)


def new_state(created: datetime) -> JobState:
    """The state of a job that never ran."""
    return JobState(created=created)
