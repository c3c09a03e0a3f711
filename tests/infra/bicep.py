"""Bicep files as the tests see them: declarations, names used, and values as far as they stand in the text.

Read with tree-sitter's grammar; `second_parser` is the other opinion. There is no compiler where these tests run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pycep
import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

ROOT = Path(__file__).resolve().parents[2]
BICEP = ROOT / "infra" / "bicep"

_PARSER = Parser(Language(tree_sitter_bicep.language()))


@dataclass(frozen=True, slots=True)
class Expression:
    """A value that is only known at deployment."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class Declared:
    """A resource or a module."""

    symbol: str
    #: Type and version of a resource, path of a module.
    what: str
    existing: bool
    node: Node
    body: dict[str, Any]
    parent: "Declared | None" = None

    @property
    def type(self) -> str:
        """The full type, without the version."""
        own = self.what.partition("@")[0]
        return f"{self.parent.type}/{own}" if self.parent else own

    @property
    def version(self) -> str:
        """The version of the API; that of the parent where a child names none."""
        return self.what.partition("@")[2] or (self.parent.version if self.parent else "")


@dataclass(slots=True)
class Parameter:
    """``param``."""

    name: str
    type: str
    has_default: bool
    default: Any
    decorators: dict[str, Any]


@dataclass(slots=True)
class Bicep:
    """One file."""

    text: str
    root: Node
    params: dict[str, Parameter] = field(default_factory=dict)
    vars: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Declared] = field(default_factory=dict)
    modules: dict[str, Declared] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def symbols(self) -> set[str]:
        """Every name that is declared at the top level."""
        return {*self.params, *self.vars, *self.resources, *self.modules}


def files() -> list[Path]:
    """Every template."""
    return sorted(BICEP.rglob("*.bicep"))


def parameter_files() -> list[Path]:
    """Every example of parameters."""
    return sorted(BICEP.rglob("*.bicepparam"))


@cache
def load(path: Path) -> Bicep:
    """A template as it is on the disk."""
    return read(path.read_text())


def read(text: str) -> Bicep:
    """Raises `ValueError` with the place where the text is no Bicep."""
    root = _PARSER.parse(text.encode()).root_node
    for node in walk(root):
        if node.is_error or node.is_missing:
            line = node.start_point.row + 1
            raise ValueError(f"line {line}: not Bicep: {text.splitlines()[node.start_point.row].strip()!r}")
    found = Bicep(text, root)
    decorators: dict[str, Any] = {}
    for node in root.named_children:
        if node.type == "decorators":
            decorators = _decorators(node)
            continue
        _declare(found, node, decorators)
        if node.type != "comment":
            decorators = {}
    return found


def second_parser(text: str) -> None:
    """Raises whatever pycep raises where it cannot read the text."""
    pycep.BicepParser().parse(text=text)


def assignments(text: str) -> tuple[str, str]:
    """A parameter file: the template that it is for, and itself as template text with ``var`` for ``param``.

    Neither parser knows parameter files. Raises `ValueError` for a line that stands in none.
    """
    using = re.search(r"^using '([^']+)'$", text, re.MULTILINE)
    if using is None:
        raise ValueError("no using '<template>'")
    return using[1], re.sub(r"^param (\w+) =", r"var \1 =", text.replace(using[0], ""), flags=re.MULTILINE)


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def value(node: Node) -> Any:  # noqa: PLR0911 (one line for each kind of value)
    """Objects, arrays and plain values; everything else is an `Expression`. A loop gives one of its rounds."""
    kind = node.type
    text = _text(node)
    if kind == "object":
        return {
            _key(pair): value(pair.named_children[1])
            for pair in node.named_children
            if pair.type == "object_property" and len(pair.named_children) > 1
        }
    if kind == "array":
        return [value(child) for child in node.named_children if child.type != "comment"]
    if kind in ("string", "multiline_string"):
        if any(child.type == "interpolation" for child in node.named_children):
            return Expression(text)
        return "".join(_text(child) for child in node.named_children).replace("\\'", "'")
    if kind == "number":
        return int(text)
    if kind == "boolean" or text in ("true", "false"):
        return text == "true"
    if kind == "for_statement":
        return [value(node.named_children[-1])]
    if kind == "if_statement":
        return value(node.named_children[-1])
    return Expression(text)


def names_used(node: Node) -> set[str]:
    """Identifiers that stand for a declared symbol, as opposed to keys, members and functions of the language."""
    local = {_text(one) for one in walk(node) if one.type in ("loop_variable", "loop_enumerator")}
    for one in walk(node):
        if one.type == "lambda_expression" or one.child_by_field_name("initializer"):
            local.add(_text(one.named_children[0]))
    used = set()
    for one in walk(node):
        if one.type != "identifier" or one.parent is None:
            continue
        parent = one.parent
        is_key = parent.type == "object_property" and parent.named_children[0] == one
        is_declaration = parent.type.endswith("_declaration") and parent.named_children[0] == one
        is_function = parent.type == "call_expression" and parent.child_by_field_name("function") == one
        if not (is_key or is_declaration or is_function):
            used.add(_text(one))
    return used - local


def calls(node: Node) -> list[tuple[str, Node]]:
    """Functions that are called, with their arguments."""
    found = []
    for one in walk(node):
        if one.type == "call_expression":
            function, arguments = one.child_by_field_name("function"), one.child_by_field_name("arguments")
            assert function is not None
            assert arguments is not None
            found.append((_text(function), arguments))
    return found


def members(node: Node) -> set[tuple[str, ...]]:
    """Longest paths of members, as ``("storage", "outputs", "blobUri")``."""
    found = set()
    for one in walk(node):
        if one.type == "member_expression" and (one.parent is None or one.parent.type != "member_expression"):
            found.add(tuple(part.strip() for part in _text(one).split(".")))
    return found


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _key(pair: Node) -> str:
    key = pair.named_children[0]
    return _text(key).strip("'")


def _decorators(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, arguments in calls(node):
        inside = arguments.named_children
        found[name] = value(inside[0]) if inside else True
    return found


def _declare(found: Bicep, node: Node, decorators: dict[str, Any]) -> None:
    name = _text(node.named_children[0]) if node.named_children else ""
    if node.type == "parameter_declaration":
        has_default = any(child.type == "=" for child in node.children)
        default = value(node.named_children[-1]) if has_default else None
        found.params[name] = Parameter(name, _text(node.named_children[1]), has_default, default, decorators)
    elif node.type == "variable_declaration":
        found.vars[name] = value(node.named_children[-1])
    elif node.type == "output_declaration":
        found.outputs[name] = _text(node.named_children[1])
    elif node.type == "module_declaration":
        found.modules[name] = _declared(node, None)
    elif node.type == "resource_declaration":
        _resource(found, node, None)


def _resource(found: Bicep, node: Node, parent: Declared | None) -> None:
    one = _declared(node, parent)
    found.resources[one.symbol if parent is None else f"{parent.symbol}::{one.symbol}"] = one
    inner = node.named_children[-1]
    while inner.type in ("for_statement", "if_statement"):
        inner = inner.named_children[-1]
    for pair in inner.named_children:
        child = pair.named_children[0] if pair.named_children else pair
        if child.type == "resource_declaration":
            _resource(found, child, one)


def _declared(node: Node, parent: Declared | None) -> Declared:
    symbol, what, *_ = node.named_children
    last = node.named_children[-1]
    body = value(last)
    if isinstance(body, list):
        body = body[0]
    existing = any(child.type == "existing" for child in node.children)
    return Declared(_text(symbol), _text(what).strip("'"), existing, node, body, parent)
