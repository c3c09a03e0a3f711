"""Reading one value out of a JSON answer: ``$.result.sys_id``, ``$.issues[0].key``, ``$['odd name']``.

A small part of JSONPath (RFC 9535): names, indexes from 0, and ``[*]`` for every item of a list, as in
``$.users[*].email``.
"""

import re
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator

_PART = re.compile(r"\.(?P<name>[A-Za-z_@][\w@-]*)|\[(?P<index>\d{1,6})\]|\[(?P<every>\*)\]|\['(?P<quoted>[^'\]]+)'\]")


def _is_path(text: str) -> str:
    _parts(text)
    return text


JsonPath = Annotated[str, AfterValidator(_is_path)]


@cache
def _parts(path: str) -> tuple[str | int | None, ...]:
    """Names, indexes, and None for ``[*]``. Raises ValueError for what is no path."""
    if not path.startswith("$"):
        raise ValueError(f"{path!r} is no JSON path: begin with $, as in $.result.id.")
    parts: list[str | int | None] = []
    at = 1
    while at < len(path):
        found = _PART.match(path, at)
        if not found:
            raise ValueError(f"{path!r} cannot be read from {path[at:]!r} on: use .name, ['name'], [0] or [*].")
        name = found["name"] or found["quoted"]
        parts.append(name or (None if found["every"] else int(found["index"])))
        at = found.end()
    return tuple(parts)


def find_all(path: str, document: Any) -> list[Any]:
    """Every value at ``path``; none where the document has another shape."""
    found = [document]
    for part in _parts(path):
        if part is None:
            found = [item for value in found if isinstance(value, list) for item in value]
        elif isinstance(part, int):
            found = [value[part] for value in found if isinstance(value, list) and part < len(value)]
        else:
            found = [value[part] for value in found if isinstance(value, dict) and part in value]
    return found


def find_first(path: str, document: Any) -> Any:
    """The first value at ``path`` that is not null, or None."""
    return next((value for value in find_all(path, document) if value is not None), None)
