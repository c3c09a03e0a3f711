"""``python -m tests.servers.prepare``: makes sure of the servers that the suite runs against, before it runs."""
# ruff: noqa: T201 (it talks to the person at the terminal)

import os
import sys

import pytest

from dev.azurite import VERSION, AzuriteFault, install
from tests.servers.cyrus import ensure_unpacked, unpacked
from tests.servers.dovecot import ensure_installed, program


def main() -> int:
    """0 when all servers are there, 1 when one cannot be had."""
    try:
        install()
    except AzuriteFault as fault:
        print(fault, file=sys.stderr)
        return 1
    print(f"Azurite {VERSION} is there.", flush=True)
    if not program() and os.geteuid() == 0:
        print("Installing Dovecot from the system's packages (once) ...", flush=True)
    try:
        ensure_installed()
    except pytest.fail.Exception as failed:
        print(failed.msg, file=sys.stderr)
        return 1
    print(f"Dovecot is there: {program()}", flush=True)
    if not unpacked():
        print("Unpacking Cyrus from the system's packages into .local/cyrus (once, about 70 MB) ...", flush=True)
    try:
        ensure_unpacked()
    except pytest.fail.Exception as failed:
        print(failed.msg, file=sys.stderr)
        return 1
    print("Cyrus is there.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
