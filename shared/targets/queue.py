"""One message on a Storage queue for each new ticket and each reply, for systems that rather fetch than be called.

The messages are CloudEvents 1.0 in JSON (github.com/cloudevents/spec). One that is too long for a queue is kept as a
blob, and the queue has its URL (the extension ``dataref``). A worker that dies between the queue and the receipt puts
the event there twice, under the same ``id``.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, field_validator

from shared.errors import MessageError, Refused, Stale, Unavailable
from shared.model import (
    Action,
    Address,
    Create,
    Delivered,
    Delivery,
    OutsideTicket,
    Receipt,
    TicketStatus,
    TicketSummary,
)
from shared.ports import TargetKind, TargetRequest, TargetSettings
from shared.targets._outside import has_requester, participants
from shared.targets._ticket_ids import ticket_ids

#: A queue takes 64 KiB, and base64 makes four octets of three.
_LONGEST: Final = 48 * 1024 - 512


class QueueTargetSettings(TargetSettings):
    """A queue of the app's own storage account. Whoever reads it brings rights of its own."""

    type: Literal["queue"]
    queue: str = Field(
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$",
        min_length=3,
        max_length=63,
        description="The queue's name: 3 to 63 lower-case letters, digits and single hyphens. It is made when missing.",
    )

    @field_validator("queue")
    @classmethod
    def _is_not_ours(cls, queue: str) -> str:
        if queue.endswith(("-runs", "-poison")):
            raise ValueError("Queues of this app itself have such names; choose another one.")
        return queue

    def scope(self) -> str:
        """Jobs with the same queue continue each other's tickets."""
        return f"queue:{self.queue}"


class QueueTarget:
    """See `shared.ports.Target`."""

    batch: ClassVar[int] = 16

    def __init__(self, request: TargetRequest) -> None:
        self._queue = request.settings.queue
        self._scope = request.settings.scope()
        self._receipts = request.receipts
        self._outbox = request.outbox

    def look_up(self, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        """See the port. Nothing comes back from a queue, so every ticket is open."""
        found = self._receipts.tickets(self._scope, ticket_ids)
        return {one: TicketSummary(one, TicketStatus.OPEN, ticket.participants) for one, ticket in found.items()}

    def apply(self, deliveries: Sequence[Delivery]) -> Sequence[Delivered | MessageError]:
        """See the port."""
        return [self._deliver(delivery) for delivery in deliveries]

    def _deliver(self, delivery: Delivery) -> Delivered | MessageError:
        known = self._receipts.find(self._scope, delivery.key.digest)
        if known and known.action:
            return Delivered(known.ticket_id, known.action)
        try:
            receipt = known or self._intended(delivery)
        except Refused as refused:
            return refused
        action = Action(receipt.facts["action"])
        self._outbox.send(self._queue, self._event(delivery, receipt.ticket_id, action))
        ticket = OutsideTicket(receipt.ticket_id, participants(delivery.message))
        try:
            self._receipts.finish(self._scope, replace(receipt, step=1, begun=False, action=action), ticket)
        except Stale as stale:
            raise Unavailable("Another worker handles the same message.") from stale
        return Delivered(receipt.ticket_id, action)

    def _intended(self, delivery: Delivery) -> Receipt:
        """What is to be announced, written down first: whoever comes after a crash announces the same."""
        decision = delivery.decision
        action = Action.CREATED if isinstance(decision, Create) else Action.MODIFIED
        ticket_id = self._free_id(delivery) if isinstance(decision, Create) else decision.ticket_id
        if action is Action.MODIFIED and not self._receipts.tickets(self._scope, [ticket_id]):
            raise Refused(f"No ticket {ticket_id} was ever put onto queue {self._queue!r}.")
        first = Receipt(delivery.key.digest, begun=True, ticket_id=ticket_id, facts={"action": action.value})
        try:
            return self._receipts.begin(self._scope, first)
        except Stale as stale:
            raise Unavailable("Another worker handles the same message.") from stale

    def _free_id(self, delivery: Delivery) -> str:
        ids = list(ticket_ids(delivery.key))
        return next((one for one in ids if not self._receipts.tickets(self._scope, [one])), ids[-1])

    def _event(self, delivery: Delivery, ticket_id: str, action: Action) -> str:
        message, folder = delivery.message, delivery.key.digest
        links = delivery.decision.links if isinstance(delivery.decision, Create) else ()
        data = {
            "ticket": {"id": ticket_id, "links": links},
            "job": delivery.key.job_id,
            "subject": message.subject,
            "sender": _address(message.sender),
            "requester": _address(message.sender if has_requester(delivery) else None),
            "to": [_address(one) for one in message.to],
            "cc": [_address(one) for one in message.cc],
            "date": message.date.isoformat() if message.date else None,
            "message_id": message.message_id,
            "text": message.text,
            "html": message.html,
            "attachments": [
                {
                    "name": one.name,
                    "content_type": one.content_type,
                    "size": len(one.data),
                    "sha256": one.sha256,
                    "content_id": one.content_id,
                    "inline": one.inline,
                    "url": self._outbox.keep(
                        f"{folder}/{one.sha256}", one.data, content_type="application/octet-stream"
                    ),
                }
                for one in message.attachments
            ],
            "defects": message.defects,
            "evidence": delivery.decision.evidence,
            "fields": dict(delivery.decision.fields),
            "notes": delivery.decision.notes,
        }
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": delivery.key.digest,
            "source": f"urn:mail-connector:job:{delivery.key.job_id}",
            "type": f"mail-connector.ticket.{action.value}",
            "subject": ticket_id,
            "datacontenttype": "application/json",
        }
        whole = _json({**event, "data": data})
        if len(whole) <= _LONGEST:
            return whole
        url = self._outbox.keep(f"{folder}/event.json", _json(data).encode(), content_type="application/json")
        return _json({**event, "dataref": url})


def _json(value: object) -> str:
    """ASCII alone, so that its length is its octets and no lone surrogate gets lost on the way."""
    return json.dumps(value)


def _address(address: Address | None) -> dict[str, str] | None:
    return {"email": address.email, "name": address.name} if address else None


TARGET = TargetKind(kind="queue", settings=QueueTargetSettings, open=QueueTarget)
