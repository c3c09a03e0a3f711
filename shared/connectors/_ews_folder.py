"""Finding a folder by its path, and saying which ones there are when it does not exist."""

from typing import Any

from shared.connectors._ews_calls import Folder, children, find_folders, folder_id, get_folder, page_end, read_folder
from shared.connectors._ews_calls import well_known as well_known_folder
from shared.connectors._ews_faults import job_fault
from shared.connectors._ews_text import ROOT, parts_of, same_name
from shared.connectors._ews_wire import Wire
from shared.errors import ConfigInvalid

#: Pages of 500 folders below one parent; a server that goes on for ever is not followed.
_PAGES = 40
#: How many names go into an error.
_NAMES = 40


def open_folder(wire: Wire, path: str) -> Folder:
    """The folder at ``path``, which begins with a well-known folder or at the root.

    Raises `ConfigInvalid` with the names of the folders that there are, or with what to grant.
    """
    start, names = parts_of(path)
    mailbox = wire.account.mailbox
    if not names:
        return well_known(wire, start)
    parent = well_known_folder(start, mailbox)
    folder: Folder | None = None
    for depth, name in enumerate(names):
        below = _below(wire, parent)
        folder = next((one for one in below if same_name(one.name) == same_name(name)), None)
        if folder is None:
            way = "/".join([*([] if start == ROOT else [path.strip("/").split("/")[0]]), *names[:depth]])
            raise _no_folder(path, way, mailbox, below)
        parent = folder_id(folder.id)
    assert folder is not None  # noqa: S101 - names is not empty
    return folder


def well_known(wire: Wire, name: str) -> Folder:
    """A well-known folder, such as ``inbox``. Raises `ConfigInvalid` where there is none, or none for this account."""
    payload = get_folder(well_known_folder(name, wire.account.mailbox))
    (answer,) = wire.ask("opening the folder", "GetFolder", payload)
    _raise_fault(wire, answer)
    found = [folder for one in children(answer, "m:Folders") if (folder := read_folder(one))]
    if not found:
        raise ConfigInvalid(f"The mailbox {wire.account.mailbox} has no mail folder {name!r}.")
    return found[0]


def mail_folders(wire: Wire) -> list[Folder]:
    """Every mail folder that people see, Deleted Items too."""
    return _below(wire, well_known_folder(ROOT, wire.account.mailbox), deep=True)


def _below(wire: Wire, parent: Any, *, deep: bool = False) -> list[Folder]:
    found: list[Folder] = []
    offset = 0
    for _ in range(_PAGES):
        (answer,) = wire.ask("looking for the folder", "FindFolder", find_folders(parent, offset, deep=deep))
        _raise_fault(wire, answer)
        found += [folder for one in children(answer, "t:Folders") if (folder := read_folder(one))]
        last, following = page_end(answer)
        if last or following <= offset:
            break
        offset = following
    return found


def _raise_fault(wire: Wire, answer: Any) -> None:
    """A mailbox whose well-known folders are "not found" is one that this account may not look into."""
    if not isinstance(answer, Exception):
        return
    if type(answer).__name__ in {"ErrorItemNotFound", "ErrorFolderNotFound"}:
        account = wire.account
        raise ConfigInvalid(
            f"{account.username} may not see the folder in the mailbox {account.mailbox}, or the mailbox has no such "
            "well-known folder.",
            remedy=account.rights_remedy,
        )
    raise job_fault(answer, wire.account, "opening the folder", signed_in=True) from answer


def _no_folder(path: str, way: str, mailbox: str, below: list[Folder]) -> ConfigInvalid:
    names = sorted(one.name for one in below)
    shown = ", ".join(f"{way}/{name}" if way else name for name in names[:_NAMES]) or "none"
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ConfigInvalid(
        f"The mailbox {mailbox} has no folder {path!r}.",
        remedy=f"Mail folders that exist {f'in {way}' if way else 'at the top'}: {shown}{more}.",
    )
