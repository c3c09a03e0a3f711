"""Imports function_app as the Functions worker does, in a process of its own, and says what it found."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]

#: What the child does: on a running event loop, as the worker's; then one line of JSON.
_CHILD = """
import asyncio, json, sys, time

async def main():
    began = time.monotonic()
    import function_app
    functions = function_app.app.get_functions()
    print(json.dumps({
        "seconds": time.monotonic() - began,
        "modules": sorted(sys.modules),
        "functions": [json.loads(str(one)) | {"name": one.get_function_name()} for one in functions],
    }))

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the worker would tell the host."""

    #: The trigger binding of each function, by function name.
    triggers: Mapping[str, Mapping[str, Any]]
    modules: frozenset[str]
    #: How long the import took, in seconds.
    seconds: float
    log: str

    @property
    def jobs(self) -> dict[str, str]:
        """The expression of each job's timer, by job id."""
        return {
            name.removeprefix("job_"): str(trigger["schedule"])
            for name, trigger in self.triggers.items()
            if name.startswith("job_")
        }


def index_app(connection_string: str, **settings: str) -> Indexed:
    """Import function_app with these app settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILCONNECTOR_")}
    child = subprocess.run(
        [sys.executable, "-c", _CHILD],
        cwd=PROJECT,
        env={**kept, "AzureWebJobsStorage": connection_string, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    found = json.loads(child.stdout)
    triggers = {
        one["name"]: next(binding for binding in one["bindings"] if "rigger" in binding["type"])
        for one in found["functions"]
    }
    assert len(triggers) == len(found["functions"]), "Two functions share a name."
    return Indexed(triggers, frozenset(found["modules"]), found["seconds"], child.stderr)
