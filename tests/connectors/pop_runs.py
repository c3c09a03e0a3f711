"""Whole runs of a POP3 job; run as a program, one run that a test may kill."""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.begin import Services
from shared.jobs import Job, new_state
from shared.model import Clock, JobRecord, RunReport, Trigger
from shared.run import run_job
from shared.storage import open_storage
from tests.connectors.imap_jobs import OneSecret
from tests.contract.storage import Storage

JOB = "support"


def record_of(server: dict[str, Any]) -> JobRecord:
    """The row of a POP3 job. ``server`` has what the block says besides its type and its secret."""
    job = Job.model_validate({"id": JOB, "server": {"type": "pop3", "password_secret": "mailbox", **server}})
    return JobRecord(
        job_id=JOB,
        config=job.model_dump_json(),
        revision="1",
        ncrontab="0 */5 * * * *",
        enabled=True,
        mailbox=job.server.identity(),
        state=new_state(datetime.now(UTC)),
        name="Support",
    )


def services_of(storage: Storage, password: str, clock: Clock) -> Services:
    """What a run needs, over this storage."""
    return Services(
        jobs=storage.jobs,
        threads=storage.threads,
        tickets=storage.tickets,
        receipts=storage.receipts,
        outbox=storage.outbox,
        queue=storage.queue,
        secrets=OneSecret(password),
        clock=clock,
        budget=timedelta(minutes=2),
    )


def run(storage: Storage, password: str, clock: Clock) -> RunReport:
    """One run by hand."""
    report = run_job(JOB, Trigger.MANUAL, services_of(storage, password, clock))
    assert report is not None
    return report


def plain(port: int, user: str) -> dict[str, Any]:
    """The server block for a connection in plain text on this machine, such as through a relay."""
    return {"host": "127.0.0.1", "port": port, "username": user, "security": "none", "allow_insecure": True}


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    run(
        open_storage(connection_string=told["connection"], prefix=told["prefix"]),
        told["password"],
        lambda: datetime.now(UTC),
    )
