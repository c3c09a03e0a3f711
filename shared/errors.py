"""Every error that this product raises on purpose. The consequence of an error sits on its class.

::

    MailConnectorError
    ├── JobError             ends the run; never counts as a message's fault
    │   ├── ConfigInvalid    the job cannot work as it is configured: a person must change it
    │   ├── AuthFailed       the server refused the sign-in: a person must look
    │   └── Unavailable      server, storage or target is away or busy: try again after a while
    │       └── Unreachable  it gives no sign at all: every job on it is in the same place
    ├── MessageError         ends one message; the run goes on with the next
    │   ├── Unreadable       this message cannot be fetched or handled: counts as an attempt
    │   ├── Refused          the target will not take this message: counts as an attempt
    │   └── MessageGone      the message is no longer in the mailbox: nothing is left to do for it
    └── StateConflict        somebody else was first: end quietly
        ├── Stale            the stored state is newer than what was read
        ├── MailboxTaken     another job integrates this mailbox and folder already
        ├── LeaseHeld        another run holds this mailbox
        └── LeaseLost        this run is no longer the holder: it must not write any more

Adapters translate at their border with ``raise X(...) from exc``: what failed, with host and mailbox, and what to do;
never a secret, never a message body. Anything outside this tree is a defect of ours and fails loudly.
"""

from datetime import timedelta
from typing import ClassVar


class MailConnectorError(Exception):
    """What failed, as one sentence, and what a person can do about it, as another."""

    #: A stable name for logs and alert rules.
    code: ClassVar[str] = "error"

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}".strip()


class JobError(MailConnectorError):
    """Ends the run. The messages in hand are given back: none of them is charged with an attempt."""

    code = "job_error"


class ConfigInvalid(JobError):
    """The job cannot work as it is configured (unknown folder, missing secret). Backs off; a person must change it."""

    code = "config_invalid"


class AuthFailed(JobError):
    """The server refused the sign-in. Backs off at once to the longest pause: more tries may lock the account."""

    code = "auth_failed"


class Unavailable(JobError):
    """Something that should answer does not (refused, time-out, throttled, 5xx). Tried again with back-off."""

    code = "unavailable"

    def __init__(self, what: str, *, remedy: str = "", retry_after: timedelta | None = None) -> None:
        super().__init__(what, remedy=remedy)
        #: How long the other side asks us to stay away, when it said so.
        self.retry_after = retry_after


class Unreachable(Unavailable):
    """No connection: no such name, refused, no answer. Whatever else waits for that server need not try as well."""

    code = "unreachable"


class MessageError(MailConnectorError):
    """Ends one message. The rest of the mailbox goes on."""

    code = "message_error"


class Unreadable(MessageError):
    """The message cannot be fetched or handled. Tried again with back-off; parked after ``max_attempts``."""

    code = "unreadable"


class Refused(MessageError):
    """The target will not take this message. Tried again with back-off; parked after ``max_attempts``."""

    code = "refused"


class MessageGone(MessageError):
    """The message is no longer in the mailbox. That is an answer, not a fault."""

    code = "message_gone"


class StateConflict(MailConnectorError):
    """Somebody else was first. Whoever meets this ends quietly; nothing needs to be repaired."""

    code = "state_conflict"


class Stale(StateConflict):
    """What was read has been changed by somebody else since (HTTP 412)."""

    code = "stale"


class LeaseHeld(StateConflict):
    """Another run holds this mailbox now."""

    code = "lease_held"


class LeaseLost(StateConflict):
    """This run's lease expired and another run took it over (or the job was deleted): it must not write any more."""

    code = "lease_lost"


class MailboxTaken(StateConflict):
    """Another job integrates this mailbox and folder already."""

    code = "mailbox_taken"

    def __init__(self, other_job: str) -> None:
        super().__init__(
            f"Job {other_job!r} integrates this mailbox and folder already.",
            remedy="One mailbox and folder belongs to one job: change the folder here, or change or delete that job.",
        )
        self.other_job = other_job
