"""Commands against the real API: what they change, what they say, and what they end with."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
import yaml

from cli.app import pause_of
from tests.api.world import World
from tests.cli.conftest import Said

Command = Callable[..., Said]
ROOT = Path(__file__).resolve().parents[2]


def job(name: str, **fields: Any) -> dict[str, Any]:
    """A job file's content."""
    server = {
        "type": "imap4",
        "host": "mail.example.com",
        "username": f"{name}@example.com",
        "password_secret": "support-mailbox",
    }
    return {"name": name.title(), "server": server, **fields}


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    """Ten job files."""
    folder = tmp_path / "jobs"
    folder.mkdir()
    for number in range(10):
        (folder / f"team-{number}.yaml").write_text(yaml.safe_dump(job(f"team-{number}")))
    return folder


def edit(folder: Path, name: str, **fields: Any) -> None:
    """Write a job file anew."""
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(job(name, **fields)))


def ids(world: World) -> list[str]:
    """The jobs that the app has."""
    return [one["id"] for one in world.client.get("/api/jobs").json()["items"]]


def test_the_first_apply_creates_and_the_second_changes_nothing(
    mailconnector: Command, world: World, ten: Path
) -> None:
    """Ten files, ten jobs; and then nothing to do."""
    assert mailconnector("plan", "--exit-code").code == 4
    assert ids(world) == []
    assert "10 to create, 0 to change, 0 to delete, 0 as they are.\nDone." in mailconnector("apply").out
    assert ids(world) == [f"team-{number}" for number in range(10)]
    again = mailconnector("apply")
    assert (again.code, again.out) == (0, "0 to create, 0 to change, 0 to delete, 10 as they are.\n")
    assert mailconnector("plan", "--exit-code").code == 0


def test_an_edit_is_shown_field_by_field(mailconnector: Command, ten: Path) -> None:
    """As people read it, and as pipelines do."""
    mailconnector("apply")
    edit(
        ten,
        "team-3",
        schedule={"frequency": {"type": "interval", "every": 15}},
        on_success={"mark_as_read": True, "category": "done"},
    )
    shown = mailconnector("plan").out
    assert shown.startswith("~ team-3\n")
    assert "    /schedule/frequency/every: 5 -> 15\n" in shown
    assert '    /on_success: (nothing) -> {"mark_as_read": true' in shown
    assert shown.endswith("0 to create, 1 to change, 0 to delete, 9 as they are.\n")
    changes = json.loads(mailconnector("plan", "-o", "json").out)
    (change,) = [one for one in changes if one["action"] != "nothing"]
    assert {"pointer": "/schedule/frequency/every", "before": 5, "after": 15} in change["differences"]


def test_a_concurrent_edit_is_refused(mailconnector: Command, world: World, ten: Path) -> None:
    """A kept plan names the versions that it was made for; the other jobs are changed nevertheless."""
    mailconnector("apply")
    edit(ten, "team-1", description="mine")
    edit(ten, "team-2", description="mine, too")
    mailconnector("plan", "--save", "plan.json")
    etag = world.client.get("/api/jobs/team-1").headers["ETag"]
    theirs = world.client.patch("/api/jobs/team-1", json={"description": "theirs"}, headers={"If-Match": etag})
    assert theirs.status_code == 200
    refused = mailconnector("apply", "--plan", "plan.json")
    assert refused.code == 3
    assert refused.fault.startswith("team-1: ")
    assert world.client.get("/api/jobs/team-1").json()["description"] == "theirs"
    assert world.client.get("/api/jobs/team-2").json()["description"] == "mine, too"


def test_a_job_made_meanwhile_is_not_written_over(mailconnector: Command, world: World, ten: Path) -> None:
    """A plan to create is one to create."""
    mailconnector("plan", "--save", "plan.json")
    assert world.client.put("/api/jobs/team-4", json=job("team-4", description="theirs")).status_code == 201
    refused = mailconnector("apply", "--plan", "plan.json")
    assert refused.code == 3
    assert world.client.get("/api/jobs/team-4").json()["description"] == "theirs"
    assert len(ids(world)) == 10


