"""Acknowledgements during one run: planned with the decision, sent once the ledger has it, never again.

::

    judged       plan           to whom, within the caps; the message then goes to its ticket at once, not in a batch
    delivered    ledger         the one write that makes the message known for good, by the one run that may send
                 send           bounded; by whoever wrote that, from memory alone
    disposed     ...

A run that is killed between the two lines has sent one too few: the next one finds the message delivered, and knows of
no plan. What goes wrong is said in the run record, and the run is none the worse.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from shared.acknowledgement import Acknowledge, acknowledgement, recipient_of
from shared.errors import ConfigInvalid, MailConnectorError
from shared.events import Event, tell
from shared.jobs import Job
from shared.ledger import LedgerEntry
from shared.model import Action, Clock, Delivered, Delivery, MessageKey
from shared.ports import Deadline, OpenRequest, PostRequest, Secrets
from shared.routing.traffic import Traffic
from shared.tracing import span

#: How long one may take, and all of one run.
_ONE: Final = timedelta(seconds=20)
_ALL: Final = timedelta(seconds=60)
#: So many that the server refused, and no more are tried in this run: it may be the sign-in, and accounts get locked.
_REFUSED: Final = 3
_JOB: Final = "k:"
_NO_MORE: Final = (
    "An acknowledgement was not sent, since an earlier one of this run could not be, or they took too long."
)

_log = logging.getLogger(__name__)


class Acknowledging:
    """Plans and sends for one run. ``say`` takes sentences for the run record."""

    def __init__(
        self,
        post: Callable[[PostRequest], None],
        secrets: Secrets,
        clock: Clock,
        say: Callable[[str], None],
        ends: Deadline,
    ) -> None:
        self._post = post
        self._secrets = secrets
        self._clock = clock
        self._say = say
        self._ends = ends
        self._job: Job | None = None
        self._settings: Acknowledge | None = None
        self._traffic = Traffic("", clock(), timedelta(hours=1))
        self._planned: dict[MessageKey, str] = {}
        self._spent = timedelta(0)
        self._refused = 0
        self._stopped = False

    def follow(self, job: Job, traffic: Traffic) -> None:
        """From now on, as ``job`` says; ``traffic`` holds what was sent lately."""
        self._job, self._settings, self._traffic = job, job.acknowledge, traffic

    @property
    def waiting(self) -> bool:
        """Whether a message that is in hand is to be acknowledged."""
        return bool(self._planned)

    def plan(self, entry: LedgerEntry, delivery: Delivery) -> None:
        """Note whether the message is to be acknowledged, should it make a ticket."""
        job, settings = self._job, self._settings
        if job is None or settings is None or entry.copy or (job.reprocess and entry.key.generation):
            return
        arrived = delivery.received or delivery.message.date
        if arrived and arrived < self._clock() - settings.max_age:
            return
        own = [job.server.address(), job.acknowledge_sender, job.canary_address, *job.guards.own_addresses]
        recipient = recipient_of(delivery.message, delivery.decision, own=list(filter(None, own)), routing=job.routing)
        if recipient and self._has_room(recipient, settings):
            self._planned[entry.key] = recipient

    def forget(self) -> None:
        """What is planned by now does not come through."""
        self._planned.clear()

    def sentence(self, key: MessageKey, delivered: Delivered) -> str:
        """What is about to be decided, for the record of why; empty for nothing."""
        recipient = self._planned.get(key) if delivered.action is Action.CREATED else None
        return f"An acknowledgement goes to {recipient}, once." if recipient else ""

    def send(self, delivery: Delivery, delivered: Delivered) -> None:
        """Acknowledge a message whose ticket the ledger has. Raises nothing."""
        recipient = self._planned.pop(delivery.key, "")
        job, settings = self._job, self._settings
        if not recipient or job is None or settings is None or delivered.action is not Action.CREATED:
            return
        # Whatever comes of it: it may be on its way although nobody said so.
        self._traffic.settle([_to(recipient), _JOB], "")
        if self._stopped:
            self._say(_NO_MORE)
            return
        began = self._clock()
        try:
            with span("acknowledge"):
                self._answer(job, settings, delivery, delivered.ticket_id, recipient)
        except MailConnectorError as fault:
            self._refused += isinstance(fault, ConfigInvalid)
            self._stopped = not isinstance(fault, ConfigInvalid) or self._refused >= _REFUSED
            self._unsent(str(fault))
        except Exception:  # noqa: BLE001 (logged whole; what is wrong with an answer must not harm the run)
            _log.exception("Job %s cannot acknowledge message %s.", job.id, delivery.key.item)
            self._unsent("A defect of ours; the log has the details.")
        self._spent += self._clock() - began
        self._stopped |= self._spent >= _ALL

    def _answer(self, job: Job, settings: Acknowledge, delivery: Delivery, ticket_id: str, recipient: str) -> None:
        now = self._clock()
        letter = acknowledgement(
            delivery.message,
            ticket_id,
            settings,
            job.routing,
            sender=job.acknowledge_sender,
            recipient=recipient,
            number=delivery.key.digest[:24],
            now=now,
        )
        deadline = Deadline(min(self._ends.at, now + _ONE), self._clock)
        self._post(PostRequest(OpenRequest(job.id, job.server, self._secrets, deadline), settings.send, letter))

    def _has_room(self, recipient: str, settings: Acknowledge) -> bool:
        count = self._traffic.count
        return count(_to(recipient)) < settings.max_per_sender and count(_JOB) < settings.max_per_job

    def _unsent(self, why: str) -> None:
        self._say(f"An acknowledgement could not be sent: {why}")
        tell(_log, Event.ACKNOWLEDGEMENT_UNSENT, why, job=self._job.id if self._job else "")


def _to(recipient: str) -> str:
    return f"{_JOB}{recipient}"
