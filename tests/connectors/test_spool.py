"""The Mailbox contract over a Maildir folder and an mbox file, and what a spool must never do."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.connectors import connector_for
from shared.connectors.spool import CONNECTOR, MARKER, SpoolMailbox, SpoolSettings, open_mailbox
from shared.errors import ConfigInvalid, Unreadable
from shared.model import Disposition
from shared.ports import Deadline, Mailbox, OpenRequest
from tests.contract.mailbox import UNREAD, Abilities, MailboxContract, Outside, World, listed, mail


class NoSecrets:
    """See `shared.ports.Secrets`."""

    def get(self, name: str) -> str:
        """There is none."""
        raise ConfigInvalid(f"There is no secret {name!r}.")


def open_spool(path: Path, form: str) -> SpoolMailbox:
    """A session on the spool at ``path``."""
    settings = SpoolSettings.model_validate({"type": "spool", "format": form, "path": str(path)})
    deadline = Deadline(datetime.now(UTC) + timedelta(minutes=1), lambda: datetime.now(UTC))
    return open_mailbox(OpenRequest("job", settings, NoSecrets(), deadline))


def make_maildir(path: Path) -> Path:
    """An empty one."""
    for name in ("cur", "new", "tmp"):
        (path / name).mkdir(parents=True)
    return path


class _MaildirWorld(World):
    """Another program delivers into ``new`` and renames files in ``cur``, as all do."""

    abilities = Abilities(
        knows_arrival=False, lacks={"category": "A Maildir has no categories: such a job is refused."}
    )

    def __init__(self, root: Path) -> None:
        self._root = root
        (root / MARKER).touch()
        self.path = make_maildir(root / "inbox")
        self._count = 0

    def open(self) -> Mailbox:
        return open_spool(self.path, "maildir")

    def deliver(self, data: bytes, *, seen: bool = False, received: datetime | None = None) -> None:  # noqa: ARG002 (not known)
        self._count += 1
        name = f"1795000000.{self._count:06d}.host"
        place = self.path / (f"cur/{name}:2,S" if seen else f"new/{name}")
        place.write_bytes(data)

    def _files(self) -> list[Path]:
        return sorted([*(self.path / "new").iterdir(), *(self.path / "cur").iterdir()], key=lambda file: file.name)

    def outside(self) -> Sequence[Outside]:
        return [
            Outside(
                _subject(file.read_bytes()), "S" in file.name.partition(":2,")[2], "T" in file.name.partition(":2,")[2]
            )
            for file in self._files()
        ]

    def make_read_only(self) -> None:
        (self._root / MARKER).write_text("read-only\n")

    def flagged(self) -> list[str]:
        return [_subject(file.read_bytes()) for file in self._files() if "F" in file.name.partition(":2,")[2]]

    def add_folder(self, name: str) -> str:
        make_maildir(self._root / name)
        return name

    def inside(self, path: str) -> list[str]:
        return [_subject(file.read_bytes()) for file in (self._root / path / "cur").iterdir()]

    def _mark(self, subject: str, change: str) -> None:
        file = next(file for file in self._files() if _subject(file.read_bytes()) == subject)
        name, _, marks = file.name.partition(":2,")
        changed = set(marks) ^ {change}
        file.rename(self.path / "cur" / f"{name}:2,{''.join(sorted(changed))}")

    def mark_read(self, subject: str) -> None:
        self._mark(subject, "S")

    def mark_deleted(self, subject: str) -> None:
        self._mark(subject, "T")

    def restore(self, subject: str) -> None:
        self._mark(subject, "T")

    def remove(self, subject: str) -> None:
        next(file for file in self._files() if _subject(file.read_bytes()) == subject).unlink()


class _MboxWorld(World):
    """Another program writes the whole file anew, as mail programs do."""

    # Equal messages are told apart by their order, so names are digests; line ends are the file's.
    abilities = Abilities(
        knows_arrival=False,
        items_sort=False,
        lacks={
            "category": "An mbox file has no categories: such a job is refused.",
            "move_to": "A message cannot be moved out of an mbox file: such a job is refused.",
        },
    )

    def __init__(self, root: Path) -> None:
        self._root = root
        (root / MARKER).touch()
        self.path = root / "inbox.mbox"
        self.path.touch()

    def open(self) -> Mailbox:
        return open_spool(self.path, "mbox")

    def deliver(self, data: bytes, *, seen: bool = False, received: datetime | None = None) -> None:  # noqa: ARG002 (not known)
        with self.path.open("ab") as file:
            head, _, body = data.partition(b"\r\n\r\n")
            status = b"\r\nStatus: RO" if seen else b""
            file.write(b"From a@example.com Mon Nov 23 12:00:00 2026\n" + head + status + b"\r\n\r\n" + body + b"\n")

    def _messages(self) -> list[bytes]:
        return [part for part in re.split(rb"^(?=From a@)", self.path.read_bytes(), flags=re.MULTILINE) if part]

    def outside(self) -> Sequence[Outside]:
        return [
            Outside(
                _subject(one),
                bool(re.search(rb"^Status: [A-Z]*R", one, re.MULTILINE)),
                bool(re.search(rb"^X-Status: [A-Z]*D", one, re.MULTILINE)),
            )
            for one in self._messages()
        ]

    def make_read_only(self) -> None:
        (self._root / MARKER).write_text("read-only\n")

    def flagged(self) -> list[str]:
        return [_subject(one) for one in self._messages() if re.search(rb"^X-Status: [A-Z]*F", one, re.MULTILINE)]

    def _change(self, subject: str, old: bytes, new: bytes) -> None:
        messages = [one.replace(old, new, 1) if _subject(one) == subject else one for one in self._messages()]
        self.path.write_bytes(b"".join(messages))

    def mark_read(self, subject: str) -> None:
        self._change(subject, b"\nSubject", b"\nStatus: RO\nSubject")

    def mark_deleted(self, subject: str) -> None:
        self._change(subject, b"\nSubject", b"\nX-Status: D\nSubject")

    def restore(self, subject: str) -> None:
        self._change(subject, b"X-Status: D\n", b"")

    def remove(self, subject: str) -> None:
        self.path.write_bytes(b"".join(one for one in self._messages() if _subject(one) != subject))


def _subject(data: bytes) -> str:
    found = re.search(rb"^Subject: (.*?)\r?$", data, re.MULTILINE)
    assert found
    return found[1].decode()


class TestMaildirMailbox(MailboxContract):
    """A Maildir folder on the disk."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        """A folder of its own."""
        return _MaildirWorld(tmp_path)


class TestMboxMailbox(MailboxContract):
    """An mbox file on the disk."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        """A file of its own."""
        return _MboxWorld(tmp_path)


# --- what only a spool has -------------------------------------------------------------------------------------------


@pytest.fixture
def inbox(tmp_path: Path) -> _MaildirWorld:
    """A Maildir folder that the operator has opened."""
    return _MaildirWorld(tmp_path)


def test_it_is_found_like_any_connector(inbox: _MaildirWorld) -> None:
    """Nothing had to be changed for it."""
    settings = SpoolSettings.model_validate({"type": "spool", "format": "maildir", "path": str(inbox.path)})
    assert connector_for(settings) is CONNECTOR


@pytest.mark.parametrize("path", ["mail", "/var/mail/../../etc/passwd", "/var/\x00mail", ""])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    """When the job is saved, not when it runs."""
    with pytest.raises(ValidationError):
        SpoolSettings.model_validate({"type": "spool", "format": "mbox", "path": path})


def test_what_the_operator_has_not_opened_stays_shut(tmp_path: Path) -> None:
    """A config that names any file of the host reads nothing of it."""
    secret = tmp_path / "secrets.mbox"
    secret.write_bytes(b"From a@example.com Mon\nSubject: secret\n\nhunter2\n")
    with pytest.raises(ConfigInvalid, match="is not open to this app") as refused:
        open_spool(secret, "mbox")
    assert MARKER in refused.value.remedy


def test_a_link_out_of_an_open_folder_is_not_followed(tmp_path: Path) -> None:
    """Neither as the spool nor as a message in it."""
    outside = make_maildir(tmp_path / "outside")
    (outside / "new" / "1.secret").write_bytes(mail("secret"))
    world = _MaildirWorld_in(tmp_path / "opened")
    (tmp_path / "opened" / "link").symlink_to(outside)
    with pytest.raises(ConfigInvalid, match="is not open to this app"):
        open_spool(tmp_path / "opened" / "link", "maildir")
    (world.path / "new" / "2.linked").symlink_to(outside / "new" / "1.secret")
    world.deliver_all("mine")
    with world.open() as mailbox:
        assert listed(mailbox) == ["mine"]


def _MaildirWorld_in(folder: Path) -> _MaildirWorld:  # noqa: N802 (makes one)
    folder.mkdir()
    return _MaildirWorld(folder)


@pytest.mark.parametrize(
    ("make", "form", "words"),
    [
        (lambda path: path.mkdir(), "maildir", "has no cur and no new and no tmp"),
        (lambda path: path.mkdir(), "mbox", "is no file"),
        (lambda path: path.touch(), "maildir", "is no Maildir folder"),
        (Path.exists, "mbox", "is no file"),
    ],
)
def test_what_is_no_spool_is_told(tmp_path: Path, make: Any, form: str, words: str) -> None:
    """With what to give instead."""
    (tmp_path / MARKER).touch()
    make(tmp_path / "spool")
    with pytest.raises(ConfigInvalid, match=words) as told:
        open_spool(tmp_path / "spool", form)
    assert told.value.remedy


def test_a_message_is_flagged_and_moved(inbox: _MaildirWorld, tmp_path: Path) -> None:
    """Marks come along; asked again, it is gone from here and still once there."""
    make_maildir(tmp_path / "done")
    inbox.deliver_all("one", "two")
    what = Disposition(read=True, flag=True, move_to="done")
    with inbox.open() as mailbox:
        assert list(mailbox.hindrances(what)) == []
        (first, _) = mailbox.candidates(UNREAD).refs
        for _ in range(2):
            mailbox.dispose([first], what)
    (moved,) = (tmp_path / "done" / "cur").iterdir()
    assert (moved.name.endswith(":2,FS"), _subject(moved.read_bytes())) == (True, "one")
    assert inbox.subjects() == ["two"]


@pytest.mark.parametrize(("name", "words"), [("nowhere", "is no Maildir folder"), ("../..", "lies outside of")])
def test_a_folder_to_move_to_must_be_there_and_open(inbox: _MaildirWorld, name: str, words: str) -> None:
    """Told by the connection test, and by the run before it touches the message."""
    inbox.deliver_all("one")
    what = Disposition(move_to=name)
    with inbox.open() as mailbox:
        (hindrance,) = mailbox.hindrances(what)
        assert words in hindrance.what
        with pytest.raises(ConfigInvalid, match=words):
            mailbox.dispose(mailbox.candidates(UNREAD).refs, what)
    assert inbox.subjects() == ["one"]


def test_an_mbox_keeps_what_is_not_ours(tmp_path: Path) -> None:
    """Equal messages are two; a quoted ``>From`` begins none; the rest of the file stays octet for octet."""
    world = _MboxWorld(tmp_path)
    for _ in range(2):
        world.deliver(mail("same"))
    world.deliver(mail("quoted") + b"\r\n>From here on it is quoted.\r\nFrom the middle of a text.\r\n")
    before = world.path.read_bytes()
    with world.open() as mailbox:
        assert listed(mailbox) == ["same", "same", "quoted"]
        first, *_ = mailbox.candidates(UNREAD).refs
        (done,) = mailbox.dispose([first], Disposition(deleted=True, flag=True))
        assert b"X-Status: DF\n" in world.path.read_bytes()
        mailbox.purge([done.ref])
        assert listed(mailbox) == ["same", "quoted"]
    assert world.path.read_bytes() == before[len(before) - world.path.stat().st_size :]
    assert sorted(one.name for one in tmp_path.iterdir()) == [MARKER, "inbox.mbox"]


def test_an_empty_file_is_no_message_yet(inbox: _MaildirWorld) -> None:
    """Something is delivering it, or has failed to: tried again, never deleted."""
    (inbox.path / "new" / "1.empty").touch()
    with inbox.open() as mailbox:
        (answer,) = mailbox.fetch(mailbox.candidates(UNREAD).refs, max_bytes=100)
    assert isinstance(answer.error, Unreadable)


def test_settings_say_what_a_spool_cannot_do() -> None:
    """Each with its reason; what it can do is not refused."""
    maildir, mbox = (
        SpoolSettings.model_validate({"type": "spool", "format": form, "path": "/mail"}) for form in ("maildir", "mbox")
    )
    assert "categories" in maildir.refuses(Disposition(category="x"))
    assert "maildir" in mbox.refuses(Disposition(move_to="x"))
    assert [one.refuses(Disposition(read=True, flag=True)) for one in (maildir, mbox)] == ["", ""]
    assert maildir.refuses(Disposition(move_to="x")) == ""
