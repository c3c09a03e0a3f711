"""What the Config API needs from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.connection import Way
from shared.model import AuditRecord, Clock, Ending
from shared.ports import (
    JobStore,
    ParkedMessages,
    PurgedMessages,
    RunQueue,
    Secrets,
    SecretStore,
    TicketStore,
    WhyRecords,
)
from shared.rehearsal import Stage


class Endings(Protocol):
    """What is known of secrets and certificates that end soon."""

    def read(self) -> Sequence[Ending]:
        """The first to end first."""
        ...

    def forget(self, name: str) -> None:
        """A new value was stored under this name."""
        ...


class NothingEnds:
    """Nothing is known."""

    def read(self) -> Sequence[Ending]:
        """See `Endings`."""
        return ()

    def forget(self, name: str) -> None:
        """See `Endings`."""


class AuditLog(Protocol):
    """Who changed what. Safe to share between threads."""

    def write(self, record: AuditRecord) -> None:
        """Keep a record. Raises `Unavailable`."""
        ...

    def page(self, *, limit: int, cursor: str | None = None) -> tuple[list[AuditRecord], str | None]:
        """The newest first, after ``cursor``; and the cursor of the next page, None on the last."""
        ...


class NoAudit:
    """Keeps nothing."""

    def write(self, record: AuditRecord) -> None:
        """See `AuditLog`."""

    def page(self, *, limit: int, cursor: str | None = None) -> tuple[list[AuditRecord], str | None]:  # noqa: ARG002
        """See `AuditLog`."""
        return [], None


@dataclass(frozen=True, slots=True)
class Access:
    """How callers are told apart; see `shared.api.access`."""

    #: ``entra`` is asked for by the app's setting; else function keys.
    entra: bool = False
    #: The platform's own sign-in is on.
    platform: bool = False


@dataclass(frozen=True, slots=True)
class ApiServices:
    """The ports behind the API. Requests are served by several threads at a time, which share all of them."""

    jobs: JobStore
    tickets: TicketStore
    parked: ParkedMessages
    purged: PurgedMessages
    whys: WhyRecords
    queue: RunQueue
    secrets: Secrets
    clock: Clock
    #: The version of the app, as the OpenAPI document gives it.
    version: str
    #: Whether the app can do its work (storage answers). May raise `MailConnectorError`, which counts as no.
    healthy: Callable[[], bool]
    #: Where dry runs and replays look things up.
    stage: Stage
    #: How connection tests get to the mailboxes.
    way: Way = field(default_factory=Way)
    #: Where secrets can be written; None where they are in the environment or a file.
    vault: SecretStore | None = None
    endings: Endings = field(default_factory=NothingEnds)
    access: Access = field(default_factory=Access)
    audit: AuditLog = field(default_factory=NoAudit)
