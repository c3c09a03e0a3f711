"""A job on every kind of mail server in one process, which is killed again and again: ``python -m tests.run.kill_each``.

500 messages for each job. All jobs run at once, in threads of one worker; the worker is killed (SIGKILL) while each of
them is under way, and the next one goes on. The mail servers live outside of it. In the end tickets, originals and the
ledger are counted with clients that owe nothing to the code under test. `tests.run.test_kill_each` is a small one.
"""

import json
import os
import random
import sys
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from dev.azurite import Azurite
from dev.child import Child
from shared.api.records import check_job, record_of
from shared.begin import Services
from shared.jobs import new_state
from shared.ports import OpenRequest
from shared.storage import open_storage
from shared.storage.open import utc_now
from tests.run.kill_2000 import LEASE_SECONDS
from tests.run.real import Tables
from tests.run.worker import ToldMailbox, drain, tell
from tests.run.world import mail
from tests.servers.counterparts import KINDS, Counterpart, Counterparts, GivenSecret, opener

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 600
_SEED = 2026


@dataclass(frozen=True, slots=True)
class Result:
    """What was found for one job, from outside."""

    kind: str
    messages: int
    #: How often the worker was killed while this job held its mailbox.
    kills: int
    tickets: int
    lost: int
    doubled: int
    #: Originals that are not as the job wants them, by what they are.
    wrong: Mapping[str, int]
    parked: int
    #: Ledger rows that are not done.
    undone: int

    @property
    def exact(self) -> bool:
        """Whether everything is as it must be."""
        return self.tickets == self.messages and not (
            self.lost or self.doubled or self.wrong or self.parked or self.undone
        )


def job_of(kind: str) -> str:
    """The id of the job on this kind."""
    return f"on-{kind.replace(' ', '-')}"


def run_and_kill(azurite: Azurite, servers: Counterparts, *, prefix: str, messages: int, kills: int) -> list[Result]:
    """Fill the mailboxes, kill ``kills`` workers on the way, let the last one finish, and count."""
    chance = random.Random(_SEED)
    storage = open_storage(connection_string=azurite.connection_string, prefix=prefix)
    mailboxes = {kind: servers.new(kind) for kind in KINDS}
    for kind, mailbox in mailboxes.items():
        mailbox.deliver(*(mail(f"{job_of(kind)} {number}") for number in range(messages)))
        document = {"id": job_of(kind), "server": mailbox.block, "enabled": False, **mailbox.handling}
        storage.jobs.create(record_of(check_job(document), new_state(utc_now() - timedelta(days=1))))

    def worker() -> Child:
        jobs = {job_of(kind): mailbox.given for kind, mailbox in mailboxes.items()}
        given = json.dumps({"connection": azurite.connection_string, "prefix": prefix, "jobs": jobs})
        return Child("the worker", [sys.executable, "-m", "tests.run.kill_each", "--worker", given], cwd=_ROOT)

    held: Counter[str] = Counter()
    for _ in range(kills):
        running = worker()
        try:
            # They begin together; a drained one says so.
            for kind in KINDS:
                running.wait_for(f": {job_of(kind)}: (fetching|drained)$", timeout=_PATIENCE)
            running.wait_for(f": {job_of(chance.choice(KINDS))}: (mark|purg|drain)", timeout=_PATIENCE)
        finally:
            running.kill()
        held += Counter(
            kind for kind in KINDS if (record := storage.jobs.read(job_of(kind))) and record.state.lease_run
        )
    last = worker()
    try:
        for kind in KINDS:
            last.wait_for(f": {job_of(kind)}: drained$", timeout=_PATIENCE)
    finally:
        last.kill()
    tables = Tables(azurite, prefix)
    return [_look(kind, mailbox, tables, messages, held[kind]) for kind, mailbox in mailboxes.items()]


def _look(kind: str, mailbox: Counterpart, tables: Tables, messages: int, kills: int) -> Result:
    job = job_of(kind)
    subjects = [f"{job} {number}" for number in range(messages)]
    where = f"subject ge '{job} ' and subject lt '{job}!'"
    tickets = Counter(row["subject"] for row in tables.rows("tickets", "ticket:", where=where))
    shown = mailbox.originals()
    end = mailbox.ends["ticket"]
    states = Counter(shown.get(subject, "gone") or "untouched" for subject in subjects)
    return Result(
        kind=kind,
        messages=messages,
        kills=kills,
        tickets=tickets.total(),
        lost=len([subject for subject in subjects if not tickets[subject]]),
        doubled=tickets.total() - len(tickets),
        wrong={state: count for state, count in states.items() if state != end},
        parked=len(tables.rows("jobs", f"parked:{job}:")),
        undone=len([row for row in tables.rows("jobs", f"msg:{job}:") if row["stage"] != "done"]),
    )


def table(results: Sequence[Result]) -> str:
    """For people."""
    head = f"{'connector':12}{'messages':>9}{'kills':>7}{'tickets':>9}{'lost':>6}{'doubled':>9}{'parked':>8}  originals"
    lines = [
        f"{one.kind:12}{one.messages:>9}{one.kills:>7}{one.tickets:>9}{one.lost:>6}{one.doubled:>9}{one.parked:>8}  "
        f"{dict(one.wrong) or 'all as configured'}{f', {one.undone} not done' if one.undone else ''}"
        for one in results
    ]
    return "\n".join([head, *lines])


def work(given: Mapping[str, str | Mapping[str, Mapping[str, str]]]) -> None:
    """The worker: every job in a thread of its own, all from the same moment on, until all mailboxes are drained."""
    storage = open_storage(
        connection_string=str(given["connection"]), prefix=str(given["prefix"]), lease_seconds=LEASE_SECONDS
    )

    jobs = given["jobs"]
    assert isinstance(jobs, Mapping)
    all_open = threading.Barrier(len(jobs))

    def drained(job_id: str, secrets: Mapping[str, str]) -> None:
        open_it = opener(secrets)
        waits = [all_open]

        def open_told(request: OpenRequest) -> ToldMailbox:
            mailbox = open_it(request)
            if waits:
                waits.pop().wait()
            return ToldMailbox(mailbox, name=f"{job_id}: ")

        services = Services(
            jobs=storage.jobs,
            threads=storage.threads,
            tickets=storage.tickets,
            receipts=storage.receipts,
            outbox=storage.outbox,
            queue=storage.queue,
            secrets=GivenSecret(secrets),
            clock=utc_now,
            budget=timedelta(minutes=5),
        )
        try:
            drain(replace(services, open_mailbox=open_told), job_id)
        except BaseException:  # noqa: BLE001 (printed; it ends the process)
            # Whoever waits for this job would wait in vain: the whole worker goes, with the reason.
            traceback.print_exc()
            os._exit(1)
        tell(f"{job_id}: drained")

    threads = [threading.Thread(target=drained, args=one) for one in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> int:
    """Run the full size, and print what was found."""
    if "--worker" in sys.argv:
        work(json.loads(sys.argv[-1]))
        return 0
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as keys,
        Azurite(Path(folder)) as azurite,
        Counterparts(Path(keys)) as servers,
    ):
        results = run_and_kill(azurite, servers, prefix="killeach", messages=500, kills=4)
    print(table(results))  # noqa: T201 (a table for people)
    return 0 if all(one.exact for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
