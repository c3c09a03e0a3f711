"""``python -m tests.soak [MINUTES [SEED]]``: see `tests.soak`. Writes its figures and its plot; exit code 1 for a fault.

A soak of at least half an hour that found nothing goes into docs/reliability.md.
"""

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

from shared.begin import Services
from shared.model import Trigger
from shared.run import run_job
from shared.storage import Storage, open_storage
from tests.crash.matrix import write
from tests.servers.counterparts import GivenSecret, opener
from tests.soak.boxes import Box
from tests.soak.judge import Sort, Verdict, judge
from tests.soak.plot import draw
from tests.soak.stage import PREFIX, Stage
from tests.soak.unrest import Rates, Unrest

_DOCS = Path(__file__).resolve().parents[2] / "docs"
_OUTPUT = Path(__file__).resolve().parents[2] / ".local" / "soak"
_WHOLE = 30
#: How long the hosts may take in the end for what was left by the last faults; then the clock is set forward.
_SETTLING = 150.0
_RUNS = 6


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was seen."""

    minutes: float
    seed: int
    verdicts: Sequence[Verdict]
    unrest: Unrest
    cuts: int
    runs: Counter[str]
    #: What runs said that ended at a defect of ours.
    defects: Sequence[str]
    #: Messages that still waited for their back-off when the hosts were stopped.
    waiting: int
    #: Calls of functions that raised, by what was raised.
    raised: Counter[str]

    @property
    def faults(self) -> list[str]:
        """Everything that must not be."""
        return [fault for one in self.verdicts for fault in one.faults] + list(self.defects)


def soak(minutes: float, seed: int, tell: Callable[[str], None]) -> Outcome:
    """The whole of it."""
    rates = Rates() if minutes >= _WHOLE / 3 else Rates(mail=2, burst=25, run_now=4, cut=5, kill=20, pause=30, change=6)
    with Stage(_OUTPUT) as stage:
        for box in stage.boxes:
            box.begin()
            stage.call("PUT", f"/api/jobs/{box.job_id}", box.document, until=lambda: False)
        tell(f"seed {seed}, {minutes:g} minutes: {', '.join(box.job_id for box in stage.boxes)}")
        with Unrest(stage, rates, seed=seed, tell=tell) as unrest:
            time.sleep(minutes * 60)
        tell("unrest is over; what is left is worked off")
        _settle(stage)
        for host in stage.hosts:
            host.process.stop()
        ended = [one for host in stage.hosts for one in host.process.events() if one["event"] == "ended"]
        raised = Counter(str(one["error"]).partition(":")[0] for one in ended if one["error"])
        waiting = sum(len(box.found(stage.tables, held=False).open) for box in stage.boxes)
        verdicts = [_judged(stage, box) for box in stage.boxes]
        rows = [row for box in stage.boxes for row in stage.tables.rows("jobs", f"run:{box.job_id}:")]
        return Outcome(
            minutes=minutes,
            seed=seed,
            verdicts=verdicts,
            unrest=unrest,
            cuts=sum(wire.cuts for wire in stage.wires.values()),
            runs=Counter(row["outcome"] for row in rows),
            defects=[f"{row['RowKey']}: {row['comments']}" for row in rows if "defect of ours" in row["comments"]],
            waiting=waiting,
            raised=raised,
        )


def _settle(stage: Stage) -> None:
    """Every job on its schedule, until the ledger has nothing open and each message its place."""
    deadline = time.monotonic() + _SETTLING
    for box in stage.boxes:
        stage.call("PATCH", f"/api/jobs/{box.job_id}", {"schedule": None}, until=lambda: False)
        stage.call("POST", f"/api/jobs/{box.job_id}/enable", until=lambda: False)
    while time.monotonic() < deadline:
        for box in stage.boxes:
            stage.call("POST", f"/api/jobs/{box.job_id}/run", until=lambda: False)
        time.sleep(10)
        if all(_quiet(stage, box) for box in stage.boxes):
            return


def _quiet(stage: Stage, box: Box) -> bool:
    found = box.found(stage.tables, held=False)
    due = sum(one.sort is not Sort.OWN for one in box.sent)
    return not found.open and len({subject for subject, _ in found.entries}) >= due


def _judged(stage: Stage, box: Box) -> Verdict:
    """Runs without hosts, hours later, when every back-off has passed; then the judgement of the crash matrix."""
    ahead = timedelta(0)

    def clock() -> datetime:
        return datetime.now(UTC) + ahead

    storage = open_storage(connection_string=stage.azurite.connection_string, prefix=PREFIX, clock=clock)
    services = Services(
        jobs=storage.jobs,
        threads=storage.threads,
        tickets=storage.tickets,
        receipts=storage.receipts,
        outbox=storage.outbox,
        queue=storage.queue,
        secrets=GivenSecret(box.mailbox.given),
        clock=clock,
        budget=timedelta(minutes=5),
        open_mailbox=opener(box.mailbox.given),
    )
    for _ in range(_RUNS):
        ahead += timedelta(hours=7)
        report = run_job(box.job_id, Trigger.MANUAL, services)
        record = storage.jobs.read(box.job_id)
        assert record
        if report and not report.received and not record.state.unfinished:
            break
    found = box.found(stage.tables, held=_held(storage, box, clock()))
    return judge(box.kind, box.sent, box.versions, box.mailbox.ends["rejected"], found)


def _held(storage: Storage, box: Box, instant: datetime) -> bool:
    record = storage.jobs.read(box.job_id)
    assert record
    return bool(record.state.lease_run) or box.job_id in {one.job_id for one in storage.jobs.overdue(instant)}


# --- for people ------------------------------------------------------------------------------------------------------


def table(outcome: Outcome) -> str:
    """What came of it."""
    counts, unrest = outcome.unrest.counts, outcome.unrest
    happened = (
        f"{counts['messages']} messages, {counts['kills']} kills, {counts['pauses']} pauses beyond the lease, "
        f"{outcome.cuts} broken wires, {counts['changes']} changes of jobs, {counts['runs by hand']} runs by hand"
    )
    head = (
        "messages",
        "tickets",
        "further entries",
        "lost",
        "doubled",
        "stuck",
        "originals wrong",
        "replies apart",
        "delay: median",
        "95 of 100",
        "longest",
    )
    lines = [
        f"{outcome.minutes:g} minutes, seed {outcome.seed}: {happened}.",
        f"Runs: {', '.join(f'{count} {name}' for name, count in sorted(outcome.runs.items()))}.",
        "",
        f"| | {' | '.join(head)} |",
        f"|---{'|---' * len(head)}|",
    ]
    for one in outcome.verdicts:
        delays = sorted(seconds for _, seconds in one.delays)
        cuts = quantiles(delays, n=20) if len(delays) > 1 else [0.0] * 19
        cells = [one.messages, one.created, one.modified]
        cells += [len(found) for found in (one.lost, one.doubled, one.stuck, one.wrong, one.apart)]
        times = [f"{seconds:.0f} s" for seconds in (cuts[9], cuts[18], delays[-1] if delays else 0)]
        lines.append(f"| {one.name} | {' | '.join([*map(str, cells), *times])} |")
    lines += [
        "",
        "| host | starts | memory: first, last, most | file descriptors: first, last, most |",
        "|---|---|---|---|",
    ]
    for name in dict.fromkeys(sample.host for sample in unrest.samples):
        mine = [sample for sample in unrest.samples if sample.host == name]
        memory, files = [one.rss_mb for one in mine], [one.files for one in mine]
        lines.append(
            f"| {name} | {len({one.pid for one in mine})} | {memory[0]:.0f}, {memory[-1]:.0f}, {max(memory):.0f} MB "
            f"| {files[0]}, {files[-1]}, {max(files)} |"
        )
    return "\n".join(lines)


def _kept(outcome: Outcome) -> dict[str, Any]:
    """Everything that the plot shows, to be drawn again."""
    return {
        "minutes": outcome.minutes,
        "seed": outcome.seed,
        "samples": [asdict(one) for one in outcome.unrest.samples],
        "struck": outcome.unrest.struck,
        "delays": {
            one.name: [((arrived - began).total_seconds(), seconds) for arrived, seconds in one.delays]
            for began in [min(arrived for one in outcome.verdicts for arrived, _ in one.delays)]
            for one in outcome.verdicts
        },
    }


def main() -> int:
    """See above."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else float(_WHOLE)
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10_000)
    outcome = soak(minutes, seed, lambda line: print(line, flush=True))  # noqa: T201 (for people)
    kept = _kept(outcome)
    (_OUTPUT / "soak.json").write_text(json.dumps(kept))
    draw(kept, _OUTPUT / "soak.png")
    print("", table(outcome), "", *outcome.faults, sep="\n")  # noqa: T201
    print(f"\nRaised in functions: {dict(outcome.raised)}; open before the clock was set forward: {outcome.waiting}.")  # noqa: T201
    print(f"{len(outcome.faults)} faults. The plot: {_OUTPUT / 'soak.png'}")  # noqa: T201
    if not outcome.faults and minutes >= _WHOLE:
        write(_DOCS / "reliability.md", "soak", table(outcome))
        draw(kept, _DOCS / "soak.png")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
