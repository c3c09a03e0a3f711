"""A run whose connection with the mail server goes bad at a random octet, again and again: ``python -m tests.run.wire_cuts``.

For each kind of server: how many octets a whole run takes; then 50 runs on a fresh mailbox each, cut at an octet that the
seed chooses, by FIN, by RST or with garbage; then runs for which the server falls silent, stays away, or sends octet by
octet; and runs over a long line. After each, clean runs. Judged from outside: each message has exactly one ticket, every
original is as its job wants it, nothing is parked or open. Storage is in memory: only this wire is under test.
"""

import json
import random
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shared.api.records import check_job, record_of
from shared.begin import Services
from shared.connectors import graph
from shared.jobs import new_state
from shared.model import RunOutcome, RunReport, Trigger
from shared.ports import Mailbox, OpenRequest
from shared.run import run_job
from tests.connectors.graph_jobs import Pauses
from tests.fakes.storage import FakeStorage
from tests.run.real import Ticking
from tests.run.world import mail
from tests.servers.counterparts import Counterpart, Counterparts, GivenSecret, opener
from tests.servers.graph_tokens import FixedCredential, Tokens
from tests.servers.wire import How, Wire

#: Exchange Online by EWS is at a fixed address, and the same wire as Exchange on-premises.
KINDS = ("imap4", "pop3", "ews", "graph")
MESSAGES = 12
_RUNS = 6
_PATIENT = timedelta(minutes=2)

#: What a run notices at once.
_CUTS: tuple[How, ...] = ("close", "reset", "garbage")


@dataclass(frozen=True, slots=True)
class Strain:
    """A wire that stays bad until the run ends, which must therefore end by itself, in the time that it is given."""

    how: How
    #: Later connections are no better.
    lasting: bool = False
    budget: timedelta = timedelta(seconds=1)

    def __str__(self) -> str:
        return f"{self.how}, lasting" if self.lasting else self.how


STRAINS = (Strain("silence"), Strain("silence", lasting=True), Strain("reset", lasting=True), Strain("slow"))

#: Seconds for each piece over a long line, one way.
_DISTANCE = 0.02


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
    #: Runs that did not come through at once.
    failed: int = 0
    #: ``offset how`` of the runs after which something was not right.
    bad: list[str] = field(default_factory=list)


class Job:
    """A job on a fresh mailbox behind the wire, with storage in memory."""

    def __init__(self, mailbox: Counterpart, block: Mapping[str, Any]) -> None:
        self._mailbox = mailbox
        self.clock = Ticking()
        self.storage = FakeStorage(self.clock)
        document = {"id": "support", "server": block, "enabled": False, **mailbox.handling}
        self.storage.jobs.create(record_of(check_job(document), new_state(self.clock() - timedelta(days=1))))
        self.subjects = [f"m{number}" for number in range(MESSAGES)]
        mailbox.deliver(*map(mail, self.subjects))

    def run(self, budget: timedelta = _PATIENT) -> RunReport:
        """One run by hand."""
        services = Services(
            jobs=self.storage.jobs,
            threads=self.storage.threads,
            tickets=self.storage.tickets,
            receipts=self.storage.receipts,
            outbox=self.storage.outbox,
            queue=self.storage.queue,
            secrets=GivenSecret(self._mailbox.given),
            clock=self.clock,
            budget=budget,
            open_mailbox=self._open,
        )
        report = run_job("support", Trigger.MANUAL, services)
        assert report is not None
        return report

    def _open(self, request: OpenRequest) -> Mailbox:
        if self._mailbox.given["kind"] != "graph":
            return opener(self._mailbox.given)(request)
        credential = FixedCredential(Tokens(key=self._mailbox.given["key"]))
        return graph.open_mailbox(request, credential=lambda *_: credential, pause=Pauses())

    def finish(self) -> None:
        """Clean runs until one finds nothing."""
        for _ in range(_RUNS):
            self.clock.advance(timedelta(hours=7))
            if not self.run().received:
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


