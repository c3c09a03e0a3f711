"""The run queue on Azure Queue Storage, and the form of its messages."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.model import RunRequest, Trigger
from shared.storage.faults import storage_faults

if TYPE_CHECKING:
    from azure.storage.queue import QueueClient


def write_request(request: RunRequest) -> str:
    """A request as the text of a queue message."""
    return json.dumps({"job_id": request.job_id, "run_id": request.run_id, "trigger": request.trigger.value})


def read_request(text: str) -> RunRequest:
    """The reverse of `write_request`. Raises ValueError or KeyError for anything else."""
    message = json.loads(text)
    return RunRequest(str(message["job_id"]), str(message["run_id"]), Trigger(message["trigger"]))


class StorageRunQueue:
    """See `shared.ports.RunQueue`."""

    def __init__(self, connect: Callable[[], "QueueClient"]) -> None:
        self._connect = connect
        self._opened: QueueClient | None = None

    def put(self, request: RunRequest) -> None:
        """See the port."""
        self._opened = client = self._opened or self._connect()
        with storage_faults(f"queueing a run of job {request.job_id!r}") as heard:
            try:
                client.send_message(write_request(request), raw_response_hook=heard)
            except ResourceNotFoundError:
                with suppress(ResourceExistsError):
                    client.create_queue()
                client.send_message(write_request(request), raw_response_hook=heard)
