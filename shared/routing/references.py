"""What a message says it belongs to. What of that is true is for `route` to find out."""

import base64
import hashlib
import re
from dataclasses import dataclass
from itertools import islice
from typing import Final

from shared.model import Message
from shared.routing.settings import RoutingSettings

#: Ticket ids and Message-IDs of one message that are looked up, each.
LIMIT: Final = 10


#: What names an Outlook conversation among Message-IDs begins with this.
CONVERSATION: Final = "conversation:"

#: A Thread-Index is 22 octets for the conversation and five more for each answer (MS-OXOMSG 2.2.1.3).
_CONVERSATION_OCTETS = 22


@dataclass(frozen=True, slots=True)
class Reference:
    """Ticket ids by tag, in the order of the subject; Message-IDs, nearest first. Each once, ten of each at most.

    Where the job wants it, the last of the Message-IDs is the name of an Outlook conversation (`conversation`).
    """

    ticket_ids: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()


def refers_to(message: Message, settings: RoutingSettings) -> Reference:
    """Read the tags of the subject, then In-Reply-To, then References from the newest to the oldest.

    A tag is prefix + ``[A-Za-z0-9][A-Za-z0-9._-]{0,63}`` + suffix, so ``[EXT]`` is one too: only what the target knows
    counts. The message's own Message-ID is left out: some programs list it, and it says nothing. A report on another
    message (a bounce, a read receipt) refers to what that one is and referred to, before all else.
    """
    nearest = [*message.in_reply_to, *reversed(message.references)]
    subjects = [message.subject]
    if report := message.report:
        nearest = [*([report.message_id] if report.message_id else []), *report.references, *nearest]
        subjects = [report.subject, *subjects]
    message_ids = list(islice(dict.fromkeys(one for one in nearest if one != message.message_id), LIMIT))
    hint = conversation(message) if settings.outlook_threads else None
    ticket_ids = dict.fromkeys(tag for subject in subjects for tag in _tags(subject, settings))
    return Reference(tuple(islice(ticket_ids, LIMIT)), (*message_ids, *([hint] if hint else [])))


def conversation(message: Message) -> str | None:
    """The name of the Outlook conversation that the message is of, or None.

    Made of the first part of its Thread-Index, which all answers share, and its Thread-Topic: some programs send the
    same index with everything that they write.
    """
    index, topic = message.header("Thread-Index"), message.header("Thread-Topic")
    if not index or not topic:
        return None
    try:
        octets = base64.b64decode("".join(index.split()), validate=True)
    except ValueError:
        return None
    if len(octets) < _CONVERSATION_OCTETS or not any(octets[:_CONVERSATION_OCTETS]):
        return None
    digest = hashlib.sha256(" ".join(topic.split()).casefold().encode("utf-8", "replace")).hexdigest()
    return f"{CONVERSATION}{octets[:_CONVERSATION_OCTETS].hex()}:{digest[:16]}"


def _tags(subject: str, settings: RoutingSettings) -> list[str]:
    prefix, suffix = re.escape(settings.tag_prefix), re.escape(settings.tag_suffix)
    found = re.findall(rf"{prefix}([A-Za-z0-9][A-Za-z0-9._-]{{0,63}}){suffix}", subject)
    if not settings.tag_suffix:  # the stop of a sentence is not the id's
        found = [one.rstrip("._-") for one in found]
    return found
