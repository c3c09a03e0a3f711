"""Opens the storage account: by connection string (the emulator) or by identity (Azure)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure.core.credentials import TokenCredential
from azure.data.tables import TableServiceClient

from shared.model import Clock
from shared.ports import (
    Housekeeping,
    JobStore,
    Outbox,
    ParkedMessages,
    PurgedMessages,
    Receipts,
    RunQueue,
    Threads,
    TicketStore,
    WhyRecords,
)
from shared.storage.table import Table

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueClient

#: A storage request that gets no answer is given up in time for the run to end in order.
_CALLS: dict[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 20,
    "retry_total": 4,
    "retry_backoff_factor": 0.4,
    "retry_backoff_max": 8,
}

#: The blob and queue SDKs have a retry policy of their own, which by default waits for minutes: 0, 2, 4 seconds here.
_RETRIES: dict[str, Any] = {"retry_total": 3, "initial_backoff": 0, "increment_base": 2, "random_jitter_range": 1}

#: How long a mailbox stays held by a run that died. A live one renews three times as often.
LEASE_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Account:
    """Where storage is and how to sign in: a connection string, or service URLs with a credential."""

    connection_string: str = ""
    table_url: str = ""
    blob_url: str = ""
    queue_url: str = ""
    credential: TokenCredential | None = None

    def tables(self, **options: Any) -> TableServiceClient:
        """The client of the table service."""
        settings = {**_CALLS, **options}
        if self.connection_string:
            return TableServiceClient.from_connection_string(self.connection_string, **settings)
        return TableServiceClient(self.table_url, credential=self.credential, **settings)

    def blobs(self, **options: Any) -> "BlobServiceClient":
        """The client of the blob service, imported only where blobs are used."""
        from azure.storage.blob import BlobServiceClient

        settings = {**_CALLS, **_RETRIES, **options}
        if self.connection_string:
            return BlobServiceClient.from_connection_string(self.connection_string, **settings)
        return BlobServiceClient(self.blob_url, credential=self.credential, **settings)

    def queue(self, name: str, **options: Any) -> "QueueClient":
        """The client of one queue, with the message encoding that the Functions host expects by default."""
        from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

        settings = {
            **_CALLS,
            **_RETRIES,
            "message_encode_policy": TextBase64EncodePolicy(),
            "message_decode_policy": TextBase64DecodePolicy(),
            **options,
        }
        if self.connection_string:
            return QueueClient.from_connection_string(self.connection_string, name, **settings)
        return QueueClient(self.queue_url, name, credential=self.credential, **settings)


@dataclass(frozen=True, slots=True)
class Storage:
    """Everything that is kept, behind the ports."""

    jobs: JobStore
    tickets: TicketStore
    threads: Threads
    receipts: Receipts
    outbox: Outbox
    parked: ParkedMessages
    purged: PurgedMessages
    housekeeping: Housekeeping
    queue: RunQueue
    whys: WhyRecords


def open_storage(
    account: Account | None = None,
    *,
    connection_string: str = "",
    prefix: str = "mailconnector",
    clock: Clock | None = None,
    lease_seconds: float = LEASE_SECONDS,
    on_request: Callable[[Any], None] | None = None,
) -> Storage:
    """Open the account. Sends no request: tables, containers and the queue are made when first missed.

    ``on_request`` sees every request that leaves, retries included; tests count with it.
    """
    from shared.storage.blobs import Container
    from shared.storage.housekeeping import TableHousekeeping
    from shared.storage.job_store import TableJobStore
    from shared.storage.originals import Originals
    from shared.storage.outbox import StorageOutbox
    from shared.storage.parked import TableParkedMessages
    from shared.storage.purged import TablePurgedMessages
    from shared.storage.receipts import TableReceipts
    from shared.storage.run_queue import StorageRunQueue
    from shared.storage.threads import TableThreads
    from shared.storage.tickets import TableTicketStore
    from shared.storage.why import TableWhyRecords

    account = account or Account(connection_string=connection_string)
    options: dict[str, Any] = {"raw_request_hook": on_request} if on_request else {}
    clock = clock or utc_now
    tables = account.tables(**options)
    jobs_table = Table(tables.get_table_client(f"{prefix}jobs"))
    parked_copies = Container(lambda: account.blobs(**options).get_container_client(f"{prefix}-parked"))
    originals = Originals(Container(lambda: account.blobs(**options).get_container_client(f"{prefix}-purged")))
    return Storage(
        jobs=TableJobStore(jobs_table, parked_copies, originals, clock, timedelta(seconds=lease_seconds)),
        tickets=TableTicketStore(
            Table(tables.get_table_client(f"{prefix}tickets")),
            Container(lambda: account.blobs(**options).get_container_client(f"{prefix}-tickets")),
            clock,
        ),
        threads=TableThreads(Table(tables.get_table_client(f"{prefix}threads")), clock),
        receipts=TableReceipts(Table(tables.get_table_client(f"{prefix}receipts")), clock),
        outbox=StorageOutbox(
            Container(lambda: account.blobs(**options).get_container_client(f"{prefix}-outbox")),
            lambda name: account.queue(name, **options),
        ),
        parked=TableParkedMessages(jobs_table, parked_copies, clock),
        purged=TablePurgedMessages(jobs_table, originals, clock),
        housekeeping=TableHousekeeping(jobs_table, parked_copies, originals, clock),
        whys=TableWhyRecords(jobs_table, clock),
        queue=StorageRunQueue(lambda: account.queue(f"{prefix}-runs", **options)),
    )


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)
