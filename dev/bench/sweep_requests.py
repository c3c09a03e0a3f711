"""What one sweep asks of storage, by the number of jobs: ``python -m dev.bench.sweep_requests [most]``.

Always 50 jobs are due. Counted where requests leave, against Azurite; `functions.sweep` runs once a minute.
"""

import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from azure.data.tables import TableServiceClient

from dev.azurite import Azurite
from functions.sweep import queue_due
from shared.api.records import check_job, record_of
from shared.jobs import new_state
from shared.model import RunRequest
from shared.ports import JobStore
from shared.storage import open_storage
from shared.storage.keys import bucket
from shared.storage.open import utc_now
from shared.storage.rows import write_due

SIZES = (100, 1_000, 2_000, 20_000)
DUE = 50
_TRANSACTION = 100


def fill(azurite: Azurite, prefix: str, count: int, due: int) -> None:
    """``count`` jobs, the first ``due`` of them due since a minute. Copies of one row: what a sweep reads is alike."""
    now = utc_now()
    jobs = open_storage(connection_string=azurite.connection_string, prefix=prefix).jobs
    server = {"type": "imap4", "host": "mail.example", "username": "template", "password_secret": "mailbox"}
    jobs.create(record_of(check_job({"id": "template", "server": server, "enabled": False}), new_state(now)))
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        table = service.get_table_client(f"{prefix}jobs")
        template = dict(table.get_entity(bucket("template"), "job:template"))
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for number in range(count):
            job_id = f"job-{number:05}"
            moment = now - timedelta(minutes=1) if number < due else now + timedelta(days=1)
            keys = {"PartitionKey": bucket(job_id), "RowKey": f"job:{job_id}", "enabled": True}
            rows[bucket(job_id)].append({**template, **keys, "next_due": write_due(moment)})
        for part in rows.values():
            for start in range(0, len(part), _TRANSACTION):
                table.submit_transaction([("upsert", row) for row in part[start : start + _TRANSACTION]])


class Queue:
    """See `shared.ports.RunQueue`: takes everything, one storage request each."""

    def __init__(self) -> None:
        self.requests: list[RunRequest] = []

    def put(self, request: RunRequest) -> None:
        """See the port."""
        self.requests.append(request)


def sweep(azurite: Azurite, prefix: str) -> tuple[Counter[str], int, float]:
    """One sweep: table requests by method, jobs that were queued, seconds."""
    counted: Counter[str] = Counter()
    storage = open_storage(
        connection_string=azurite.connection_string,
        prefix=prefix,
        on_request=lambda request: counted.update([request.http_request.method]),
    )
    queue = Queue()
    jobs: JobStore = storage.jobs
    began = time.perf_counter()
    queue_due(jobs, queue, utc_now(), {})
    return counted, len(queue.requests), time.perf_counter() - began


def main(sizes: Sequence[int] = SIZES) -> None:
    """The table."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else sizes[-1]
    print(f"{'jobs':>7}{'due':>5}{'table requests':>16}{'queue requests':>16}{'seconds here':>14}")
    with tempfile.TemporaryDirectory() as folder, Azurite(Path(folder), in_memory=True) as azurite:
        for size in (one for one in sizes if one <= most):
            prefix = f"sweep{size}"
            fill(azurite, prefix, size, DUE)
            counted, queued, seconds = sweep(azurite, prefix)
            print(f"{size:>7}{queued:>5}{counted.total():>16}{queued:>16}{seconds:>14.2f}")


if __name__ == "__main__":
    main()
