"""Runs a job in a process of its own for each order, so that it can be struck: ``python -m tests.crash.worker``.

Imports everything once, then forks for each line of its input, an `Order` as JSON. It answers with one line for each
change of a child: ``{"pid": ..., "status": ...}``, as `os.waitpid` gives it; the points that the child came to are in
the order's ``told`` file. It starts no thread of its own, so forking is safe.
"""

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.begin import Services
from shared.model import Trigger
from shared.run import run_job
from shared.storage import open_storage
from tests.crash.points import Points
from tests.crash.poison import parse_unless_poison
from tests.crash.witness import WITNESSED, Witness
from tests.run.real import Tables
from tests.servers.counterparts import GivenSecret, opener


@dataclass(frozen=True, slots=True)
class Order:
    """One run, and where to strike it."""

    connection_string: str
    prefix: str
    job_id: str
    given: dict[str, str]
    trigger: str
    #: How far the worker's clock is ahead of this machine's.
    ahead_seconds: float
    #: The file for the points that it came to, one to a line.
    told: str
    strike_at: str = ""
    signal: int = signal.SIGKILL

    def line(self) -> str:
        """As the worker reads it."""
        return json.dumps(asdict(self))


def perform(order: Order) -> None:
    """The run."""
    witness = Witness(Tables(order, order.prefix), order.job_id, Path(f"{order.told}{WITNESSED}"))
    points = Points(order.strike_at, order.signal, witness=witness)

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=order.ahead_seconds)

    storage = open_storage(
        connection_string=order.connection_string, prefix=order.prefix, clock=clock, on_request=points.request
    )
    services = Services(
        jobs=storage.jobs,
        threads=storage.threads,
        tickets=storage.tickets,
        receipts=storage.receipts,
        outbox=storage.outbox,
        queue=storage.queue,
        secrets=GivenSecret(order.given),
        clock=clock,
        budget=timedelta(minutes=2),
        open_mailbox=opener(order.given),
        parse=parse_unless_poison,
    )
    report = run_job(order.job_id, Trigger(order.trigger), points.around(services))
    lines = [*points.passed, f"outcome {report.outcome.value if report else 'none'}"]
    Path(order.told).write_text("\n".join(lines))


def main() -> None:
    """Until the input ends."""
    import shared.connectors._ews_account
    import shared.connectors._graph_mailbox
    import shared.connectors._imap_mailbox
    import shared.connectors._pop_mailbox  # noqa: F401 (imported once, for all the children)

    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            pid = asked["wait"]
        else:
            pid = os.fork()
            if not pid:
                code = 1
                try:
                    perform(Order(**asked))
                    code = 0
                finally:
                    sys.stderr.flush()
                    os._exit(code)
        _, status = os.waitpid(pid, os.WUNTRACED)
        print(json.dumps({"pid": pid, "status": status}), flush=True)  # noqa: T201 (its output is its answer)


if __name__ == "__main__":
    main()
