"""A mail spool on the file system of the app: a Maildir folder or an mbox file, for demos and for migrations.

Maildir: https://cr.yp.to/proto/maildir.html. mbox: RFC 4155, read as "mboxo" (a line ``From `` after an empty one
begins a message); ``Status`` and ``X-Status`` hold its marks, as mail programs have long written them.

A config that comes over HTTP must not become a way to read any file of the host. So a spool can only lie below a folder
that the operator has opened by a file ``.mailconnector-spool`` in it; where that file says ``read-only``, nothing is
changed there.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Protocol, Self

from pydantic import Field, field_validator

from shared.errors import ConfigInvalid, MessageError, MessageGone, Unavailable, Unreadable
from shared.model import Disposition, Listing, MessageKey, MessageRef, Pick, Picking, RawMessage
from shared.ports import Connector, Disposed, Fetched, Hindrance, Opening, OpenRequest, ServerSettings

MARKER = ".mailconnector-spool"

#: Marks by the letters that Maildir has for them.
_SEEN, _DELETED, _FLAGGED = "S", "T", "F"
_HEADER_END = re.compile(rb"\r?\n\r?\n")


class SpoolSettings(ServerSettings):
    """The ``server`` block of a job on a spool."""

    type: Literal["spool"]
    format: Literal["maildir", "mbox"] = Field(description="A folder with cur, new and tmp in it, or one file.")
    path: str = Field(
        min_length=2,
        max_length=1000,
        description=f"The absolute path, below a folder in which the operator has put a file {MARKER}.",
    )

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        if not path.isprintable() or not path.startswith("/") or ".." in path.split("/"):
            raise ValueError("Give the absolute path of the spool, without '..'.")
        return path

    def identity(self) -> str:
        """See `ServerSettings.identity`: whatever links lead there, it is one place."""
        return f"spool:{os.path.realpath(self.path)}"

    def secret_names(self) -> frozenset[str]:
        """There is no sign-in."""
        return frozenset()

    def refuses(self, disposition: Disposition) -> str:
        """See `ServerSettings.refuses`."""
        if disposition.category:
            return "A spool has no categories."
        if disposition.move_to and self.format == "mbox":
            return "A message cannot be moved out of an mbox file; use format 'maildir'."
        return ""


@dataclass(frozen=True, slots=True)
class _Item:
    """One message: a name that lasts, its octets, its marks, and where it lies now."""

    name: str
    size: int
    marks: frozenset[str]
    path: Path
    start: int = 0
    end: int = -1


class _Store(Protocol):
    """What both formats can do."""

    def stamp(self) -> object:
        """Another one than before when items may lie elsewhere now."""
        ...

    def items(self) -> Sequence[_Item]:
        """Every message, oldest first."""
        ...

    def read(self, item: _Item, limit: int) -> bytes:
        """At most ``limit`` octets from its beginning. Raises OSError where it is gone."""
        ...

    def mark(self, marks: Mapping[str, frozenset[str]]) -> None:
        """Add marks to the messages of these names; those that are gone are left out."""
        ...

    def remove(self, names: Sequence[str]) -> None:
        """Remove those of these names that are (still) marked as deleted."""
        ...


# --- Maildir ---------------------------------------------------------------------------------------------------------


class _Maildir:
    def __init__(self, path: Path) -> None:
        self._path = path
        if missing := [name for name in ("cur", "new", "tmp") if not (path / name).is_dir()]:
            raise ConfigInvalid(
                f"{path} is no Maildir folder: it has no {' and no '.join(missing)}.",
                remedy="Give the folder that holds cur, new and tmp, or use format 'mbox' for a file.",
            )

    def stamp(self) -> object:
        """A file stays what it is until it is renamed, and then it is not found."""
        return None

    def items(self) -> list[_Item]:
        found = []
        for folder in ("new", "cur"):
            for entry in os.scandir(self._path / folder):
                # What begins with a dot is no message; what was renamed this moment is met again in the next listing.
                with suppress(FileNotFoundError):
                    if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                        stat = entry.stat()
                        name, _, info = entry.name.partition(":2,")
                        item = _Item(name, stat.st_size, frozenset(info), Path(entry.path))
                        found.append((stat.st_mtime_ns, name, item))
        return [item for _, _, item in sorted(found, key=lambda one: one[:2])]

    def read(self, item: _Item, limit: int) -> bytes:
        with item.path.open("rb") as file:
            return file.read(limit)

    def mark(self, marks: Mapping[str, frozenset[str]]) -> None:
        self._rename(marks, self._path / "cur")

    def move(self, names: Sequence[str], folder: Path) -> None:
        """Into another Maildir folder, with the marks that they have."""
        self._rename(dict.fromkeys(names, frozenset()), folder / "cur")

    def remove(self, names: Sequence[str]) -> None:
        for item in self.items():
            if item.name in names and _DELETED in item.marks:
                item.path.unlink(missing_ok=True)

    def _rename(self, marks: Mapping[str, frozenset[str]], folder: Path) -> None:
        """One rename each, which the file system does whole or not at all."""
        for item in self.items():
            if item.name in marks:
                letters = "".join(sorted(item.marks | marks[item.name]))
                with suppress(FileNotFoundError):
                    item.path.rename(folder / f"{item.name}:2,{letters}")


# --- mbox ------------------------------------------------------------------------------------------------------------


class _Mbox:
    """A file that nobody delivers into while a job works on it: a change writes it anew and puts it in its place."""

    _FIELDS = re.compile(rb"^(?:X-)?Status:[^\n]*\n", re.MULTILINE | re.IGNORECASE)
    #: Letters of ``Status`` and ``X-Status`` for those of Maildir.
    _LETTERS = ((_SEEN, b"Status", b"R"), (_DELETED, b"X-Status", b"D"), (_FLAGGED, b"X-Status", b"F"))

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise ConfigInvalid(f"{path} is no file.", remedy="Give the path of an mbox file.")

    def stamp(self) -> object:
        """Every change makes it another file."""
        stat = self._path.stat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def items(self) -> list[_Item]:
        with self._path.open("rb") as file:
            return [item for item, _ in self._messages(file)]

    def read(self, item: _Item, limit: int) -> bytes:
        """Without the marks that mail programs have written into it, so that it is what was delivered."""
        with item.path.open("rb") as file:
            file.seek(item.start)
            data = file.read(item.end - item.start)
        return self._delivered(data)[:limit]

    def mark(self, marks: Mapping[str, frozenset[str]]) -> None:
        self._rewrite(lambda item, data: self._marked(data, item.marks | marks.get(item.name, frozenset())), marks)

    def remove(self, names: Sequence[str]) -> None:
        self._rewrite(lambda item, data: b"" if _DELETED in item.marks else data, dict.fromkeys(names))

    def _messages(self, file: BinaryIO) -> Iterator[tuple[_Item, bytes]]:
        """Each with its ``From `` line. Equal messages are told apart by their order."""
        seen: Counter[str] = Counter()
        for start, separator, data in _split(file):
            bare = self._delivered(data)
            digest = hashlib.sha256(bare).hexdigest()
            seen[digest] += 1
            begin, name = start + len(separator), f"{digest}-{seen[digest]}"
            yield _Item(name, len(bare), self._marks(data), self._path, begin, begin + len(data)), separator + data

    def _rewrite(self, change: Callable[[_Item, bytes], bytes], names: Mapping[str, object]) -> None:
        new = self._path.with_name(f".{self._path.name}.mailconnector")
        with self._path.open("rb") as old, new.open("wb") as file:
            for item, data in self._messages(old):
                file.write(change(item, data) if item.name in names else data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), os.fstat(old.fileno()).st_mode)
        new.replace(self._path)

    def _delivered(self, data: bytes) -> bytes:
        """Without what the file adds: marks, and the empty line between messages."""
        bare = self._bare(data)
        return bare[:-1] if bare.endswith((b"\n\n", b"\r\n\n")) else bare

    def _bare(self, data: bytes) -> bytes:
        head, rest = _halves(data)
        return self._FIELDS.sub(b"", head) + rest

    def _marks(self, data: bytes) -> frozenset[str]:
        fields = b"".join(self._FIELDS.findall(_halves(data)[0]))
        found = dict(re.findall(rb"^((?:X-)?Status): *([A-Z]*)", fields, re.MULTILINE))
        return frozenset(mark for mark, name, letter in self._LETTERS if letter in found.get(name, b""))

    def _marked(self, data: bytes, marks: frozenset[str]) -> bytes:
        separator, _, message = data.partition(b"\n")
        head, rest = _halves(self._bare(message))
        letters: dict[bytes, bytes] = {b"Status": b"", b"X-Status": b""}
        for mark, name, letter in self._LETTERS:
            letters[name] += letter if mark in marks else b""
        fields = b"".join(b"%s: %s\n" % (name, text) for name, text in letters.items() if text)
        return separator + b"\n" + head + fields + rest


def _split(file: BinaryIO) -> Iterator[tuple[int, bytes, bytes]]:
    """(offset, ``From `` line, message) of each message, which keeps the empty line at its end out."""
    start, offset, separator, blank = 0, 0, b"", True
    lines: list[bytes] = []
    for line in file:
        if blank and line.startswith(b"From "):
            if separator:
                yield start, separator, b"".join(lines)
            start, separator, lines = offset, line, []
        else:
            lines.append(line)
        blank = not line.strip(b"\r\n")
        offset += len(line)
    if separator:
        yield start, separator, b"".join(lines)


def _halves(data: bytes) -> tuple[bytes, bytes]:
    """The header with the end of its last line, and the rest with the empty line."""
    found = _HEADER_END.search(data)
    if not found:
        return data, b""
    end = found.start() + data[found.start() :].index(b"\n") + 1
    return data[:end], data[end:]


# --- the mailbox -----------------------------------------------------------------------------------------------------


class SpoolMailbox:
    """See `shared.ports.Mailbox`. When a message arrived is not known: a copy has the time of the copying."""

    def __init__(self, request: OpenRequest) -> None:
        settings: SpoolSettings = request.settings
        self._job_id, self._identity = request.job_id, settings.identity()
        path = Path(os.path.realpath(settings.path))
        request.begins(Opening.FOLDER)
        with _told(path):
            self._root = _opened(path)
            self._writable = (self._root / MARKER).read_text().strip() != "read-only"
            self._maildir = _Maildir(path) if settings.format == "maildir" else None
            self._store: _Store = self._maildir or _Mbox(path)
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def candidates(self, picking: Picking) -> Listing:
        """See `Mailbox.candidates`."""
        with _told(self._path):
            items = self._store.items()
        wanted = [one for one in items if _DELETED not in one.marks]
        if picking.pick is Pick.UNREAD:
            wanted = [one for one in wanted if _SEEN not in one.marks]
        refs = (MessageRef(MessageKey(self._job_id, self._identity, one.name), one.name, one.size) for one in wanted)
        return Listing(tuple(refs), in_box=len(items))

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:
        """See `Mailbox.fetch`. One message at a time, since nothing is far away."""
        stamp, known = self._store.stamp(), self._index()
        for ref in refs:
            if stamp != self._store.stamp():
                stamp, known = self._store.stamp(), self._index()
            item = known.get(ref.handle)
            try:
                yield Fetched(ref, self._read(ref, item, max_bytes)) if item else Fetched(ref, error=_gone(ref))
            except FileNotFoundError:
                # Another program has marked it, which is a new name, or removed it.
                known = self._index()
                again = known.get(ref.handle)
                yield Fetched(ref, self._read(ref, again, max_bytes)) if again else Fetched(ref, error=_gone(ref))
            except Unreadable as error:
                yield Fetched(ref, error=error)

    def dispose(self, refs: Sequence[MessageRef], disposition: Disposition) -> Sequence[Disposed]:
        """See `Mailbox.dispose`."""
        marks = {_SEEN: disposition.read, _DELETED: disposition.deleted, _FLAGGED: disposition.flag}
        added = frozenset(mark for mark, wanted in marks.items() if wanted)
        known = self._index()
        ours = [ref.handle for ref in refs if ref.handle in known]
        if ours and disposition.marks:
            self._demand_writable()
            target = self._target(disposition.move_to) if disposition.move_to else None
            with _told(self._path):
                if added:
                    self._store.mark(dict.fromkeys(ours, added))
                if target and self._maildir:
                    self._maildir.move(ours, target)
        return [Disposed(ref, None if ref.handle in known else _gone(ref)) for ref in refs]

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        """See `Mailbox.purge`."""
        if refs:
            self._demand_writable()
            with _told(self._path):
                self._store.remove([ref.handle for ref in refs])
        return [Disposed(ref) for ref in refs]

    def still_there(self, refs: Sequence[MessageRef]) -> frozenset[MessageKey]:
        """See `Mailbox.still_there`. A message keeps its name in every Maildir folder that the operator has opened."""
        with _told(self._path):
            names = {item.name for item in self._store.items()}
            if self._maildir:
                names |= {
                    file.name.partition(":2,")[0] for way in ("cur", "new") for file in self._root.rglob(f"{way}/*")
                }
        return frozenset(ref.key for ref in refs if ref.handle in names or ref.key.mailbox != self._identity)

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:
        """See `Mailbox.hindrances`."""
        if not disposition.marks:
            return []
        try:
            self._demand_writable()
            if disposition.move_to:
                self._target(disposition.move_to)
        except ConfigInvalid as hindered:
            return [Hindrance(hindered.what, hindered.remedy)]
        return []

    def _index(self) -> dict[str, _Item]:
        with _told(self._path):
            return {item.name: item for item in self._store.items()}

    def _read(self, ref: MessageRef, item: _Item, max_bytes: int) -> RawMessage:
        with _told(self._path):
            data = self._store.read(item, max_bytes)
        if not data:
            raise Unreadable(f"Message {item.name} in {self._path} is empty.")
        whole = item.size <= max_bytes
        head = data if whole else _halves(data)[0]
        return RawMessage(replace(ref, size=item.size), head, item.size, header_only=not whole)

    def _target(self, name: str) -> Path:
        """A folder beside ours, by its name; never one outside of what the operator has opened."""
        path = Path(os.path.realpath(self._path.parent / name))
        if not path.is_relative_to(self._root):
            raise ConfigInvalid(f"{name!r} lies outside of {self._root}.", remedy="Name a Maildir folder within it.")
        _Maildir(path)
        return path

    def _demand_writable(self) -> None:
        places = [self._path / "cur", self._path / "new"] if self._maildir else [self._path, self._path.parent]
        if not self._writable:
            raise ConfigInvalid(
                f"The operator has opened {self._root} for reading only.",
                remedy=f"Empty the file {MARKER} in it, or leave messages as they are (on_success without any mark).",
            )
        if locked := [str(place) for place in places if not os.access(place, os.W_OK)]:
            raise ConfigInvalid(
                f"The app may not write to {' and '.join(locked)}.", remedy="Give its user the right to write there."
            )


def _opened(path: Path) -> Path:
    """The folder at or above ``path`` that the operator has opened."""
    for folder in (path, *path.parents):
        if (folder / MARKER).is_file():
            return folder
    raise ConfigInvalid(
        f"{path} is not open to this app.",
        remedy=f"Put an empty file {MARKER} into the folder that holds the spool, if its mail is meant to be read.",
    )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Faults of the file system, as what they mean for the job. A file that is gone is the caller's to explain."""
    try:
        yield
    except FileNotFoundError:
        if path.exists():
            raise
        raise ConfigInvalid(f"{path} does not exist.", remedy="Check the path of the spool.") from None
    except PermissionError as fault:
        raise ConfigInvalid(
            f"The app may not read or change {fault.filename}.", remedy="Give its user the right to."
        ) from fault
    except OSError as fault:
        raise Unavailable(f"{path} cannot be used: {fault.strerror}.") from fault


def _gone(ref: MessageRef) -> MessageError:
    return MessageGone(f"Message {ref.handle} is not there any more.")


def open_mailbox(request: OpenRequest) -> SpoolMailbox:
    """Look at the spool. Raises `ConfigInvalid` or `Unavailable`."""
    return SpoolMailbox(request)


CONNECTOR = Connector(kind="spool", settings=SpoolSettings, open=open_mailbox)
