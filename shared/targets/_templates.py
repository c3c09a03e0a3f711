"""Liquid templates of a request: its path, its headers, and the leaves of its JSON body.

Liquid (shopify.github.io/liquid) has no way to Python from within a template, and this engine bounds loops and output.
A JSON body is a JSON document whose texts are templates, so that no text of a mail can end one. Three objects in it
stand for something else:

- ``{"$each": "attachments", "do": ...}``: a list with one ``do`` for each item, which is called ``item`` in it;
- ``{"$if": "{{ ... }}", "then": ..., "else": ...}``: by whether the text is blank; what is left out is left out;
- ``{"$json": "{{ values.group }}"}``: the text as JSON, for numbers and booleans.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

from pydantic import AfterValidator

from shared.errors import Refused

if TYPE_CHECKING:
    from liquid import BoundTemplate, Environment

#: What templates may speak of.
NAMES: Final = frozenset(
    [
        "message",
        "requester",
        "fields",
        "notes",
        "attachments",
        "attachment",
        "ticket",
        "values",
        "kept",
        "job",
        "key",
        "links",
        "evidence",
        "target",
    ]
)

_EACH: Final = ("attachments", "message.to", "message.cc", "links", "evidence", "notes")
_OMIT: Final = object()


def _is_template(text: str) -> str:
    from liquid.exceptions import LiquidError

    try:
        template = _template(text)
    except LiquidError as error:
        raise ValueError(f"This template cannot be read: {error.message}") from error
    if unknown := sorted(set(template.global_variables()) - NAMES - {"item", "forloop"}):
        raise ValueError(f"No template knows {', '.join(unknown)}. It may speak of {', '.join(sorted(NAMES))}.")
    if unknown := sorted(set(template.filter_names()) - set(template.env.filters)):
        raise ValueError(f"There is no filter {', '.join(unknown)}.")
    return text


def _is_body(body: Any) -> Any:
    for text in _texts(body):
        _is_template(text)
    return body


Template = Annotated[str, AfterValidator(_is_template)]
JsonBody = Annotated[Any, AfterValidator(_is_body)]


def _texts(body: Any) -> Iterator[str]:
    """Every template of a body. Raises ValueError for a directive that is none."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, list):
        for item in body:
            yield from _texts(item)
    elif isinstance(body, dict):
        if directive := next((name for name in body if name.startswith("$")), None):
            _check_directive(directive, body)
        for name, value in body.items():
            if name != "$each":
                yield name
                yield from _texts(value)


def _check_directive(directive: str, body: Mapping[str, Any]) -> None:
    allowed = {"$each": {"$each", "do"}, "$if": {"$if", "then", "else"}, "$json": {"$json"}}
    if directive not in allowed or not set(body) <= allowed[directive]:
        raise ValueError(f"{{{directive!r}: ...}} is none of $each with do, $if with then and else, $json.")
    if directive == "$each" and not (body["$each"] in _EACH or str(body["$each"]).startswith("kept.")):
        raise ValueError(f"$each goes over one of {', '.join(_EACH)}, or something in kept.")


@cache
def _environment() -> "Environment":
    from liquid import Environment

    class Bounded(Environment):
        """What a template may cost."""

        loop_iteration_limit = 10_000
        local_namespace_limit = 1_000_000
        output_stream_limit = 250_000_000

    return Bounded(extra=True, strict_filters=True)


@cache
def _template(text: str) -> "BoundTemplate":
    return _environment().from_string(text)


def render(text: str, context: Mapping[str, Any]) -> str:
    """The text of a template. Raises `Refused` where this message makes it fail."""
    if "{" not in text:
        return text
    from liquid.exceptions import LiquidError

    try:
        return _template(text).render(**context)
    except LiquidError as error:
        raise Refused(
            f"A template of the target fails on this message: {error.message}",
            remedy="Change the template in the job's target block.",
        ) from error


def render_path(text: str, context: Mapping[str, Any]) -> str:
    """A path in which every value is percent-encoded: none can leave its segment."""
    return render(text, _quoted(context))


def render_body(body: Any, context: Mapping[str, Any]) -> Any:
    """The JSON document of a body."""
    made = _render(body, context)
    return None if made is _OMIT else made


def _render(body: Any, context: Mapping[str, Any]) -> Any:
    if isinstance(body, str):
        return render(body, context)
    if isinstance(body, list):
        return [made for item in body if (made := _render(item, context)) is not _OMIT]
    if isinstance(body, dict):
        directive = next((name for name in body if name.startswith("$")), "")
        if directive:
            return _direct(directive, body, context)
        made = {render(name, context): _render(value, context) for name, value in body.items()}
        return {name: value for name, value in made.items() if value is not _OMIT}
    return body


def _direct(directive: str, body: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
    if directive == "$each":
        return [_render(body["do"], {**context, "item": item}) for item in _look(body["$each"], context)]
    if directive == "$json":
        return _json(render(body["$json"], context))
    chosen = "then" if render(body["$if"], context).strip() else "else"
    return _render(body[chosen], context) if chosen in body else _OMIT


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else _OMIT
    except ValueError as error:
        raise Refused(
            f"A $json template of the target gives {text[:100]!r}, which is no JSON.",
            remedy="Change the template in the job's target block.",
        ) from error


def _look(path: str, context: Mapping[str, Any]) -> list[Any]:
    value: Any = context
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return list(value or [])


class Quoted(Mapping[str, Any]):
    """A mapping whose texts are percent-encoded when they are looked at."""

    def __init__(self, inner: Mapping[str, Any]) -> None:
        self._inner = inner

    def __getitem__(self, name: str) -> Any:
        return _quoted(self._inner[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._inner)

    def __len__(self) -> int:
        return len(self._inner)


def _quoted(value: Any) -> Any:
    if isinstance(value, str):
        return quote(value.encode("utf-8", "replace"), safe="")
    if isinstance(value, Mapping):
        return Quoted(value)
    if isinstance(value, list | tuple):
        return [_quoted(item) for item in value]
    return value


class Lazy(Mapping[str, Any]):
    """A mapping some values of which are made only when a template asks for them, each once."""

    def __init__(self, ready: Mapping[str, Any], **later: Callable[[], Any]) -> None:
        self._ready = dict(ready)
        self._later = later

    def __getitem__(self, name: str) -> Any:
        if name not in self._ready and name in self._later:
            self._ready[name] = self._later[name]()
        return self._ready[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._ready, **self._later})

    def __len__(self) -> int:
        return len(self._ready.keys() | self._later.keys())
