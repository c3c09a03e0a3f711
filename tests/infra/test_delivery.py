"""azure.yaml, the hooks, the workflow, and what is deployed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from dev.package import TARGET, build, deployed
from tests.infra.bicep import BICEP, ROOT, load

#: learn.microsoft.com/azure/developer/azure-developer-cli/azd-schema
_AZD = {"name", "metadata", "infra", "services", "pipeline", "hooks", "resourceGroup", "requiredVersions", "state"}
_AZD_SERVICE = {"project", "language", "host", "resourceName", "module", "hooks", "remoteBuild"}


def _yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_azd_finds_what_it_is_told_of() -> None:
    """Keys that its schema has, a template, the service's tag on the site, and hooks for both kinds of shell."""
    azd = _yaml("azure.yaml")
    assert set(azd) <= _AZD
    assert (ROOT / azd["infra"]["path"] / f"{azd['infra']['module']}.bicep").is_file()
    ((name, service),) = azd["services"].items()
    assert set(service) <= _AZD_SERVICE
    assert (service["language"], service["host"]) == ("python", "function")
    for site in ("site-flex", "site-premium"):
        assert f"'azd-service-name': '{name}'" in load(BICEP / "modules" / f"{site}.bicep").text
    for event, shells in azd["hooks"].items():
        assert event in ("preprovision", "postprovision", "predeploy", "postdeploy")
        assert set(shells) == {"posix", "windows"}
        for one in shells.values():
            assert (ROOT / one["run"]).is_file()


def test_hooks_know_the_outputs_by_their_names() -> None:
    """Both shells, as azd sets them."""
    outputs = set(load(BICEP / "main.bicep").outputs)
    posix = re.findall(r"\$\{(\w+):-", (ROOT / "infra/hooks/postprovision.sh").read_text())
    windows = re.findall(r"\$env:(\w+)", (ROOT / "infra/hooks/postprovision.ps1").read_text())
    assert set(posix) == set(windows)
    assert set(posix) <= outputs


def test_the_hook_runs() -> None:
    """And tells what azd gave to it."""
    told = subprocess.run(
        ["sh", ROOT / "infra/hooks/postprovision.sh"],
        env={**os.environ, "apiUrl": "https://example.test/api", "mailboxIdentityClientId": "the-client"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "https://example.test/api" in told.stdout
    assert "-ApplicationId the-client" in told.stdout


def test_the_workflow_holds_no_secret_and_few_rights() -> None:
    """OpenID Connect, nothing written by default, deployment behind an environment that has to be approved."""
    text = (ROOT / ".github/workflows/deploy.yml").read_text()
    workflow = yaml.safe_load(text)
    assert "secrets." not in text
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["permissions"]["id-token"] == "write"
        assert set(job["permissions"]) <= {"contents", "id-token", "pull-requests"}
        assert job["permissions"]["contents"] == "read"
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            # What somebody else wrote never stands in a script.
            assert "${{" not in step.get("run", "")
    assert workflow["jobs"]["deploy"]["environment"] == "production"
    assert workflow["jobs"]["what-if"]["if"] == "github.event_name == 'pull_request'"


def test_the_workflow_fits_the_published_schema() -> None:
    """As the package check-jsonschema carries it."""
    workflow = ROOT / ".github/workflows/deploy.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(workflow)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_workflow_names_what_there_is() -> None:
    """Templates, outputs and files of the package."""
    text = (ROOT / ".github/workflows/deploy.yml").read_text()
    for path in set(re.findall(r"infra/bicep/[\w./-]+", text)):
        assert (ROOT / path).is_file(), path
    for output in re.findall(r"properties\.outputs\.(\w+)\.value", text):
        assert output in load(BICEP / "main.bicep").outputs
    assert f"--src {TARGET.relative_to(ROOT)}" in text


def test_only_the_app_is_deployed() -> None:
    """A new file at the top level has to be let in or kept out: .funcignore names what stays."""
    top = {path.parts[0] for path in deployed()}
    assert top == {"LICENSE", "function_app.py", "functions", "host.json", "requirements.txt", "shared"}


def test_the_package_is_the_same_each_time(tmp_path: Path) -> None:
    """Whatever the dates of the files, and wherever they lie."""
    files = [(path, ROOT / path) for path in deployed()]
    build(tmp_path / "one.zip", files)
    copies = [(path, tmp_path / "copy" / path) for path in deployed()]
    for path, copy in copies:
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / path).read_bytes())
    build(tmp_path / "two.zip", copies)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_the_host_is_told_what_the_plans_take() -> None:
    """host.json: version, the extensions that are used, and a time-out that every plan allows."""
    host = json.loads((ROOT / "host.json").read_text())
    assert set(host) <= {"version", "functionTimeout", "extensionBundle", "extensions", "logging"}
    assert host["version"] == "2.0"
    assert set(host["extensions"]) == {"http", "queues"}
    assert re.fullmatch(r"00:(0[1-9]|10):00", host["functionTimeout"])


def test_every_package_that_is_deployed_has_its_licence() -> None:
    """docs/licences.md has what requirements.txt has, at the same versions; what only some systems need may lack."""
    line = r"^([a-z0-9.-]+)(?:\[[a-z0-9,]+\])?==([^ ;\\]+)( ;)?"
    pinned = re.findall(line, (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    listed = re.findall(r"^\| ([\w.-]+) \| (\S+) \|", (ROOT / "docs/licences.md").read_text(), re.MULTILINE)
    named = {(re.sub(r"[._-]+", "-", name).lower(), version) for name, version in listed if name != "package"}
    everywhere = {(name, version) for name, version, marker in pinned if not marker}
    assert len(everywhere) > 50
    assert everywhere <= named <= {(name, version) for name, version, _ in pinned}, "make inventory"


def test_the_page_of_the_deployment_names_what_there_is() -> None:
    """Every parameter and output of main.bicep that a reader meets, and every script."""
    page = (ROOT / "docs/deployment.md").read_text()
    main = load(BICEP / "main.bicep")
    assert {name for name in main.params if f"`{name}`" not in page} == set()
    for script in re.findall(r"infra/(?:exchange|entra)/[\w-]+\.ps1", page):
        assert (ROOT / script).is_file(), script
