"""What systems outside fetch from us: blobs and queues of the app's own storage account."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.storage.blobs import Container
from shared.storage.faults import storage_faults

if TYPE_CHECKING:
    from azure.storage.queue import QueueClient

#: By default a queue forgets a message after seven days (learn.microsoft.com/rest/api/storageservices/put-message).
_FOR_EVER = -1


class StorageOutbox:
    """See `shared.ports.Outbox`."""

    def __init__(self, blobs: Container, connect: Callable[[str], "QueueClient"]) -> None:
        self._blobs = blobs
        self._connect = connect
        self._queues: dict[str, QueueClient] = {}

    def keep(self, path: str, data: bytes, *, content_type: str = "application/octet-stream") -> str:
        """See the port."""
        self._blobs.put(path, data, content_type=content_type)
        return self._blobs.url(path)

    def send(self, queue: str, text: str) -> None:
        """See the port."""
        # Two threads may both connect; the second client simply wins.
        client = self._queues[queue] = self._queues.get(queue) or self._connect(queue)
        with storage_faults(f"putting a message onto queue {queue!r}") as heard:
            try:
                client.send_message(text, time_to_live=_FOR_EVER, raw_response_hook=heard)
            except ResourceNotFoundError:
                with suppress(ResourceExistsError):
                    client.create_queue()
                client.send_message(text, time_to_live=_FOR_EVER, raw_response_hook=heard)
