"""One blob container: made when first missed, its client opened when first used."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from shared.errors import Unavailable
from shared.storage.faults import Answers, storage_faults

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient, StorageStreamDownloader

#: How many blobs one request removes at most (learn.microsoft.com/rest/api/storageservices/blob-batch).
_BATCH = 256
#: How often a blob that others keep changing is read again before we call storage unavailable.
_TRIES = 20


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

    def put(self, path: str, data: bytes, *, content_type: str = "") -> None:
        """Store ``data``, replacing what was there."""
        with storage_faults(f"storing blob {path}") as heard:
            try:
                self._upload(path, data, content_type, heard)
            except ResourceNotFoundError:
                with suppress(ResourceExistsError):
                    self._client.create_container()
                self._upload(path, data, content_type, heard)

    def _upload(self, path: str, data: bytes, content_type: str, heard: Callable[[Any], None]) -> None:
        from azure.storage.blob import ContentSettings

        settings = ContentSettings(content_type=content_type) if content_type else None
        self._client.upload_blob(path, data, overwrite=True, content_settings=settings, raw_response_hook=heard)

    def url(self, path: str) -> str:
        """Where the blob is, without anything that would open it."""
        return str(self._client.get_blob_client(path).url).partition("?")[0]

    def read(self, path: str) -> bytes | None:
        """The whole blob, or None."""
        chunks = self.stream(path)
        return None if chunks is None else b"".join(chunks)

    def stream(self, path: str, offset: int | None = None, length: int | None = None) -> Iterator[bytes] | None:
        """The blob in chunks, or ``length`` octets of it from ``offset`` on; None where there is no such blob."""
        with storage_faults(f"reading blob {path}") as heard:
            try:
                found = self._download(path, heard, offset=offset, length=length)
            except ResourceNotFoundError:
                return None
        return _chunks(path, found)

    def _download(
        self, path: str, heard: Answers, *, offset: int | None = None, length: int | None = None
    ) -> "StorageStreamDownloader[bytes]":
        found = self._client.download_blob(path, offset=offset, length=length, raw_response_hook=heard)
        if not found.size:
            # The SDK leaves unread what was answered of an empty blob, and its connection open for ever.
            heard.close()
        return found

    def erase(self, path: str, offset: int, length: int) -> None:
        """Overwrite a part of the blob with zeros; a blob that is not there is no fault."""
        for _ in range(_TRIES):
            with storage_faults(f"erasing a part of blob {path}") as heard:
                try:
                    found = self._download(path, heard)
                    data = bytearray(found.readall())
                    data[offset : offset + length] = bytes(length)
                    self._client.upload_blob(
                        path,
                        bytes(data),
                        overwrite=True,
                        etag=found.properties.etag,
                        match_condition=MatchConditions.IfNotModified,
                    )
                except ResourceModifiedError:
                    continue
                except ResourceNotFoundError:
                    return
                return
        raise Unavailable(f"Blob {path} keeps changing.")

    def folders(self) -> Iterator[str]:
        """What the names begin with up to and with their first slash, in their order."""
        from azure.storage.blob import BlobPrefix

        with storage_faults("listing blobs"), suppress(ResourceNotFoundError):
            for found in self._client.walk_blobs(delimiter="/"):
                if isinstance(found, BlobPrefix):
                    yield found.name

    def names(self, prefix: str) -> Iterator[list[str]]:
        """The names that begin with ``prefix``, page by page."""
        with storage_faults(f"listing blobs {prefix}"), suppress(ResourceNotFoundError):
            for page in self._client.list_blob_names(name_starts_with=prefix).by_page():
                yield list(page)

    def remove_all(self, paths: Sequence[str]) -> None:
        """Remove blobs, with a request for each 256; those that are not there are no fault."""
        for start in range(0, len(paths), _BATCH):
            with storage_faults("removing blobs"):
                answers = self._client.delete_blobs(*paths[start : start + _BATCH], raise_on_any_failure=False)
                for answer in answers:
                    if answer.status_code not in {202, 404}:
                        raise Unavailable(f"Storage answered {answer.status_code} while removing blobs.")

    def remove(self, path: str) -> None:
        """Remove the blob; one that is not there is no fault."""
        with storage_faults(f"removing blob {path}"), suppress(ResourceNotFoundError):
            self._client.delete_blob(path)


def _chunks(path: str, found: "StorageStreamDownloader[bytes]") -> Iterator[bytes]:
    """The rest of a large blob is only read now, with requests of its own."""
    chunks = found.chunks()
    while True:
        with storage_faults(f"reading blob {path}"):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk
