"""``make run``: an app to try by hand, whose data stays."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from dev.run import free_port

PROJECT = Path(__file__).resolve().parents[2]
JOB = {
    "server": {
        "type": "imap4",
        "host": "mail.example",
        "username": "support@mail.example",
        "password_secret": "support-mailbox",
    }
}


@contextmanager
def running(data: Path) -> Iterator[tuple[str, str]]:
    """``make run`` with its data in ``data``, until Ctrl-C: what it told at first, and its URL."""
    script = f"import sys; from pathlib import Path; from dev.run import main; sys.exit(main(Path({str(data)!r})))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAILCONNECTOR_")}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout
            told = ""
            while not (ready := re.search(r"^ready (\S+)", told, re.MULTILINE)):
                line = process.stdout.readline()
                assert line, told
                told += line
            yield told, ready[1]
        finally:
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest


def test_jobs_are_there_again_the_next_time(tmp_path: Path) -> None:
    """It tells where it is, ends on Ctrl-C, and finds its data when it is started again."""
    with running(tmp_path) as (told, url):
        assert f"Mail Connector on {url}, until Ctrl-C." in told
        assert httpx.put(f"{url}/api/jobs/support", json=JOB, timeout=30).status_code == 201
    with running(tmp_path) as (_, url):
        assert httpx.get(f"{url}/api/jobs/support", timeout=30).status_code == 200


def test_a_secret_put_into_the_file_is_found_at_once(tmp_path: Path) -> None:
    """The file is there, for its owner only; a job that names a missing secret says so until it is in the file."""
    secrets = tmp_path / "secrets.json"
    with running(tmp_path) as (told, url):
        assert str(secrets) in told
        assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
        (warning,) = httpx.put(f"{url}/api/jobs/support", json=JOB, timeout=30).json()["warnings"]
        assert "support-mailbox" in warning
        secrets.write_text('{"support-mailbox": "x"}')
        assert httpx.put(f"{url}/api/jobs/support", json=JOB, timeout=30).json()["warnings"] == []


def test_a_port_that_is_taken_is_passed_over() -> None:
    """The next free one is used."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port < free_port(port) <= port + 100
