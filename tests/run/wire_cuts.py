"""A run whose connection with the mail server is cut at a random octet, again and again: ``python -m tests.run.wire_cuts``.

For each kind of server: how many octets a whole run takes; then 50 runs on a fresh mailbox each, cut at an octet that the
seed chooses, by FIN, by RST or with garbage; then clean runs. Judged from outside: each message has exactly one ticket,
every original is as its job wants it, nothing is parked or open. Storage is in memory: only this wire is under test.
"""

import json
import random
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from shared.api.records import check_job, record_of
from shared.begin import Services
from shared.connectors import graph
from shared.jobs import new_state
from shared.model import Trigger
from shared.ports import Mailbox, OpenRequest
from shared.run import run_job
from tests.connectors.graph_jobs import Pauses
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage
from tests.run.world import mail
from tests.servers.counterparts import Counterpart, Counterparts, GivenSecret, opener
from tests.servers.graph_tokens import FixedCredential, Tokens
from tests.servers.wire import How, Wire

#: Exchange Online by EWS is at a fixed address, and the same wire as Exchange on-premises.
KINDS = ("imap4", "pop3", "ews", "graph")
MESSAGES = 12
_RUNS = 6
_HOWS: tuple[How, ...] = tuple(how for how in get_args(How) if how != "silence")


@dataclass
class Result:
    """What came of the cuts on one kind of server."""

    kind: str
    octets: int
    cuts: int = 0
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    #: Originals that are not as the job wants them.
    wrong: int = 0
    #: ``offset how`` of the runs after which something was not right.
    bad: list[str] = field(default_factory=list)


class Job:
    """A job on a fresh mailbox behind the wire, with storage in memory."""

    def __init__(self, mailbox: Counterpart, block: Mapping[str, Any]) -> None:
        self._mailbox = mailbox
        self.clock = FakeClock(datetime.now(UTC))
        self.storage = FakeStorage(self.clock)
        document = {"id": "support", "server": block, "enabled": False, **mailbox.handling}
        self.storage.jobs.create(record_of(check_job(document), new_state(self.clock() - timedelta(days=1))))
        self.subjects = [f"m{number}" for number in range(MESSAGES)]
        mailbox.deliver(*map(mail, self.subjects))

    def run(self) -> int:
        """One run by hand; how many messages it took up."""
        services = Services(
            jobs=self.storage.jobs,
            threads=self.storage.threads,
            tickets=self.storage.tickets,
            receipts=self.storage.receipts,
            outbox=self.storage.outbox,
            queue=self.storage.queue,
            secrets=GivenSecret(self._mailbox.given),
            clock=self.clock,
            budget=timedelta(minutes=2),
            open_mailbox=self._open,
        )
        report = run_job("support", Trigger.MANUAL, services)
        assert report is not None
        return report.received

    def _open(self, request: OpenRequest) -> Mailbox:
        if self._mailbox.given["kind"] != "graph":
            return opener(self._mailbox.given)(request)
        credential = FixedCredential(Tokens(key=self._mailbox.given["key"]))
        return graph.open_mailbox(request, credential=lambda *_: credential, pause=Pauses())

    def finish(self) -> None:
        """Clean runs until one finds nothing."""
        for _ in range(_RUNS):
            self.clock.advance(timedelta(hours=7))
            if not self.run():
                break

    def judge(self, result: Result, what: str) -> None:
        """Add what is wrong to ``result``."""
        tickets, _ = self.storage.tickets.page(limit=1_000)
        found = [ticket.subject for ticket in tickets]
        parked, _ = self.storage.parked.page("support", limit=100)
        record = self.storage.jobs.read("support")
        assert record
        shown = self._mailbox.originals()
        lost = len(set(self.subjects) - set(found))
        doubled = len(found) - len(set(found))
        stuck = len(parked) + record.state.unfinished
        wrong = sum(shown.get(subject, "gone") != self._mailbox.ends["ticket"] for subject in self.subjects)
        result.lost += lost
        result.doubled += doubled
        result.stuck += stuck
        result.wrong += wrong
        if lost or doubled or stuck or wrong:
            result.bad.append(what)


def cut_often(servers: Counterparts, kind: str, *, cuts: int, seed: int) -> Result:
    """Measure once, then cut ``cuts`` runs, each at another octet."""
    chance = random.Random(f"{seed} {kind}")
    first = servers.new(kind)
    with Wire("127.0.0.1", first.port) as wire:
        servers.behind(wire.port, kind)

        def job(mailbox: Counterpart) -> Job:
            text = json.dumps(mailbox.block).replace(str(mailbox.port), str(wire.port))
            return Job(mailbox, json.loads(text))

        whole = job(first)
        wire.clear()
        whole.run()
        result = Result(kind, wire.passed)
        whole.finish()
        whole.judge(result, "without a cut")
        for _ in range(cuts):
            offset, how = chance.randrange(result.octets), chance.choice(_HOWS)
            one = job(servers.new(kind))
            wire.clear()
            wire.cut_after(offset, how)
            before = wire.cuts
            one.run()
            result.cuts += wire.cuts - before
            wire.clear()
            one.finish()
            one.judge(result, f"{offset} {how}")
    return result


def main() -> int:
    """50 cuts for each kind, and the table."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 2026
    with tempfile.TemporaryDirectory() as folder, Counterparts(Path(folder)) as servers:
        results = [cut_often(servers, kind, cuts=50, seed=seed) for kind in KINDS]
    print(f"seed {seed}: {MESSAGES} messages a run")  # noqa: T201 (a table for people)
    print(f"{'connector':10}{'octets':>8}{'cuts':>6}{'lost':>6}{'doubled':>9}{'stuck':>7}{'wrong':>7}")  # noqa: T201
    for one in results:
        counts = f"{one.cuts:>6}{one.lost:>6}{one.doubled:>9}{one.stuck:>7}{one.wrong:>7}"
        print(f"{one.kind:10}{one.octets:>8}{counts}  {', '.join(one.bad)}")  # noqa: T201
    return 1 if any(one.bad for one in results) else 0


if __name__ == "__main__":
    sys.exit(main())
