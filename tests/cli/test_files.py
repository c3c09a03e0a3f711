"""Job files: what is read, and every fault that is found before an app is asked."""

from pathlib import Path

import pytest

from cli.faults import CommandFault
from cli.files import load, read, write

SUPPORT = """\
name: Support mailbox
server: {type: imap4, host: mail.example.com, username: support@example.com, password_secret: support-mailbox}
schedule:
  frequency: {type: once, at: 08:30}
  start_date: 2030-01-01
"""


def folder(tmp_path: Path, **files: str) -> Path:
    """Job files by name, ``__`` for the dot."""
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    for name, text in files.items():
        (jobs / name.replace("__", ".")).write_text(text)
    return jobs


def test_a_job_is_called_as_its_file(tmp_path: Path) -> None:
    """Every default is filled in; times and dates are text, as jobs want them."""
    (one,) = load(folder(tmp_path, support__yaml=SUPPORT))
    assert one.document["id"] == "support"
    assert one.document["schedule"]["frequency"]["at"] == "08:30"
    assert one.document["schedule"]["start_date"] == "2030-01-01"
    assert one.document["max_attempts"] == 5


def test_an_overlay_changes_what_it_names(tmp_path: Path) -> None:
    """A merge patch: null puts a field back to its default."""
    jobs = folder(tmp_path, support__yaml=SUPPORT)
    place = tmp_path / "overlays" / "test"
    place.mkdir(parents=True)
    (place / "support.yaml").write_text("enabled: false\nserver: {host: mail.test}\nschedule: null\n")
    (one,) = load(jobs, environment="test")
    assert (one.document["enabled"], one.document["server"]["host"]) == (False, "mail.test")
    assert one.document["schedule"]["frequency"]["type"] == "interval"
    assert load(jobs)[0].document["enabled"] is True


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """With its file and its place in it."""
    jobs = folder(
        tmp_path,
        bad__yaml="server: {type: imap4, host: x}\nshedule: {}\n",
        broken__json="{",
        twice__yaml="name: a\nname: b\n",
        support__yaml=SUPPORT,
        again__yaml=SUPPORT,
    )
    with pytest.raises(CommandFault) as caught:
        load(jobs)
    told = str(caught.value)
    for part in (
        "bad.yaml: /shedule: Unknown field. Did you mean 'schedule'?",
        "bad.yaml: /server/username",
        "broken.json: ",
        "twice.yaml: the field 'name' is written twice",
        "support.yaml: again.yaml integrates the same mailbox",
    ):
        assert part in told, told


def test_an_overlay_without_its_job_is_a_fault(tmp_path: Path) -> None:
    """It would silently do nothing."""
    jobs = folder(tmp_path, support__yaml=SUPPORT)
    place = tmp_path / "overlays" / "test"
    place.mkdir(parents=True)
    (place / "suport.yaml").write_text("enabled: false\n")
    with pytest.raises(CommandFault, match=r"suport\.yaml: there is no job 'suport'"):
        load(jobs, environment="test")
    with pytest.raises(CommandFault, match="environment 'production'"):
        load(jobs, environment="production")


@pytest.mark.parametrize("name", ["support.yaml", "support.json"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    """Both forms."""
    document = {
        "name": "Ünïcode",
        "at": "08:30",
        "day": "2026-11-01",
        "count": 7,
        "on": True,
        "nothing": None,
        "list": [1],
    }
    write(tmp_path / name, document)
    assert read(tmp_path / name) == document


def test_an_empty_or_missing_folder_is_a_fault(tmp_path: Path) -> None:
    """With --prune it would otherwise delete every job."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(CommandFault, match="there is no"):
            load(tmp_path / name)