class Bench:
    """One kind of server behind a wire, and jobs on fresh mailboxes of it. A context manager."""

    def __init__(self, servers: Counterparts, kind: str) -> None:
        self._servers, self.kind = servers, kind
        self._first = servers.new(kind)
        self.wire = Wire("127.0.0.1", self._first.port)
        servers.behind(self.wire.port, kind)

    def __enter__(self) -> Self:
        self.wire.__enter__()
        self.octets = self._measure()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wire.__exit__(kind, error, trace)

    def _measure(self) -> int:
        """How many octets a run takes to which nothing happens."""
        job, result = self._job(self._first), Result(self.kind, 0)
        self.wire.clear()
        job.run()
        octets = self.wire.passed
        job.finish()
        job.judge(result, "undisturbed")
        assert not result.bad, result
        return octets

    def _job(self, mailbox: Counterpart) -> Job:
        text = json.dumps(mailbox.block).replace(str(mailbox.port), str(self.wire.port))
        return Job(mailbox, json.loads(text))

    def cut(self, cuts: int, *, seed: int) -> Result:
        """Cut ``cuts`` runs, each at another octet."""
        chance = random.Random(f"{seed} {self.kind}")
        result = Result(self.kind, self.octets)
        for _ in range(cuts):
            offset, how = chance.randrange(self.octets), chance.choice(_CUTS)
            self._disturb(result, f"{offset} {how}", partial(self.wire.cut_after, offset, how))
        return result

    def strain(self, strain: Strain, times: int, *, seed: int) -> Result:
        """Let the wire go bad for ``times`` runs, each from another octet on."""
        chance = random.Random(f"{seed} {self.kind} {strain}")
        result = Result(self.kind, self.octets)
        for _ in range(times):
            offset = chance.randrange(self.octets)
            self._disturb(
                result,
                f"{offset} {strain}",
                partial(self.wire.cut_after, offset, strain.how, lasting=strain.lasting),
                strain.budget,
            )
        return result

    def afar(self) -> Result:
        """A run over a long line, which takes its time and comes through."""
        result = Result(self.kind, self.octets)
        self._disturb(result, "afar", lambda: self.wire.delay(_DISTANCE))
        return result

    def _disturb(self, result: Result, what: str, act: Callable[[], None], budget: timedelta = _PATIENT) -> None:
        job = self._job(self._servers.new(self.kind))
        self.wire.clear()
        before = self.wire.cuts
        act()
        result.failed += job.run(budget).outcome is not RunOutcome.COMPLETED
        result.cuts += self.wire.cuts > before
        self.wire.clear()
        job.finish()
        job.judge(result, what)


def _print(results: Sequence[tuple[str, Result]]) -> None:
    print(f"{'':20}{'connector':10}{'octets':>8}{'runs':>6}{'lost':>6}{'doubled':>9}{'stuck':>7}{'wrong':>7}")  # noqa: T201
    for what, one in results:
        counts = f"{one.cuts:>6}{one.lost:>6}{one.doubled:>9}{one.stuck:>7}{one.wrong:>7}"
        print(f"{what:20}{one.kind:10}{one.octets:>8}{counts}  {', '.join(one.bad)}")  # noqa: T201


def main() -> int:
    """50 cuts for each kind, 10 times each strain, one run from afar; and the table."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 2026
    results: list[tuple[str, Result]] = []
    with tempfile.TemporaryDirectory() as folder, Counterparts(Path(folder)) as servers:
        for kind in KINDS:
            with Bench(servers, kind) as bench:
                results.append(("cut", bench.cut(50, seed=seed)))
                results += [(str(strain), bench.strain(strain, 10, seed=seed)) for strain in STRAINS]
                results.append(("afar", bench.afar()))
    print(f"seed {seed}: {MESSAGES} messages a run")  # noqa: T201 (a table for people)
    _print(sorted(results, key=lambda pair: pair[0]))
    return 1 if any(one.bad for _, one in results) else 0


if __name__ == "__main__":
    sys.exit(main())
