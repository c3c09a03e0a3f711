"""``make run``: Azurite and the local host, with data that stays, to try the app by hand until Ctrl-C."""

import os
import socket
import sys
from pathlib import Path

from dev.azurite import Azurite, AzuriteFault
from dev.host.__main__ import main as host

PROJECT = Path(__file__).resolve().parents[1]
DATA = PROJECT / ".local" / "run"
FIRST_PORT = 7071

_GREETING = """
Mail Connector on http://127.0.0.1:{port}, until Ctrl-C. Make a job, run it, read its tickets:

  curl http://127.0.0.1:{port}/api/health

  curl -X PUT http://127.0.0.1:{port}/api/jobs/support -H 'Content-Type: application/json' -d '{{
    "name": "Support mailbox",
    "server": {{"type": "imap4", "host": "imap.example.com", "username": "support@example.com",
               "password_secret": "support-mailbox"}}
  }}'
  curl -X POST http://127.0.0.1:{port}/api/jobs/support/run
  curl http://127.0.0.1:{port}/api/jobs/support/runs
  curl http://127.0.0.1:{port}/api/tickets

Secrets   {secrets}: {{"support-mailbox": "the password"}}
          A change counts at once. Or set MAILCONNECTOR_SECRET_SUPPORT_MAILBOX before you start this.
Data      {data} (Azurite's; it stays for next time, `make clean` removes it)
Contract  http://127.0.0.1:{port}/api/openapi.json, and docs/api.md

Core Tools work, too, beside a storage emulator of your own:
  azurite --skipApiVersionCheck & cp local.settings.example.json local.settings.json && func start
"""


def main(data: Path = DATA) -> int:
    """Keep everything in ``data``. The host's exit code: 0 when it stopped in good order."""
    secrets = secrets_file(data)
    port = free_port()
    try:
        with Azurite(data / "azurite") as azurite:
            os.environ["AzureWebJobsStorage"] = azurite.connection_string  # noqa: SIM112 (the platform's own spelling)
            print(_GREETING.format(port=port, secrets=_short(Path(secrets)), data=_short(data)), flush=True)
            return host(["--port", str(port), "--app-dir", str(PROJECT)])
    except AzuriteFault as fault:
        print(fault, file=sys.stderr)
        return 1


def secrets_file(data: Path) -> str:
    """The file that the environment names; else one of our own, made empty and for its owner only."""
    name = os.environ.setdefault("MAILCONNECTOR_SECRETS_FILE", str(data / "secrets.json"))
    if not Path(name).exists():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch(mode=0o600)
        Path(name).write_text("{}\n", encoding="utf-8")
    return name


def free_port(first: int = FIRST_PORT) -> int:
    """``first``, or the next one after it that nobody listens on."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SystemExit(f"The ports from {first} to {first + 99} are all taken: end some programs and try again.")


def _short(path: Path) -> str:
    return str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)


if __name__ == "__main__":
    sys.exit(main())
