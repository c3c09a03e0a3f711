"""What a message says it belongs to. What of that is true is for `route` to find out."""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Final

from shared.model import Message
from shared.routing.settings import RoutingSettings

#: Ticket ids and Message-IDs of one message that are looked up, each.
LIMIT: Final = 10


@dataclass(frozen=True, slots=True)
class Reference:
    """Ticket ids by tag, in the order of the subject; Message-IDs, nearest first. Each once, ten of each at most."""

    ticket_ids: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()


def refers_to(message: Message, settings: RoutingSettings) -> Reference:
    """Read the tags of the subject, then In-Reply-To, then References from the newest to the oldest.

    A tag is prefix + ``[A-Za-z0-9][A-Za-z0-9._-]{0,63}`` + suffix, so ``[EXT]`` is one too: only what the target knows
    counts. The message's own Message-ID is left out: some programs list it, and it says nothing.
    """
    nearest = (*message.in_reply_to, *reversed(message.references))
    message_ids = dict.fromkeys(one for one in nearest if one != message.message_id)
    return Reference(_tags(message.subject, settings), tuple(islice(message_ids, LIMIT)))


def _tags(subject: str, settings: RoutingSettings) -> tuple[str, ...]:
    prefix, suffix = re.escape(settings.tag_prefix), re.escape(settings.tag_suffix)
    found = re.findall(rf"{prefix}([A-Za-z0-9][A-Za-z0-9._-]{{0,63}}){suffix}", subject)
    if not settings.tag_suffix:  # the stop of a sentence is not the id's
        found = [one.rstrip("._-") for one in found]
    return tuple(islice(dict.fromkeys(found), LIMIT))
