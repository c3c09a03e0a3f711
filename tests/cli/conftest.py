"""The command line against the real API over a real socket."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.faults import CommandFault
from cli.main import app
from tests.api.conftest import client, switch, world
from tests.api.world import World

__all__ = ["client", "switch", "world"]


@dataclass(frozen=True, slots=True)
class Said:
    """What a command ended with."""

    code: int
    out: str
    fault: str


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
