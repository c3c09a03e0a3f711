"""The faults of a document, each with its place and a sentence that a person can act on.

Pydantic names the branch of a union within an error's location (``server.imap4.port``); a JSON pointer (RFC 6901)
names places in the document that was sent, so those parts are left out.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

_M = TypeVar("_M", bound=BaseModel)

#: More than this helps nobody, and looking for near names costs time.
_MOST = 500

_SECRET_WORDS = ("password", "passwd", "pwd", "secret", "token", "credential", "api_key", "apikey", "passphrase")


@dataclass(frozen=True, slots=True)
class Fault:
    """``pointer`` is a JSON pointer into the document; empty means the document as a whole."""

    pointer: str
    detail: str


class FaultsFound(Exception):
    """A document is not what it should be. Lists everything that is wrong with it, and never a value out of it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(*(f"{fault.pointer or '/'}: {fault.detail}" for fault in faults))
        self.faults = tuple(faults)


def read_as(model: type[_M], document: Any, *, context: Mapping[str, Any] | None = None) -> _M:
    """``document`` (parsed JSON) as a ``model``. Raises `FaultsFound` with everything that is wrong with it.

    ``context`` is what validators are told besides.
    """
    try:
        # As JSON text, because that is what stored forms are read from: the same rules for both.
        return model.model_validate_json(json.dumps(document), context=context)
    except ValidationError as error:
        raise FaultsFound(faults_of(error, document, model)) from None


def pointer(*parts: str | int) -> str:
    """The JSON pointer made of these parts."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def faults_of(error: ValidationError, document: Any, model: type[BaseModel]) -> list[Fault]:
    """What ``error`` says about ``document``, in the order of the model's fields, each thing once."""
    found: dict[Fault, None] = {}
    errors = error.errors(include_url=False, include_input=False)
    for each in errors[:_MOST]:
        places = _places(each["loc"], document, missing=each["type"] == "missing")
        if each["type"] in {"union_tag_invalid", "union_tag_not_found"}:
            places = [*places, str(each["ctx"]["discriminator"]).strip("'")]
        detail = _unknown(places, document, model) if each["type"] == "extra_forbidden" else sentence(each)
        if each["type"] == "string_pattern_mismatch":
            detail = f"{detail} {_description(places, document, model)}".strip()
        found[Fault(pointer(*places), detail)] = None
    if len(errors) > _MOST:
        found[Fault("", f"And {len(errors) - _MOST} more faults.")] = None
    return list(found)


def _places(loc: Sequence[str | int], document: Any, *, missing: bool) -> list[str | int]:
    """The parts of ``loc`` that are places in ``document``; the others name branches of unions.

    With ``missing`` the last part is a place that the document does not have.
    """
    return list(_walk(tuple(loc), document, missing=missing)[1])


def _walk(loc: tuple[str | int, ...], here: Any, *, missing: bool) -> tuple[bool, tuple[str | int, ...]]:
    """The best reading of ``loc`` from ``here`` on: one that ends at its last part, and of those the longest.

    A branch may be called as one of its own fields is, so every part is tried as a place and as the name of a branch.
    """
    if not loc:
        return True, ()
    part, rest = loc[0], loc[1:]
    left_out = (False, ()) if not rest else _walk(rest, here, missing=missing)
    below: Any = here
    if (isinstance(here, dict) and part in here) or (isinstance(here, list) and part in range(len(here))):
        ends, places = _walk(rest, below[part], missing=missing)
        return max((ends, (part, *places)), left_out, key=lambda reading: (reading[0], len(reading[1])))
    if isinstance(here, dict) and missing and not rest:
        return True, (part,)
    return left_out


# --- sentences -------------------------------------------------------------------------------------------------------


def _own(context: Mapping[str, Any]) -> str:
    return str(context["error"])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_NUMBER = "Must be a whole number."
_BOOL = "Must be true or false."
_DATE = "Must be a date, as in 2026-11-23."
_TIME = "Must be a time of day, as in 08:30."
_INSTANT = "Must be a date and time with its offset, as in 2026-11-23T08:30:00Z."
_LIST = "Must be a list."
_OBJECT = "Must be an object."
_TEXT = "Must be text."

