"""The canary of one job during one run: known when it is picked up, missed when it is not, and sent anew at the end."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from shared.canary import (
    HEADER,
    Stamp,
    came_back,
    claimed,
    is_due,
    judged,
    letter,
    missing_sentence,
    new_stamp,
    posted,
    read_stamp,
    unsent,
    usable_key,
)
from shared.errors import ConfigInvalid, LeaseLost, MailConnectorError
from shared.events import Event, tell
from shared.jobs import Canary, Job
from shared.model import CanaryState, Clock, Message
from shared.ports import Deadline, OpenRequest, PostRequest, RunLease, Secrets
from shared.tracing import span

#: How long the sending may take at most.
_SENDING: Final = timedelta(seconds=60)

_log = logging.getLogger(__name__)


class CanaryWatch:
    """Follows what is known of the canary through a run. ``say`` takes sentences for the run record.

    ::

        picked up   note it as seen          before the ledger knows the message, so that no kill forgets it
        end         judge                    is one missing?
                    note another as sent     before it is sent: a kill sends one too few, never one too many
                    send
        release     note that it was taken, or why not
    """

    def __init__(self, lease: RunLease, secrets: Secrets, clock: Clock, say: Callable[[str], None]) -> None:
        self._lease = lease
        self._secrets = secrets
        self._clock = clock
        #: What came later than this may not have been listed.
        self._began = clock()
        self._say = say
        self._job: Job | None = None
        self._key: str | None = None
        self._stored = lease.record.state.canary
        self._state = self._stored

    def follow(self, job: Job) -> None:
        """From now on, as ``job`` says."""
        self._job = job
        if job.canary is None:
            self._state = CanaryState()

    @property
    def ending(self) -> CanaryState | None:
        """What is still to be stored; None for nothing."""
        return None if self._state == self._stored else self._state

    def missing(self) -> str:
        """What is wrong with the canary, as a sentence; empty where nothing is."""
        return missing_sentence(self._state, self._clock())

    def recognise(self, message: Message) -> Stamp | None:
        """The stamp, if the message is a canary of this very job. Raises `Unavailable` when the vault is away."""
        value = message.header(HEADER)
        if value is None or self._job is None or self._job.canary is None:
            return None
        canary = self._job.canary
        try:
            key = self._key = self._key or self._read_key(canary)
        except ConfigInvalid as fault:
            self._say(
                f"A message says that it is a canary, but nobody can tell: {fault} It was taken as ordinary mail."
            )
            return None
        return read_stamp(value, self._job.id, key, now=self._clock(), max_age=canary.max_age)

    def take_in(self, stamp: Stamp) -> None:
        """Note that it came back, before the ledger does."""
        now = self._clock()
        missing_since = self._state.missing_since
        late = stamp.number != self._state.out
        self._state = came_back(self._state, stamp, now)
        after = f"{max(0.0, (now - stamp.sent).total_seconds()):.0f} seconds"
        if late:
            self._say(f"A canary came back after {after}, once more or too late: it makes no difference.")
            return
        self._say(f"The canary came back after {after}.")
        self._note()
        if missing_since:
            sentence = f"it came back after {after}; one had been missing since {missing_since:%Y-%m-%d %H:%M} UTC."
            tell(_log, Event.CANARY_RETURNED, sentence, job=self._lease.record.job_id)

    def conclude(self, post: Callable[[PostRequest], None], ends: Deadline, *, complete: bool) -> None:
        """Judge whether one is missing, and send another where that is due. Nothing but `LeaseLost` is raised.

        ``complete``: the run has looked at all that was there.
        """
        if self._job is None or self._job.canary is None or not complete:
            return
        canary, record = self._job.canary, self._lease.record
        self._state = judged(self._state, self._began, canary.alarm_after)
        back = record.state.next_due
        due = is_due(self._state, self._began, every=canary.every, allowed=canary.alarm_after)
        if not (due and record.enabled and back):
            return
        now = self._clock()
        stamp = new_stamp(now)
        # Nobody can pick it up before the job runs again.
        self._state = claimed(self._state, stamp, max(back, now) + canary.alarm_after)
        try:
            self._note()
            with span("canary"):
                self._post(post, stamp, self._job, canary, Deadline(min(ends.at, now + _SENDING), ends.clock))
        except LeaseLost:
            raise
        except MailConnectorError as fault:
            self._unsent(str(fault))
        except Exception:  # noqa: BLE001 (logged whole; what is wrong with the canary must not harm the run)
            _log.exception("Job %s cannot send its canary.", self._job.id)
            self._unsent("A defect of ours; the log has the details.")
        else:
            self._state = posted(self._state)

    def _post(
        self, post: Callable[[PostRequest], None], stamp: Stamp, job: Job, canary: Canary, deadline: Deadline
    ) -> None:
        key = self._read_key(canary)
        address = job.canary_address
        opening = OpenRequest(job.id, job.server, self._secrets, deadline)
        said = letter(stamp, job.id, key, sender=canary.sender or address, recipient=address)
        post(PostRequest(opening, canary.send, said))

    def _unsent(self, why: str) -> None:
        self._state = unsent(self._state, why)
        self._say(f"The canary could not be sent: {why}")
        tell(_log, Event.CANARY_UNSENT, why, job=self._lease.record.job_id)

    def _read_key(self, canary: Canary) -> str:
        return usable_key(self._secrets.get(canary.key_secret), secret=canary.key_secret)

    def _note(self) -> None:
        self._lease.note_canary(self._state)
        self._stored = self._state
