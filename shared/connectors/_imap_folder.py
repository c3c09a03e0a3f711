"""Opening an IMAP4 folder, whatever its spelling, and what the server says of it."""

from dataclasses import dataclass
from typing import Any

from shared.connectors._imap_connection import Connection, Refusal
from shared.connectors._imap_text import find_folder
from shared.errors import ConfigInvalid

#: How many folder names an error lists at most.
_SHOWN = 50
#: Response codes of RFC 5530 after which asking again changes nothing.
_FINAL = frozenset({"NOPERM", "CANNOT", "NONEXISTENT"})


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as the answer to SELECT or EXAMINE described it."""

    #: The server's own name for it.
    name: str
    uidvalidity: int
    #: Messages in it at that moment.
    exists: int
    #: The next message will have this UID or a higher one; None where the server does not say.
    uidnext: int | None
    #: Flags that may be changed for good; None where the server does not say: then all may.
    permanent: frozenset[bytes] | None


def open_folder(connection: Connection, name: str, *, writable: bool) -> Folder:
    """SELECT or EXAMINE the folder that a person spelled as ``name``. Raises `ConfigInvalid` where there is none."""
    client = connection.client
    doing = f"opening the folder {name!r}"
    try:
        answer = connection.ask(doing, client.select_folder, name, not writable)
    except Refusal as refusal:
        if refusal.temporary:
            raise
        found = _look_up(connection, name, refusal)
        answer, name = connection.ask(doing, client.select_folder, found, not writable), found
    return _folder(connection, name, answer)


def find_by_name(connection: Connection, name: str) -> str:
    """The server's own name of the folder that a person spelled as ``name``. Raises `ConfigInvalid`."""
    folders = _folders(connection)
    found = find_folder(name, folders)
    if found is None:
        raise _no_folder(connection, name, folders)
    return found


def _folders(connection: Connection) -> set[tuple[str, str]]:
    """Every folder that can be opened, with the delimiter in its name."""
    listed = connection.ask("listing folders", connection.client.list_folders)
    return {
        (folder, delimiter.decode("latin-1") if delimiter else "")
        for flags, delimiter, folder in listed
        if not {flag.lower() for flag in flags} & {b"\\noselect", b"\\nonexistent"}
    }


def _look_up(connection: Connection, name: str, refusal: Refusal) -> str:
    folders = _folders(connection)
    found = find_folder(name, folders)
    if found is not None and found != name:
        return found
    if name in {folder for folder, _ in folders}:
        if refusal.response_code not in _FINAL:
            raise refusal
        raise ConfigInvalid(
            f"{connection.address} does not let this account open the folder {name!r}: {refusal.said}.",
            remedy="Give the account the right to read it, or choose another folder.",
        ) from refusal
    raise _no_folder(connection, name, folders) from refusal


def _no_folder(connection: Connection, name: str, folders: set[tuple[str, str]]) -> ConfigInvalid:
    names = sorted(folder for folder, _ in folders)
    shown = ", ".join(repr(folder) for folder in names[:_SHOWN]) or "none"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ConfigInvalid(
        f"The mailbox on {connection.address} has no folder {name!r}.",
        remedy=f"Choose one of its folders: {shown}{more}.",
    )


def _folder(connection: Connection, name: str, answer: dict[bytes, Any]) -> Folder:
    if not answer.get(b"UIDVALIDITY") or b"UIDNOTSTICKY" in answer:
        raise ConfigInvalid(
            f"{connection.address} gives messages in {name!r} no lasting ids (UIDVALIDITY), so it cannot be used.",
            remedy="Use another folder, or another protocol of that server.",
        )
    permanent = answer.get(b"PERMANENTFLAGS")
    return Folder(
        name=name,
        uidvalidity=answer[b"UIDVALIDITY"],
        exists=answer.get(b"EXISTS", 0),
        uidnext=answer.get(b"UIDNEXT"),
        permanent=None if permanent is None else frozenset(flag.lower() for flag in permanent),
    )