def test_nothing_is_deleted_unless_asked(mailconnector: Command, world: World, ten: Path) -> None:
    """And then only what no file describes."""
    mailconnector("apply")
    (ten / "team-9.yaml").unlink()
    assert mailconnector("apply").out == "0 to create, 0 to change, 0 to delete, 9 as they are.\n"
    assert "- team-9\n" in mailconnector("apply", "--prune").out
    assert ids(world) == [f"team-{number}" for number in range(9)]


def test_what_is_exported_plans_to_nothing(mailconnector: Command, ten: Path, tmp_path: Path) -> None:
    """Files of either form say the same as the app, and no more than they have to."""
    schedule = {"pattern": {"type": "weekly", "days": ["monday"]}, "frequency": {"type": "once", "at": "08:30"}}
    said = job("team-5", pick="new", max_attempts=3, schedule=schedule, on_success={"mark_as_read": True})
    (ten / "team-5.yaml").write_text(yaml.safe_dump({**said, "routing": {}, "description": ""}))
    mailconnector("apply")
    for form in ("yaml", "json"):
        assert mailconnector("export", form, "--format", form).code == 0
        assert mailconnector("plan", form, "--exit-code").code == 0
    assert yaml.safe_load((tmp_path / "yaml" / "team-5.yaml").read_text()) == said
    assert "is there already" in mailconnector("export", "yaml").fault


def test_faults_of_a_file_stop_everything(mailconnector: Command, world: World, ten: Path) -> None:
    """Before the app is asked; the warning about a config that is allowed stops nothing."""
    (ten / "team-0.yaml").write_text("server: {type: imap4}\n")
    assert mailconnector("validate").code == 1
    refused = mailconnector("apply")
    assert "team-0.yaml: /server/" in refused.fault
    assert ids(world) == []


def test_a_run_is_asked_for_and_shown(mailconnector: Command, world: World, ten: Path) -> None:
    """Nothing takes the queue's messages here, so its end is not waited for."""
    mailconnector("apply")
    assert "queued  manual" in mailconnector("run", "team-1", "--no-wait").out
    assert "team-1  queued" in mailconnector("runs", "team-1").out
    (shown,) = json.loads(mailconnector("runs", "team-1", "-o", "json").out)
    assert shown["outcome"] == "queued"


def test_an_unknown_job_is_said_so(mailconnector: Command) -> None:
    """In the app's words."""
    for command in ("run", "runs", "test", "parked"):
        found = mailconnector(command, "nobody")
        assert (found.code, found.fault) == (1, "There is no job 'nobody'.") or "nobody" in found.fault


def test_an_app_that_is_not_there_is_said_so(mailconnector: Command) -> None:
    """Not a traceback."""
    found = mailconnector("plan", "--url", "", str(ROOT / "tests"))
    assert found.code in (1, 2)


def test_a_refusal_is_a_sentence_on_stderr() -> None:
    """Of the real program."""
    found = subprocess.run(
        [sys.executable, "-m", "cli.main", "validate", "nowhere"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == "nowhere: there is no such folder.\n"


@contextmanager
def silent_app() -> Iterator[tuple[str, list[str]]]:
    """An app that hangs up without an answer, and the first lines of what it was asked."""
    asked: list[str] = []

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            asked.append(self.request.recv(65_536).decode().partition("\r\n")[0])

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def test_what_may_have_been_done_is_not_asked_twice(mailconnector: Command) -> None:
    """The answer got lost: a second run, or a refusal of our own change, would be wrong."""
    with silent_app() as (url, asked):
        found = mailconnector("run", "support", "--url", url)
    assert (found.code, asked) == (1, ["POST /api/jobs/support/run HTTP/1.1"])
    assert "does not answer" in found.fault


@pytest.mark.parametrize("header", ["Fri, 31 Dec 1999 23:59:59 GMT", "soon", ""])
def test_a_pause_that_is_no_number_of_seconds(header: str) -> None:
    """Proxies say dates (RFC 9110 section 10.2.3); the app itself says seconds."""
    assert pause_of({"Retry-After": header}) == pause_of({}) == 2
    assert pause_of({"Retry-After": "7"}) == 7
    assert pause_of({"Retry-After": "3600"}) == 30
