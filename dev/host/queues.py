"""Queue triggers: messages of a Storage queue, at least once each, given up on after ``maxDequeueCount`` attempts."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from xml.etree.ElementTree import ParseError

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.functions.queue import QueueMessage
from azure.storage.queue import QueueClient
from azure.storage.queue import QueueMessage as StoredMessage

from dev.host.indexing import Function
from dev.host.options import HostFault, QueueOptions, resolve
from dev.host.worker import Worker, log, say

#: How long a message is hidden; renewed after half of it for as long as its function runs.
HIDDEN = timedelta(seconds=30)

#: What a call of the queue may end in: also an answer that breaks off, and one that is no XML.
_AWAY = (AzureError, OSError, ParseError)

_SHORTEST_POLL = 0.1
#: The real host backs off to maxPollingInterval (a minute); nobody wants to wait for that at a desk.
_LONGEST_POLL = 1.0


class Queue:
    """One queue function. At most ``batchSize + newBatchThreshold`` of its messages are in work."""

    def __init__(
        self, function: Function, worker: Worker, options: QueueOptions, environment: Mapping[str, str]
    ) -> None:
        """Raise `HostFault` when the connection setting is missing."""
        self.function = function
        self._worker = worker
        self._options = options
        self._client = _client(function, environment, suffix="")
        self._poison = _client(function, environment, suffix="-poison")
        self._in_work = 0
        self._progress = asyncio.Event()
        self._reachable = True

    async def run(self) -> None:
        """Poll for ever; when cancelled, what was taken is still worked off."""
        longest = min(self._options.max_polling_interval.total_seconds(), _LONGEST_POLL)
        pause = _SHORTEST_POLL
        while True:
            while self._in_work > self._options.new_batch_threshold:
                self._progress.clear()
                await self._progress.wait()
            if await self._worker.track(f"poll of {self._client.queue_name}", self._take()):
                pause = _SHORTEST_POLL
            else:
                await self._worker.clock.sleep(pause)
                pause = min(pause * 2, longest)

    async def _take(self) -> int:
        try:
            messages = await asyncio.to_thread(self._receive)
        except ResourceNotFoundError:
            messages = []
        except _AWAY as exc:
            if self._reachable:
                self._worker.tell("queue_away", function=self.function.name, error=type(exc).__name__)
                say(f"Queue {self._client.queue_name} does not answer ({type(exc).__name__}); polling goes on.")
            self._reachable = False
            return 0
        if not self._reachable:
            say(f"Queue {self._client.queue_name} answers again.")
        self._reachable = True
        for message in messages:
            self._in_work += 1
            self._worker.track(self.function.name, self._work(message))
        return len(messages)

    def _receive(self) -> list[StoredMessage]:
        size = self._options.batch_size
        pages = self._client.receive_messages(
            messages_per_page=size, max_messages=size, visibility_timeout=int(HIDDEN.total_seconds())
        )
        return list(pages)

    async def _work(self, message: StoredMessage) -> None:
        try:
            await self._deliver(message)
        except _AWAY as exc:
            # It becomes visible again by itself: at least once, never not at all.
            log.warning("Queue %s: message %s could not be settled: %s", self._client.queue_name, message.id, exc)
        finally:
            self._in_work -= 1
            self._progress.set()

    async def _deliver(self, message: StoredMessage) -> None:
        tried = int(message.dequeue_count or 0)
        body = _decode(message.content, self._options.message_encoding)
        if body is None or tried > self._options.max_dequeue_count:
            await self._give_up(message)
        elif await self._call(message, body):
            await asyncio.to_thread(self._client.delete_message, message)
        elif tried >= self._options.max_dequeue_count:
            await self._give_up(message)
        else:
            again = int(self._options.visibility_timeout.total_seconds())
            await asyncio.to_thread(self._client.update_message, message, visibility_timeout=again)

    async def _call(self, message: StoredMessage, body: bytes) -> bool:
        argument = QueueMessage(  # type: ignore[no-untyped-call]
            id=message.id,
            body=body,
            dequeue_count=message.dequeue_count,
            expiration_time=message.expires_on,
            insertion_time=message.inserted_on,
            time_next_visible=message.next_visible_on,
            pop_receipt=message.pop_receipt,
        )
        done = asyncio.Event()
        hiding = asyncio.create_task(self._keep_hidden(message, done))
        try:
            outcome = await self._worker.call(self.function, argument)
        finally:
            done.set()
            await hiding
        return outcome.error is None

    async def _keep_hidden(self, message: StoredMessage, done: asyncio.Event) -> None:
        seconds = HIDDEN.total_seconds()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), seconds / 2)
            if done.is_set():
                return
            try:
                renewed = await asyncio.to_thread(
                    partial(self._client.update_message, message, visibility_timeout=int(seconds))
                )
            except _AWAY as exc:
                log.warning("Queue %s: message %s is not kept hidden: %s", self._client.queue_name, message.id, exc)
            else:
                message.pop_receipt = renewed.pop_receipt

    async def _give_up(self, message: StoredMessage) -> None:
        def move() -> None:
            with suppress(ResourceExistsError):
                self._poison.create_queue()
            self._poison.send_message(message.content)
            self._client.delete_message(message)

        await asyncio.to_thread(move)
        self._worker.tell("poisoned", function=self.function.name, queue=self._poison.queue_name, message=message.id)
        say(f"Queue {self._client.queue_name}: a message went to {self._poison.queue_name}.")

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
        self._poison.close()


def _client(function: Function, environment: Mapping[str, str], *, suffix: str) -> QueueClient:
    setting = str(function.trigger.get("connection") or "AzureWebJobsStorage")
    connection = environment.get(setting) or environment.get(f"AzureWebJobs{setting}")
    if not connection:
        raise HostFault(
            f"Function {function.name!r}: its connection setting {setting} is not set."
            " Put a storage connection string into local.settings.json or the environment."
        )
    # One attempt: the poll is the retry, and what cannot be settled comes back by itself.
    limits: dict[str, Any] = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 10}
    queue = resolve(str(function.trigger["queueName"]), environment) + suffix
    try:
        return QueueClient.from_connection_string(connection, queue, **limits)
    except ValueError as exc:
        raise HostFault(f"Function {function.name!r}: the setting {setting} is not a connection string.") from exc


def _decode(content: Any, encoding: str) -> bytes | None:
    """The body of a message, or None when it is not what host.json says it is."""
    if encoding == "none":
        return str(content).encode()
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return None
