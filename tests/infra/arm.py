"""What the published resource types say of a resource's body; see dev/arm_types.py for where they come from."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.infra.bicep import Expression

#: Properties of the language or of every resource, which no model lists.
_OF_ALL = {"name", "parent", "scope", "dependsOn", "location", "tags"}


@cache
def table() -> Any:
    """The whole of it."""
    return json.loads(Path(__file__).with_name("arm_types.json").read_text())


def faults(resource_type: str, body: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the body of a resource, as sentences. Expressions are taken to be right."""
    answers = [list(_against(name, body, "", top=True)) for name in table()["resources"][resource_type]]
    # A type with several models has to fit one of them.
    yield from min(answers, key=len)


def _against(model: str, body: Any, at: str, *, top: bool = False) -> Iterator[str]:
    fields = table()["models"][model]
    yield from _object(fields, body, at, top=top)


def _object(fields: dict[str, Any], body: Any, at: str, *, top: bool = False) -> Iterator[str]:
    if isinstance(body, Expression):
        return
    if not isinstance(body, dict):
        yield f"{at or 'the body'} is no object"
        return
    for key, given in body.items():
        if top and key in _OF_ALL:
            continue
        known = fields.get(key)
        if known is None:
            yield f"{at}{key} is no property that is published"
        elif known.get("read_only"):
            yield f"{at}{key} can only be read"
        else:
            yield from _value(known, given, f"{at}{key}")
    for key, known in fields.items():
        if known.get("required") and key not in body and not (top and key in _OF_ALL):
            yield f"{at}{key} is wanted"


def _value(known: dict[str, Any], given: Any, at: str) -> Iterator[str]:
    if "properties" in known and "type" not in known:
        yield from _object(known["properties"], given, f"{at}.")
        return
    yield from _typed(known["type"], given, at)


def _typed(kind: Any, given: Any, at: str) -> Iterator[str]:
    if isinstance(given, Expression) or kind == "plain":
        return
    if isinstance(kind, list):
        if not isinstance(given, list):
            yield f"{at} is no array"
            return
        for number, one in enumerate(given):
            yield from _typed(kind[0], one, f"{at}[{number}]")
    elif isinstance(kind, dict):
        if not isinstance(given, dict):
            yield f"{at} is no object"
            return
        for key, one in given.items():
            yield from _typed(kind["*"], one, f"{at}.{key}")
    elif kind in table()["enums"]:
        values = table()["enums"][kind]
        if str(given) not in values:
            yield f"{at} is {given!r}, which is none of {', '.join(values)}"
    else:
        yield from _against(kind, given, f"{at}.")
