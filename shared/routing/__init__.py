"""Which ticket a message belongs to, and why: pure functions over what was read and looked up."""

from shared.routing.references import Reference, refers_to
from shared.routing.route import route
from shared.routing.settings import RepliesFrom, RoutingSettings

__all__ = ["Reference", "RepliesFrom", "RoutingSettings", "refers_to", "route"]