_SENTENCES: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "missing": "This field is required.",
    "value_error": _own,
    "assertion_error": _own,
    "int_type": _NUMBER,
    "int_parsing": _NUMBER,
    "int_from_float": _NUMBER,
    "int_parsing_size": "Must be a smaller number.",
    "float_type": "Must be a number.",
    "float_parsing": "Must be a number.",
    "bool_type": _BOOL,
    "bool_parsing": _BOOL,
    "string_type": _TEXT,
    "string_too_short": lambda c: (
        "Must not be empty." if c["min_length"] == 1 else f"Must have at least {c['min_length']} characters."
    ),
    "string_too_long": lambda c: f"Must have at most {_count(c['max_length'], 'character')}.",
    "string_pattern_mismatch": lambda c: f"Must match {c['pattern']}.",
    "greater_than_equal": lambda c: f"Must be at least {c['ge']}.",
    "greater_than": lambda c: f"Must be more than {c['gt']}.",
    "less_than_equal": lambda c: f"Must be at most {c['le']}.",
    "less_than": lambda c: f"Must be less than {c['lt']}.",
    "multiple_of": lambda c: f"Must be a multiple of {c['multiple_of']}.",
    "too_short": lambda c: f"Must have at least {_count(c['min_length'], 'item')}.",
    "too_long": lambda c: f"Must have at most {_count(c['max_length'], 'item')}.",
    "enum": lambda c: f"Must be {c['expected']}.",
    "literal_error": lambda c: f"Must be {c['expected']}.",
    "union_tag_invalid": lambda c: f"{c['tag']!r} is not known here. Must be one of {c['expected_tags']}.",
    "union_tag_not_found": "This field is required: it says which of the possible forms this is.",
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "time_type": _TIME,
    "time_parsing": _TIME,
    "datetime_type": _INSTANT,
    "datetime_parsing": _INSTANT,
    "datetime_from_date_parsing": _INSTANT,
    "timezone_aware": _INSTANT,
    "none_required": "Must be null or left out.",
    "json_invalid": "Is nested too deeply.",
    "extra_forbidden": "Unknown field.",
}


def sentence(error: Mapping[str, Any]) -> str:
    """One error of pydantic, for people. Never repeats what was sent, save the name of a kind."""
    known = _SENTENCES.get(error["type"])
    if isinstance(known, str):
        return known
    if known is not None:
        return known(error.get("ctx", {}))
    return str(error["msg"]).replace("Input should", "Must").rstrip(".") + "."


def _unknown(places: Sequence[str | int], document: Any, model: type[BaseModel]) -> str:
    """The sentence about a field that nobody knows, with the field that was probably meant."""
    name = str(places[-1]) if places else ""
    known = sorted(
        {field for node in _nodes(places[:-1], document, model) for field in node.get("properties", {})}
        - set(_at(places[:-1], document))
    )
    secret_names = [field for field in known if field.endswith(("_secret", "secret_name"))]
    if any(word in name.lower() for word in _SECRET_WORDS) and secret_names:
        near = get_close_matches(f"{name.lower()}_secret", secret_names, n=1, cutoff=0.0)[0]
        return (
            f"A secret never stands in a configuration. Store it as a secret, and write its name in {near!r}. "
            "If the value that you sent is real, change it."
        )
    close = get_close_matches(name.lower(), known, n=1, cutoff=0.7)
    return f"Unknown field. Did you mean {close[0]!r}?" if close else "Unknown field."


def _description(places: Sequence[str | int], document: Any, model: type[BaseModel]) -> str:
    for node in _nodes(places[:-1], document, model):
        field = node.get("properties", {}).get(places[-1] if places else "", {})
        if "description" in field:
            return str(field["description"])
    return ""


# --- the schema at a place ----------------------------------------------------------------------------------------


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(mode="validation")


def _at(places: Sequence[str | int], document: Any) -> Any:
    """What ``document`` holds there; something empty where it holds no object or list."""
    for place in places:
        document = document[place]
    return document if isinstance(document, (dict, list)) else ()


def _nodes(places: Sequence[str | int], document: Any, model: type[BaseModel]) -> list[dict[str, Any]]:
    """The schemas that may apply to what stands at ``places``."""
    schema = _schema(model)
    nodes = list(_branches(schema, schema, document))
    for index, place in enumerate(places):
        here = _at(places[: index + 1], document)
        below = [
            node.get("items", {}) if isinstance(place, int) else node.get("properties", {}).get(place, {})
            for node in nodes
        ]
        nodes = [branch for node in below for branch in _branches(node, schema, here)]
    return nodes


def _branches(node: Mapping[str, Any], schema: Mapping[str, Any], here: Any) -> Iterator[dict[str, Any]]:
    """``node`` with its references followed and its unions opened: the branch that ``here`` names, or all of them."""
    if "$ref" in node:
        yield from _branches(schema["$defs"][node["$ref"].rpartition("/")[2]], schema, here)
        return
    mapping = node.get("discriminator", {}).get("mapping", {})
    tag = here.get(node["discriminator"]["propertyName"]) if mapping and isinstance(here, dict) else None
    chosen = mapping.get(tag) if isinstance(tag, str) else None
    # Where several share a tag, there is a union below it rather than a reference.
    options = [{"$ref": chosen} if isinstance(chosen, str) else chosen] if chosen else None
    unions = options or [*node.get("oneOf", ()), *node.get("anyOf", ()), *node.get("allOf", ())]
    if not unions:
        yield dict(node)
    for option in unions:
        yield from _branches(option, schema, here)
