"""The bytes of purged messages: several in one blob, one behind the other, in a folder for the day of their expiry.

Blobs are named anew each time and never written twice under a name that a listing may point into, so a run that died
between its blob and its ledger leaves nothing worse than bytes that nobody knows, which go with their day.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from uuid import uuid4

from shared.model import PurgedMessage
from shared.storage.blobs import Container

#: Messages share a blob up to this size; a larger one has a blob to itself.
_BLOB_BYTES = 8 * 1024 * 1024


class Originals:
    """Kept bytes. Safe to share between threads."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def keep(self, originals: Sequence[tuple[PurgedMessage, bytes]]) -> list[PurgedMessage]:
        """Store them; the same messages, with their places."""
        placed: list[PurgedMessage] = []
        parts: list[bytes] = []
        path, size = "", 0
        for purged, data in originals:
            folder = f"{purged.expires_at:%Y-%m-%d}/{purged.key.job_id}/"
            if not path.startswith(folder) or (parts and size + len(data) > _BLOB_BYTES):
                self._store(path, parts)
                path, parts, size = f"{folder}{uuid4().hex}", [], 0
            placed.append(replace(purged, blob=path, offset=size, size=len(data)))
            parts.append(data)
            size += len(data)
        self._store(path, parts)
        return placed

    def _store(self, path: str, parts: list[bytes]) -> None:
        if parts:
            self._container.put(path, parts[0] if len(parts) == 1 else b"".join(parts))

    def stream(self, purged: PurgedMessage) -> Iterator[bytes] | None:
        """The bytes of one message in chunks, or None."""
        if not purged.size:
            return iter(())
        return self._container.stream(purged.blob, purged.offset, purged.size)

    def read(self, purged: PurgedMessage) -> bytes | None:
        """The bytes of one message, or None."""
        chunks = self.stream(purged)
        return None if chunks is None else b"".join(chunks)

    def erase(self, purged: PurgedMessage) -> None:
        """Overwrite the bytes of one message with zeros; those of its neighbours stay as they are."""
        self._container.erase(purged.blob, purged.offset, purged.size)

    def days(self) -> Iterator[str]:
        """The days of expiry for which there is something, oldest first."""
        return (folder.removesuffix("/") for folder in self._container.folders())

    def of_day(self, day: str) -> Iterator[list[str]]:
        """The names of a day's blobs, page by page."""
        return self._container.names(f"{day}/")

    def remove(self, paths: Sequence[str]) -> None:
        """Remove blobs, with a request for each 256; those that are not there are no fault."""
        self._container.remove_all(paths)


def expired(day: str, today: date) -> bool:
    """Whether everything in a day's folder has expired: all of it does at the beginning of that day."""
    try:
        return date.fromisoformat(day) <= today
    except ValueError:
        # Not a folder of ours.
        return False
