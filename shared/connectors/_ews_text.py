"""The texts of EWS as pure functions: message keys, folder paths, item classes, headers, instants."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from email.header import Header

#: Well-known folders by which a path may begin, as people write them (DistinguishedFolderId in the EWS reference).
WELL_KNOWN = {
    "archive": "archive",
    "deleted items": "deleteditems",
    "deleteditems": "deleteditems",
    "drafts": "drafts",
    "inbox": "inbox",
    "junk email": "junkemail",
    "junkemail": "junkemail",
    "outbox": "outbox",
    "sent items": "sentitems",
    "sentitems": "sentitems",
}
#: The folder that holds all the folders that people see.
ROOT = "msgfolderroot"

#: The address of a mailbox, as far as it can be told from other text; servers know the rest.
SMTP_ADDRESS = r"^[^\s@/\\<>\"]+@[^\s@/\\<>\"]+$"

#: Items that lie in folders but were sent to nobody. All else is mail: a form of somebody's own must not be lost.
_NO_MAIL = (
    "ipm.activity",
    "ipm.appointment",
    "ipm.contact",
    "ipm.distlist",
    "ipm.document",
    "ipm.post",
    "ipm.stickynote",
    "ipm.task",
)

#: Storage keeps a cursor in one property of 32,768 units.
_LONGEST_CURSOR = 30_000

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(Z|[+-]\d\d:\d\d)?")
_FIELD_NAME = re.compile(r"[!-9;-~]+")


def item_of(ews_id: str, received: datetime | None) -> str:
    """The lasting identity of a message: when it was received, which sorts, and a digest of its first EWS id."""
    arrived = f"{received:%Y%m%dT%H%M%S}" if received else "00000000T000000"
    return f"{arrived}.{hashlib.sha256(ews_id.encode()).hexdigest()[:40]}"


def parts_of(path: str) -> tuple[str, tuple[str, ...]]:
    """Where a folder path begins, and the display names that lead on from there: ``Inbox/A`` is ("inbox", ("A",))."""
    names = [name for part in path.split("/") if (name := part.strip())]
    if names and names[0].casefold() in WELL_KNOWN:
        return WELL_KNOWN[names[0].casefold()], tuple(names[1:])
    return ROOT, tuple(names)


def same_name(name: str) -> str:
    """One spelling for all spellings of a display name: Exchange does not tell case apart within a folder."""
    return unicodedata.normalize("NFC", name).casefold()


def checked_folder(path: str) -> str:
    """A folder path that can be a job's. Raises `ValueError`."""
    if not path.isprintable():
        raise ValueError("Use printable characters only.")
    start, names = parts_of(path)
    if start == ROOT and not names:
        raise ValueError("Name a folder: a well-known one (Inbox), one below it (Inbox/Support), or one at the top.")
    if start == "deleteditems" and not names:
        raise ValueError("Deleted Items cannot be a job's folder: it is where the job puts what it has handled.")
    return path


def is_mail(item_class: str) -> bool:
    """Whether an item is a message: IPM.Note, meeting requests, reports (REPORT.*), and whatever is not known."""
    known = item_class.casefold()
    return not any(known == other or known.startswith(f"{other}.") for other in _NO_MAIL)


def instant_of(text: str) -> datetime | None:
    """An xs:dateTime in UTC, to the second; None for what makes no sense.

    Some servers send more digits of the second than any clock has; one without a zone is in UTC, which we ask for.
    """
    found = _INSTANT.fullmatch(text.strip())
    if not found:
        return None
    zone = found[1]
    offset = timedelta()
    if zone and zone != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:])) * (-1 if zone[0] == "-" else 1)
    try:
        moment = datetime.fromisoformat(text.strip()[:19]).replace(tzinfo=timezone(offset))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def header_bytes(fields: Iterable[tuple[str, str]]) -> bytes:
    """A message header with the empty line that ends it; what is not ASCII is encoded (RFC 2047)."""
    lines = []
    for name, value in fields:
        text = " ".join("".join(mark if mark.isprintable() else " " for mark in value).split())
        if _FIELD_NAME.fullmatch(name):
            lines.append(f"{name}: {text if text.isascii() else Header(text, 'utf-8', maxlinelen=10_000).encode()}\r\n")
    return "".join([*lines, "\r\n"]).encode("ascii", "replace")


def header_of(message: bytes) -> bytes:
    """The header of a raw message with the empty line that ends it."""
    ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (at := message.find(mark)) >= 0]
    return message[: min(ends)] if ends else message


def cursor_of(sync_state: str) -> str | None:
    """The cursor for a synchronisation state; None for one that storage could not keep: then listings start over."""
    return sync_state if 0 < len(sync_state) <= _LONGEST_CURSOR else None


def readable(said: object) -> str:
    """What a server said, fit for a sentence: one line, printable, at most 200 characters."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in str(said)).split())[:200].rstrip(".")
