"""HTTP routes as ASP.NET writes them: ``tickets/{id}``, ``{id:int}``, ``{page?}``, ``{*rest}``."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from dev.host.indexing import Function
from dev.host.options import HostFault

_PARAMETER = re.compile(r"\{(\*{0,2})([A-Za-z_][A-Za-z0-9_]*)(?::([a-z]+))?(\?)?\}")
_CONSTRAINTS = {
    "int": r"-?\d+",
    "long": r"-?\d+",
    "guid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "alpha": r"[A-Za-z]+",
    "bool": r"(?i:true|false)",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP function and where it answers."""

    function: Function
    template: str
    #: Upper case; empty: every method.
    methods: frozenset[str]
    pattern: re.Pattern[str]
    #: Sorts before the rank of a less special route: literal, constrained, free, catch-all, segment by segment.
    rank: tuple[int, ...]


def parse_route(function: Function, prefix: str) -> Route:
    """The route of an HTTP function below host.json's routePrefix. Raises `HostFault` for a template it cannot read."""
    own = str(function.trigger.get("route") or function.name).strip("/")
    template = "/".join(part for part in (prefix.strip("/"), own) if part)
    pattern, rank = "", []
    for segment in filter(None, template.split("/")):
        text, weight = _segment(function, segment)
        pattern += text
        rank.append(weight)
    methods = frozenset(str(method).upper() for method in function.trigger.get("methods") or ())
    return Route(function, template, methods, re.compile(pattern or "/?"), (*rank, 9))


def _segment(function: Function, segment: str) -> tuple[str, int]:
    if "{" not in segment:
        return f"/(?i:{re.escape(segment)})", 0
    match = _PARAMETER.fullmatch(segment)
    if not match or (match[3] and match[3] not in _CONSTRAINTS):
        raise HostFault(
            f"Function {function.name!r}: this host does not know the route segment {segment!r}."
            f" It reads {{name}}, {{name?}}, {{*name}} and {{name:{'|'.join(_CONSTRAINTS)}}}."
        )
    stars, name, constraint, optional = match.groups()
    if stars:
        return f"(?:/(?P<{name}>.*))?", 3
    text = f"/(?P<{name}>{_CONSTRAINTS[constraint] if constraint else '[^/]+'})"
    return (f"(?:{text})?" if optional else text), (1 if constraint else 2)


def find(routes: Iterable[Route], method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
    """The most special route that answers ``method`` at the raw ``path`` ("/api/x%20y"), and its parameters."""
    path = path.rstrip("/") or "/"
    for route in sorted(routes, key=lambda each: each.rank):
        match = route.pattern.fullmatch(path)
        if match and (not route.methods or method.upper() in route.methods):
            return route, {name: unquote(value) for name, value in match.groupdict().items() if value}
    return None


def check_distinct(routes: Sequence[Route]) -> None:
    """Raise `HostFault` when two functions answer the same method at the same template."""
    for position, route in enumerate(routes):
        for other in routes[:position]:
            overlap = not route.methods or not other.methods or route.methods & other.methods
            if route.template.lower() == other.template.lower() and overlap:
                raise HostFault(
                    f"Functions {other.function.name!r} and {route.function.name!r} answer the same method at"
                    f" the same route {route.template!r}."
                )
