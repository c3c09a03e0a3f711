"""The command line against the real API over a real socket."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from cli.faults import CommandFault
from cli.main import app
from tests.api.world import Switch, World, serving


@dataclass(frozen=True, slots=True)
class Said:
    """What a command ended with."""

    code: int
    out: str
    fault: str


@pytest.fixture(scope="session")
def switch() -> Switch:
    """What the server serves."""
    return Switch()


@pytest.fixture(scope="session")
def client(switch: Switch) -> Iterator[httpx.Client]:
    """A client of the server."""
    with serving(switch) as found:
        yield found


@pytest.fixture
def world(client: httpx.Client, switch: Switch) -> World:
    """A fresh API, with nothing stored."""
    return World(client, switch)


@pytest.fixture
def mailconnector(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Run a command in an empty folder, against the app."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MAILCONNECTOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MAILCONNECTOR_URL", str(world.client.base_url))

    def run(*arguments: str) -> Said:
        found = CliRunner().invoke(app, list(arguments))
        if isinstance(found.exception, CommandFault):
            return Said(found.exception.code, found.stdout, str(found.exception))
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Said(found.exit_code, found.stdout, found.stderr)

    return run
