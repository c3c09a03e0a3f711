"""Imports function_app as the Functions worker does: in a fresh process, on a running event loop."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]

#: What the app has whatever storage does.
STATIC = {"http_api", "health", "run_queue", "sweep"}

_OURS = ("AzureWebJobs", "MAILCONNECTOR_", "AZURE_")


@dataclass(frozen=True, slots=True)
class Indexed:
    """What a worker process knows of the app once it has imported it."""

    #: What function.json would say of each function's trigger.
    triggers: Mapping[str, Mapping[str, Any]]
    #: All modules that are loaded by then.
    modules: frozenset[str]
    #: How long import and indexing took.
    seconds: float
    #: What went to the log.
    log: str

    @property
    def jobs(self) -> dict[str, str]:
        """The timers' expressions, by job id."""
        mine = {name: trigger for name, trigger in self.triggers.items() if name.startswith("job_")}
        return {name.removeprefix("job_"): str(trigger["schedule"]) for name, trigger in mine.items()}


def index_app(settings: Mapping[str, str]) -> Indexed:
    """Import the app under these app settings alone. Fails when the import raises or a name is not allowed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        cwd=PROJECT,
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    return Indexed(told["triggers"], frozenset(told["modules"]), told["seconds"], done.stderr)


async def _worker() -> dict[str, Any]:
    from dev.host.indexing import index, load_app

    began = time.monotonic()
    functions = index(load_app(PROJECT))
    return {
        "seconds": time.monotonic() - began,
        "triggers": {function.name: function.trigger for function in functions},
        "modules": sorted(sys.modules),
    }


if __name__ == "__main__":
    answer = json.dumps(asyncio.run(_worker()), default=lambda enum: enum.value)
    sys.stdout.write(answer + "\n")
