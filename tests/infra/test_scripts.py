"""The scripts for Exchange and Entra: parsed, called with parameters that exist, and able to say what they would do."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from tests.infra.bicep import ROOT, walk

_PARSER = Parser(Language(tree_sitter_powershell.language()))
_COMMON = {"ErrorAction", "WhatIf", "Confirm", "Verbose"}
_SCRIPTS = sorted((ROOT / "infra").rglob("*.ps1"))
_GRANTING = [path for path in _SCRIPTS if path.parent.name in ("exchange", "entra")]
_CHANGES = re.compile(r"^(New|Set|Add|Remove|Update)-")


def _parsed(path: Path) -> Node:
    return _PARSER.parse(path.read_bytes()).root_node


def _commands(root: Node) -> Iterator[tuple[str, list[str], Node]]:
    """Name and parameters of every command that is called."""
    for node in walk(root):
        if node.type == "command" and node.named_children and node.named_children[0].type == "command_name":
            text = (node.named_children[0].text or b"").decode()
            given = [
                (one.text or b"").decode().lstrip("-")
                for elements in node.named_children
                if elements.type == "command_elements"
                for one in elements.named_children
                if one.type == "command_parameter"
            ]
            yield text, given, node


def _known() -> dict[str, list[str]]:
    table = tomllib.loads(Path(__file__).with_name("cmdlets.toml").read_text())
    return {name: parameters for module in table.values() for name, parameters in module.items()}


def _by_name(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=path.stem) for path in paths]


def test_there_are_scripts() -> None:
    """The tests below go over what is found."""
    assert len(_GRANTING) >= 5


@pytest.mark.parametrize("path", _by_name(_SCRIPTS))
def test_it_is_powershell(path: Path) -> None:
    """By a parser of its own."""
    faults = [node.start_point.row + 1 for node in walk(_parsed(path)) if node.is_error or node.is_missing]
    assert faults == []


@pytest.mark.parametrize("path", _by_name(_SCRIPTS))
def test_it_calls_what_there_is(path: Path) -> None:
    """Every cmdlet and parameter stands in cmdlets.toml, which names the vendor's pages."""
    known = _known()
    for name, given, _ in _commands(_parsed(path)):
        assert name in known
        assert set(given) - _COMMON <= set(known[name]), name


def test_every_known_cmdlet_is_called() -> None:
    """The table has no more than what is used."""
    assert {name for path in _SCRIPTS for name, _, _ in _commands(_parsed(path))} == set(_known())


@pytest.mark.parametrize("path", _by_name(_GRANTING))
def test_it_changes_nothing_without_asking(path: Path) -> None:
    """Whatever changes something stands in a branch that ShouldProcess has let in, or after a return that it guards."""
    text = path.read_text()
    for name, _, node in _commands(_parsed(path)):
        if not _CHANGES.match(name):
            continue
        assert "SupportsShouldProcess" in text
        around = node.parent
        guarded = False
        while around is not None and not guarded:
            head = (around.text or b"").decode().partition("{")[0]
            guarded = around.type in ("if_statement", "elseif_clause") and "ShouldProcess" in head
            around = around.parent
        assert guarded, f"{name} in line {node.start_point.row + 1}"


@pytest.mark.parametrize("path", _by_name(_GRANTING))
def test_it_says_what_it_does_and_how_to_undo_it(path: Path) -> None:
    """Synopsis, description and a page of the vendor; what grants can take back."""
    text = path.read_text()
    for part in (".SYNOPSIS", ".DESCRIPTION", ".EXAMPLE", ".LINK\nhttps://learn.microsoft.com/"):
        assert part in text, part
    if path.name.startswith(("Grant-", "Allow-")):
        assert "[switch] $Remove" in text


def test_no_script_knows_a_secret() -> None:
    """None is asked for, read or written."""
    for path in [*_SCRIPTS, *(ROOT / "infra").rglob("*.sh")]:
        assert not re.search(r"SecureString|ClientSecret|password\s*=|AccountKey", path.read_text(), re.IGNORECASE), (
            path
        )
