"""2,000 messages become 2,000 tickets although the worker is killed ten times on the way: ``python -m tests.run.kill_2000``.

A worker process (`tests.run.worker`) runs a job from Dovecot to Azurite. This process waits until the worker has told
that it is about to take a certain step, chosen at random, and kills it (SIGKILL); the next worker goes on. In the end
it counts, with clients that owe nothing to the code under test. `tests.run.test_kill` is a smaller one of these.
"""

import json
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.azurite import Azurite
from dev.child import Child
from shared.api.records import check_job, save
from shared.storage import open_storage
from shared.storage.open import utc_now
from tests.run.real import Tables, job_document, subject_of
from tests.run.world import mail
from tests.servers.dovecot import Dovecot
from tests.servers.imap_host import User

_ROOT = Path(__file__).resolve().parents[2]

#: So that the next worker does not wait long for the mailbox of the dead one.
LEASE_SECONDS = 2.0
_PATIENCE = 300

#: Other people's mail in the same folder, by its flags: it must not change.
BYSTANDERS = {"Read by a person": r"\Seen", "Deleted by a person": r"\Deleted", "Both": r"\Deleted \Seen"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen."""

    messages: int
    kills: int
    #: A worker is killed after 3 to this many steps; a batch of 99 messages takes about a dozen.
    steps: int
    handling: Mapping[str, bool]
    seed: int = 2026

    @property
    def purges(self) -> bool:
        """Whether originals are removed for good: then the last kill strikes when the worker sets out to do that."""
        return all(self.handling.get(name) for name in ("mark_as_deleted", "purge_deleted_at_end_of_session"))


@dataclass(frozen=True, slots=True)
class Result:
    """What was found in the end, from outside."""

    #: The step at which each worker was killed, as it told it.
    killed_at: tuple[str, ...]
    tickets: int
    different_subjects: int
    entries: int
    parked: int
    #: Ledger rows by stage.
    stages: Counter[str]
    #: Ledger rows by how often the message was taken up.
    attempts: Counter[int]
    #: Our messages that are still in the folder, by flags.
    flags: Counter[str]
    bystanders: Mapping[str, str]
    #: Run records by outcome.
    runs: Counter[str]
    seconds: float


def run_and_kill(dovecot: Dovecot, azurite: Azurite, plan: Plan) -> Result:
    """Carry the plan out."""
    chance = random.Random(plan.seed)
    user, prefix = dovecot.new_mailbox(), f"t{uuid.uuid4().hex[:12]}"
    for subject, flags in BYSTANDERS.items():
        dovecot.append(user, "INBOX", mail(subject), flags)
    dovecot.append(user, "INBOX", [mail(f"Message {number}") for number in range(plan.messages)])
    jobs = open_storage(connection_string=azurite.connection_string, prefix=prefix).jobs
    job = check_job(job_document(dovecot, user, enabled=False, on_success=dict(plan.handling)))
    save(jobs, job, before=None, now=utc_now())

    began = time.monotonic()
    killed_at = []
    for left in reversed(range(plan.kills)):
        step = r"\d+: (purging)" if plan.purges and not left else rf"{chance.randint(3, plan.steps)}: (.*)"
        worker = _start_worker(azurite, user, prefix)
        try:
            told = worker.wait_for(f"^step {step}$", timeout=_PATIENCE)
        finally:
            worker.kill()
        killed_at.append(told[1])
    worker = _start_worker(azurite, user, prefix)
    try:
        worker.wait_for(": drained$", timeout=_PATIENCE)
    finally:
        worker.kill()
    return _look(dovecot, user, Tables(azurite, prefix), killed_at=tuple(killed_at), seconds=time.monotonic() - began)


def _start_worker(azurite: Azurite, user: User, prefix: str) -> Child:
    given = {
        "connection_string": azurite.connection_string,
        "prefix": prefix,
        "job_id": "support",
        "password": user.password,
        "lease_seconds": str(LEASE_SECONDS),
    }
    return Child("the worker", [sys.executable, "-m", "tests.run.worker", json.dumps(given)], cwd=_ROOT)


def _look(dovecot: Dovecot, user: User, tables: Tables, *, killed_at: tuple[str, ...], seconds: float) -> Result:
    tickets, ledger = tables.rows("tickets", "ticket:"), tables.rows("jobs", "msg:")
    shown = {subject_of(one.data): " ".join(sorted(one.flags)) for one in dovecot.messages(user)}
    return Result(
        killed_at=killed_at,
        tickets=len(tickets),
        different_subjects=len({row["subject"] for row in tickets}),
        entries=len(tables.rows("tickets", "entry:")),
        parked=len(tables.rows("jobs", "parked:")),
        stages=Counter(row["stage"] for row in ledger),
        attempts=Counter(row["attempts"] for row in ledger),
        flags=Counter(flags for subject, flags in shown.items() if subject not in BYSTANDERS),
        bystanders={subject: flags for subject, flags in shown.items() if subject in BYSTANDERS},
        runs=Counter(row["outcome"] for row in tables.rows("jobs", "run:")),
        seconds=seconds,
    )


def faults_of(plan: Plan, result: Result) -> list[str]:
    """What is not as it must be, as sentences."""
    marks = " ".join(
        mark for name, mark in (("mark_as_deleted", r"\Deleted"), ("mark_as_read", r"\Seen")) if plan.handling.get(name)
    )
    wanted = {
        "workers killed": (len(result.killed_at), plan.kills),
        "tickets": (result.tickets, plan.messages),
        "different subjects among them": (result.different_subjects, plan.messages),
        "entries": (result.entries, plan.messages),
        "parked messages": (result.parked, 0),
        "ledger rows by stage": (result.stages, Counter({"done": plan.messages})),
        "flags of the originals": (result.flags, Counter() if plan.purges else Counter({marks: plan.messages})),
        "flags of other people's mail": (result.bystanders, BYSTANDERS),
    }
    return [f"{what}: {found} instead of {due}" for what, (found, due) in wanted.items() if found != due]


def main() -> int:
    """Run the full size with each handling, and print what was found."""
    wrong = 0
    for handling in (
        {"mark_as_read": True},
        {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True},
    ):
        plan = Plan(messages=2_000, kills=10, steps=40, handling=handling)
        with tempfile.TemporaryDirectory() as folder, Azurite(Path(folder)) as azurite, Dovecot() as dovecot:
            result = run_and_kill(dovecot, azurite, plan)
        faults = faults_of(plan, result)
        wrong += len(faults)
        print(f"\n{plan.messages} messages, {plan.kills} kills, {', '.join(handling)}, seed {plan.seed}")  # noqa: T201 (a table for people)
        for what, found in (
            ("killed at", dict(Counter(result.killed_at))),
            ("tickets", result.tickets),
            ("different subjects", result.different_subjects),
            ("entries", result.entries),
            ("parked", result.parked),
            ("ledger by stage", dict(result.stages)),
            ("messages by attempts", dict(sorted(result.attempts.items()))),
            ("originals by flags", dict(result.flags) or "none left"),
            ("other people's mail", "as it was" if result.bystanders == BYSTANDERS else result.bystanders),
            ("runs by outcome", dict(result.runs)),
            ("seconds", f"{result.seconds:.0f}"),
            ("verdict", "; ".join(faults) or "exactly as it must be"),
        ):
            print(f"  {what:22} {found}")  # noqa: T201 (a table for people)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
