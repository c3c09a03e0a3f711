"""The demo claims only what it sees, and leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.demo import letters
from dev.demo.story import NotSeen, Story
from shared.mime import parse

PROJECT = Path(__file__).resolve().parents[2]
TOY = PROJECT / "tests" / "data" / "toy_app"
PATIENCE = 150


@contextmanager
def demo(temporary: Path, statement: str = "main()") -> Iterator[subprocess.Popen[str]]:
    """The demo as a process of its own, whose temporary files go into ``temporary``."""
    script = f"import sys; from pathlib import Path; from dev.demo.__main__ import main; sys.exit({statement})"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(temporary), "RAISING_SCHEDULE": "0 0 0 1 1 *", "PREFIX": "toy"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    ) as process:
        yield process


def listening(told: str) -> list[str]:
    """The servers of which ``told`` speaks that are still there."""
    ports = set(re.findall(r"127\.0\.0\.1:(\d+)", told))
    assert len(ports) >= 3, told
    found = []
    for port in ports:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", int(port))) == 0:
                found.append(port)
    return found


def test_every_claim_of_the_demo_is_seen(tmp_path: Path) -> None:
    """From the empty mailbox to the killed run: exit code 0, within its two minutes, and nothing stays behind."""
    with demo(tmp_path) as process:
        told, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, told
    assert "NOT SEEN" not in told
    assert "were checked and seen" in told
    assert re.findall(r"^(\d+)\. ", told, re.MULTILINE) == list("1234567")
    assert listening(told) == []
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_clears_everything_away(tmp_path: Path) -> None:
    """Interrupted in the middle, it ends its servers and removes its files."""
    with demo(tmp_path) as process:
        assert process.stdout
        told = ""
        while "2. Mail arrives" not in told:
            line = process.stdout.readline()
            assert line, told
            told += line
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert listening(told) == []
    assert list(tmp_path.iterdir()) == []


def test_an_app_that_does_not_do_it_fails_the_demo(tmp_path: Path) -> None:
    """Over another app: exit code 1, the claim that was not seen, and what the host said."""
    with demo(tmp_path, f"main(Path({str(TOY)!r}))") as process:
        told, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert "Not seen:\n  - GET /api/health answers 200: it was 201" in told
    assert "The last words of the local host:\nready http://" in told
    assert list(tmp_path.iterdir()) == []


def test_an_app_that_does_not_start_fails_the_demo(tmp_path: Path) -> None:
    """Over a folder without an app: exit code 1, and the host's own words."""
    empty = tmp_path / "app"
    empty.mkdir()
    with demo(tmp_path, f"main(Path({str(empty)!r}))") as process:
        told, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert "Traceback" not in told
    assert "host.json is missing" in told
    assert list(tmp_path.iterdir()) == [empty]


def test_a_claim_that_was_not_seen_is_told_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """One untrue claim among true ones decides the exit code, and is repeated at the end."""
    story = Story()
    story.claim("Water is wet.", seen=True)
    story.claim("Fire is cold.", seen=False, found="warm")

    assert story.end() == 1
    told = capsys.readouterr().out
    assert "✓ Water is wet." in told
    assert "✗ NOT SEEN: Fire is cold. Instead: warm" in told
    assert told.endswith("Not seen:\n  - Fire is cold.\n")


def test_a_story_that_took_too_long_fails_whatever_was_seen(capsys: pytest.CaptureFixture[str]) -> None:
    """The two minutes are a claim like any other."""
    story = Story(seconds=-1)
    story.claim("Water is wet.", seen=True)

    assert story.end() == 1
    assert "within -1 seconds" in capsys.readouterr().out


def test_waiting_gives_what_came_and_gives_up_in_time() -> None:
    """The first answer that is something counts; none within the time is a claim not seen."""
    story = Story()
    answers = iter([None, "", "at last"])

    assert story.wait_for("An answer came", lambda: next(answers), seconds=10) == "at last"
    with pytest.raises(NotSeen, match="An answer came within 0 seconds"):
        story.wait_for("An answer came", lambda: None, seconds=0)


def test_the_letters_are_what_they_say_they_are() -> None:
    """The files are in the one, the other is as broken as promised, and replies refer to what they answer."""
    files = {each.name: (each.data, each.inline) for each in parse(letters.with_files().raw).attachments}
    broken = parse(letters.broken().raw)
    reply = parse(letters.reply_by_references().raw)

    assert files == {letters.READINGS_NAME: (letters.READINGS, False), "meter.png": (letters.PICTURE, True)}
    assert len(broken.defects) >= 4
    assert reply.references == (letters.PRINTER_ID,)
    assert not parse(letters.question().raw).defects
