"""Which ticket a message belongs to, and why: pure functions over what was read and looked up."""

from shared.routing.conditions import Circumstances
from shared.routing.references import Reference, conversation, refers_to
from shared.routing.route import route
from shared.routing.rules import Rule
from shared.routing.screen import Screened, screen
from shared.routing.settings import Accept, GuardSettings, RepliesFrom, Requester, RoutingSettings

__all__ = [
    "Accept",
    "Circumstances",
    "GuardSettings",
    "Reference",
    "RepliesFrom",
    "Requester",
    "RoutingSettings",
    "Rule",
    "Screened",
    "conversation",
    "refers_to",
    "route",
    "screen",
]
