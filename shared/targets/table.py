"""The default target: tickets in Table and Blob Storage, readable through the API."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from shared.errors import MessageError
from shared.model import Delivered, Delivery, MessageKey, TicketSummary
from shared.ports import NewTicket, TargetKind, TargetRequest, TargetSettings, TicketStore

#: Crockford's base 32: digits and letters without I, L, O and U, so that an id survives the telephone.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUP = 4


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


def ticket_ids(key: MessageKey) -> Iterator[str]:
    """The ids that a message's ticket may have, best first: ``T-7K3F-9QXM``, then longer ones.

    Derived from the message key alone, so that making the ticket twice makes it once, without a counter.
    """
    number = int(key.digest, 16)
    letters = "".join(_ALPHABET[(number >> shift) & 31] for shift in range(0, 160, 5))
    groups = [letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP)]
    for count in range(2, len(groups) + 1):
        yield "-".join(("T", *groups[:count]))


def _open(request: TargetRequest) -> TableTarget:
    return TableTarget(request.tickets)


TARGET = TargetKind(kind="table", settings=TableTargetSettings, open=_open)
