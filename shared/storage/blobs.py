"""One blob container: made when first missed, its client opened when first used."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.storage.faults import storage_faults

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


class Container:
    """Blobs by path. Safe to share between threads, as its client is."""

    def __init__(self, connect: Callable[[], "ContainerClient"]) -> None:
        self._connect = connect
        self._opened: ContainerClient | None = None

    @property
    def _client(self) -> "ContainerClient":
        # Two threads may both connect; the second client simply wins.
        self._opened = self._opened or self._connect()
        return self._opened

    def put(self, path: str, data: bytes) -> None:
        """Store ``data``, replacing what was there."""
        with storage_faults(f"storing blob {path}"):
            try:
                self._client.upload_blob(path, data, overwrite=True)
            except ResourceNotFoundError:
                with suppress(ResourceExistsError):
                    self._client.create_container()
                self._client.upload_blob(path, data, overwrite=True)

    def read(self, path: str) -> bytes | None:
        """The whole blob, or None."""
        chunks = self.stream(path)
        return None if chunks is None else b"".join(chunks)

    def stream(self, path: str) -> Iterator[bytes] | None:
        """The blob in chunks, or None."""
        with storage_faults(f"reading blob {path}"):
            try:
                return self._client.download_blob(path).chunks()
            except ResourceNotFoundError:
                return None

    def remove(self, path: str) -> None:
        """Remove the blob; one that is not there is no fault."""
        with storage_faults(f"removing blob {path}"), suppress(ResourceNotFoundError):
            self._client.delete_blob(path)
