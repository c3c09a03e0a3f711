"""The templates, as far as they can be held to something without a compiler: parsers, types, versions, and each other."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.infra import arm, graph
from tests.infra.bicep import (
    BICEP,
    Expression,
    assignments,
    calls,
    files,
    load,
    parameter_files,
    read,
    second_parser,
)

#: No package carries these types. learn.microsoft.com/azure/templates/microsoft.insights/diagnosticsettings
_NOT_PUBLISHED = {"Microsoft.Insights/diagnosticSettings": {"workspaceId", "logs"}}

#: learn.microsoft.com/azure/role-based-access-control/built-in-roles
_ROLES = {
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}

_BY_NAME = [pytest.param(path, id=path.stem) for path in files()]
_EXAMPLES = [pytest.param(path, id=path.stem) for path in parameter_files()]


def test_there_are_templates() -> None:
    """The tests below go over what is found."""
    assert len(files()) > 10
    assert len(parameter_files()) >= 3


@pytest.mark.parametrize("path", _BY_NAME)
def test_two_parsers_read_it(path: Path) -> None:
    """tree-sitter's grammar and pycep know nothing of each other."""
    read(path.read_text())
    second_parser(path.read_text())


@pytest.mark.parametrize("path", _BY_NAME)
def test_every_name_is_declared_and_used(path: Path) -> None:
    """No loose ends."""
    assert list(graph.loose_ends(load(path))) == []


def test_modules_fit_together() -> None:
    """Parameters that main.bicep gives, outputs that it takes."""
    assert list(graph.faults(*graph.with_modules())) == []


def test_every_module_is_used() -> None:
    """A template that nobody names is dead."""
    main = load(graph.MAIN)
    named = {graph.module_path(declared.what) for declared in main.modules.values()}
    assert named | {graph.MAIN} == set(files())


def test_every_existing_resource_is_made_somewhere() -> None:
    """What one module looks up by name, another makes."""
    assert list(graph.homeless(*graph.with_modules())) == []


@pytest.mark.parametrize("path", _BY_NAME)
def test_versions_are_the_stated_ones(path: Path) -> None:
    """api-versions.toml, for every resource."""
    stated = tomllib.loads((BICEP / "api-versions.toml").read_text())
    for resource in load(path).resources.values():
        provider, kind, *_ = resource.type.split("/")
        assert resource.version == stated[provider][kind], resource.type


def test_every_stated_version_is_used() -> None:
    """The file says nothing that is not so."""
    stated = tomllib.loads((BICEP / "api-versions.toml").read_text())
    used = {"/".join(resource.type.split("/")[:2]) for path in files() for resource in load(path).resources.values()}
    assert {f"{provider}/{kind}" for provider, kinds in stated.items() for kind in kinds} == used


@pytest.mark.parametrize("path", _BY_NAME)
def test_bodies_are_as_published(path: Path) -> None:
    """Names, required properties and allowed values of every resource that is made."""
    for resource in load(path).resources.values():
        if resource.existing:
            continue
        if resource.type in _NOT_PUBLISHED:
            assert set(resource.body["properties"]) == _NOT_PUBLISHED[resource.type]
        else:
            assert list(arm.faults(resource.type, resource.body)) == []


def test_role_ids_are_the_documented_ones() -> None:
    """For the name that stands beside each, and each has a reason."""
    grants = [grant for name, grants in load(BICEP / "modules" / "access.bicep").vars.items() for grant in grants]
    assert len(grants) >= 5
    for grant in grants:
        assert _ROLES[grant["role"]] == grant["id"]
        assert len(grant["reason"]) > 20


def test_no_role_id_stands_elsewhere() -> None:
    """One table of what is granted."""
    for path in files():
        if path.stem != "access":
            assert not set(_ROLES.values()) & set(re.findall(r"[0-9a-f-]{36}", path.read_text())), path


def test_no_key_is_read_or_let_in() -> None:
    """No listKeys and its kin, no secret parameter, no connection string with a key; keys are switched off."""
    for path in files():
        one = load(path)
        assert not [name for name, _ in calls(one.root) if name.rpartition(".")[2].lower().startswith("list")], path
        assert not re.search(r"AccountKey=|SharedAccess|getSecret\(|primaryKey|@secure", one.text), path
    storage = load(BICEP / "modules" / "storage.bicep").resources["storage"].body["properties"]
    assert storage["allowSharedKeyAccess"] is False
    assert storage["allowBlobPublicAccess"] is False
    vault = load(BICEP / "modules" / "vault.bicep").resources["vault"].body["properties"]
    assert (vault["enableRbacAuthorization"], vault["enablePurgeProtection"], vault["enableSoftDelete"]) == (True,) * 3
    telemetry = load(BICEP / "modules" / "telemetry.bicep").resources
    assert telemetry["insights"].body["properties"]["DisableLocalAuth"] is True


def test_every_parameter_of_main_is_described() -> None:
    """And what has few values says which; a number says its bounds."""
    for parameter in load(graph.MAIN).params.values():
        assert len(parameter.decorators["description"]) > 10, parameter.name


@pytest.mark.parametrize("path", _EXAMPLES)
def test_examples_fit_the_template(path: Path) -> None:
    """Each parameter is one, has an allowed value of its type, and none that is wanted is left out."""
    using, text = assignments(path.read_text())
    second_parser(text)
    given = read(text).vars
    template = load((path.parent / using).resolve())
    assert set(given) <= set(template.params)
    assert {name for name, one in template.params.items() if not one.has_default} <= set(given)
    kinds = {"string": str, "int": int, "bool": bool, "array": list, "object": dict}
    for name, value in given.items():
        parameter = template.params[name]
        if isinstance(value, Expression):
            # What azd fills in: always text.
            assert (value.text.partition("(")[0], parameter.type) == ("readEnvironmentVariable", "string"), name
            continue
        assert isinstance(value, kinds[parameter.type]), name
        assert value in parameter.decorators.get("allowed", [value]), name
        if isinstance(value, int):
            assert parameter.decorators.get("minValue", value) <= value <= parameter.decorators.get("maxValue", value)
        if isinstance(value, str):
            assert parameter.decorators.get("minLength", 0) <= len(value) <= parameter.decorators.get("maxLength", 999)
