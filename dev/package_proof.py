"""Shows that the package needs nothing that is not in it: ``make package-proof``.

The prebuilt package is unpacked into an empty folder and hosted by a Python that has uvicorn, which the local host is
made of, and nothing else: all that the app imports comes out of the package.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

from dev.azurite import Azurite
from dev.child import Child
from dev.package import LIBRARIES, ROOT, build, deployed, install

_START_SECONDS = 120
_JOB = {
    "name": "Support",
    "enabled": False,
    "server": {
        "type": "exchange_online",
        "mailbox": "support@example.com",
        "sign_in": {"method": "managed_identity"},
    },
}


def _ask(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 (of our own host)
        url, data, {"Content-Type": "application/json"}, method="GET" if body is None else "PUT"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)


def _python(place: Path) -> Path:
    """A Python with uvicorn alone."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, place], check=True)
    python = place / "bin" / "python"
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, "uvicorn"], check=True)
    return python


def main() -> int:
    """Build, unpack, host, ask."""
    with tempfile.TemporaryDirectory() as name, Azurite(in_memory=True) as azurite:
        place, app = Path(name), Path(name) / "app"
        print("Building the package with its libraries ...", flush=True)
        libraries = install(place / "built")
        ours = [(path, ROOT / path) for path in deployed()]
        build(place / "app.zip", [*ours, *((path, place / "built" / path) for path in libraries)])
        with zipfile.ZipFile(place / "app.zip") as package:
            package.extractall(app)
            unpacked = sum(entry.file_size for entry in package.infolist())
        print(f"{(place / 'app.zip').stat().st_size / 1e6:.1f} MB, {unpacked / 1e6:.1f} MB unpacked", flush=True)
        # The host is ours, but no part of the package: it is read from here, and its `shared` from the package.
        (place / "host").mkdir()
        (place / "host" / "dev").symlink_to(ROOT / "dev")
        command = [str(_python(place / "python")), "-m", "dev.host", "--app-dir", str(app), "--port", "0"]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, (app, app / LIBRARIES, place / "host"))),
            "AzureWebJobsStorage": azurite.connection_string,
        }
        host = Child("the host", command, env=environment, cwd=app)
        try:
            ready = host.wait_for(r"ready (http://\S+) \((.*)\)", timeout=_START_SECONDS)
            print(f"indexed: {ready[2]}")
            print(f"GET /api/health: {_ask(f'{ready[1]}/api/health')}")
            stored = _ask(f"{ready[1]}/api/jobs/support", _JOB)
            print(f"PUT /api/jobs/support: health {stored['state']['health']}")
        finally:
            host.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
