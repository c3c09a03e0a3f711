"""Which ticket a message belongs to, and why: pure functions over what was read and looked up."""

from shared.routing.conditions import Circumstances
from shared.routing.references import Reference, refers_to
from shared.routing.route import route
from shared.routing.rules import Rule
from shared.routing.screen import Screened, screen
from shared.routing.settings import RepliesFrom, RoutingSettings

__all__ = [
    "Circumstances",
    "Reference",
    "RepliesFrom",
    "RoutingSettings",
    "Rule",
    "Screened",
    "refers_to",
    "route",
    "screen",
]
