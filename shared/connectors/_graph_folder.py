"""Finding a folder of an Exchange Online mailbox by the path that a person wrote."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from shared.connectors._graph_answers import refusal
from shared.connectors._graph_client import Call, Client
from shared.connectors._graph_text import query, same, steps_of, well_known
from shared.errors import ConfigInvalid

_FIELDS = "id,displayName,childFolderCount,totalItemCount"
#: How many folders an error names, and how many requests it may cost to find them.
_NAMES, _LOOKS = 60, 20


@dataclass(frozen=True, slots=True)
class Folder:
    """``path`` is its address below the version, ``/users/.../mailFolders/...``."""

    id: str
    name: str
    path: str
    #: Items in it when it was looked at, whatever their kind.
    total: int
    children: int


def user_path(mailbox: str) -> str:
    """Where the mailbox is: an address or an id, quoted."""
    return f"/users/{quote(mailbox, safe='')}"


def open_folder(client: Client, path: str) -> Folder:
    """The folder at ``path``. Raises `ConfigInvalid` with the names that there are where it is not found."""
    user = user_path(client.place.mailbox)
    first, *rest = steps_of(path)
    name = well_known(first)
    folder = _named(client, user, name) if name else None
    folder = _descend(client, user, folder, rest if folder else [first, *rest])
    if folder is None:
        raise ConfigInvalid(
            f"Mailbox {client.place.mailbox!r} has no folder {path!r}.",
            remedy=f"Choose one of its folders: {', '.join(map(repr, _names(client, user)))}.",
        )
    return folder


def _named(client: Client, user: str, name: str) -> Folder | None:
    """A folder by its well-known name; not every mailbox has each of them."""
    doing = "looking for the folder"
    answer = client.ask(Call(f"{user}/mailFolders/{name}{query(select=_FIELDS)}"), doing)
    if answer.ok and isinstance(answer.body, dict):
        return _folder(user, answer.body)
    if answer.status == 404:
        return None
    raise refusal(answer, doing, client.place, changing=False)


def _descend(client: Client, user: str, folder: Folder | None, steps: list[str]) -> Folder | None:
    """Walk down by display names. A name with a slash in it counts as one step where there is such a folder."""
    while steps:
        children = {same(child.name): child for child in _children(client, user, folder)}
        taken = next((n for n in range(len(steps), 0, -1) if same("/".join(steps[:n])) in children), 0)
        if not taken:
            return None
        folder, steps = children[same("/".join(steps[:taken]))], steps[taken:]
    return folder


def _children(client: Client, user: str, folder: Folder | None) -> Iterator[Folder]:
    """Hidden folders are left out, as Graph does by itself."""
    path = f"{folder.path}/childFolders" if folder else f"{user}/mailFolders"
    for page in client.pages(path + query(select=_FIELDS, top=100), "listing the folders"):
        yield from (_folder(user, one) for one in page.get("value", ()))


def _names(client: Client, user: str) -> list[str]:
    """Paths of the mailbox's folders, the higher ones first; not more than a person reads."""
    names: list[str] = []
    waiting: list[tuple[str, Folder | None]] = [("", None)]
    looks = 0
    while waiting and looks < _LOOKS and len(names) < _NAMES:
        above, parent = waiting.pop(0)
        looks += 1
        for child in _children(client, user, parent):
            names.append(above + child.name)
            if child.children:
                waiting.append((f"{above}{child.name}/", child))
    return names[:_NAMES]


def _folder(user: str, found: dict[str, Any]) -> Folder:
    key = str(found["id"])
    return Folder(
        id=key,
        name=str(found.get("displayName") or ""),
        path=f"{user}/mailFolders/{quote(key, safe='=')}",
        total=int(found.get("totalItemCount") or 0),
        children=int(found.get("childFolderCount") or 0),
    )
