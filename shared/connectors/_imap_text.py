"""The texts of IMAP4 (RFC 3501, RFC 9051) as pure functions: message keys, cursors, UID sets, folder names, answers."""

import base64
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence

#: Longest UID set that goes into one command: well below the 8,000 octets that servers take (RFC 2683 section 3.2.1.5).
_SET_OCTETS = 4_000

#: Response codes of RFC 5530 that say "not now" rather than "no".
TEMPORARY = frozenset({"UNAVAILABLE", "INUSE", "LIMIT"})

#: One shifted part of a folder name as it travels (RFC 3501 section 5.1.3).
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]{3,}|)-")
_CODE = re.compile(r"\[([A-Z0-9-]+)[ \]]")


def item_of(uidvalidity: int, uid: int) -> str:
    """The server's identity of a message, as `MessageKey.item` has it."""
    return f"{uidvalidity:010d}.{uid:010d}"


def uid_of(item: str, uidvalidity: int) -> int | None:
    """The UID that ``item`` names, or None where it was given out under another UIDVALIDITY: then it means nothing."""
    era, _, uid = item.partition(".")
    if era.isdecimal() and uid.isdecimal() and int(era) == uidvalidity:
        return int(uid)
    return None


def cursor_of(uidvalidity: int, uid: int) -> str:
    """Everything up to ``uid`` has been listed."""
    return f"{uidvalidity}:{uid}"


def uid_after(cursor: str | None, uidvalidity: int) -> int:
    """The highest UID that was listed already; 0 where nothing was, or under another UIDVALIDITY."""
    era, _, uid = (cursor or "").partition(":")
    return int(uid) if era == str(uidvalidity) and uid.isdecimal() else 0


def uid_sets(uids: Iterable[int], *, octets: int = _SET_OCTETS) -> Iterator[str]:
    """Write ``uids`` as sets (``1:3,7``) of at most ``octets`` each, ascending.

    A range spans neighbours only: a UID that nobody asked for is never within one.
    """
    parts: list[str] = []
    length = 0
    for first, last in _ranges(sorted(set(uids))):
        part = str(first) if first == last else f"{first}:{last}"
        if parts and length + len(part) > octets:
            yield ",".join(parts)
            parts, length = [], 0
        parts.append(part)
        length += len(part) + 1
    if parts:
        yield ",".join(parts)


def _ranges(uids: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for end in range(1, len(uids) + 1):
        if end == len(uids) or uids[end] != uids[end - 1] + 1:
            yield uids[start], uids[end - 1]
            start = end


def normal_folder(name: str) -> str:
    """One spelling for all spellings of a folder: ``/`` for either delimiter, INBOX in capitals, NFC, no UTF-7."""
    first, *rest = unicodedata.normalize("NFC", _SHIFTED.sub(_unshifted, name)).replace(".", "/").strip("/").split("/")
    return "/".join(["INBOX" if first.upper() == "INBOX" else first, *rest])


def _unshifted(part: re.Match[str]) -> str:
    packed = part.group(1).replace(",", "/")
    if not packed:
        return "&"
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-16-be")
    except ValueError:
        return part.group()


def find_folder(wanted: str, folders: Collection[tuple[str, str]]) -> str | None:
    """The server's own name of the folder that a person spelled as ``wanted``; None where none or several match.

    ``folders`` are (name, delimiter). A name counts as a path by the delimiter that the server gave for it.
    """
    normal = normal_folder(wanted)
    found = {
        name
        for name, delimiter in folders
        if normal_folder(name.replace(delimiter, "/") if delimiter else name) == normal
    }
    return found.pop() if len(found) == 1 else None


def code_in(answer: str) -> str:
    """The response code within a server's answer (``UNAVAILABLE``), or an empty text (RFC 5530)."""
    found = _CODE.search(answer)
    return found.group(1) if found else ""
