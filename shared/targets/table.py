"""The default target: tickets in Table and Blob Storage, readable through the API."""

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Literal

from shared.errors import MessageError
from shared.model import Delivered, Delivery, TicketSummary
from shared.ports import NewTicket, TargetKind, TargetRequest, TargetSettings, TicketStore
from shared.targets._ticket_ids import ticket_ids


class TableTargetSettings(TargetSettings):
    """The embedded ticket store. It has nothing to set."""

    type: Literal["table"] = "table"

    def scope(self) -> str:
        """All jobs with this target share one set of tickets."""
        return "table"


class TableTarget:
    """See `shared.ports.Target`."""

    batch: ClassVar[int] = 99

    def __init__(self, tickets: TicketStore) -> None:
        self._tickets = tickets

    def look_up(self, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        """See the port."""
        return self._tickets.summaries(ticket_ids)

    def apply(self, deliveries: Sequence[Delivery]) -> Sequence[Delivered | MessageError]:
        """See the port."""
        return self._tickets.add([NewTicket(delivery, tuple(ticket_ids(delivery.key))) for delivery in deliveries])


def _open(request: TargetRequest) -> TableTarget:
    return TableTarget(request.tickets)


TARGET = TargetKind(kind="table", settings=TableTargetSettings, open=_open)
