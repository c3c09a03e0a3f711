"""Which ticket a message belongs to, and why: pure functions over what was read and looked up."""

from shared.routing.attachments import AttachmentSettings, take
from shared.routing.conditions import Circumstances
from shared.routing.extract import Extraction, extract
from shared.routing.references import Reference, conversation, refers_to
from shared.routing.route import route
from shared.routing.rules import Rule
from shared.routing.screen import Screened, screen
from shared.routing.settings import Accept, GuardSettings, RepliesFrom, Requester, RoutingSettings

__all__ = [
    "Accept",
    "AttachmentSettings",
    "Circumstances",
    "Extraction",
    "GuardSettings",
    "Reference",
    "RepliesFrom",
    "Requester",
    "RoutingSettings",
    "Rule",
    "Screened",
    "conversation",
    "extract",
    "refers_to",
    "route",
    "screen",
    "take",
]
