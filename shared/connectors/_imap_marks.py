r"""What a disposition is in IMAP4: system flags, a keyword (RFC 3501 section 2.3.2), and a folder to move to."""

import re

from shared.connectors._imap_connection import Connection
from shared.connectors._imap_folder import Folder, find_by_name
from shared.errors import ConfigInvalid
from shared.model import Disposition

#: An atom (RFC 3501 section 9): printable ASCII without what has a meaning of its own.
_KEYWORD = re.compile(r'[^\x00-\x20(){%*"\\\]\x7f-\U0010ffff]+')


def is_keyword(text: str) -> bool:
    """Whether a server takes it as a keyword."""
    return bool(_KEYWORD.fullmatch(text))


def flags_of(disposition: Disposition) -> list[str]:
    r"""The flags to add: ``\Seen``, ``\Deleted``, ``\Flagged``, and the category as a keyword."""
    system = (("Seen", disposition.read), ("Deleted", disposition.deleted), ("Flagged", disposition.flag))
    return [*(f"\\{name}" for name, wanted in system if wanted), *filter(None, (disposition.category,))]


def search_of(flags: list[str]) -> str:
    r"""The search that finds messages with all of them: ``\Seen`` and ``Done`` make ``SEEN KEYWORD Done``."""
    return " ".join(flag[1:].upper() if flag.startswith("\\") else f"KEYWORD {flag}" for flag in flags)


def is_kept(folder: Folder, flag: str) -> bool:
    r"""Whether the folder keeps the flag for good, as PERMANENTFLAGS tells (``\*``: any keyword; section 7.1)."""
    if folder.permanent is None or flag.lower().encode() in folder.permanent:
        return True
    return not flag.startswith("\\") and b"\\*" in folder.permanent


def target_of(connection: Connection, name: str) -> str:
    """The server's own name of the folder to move to, where it can move there at all. Raises `ConfigInvalid`.

    Only by MOVE (RFC 6851), which the server does whole or not at all: a copy and an expunge, cut off in between, would
    leave the message twice.
    """
    if not connection.ask("asking for capabilities", connection.client.has_capability, "MOVE"):
        raise ConfigInvalid(
            f"{connection.address} cannot move messages (it does not offer MOVE).",
            remedy="Leave move_to out, and mark messages as read, with a flag or with a category instead.",
        )
    return find_by_name(connection, name)
