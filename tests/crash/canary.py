"""Canaries under the crash matrix: the run that sends one, and the run that it comes back to, struck at every point.

``python -m tests.crash.canary`` is the whole, on IMAP4 by APPEND, over the `table` target; exit code 1 where a cell is not
as it must be. Judged from outside: no ticket of a canary and none parked, one ticket of the question beside it, no canary
left unread or missing in the end, and for each strike at most one canary more than one.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from dev.azurite import Azurite
from shared.api.records import check_job, record_of
from shared.canary import HEADER, missing_sentence
from shared.jobs import new_state
from shared.model import Clock
from shared.storage import Storage
from tests.crash.cell import Cells, Strike
from tests.crash.scene import Scene, Verdict
from tests.run.real import Tables
from tests.run.world import mail
from tests.servers.counterparts import Counterpart, Counterparts
from tests.servers.imap_host import Stored

KIND = "imap4"
#: A run that nothing happens to.
UNDISTURBED = Strike("nowhere")


class CanaryScene(Scene):
    """A mailbox with one question, and its job, which sends a canary at the end of its first run."""

    def __init__(self, name: str, mailbox: Counterpart, storage: Storage, tables: Tables, clock: Clock) -> None:
        self.name, self._mailbox, self._storage, self._tables, self._clock = name, mailbox, storage, tables, clock
        mailbox.deliver(mail(f"{name} question"))
        # A week: another is sent only where one did not come back.
        canary = {"key_secret": "key", "send": {"by": "append"}, "every_minutes": 10_080}
        document = {"id": name, "server": mailbox.block, "canary": canary, "on_success": {"mark_as_read": True}}
        now: datetime = clock()
        state = replace(new_state(now - timedelta(days=1)), next_due=now - timedelta(seconds=1))
        storage.jobs.create(record_of(check_job(document), state))

    @property
    def due(self) -> bool:
        """Whether a run still has something to do for it."""
        record = self._storage.jobs.read(self.name)
        assert record
        unread = any(r"\Seen" not in one.flags for one in self._canaries())
        known = record.state.canary
        return bool(record.state.lease_run or known.out or unread or not known.seen)

    def judge(self) -> Verdict:
        """Tickets, parked messages, originals, the ledger, and what is known of the canary."""
        record = self._storage.jobs.read(self.name)
        assert record
        subjects = [row["subject"] for row in self._tables.rows("tickets", "ticket:") if row["job_id"] == self.name]
        question = f"{self.name} question"
        others = [subject for subject in subjects if subject != question]
        parked = self._tables.rows("jobs", f"parked:{self.name}:")
        doubled = [f"a ticket that nobody asked for: {subject}" for subject in others]
        doubled += [f"the question has {subjects.count(question)} tickets"] if subjects.count(question) > 1 else []
        doubled += [f"{len(parked)} parked messages"] if parked else []
        stuck = ["there is still something to do"] if self.due else []
        stuck += [why] if (why := missing_sentence(record.state.canary, self._clock())) else []
        stuck += [] if record.state.canary.seen else ["no canary was ever seen"]
        rows = self._tables.rows("jobs", f"msg:{self.name}:")
        stuck += [f"the ledger has {row['item']} open ({row['stage']})" for row in rows if row["open"]]
        lost = [] if question in subjects else ["the question has no ticket"]
        return Verdict(tuple(lost), tuple(doubled), tuple(stuck))

    def sent(self) -> int:
        """How many canaries there are in the mailbox: nobody removes them."""
        return len(self._canaries())

    def _canaries(self) -> list[Stored]:
        # The judge's own client, as for the counts of originals.
        server, user = self._mailbox._server, self._mailbox._user  # type: ignore[attr-defined] # of the one kind there is
        return [one for one in server.messages(user) if HEADER.encode() in one.data]


class CanaryCells(Cells):
    """Cells with canaries, on IMAP4."""

    def __init__(self, azurite: Azurite, servers: Counterparts, *, prefix: str) -> None:
        super().__init__(azurite, servers, KIND, prefix=prefix, scene=CanaryScene)

    def faults(self, *strikes: Strike) -> list[str]:
        """What is wrong after runs to which these happened, one after another."""
        verdict = self.strike(*strikes)
        scene = self.last
        assert isinstance(scene, CanaryScene)
        cell = ", then ".join(map(str, strikes))
        found = [f"{cell}: {fault}" for fault in verdict.faults]
        if not verdict.struck:
            found.append(f"{cell}: no run came to that point")
        if not 1 <= scene.sent() <= 1 + verdict.struck:
            found.append(f"{cell}: {scene.sent()} canaries")
        return found


def rows_of(cells: CanaryCells) -> Iterator[tuple[Strike, ...]]:
    """Every strike there is: at each point of either run, killed and paused; and twice around the sending."""
    (sending, first), (coming_back, second) = cells.points(), cells.points(UNDISTURBED)
    assert not first.faults, f"not even without a strike: {first.faults}"
    assert not second.faults, f"not even without a strike: {second.faults}"
    for pause in (False, True):
        for point in sending:
            yield (Strike(point, pause=pause),)
        for point in coming_back:
            yield (UNDISTURBED, Strike(point, pause=pause))
    around = [point for point in sending if "the canary" in point]
    yield from ((Strike(one), Strike(other)) for one in around for other in around)


def main() -> int:
    """The whole."""
    faults: list[str] = []
    count = 0
    with (
        Azurite() as azurite,
        tempfile.TemporaryDirectory() as folder,
        Counterparts(Path(folder)) as servers,
        CanaryCells(azurite, servers, prefix="canarycells") as cells,
    ):
        for strikes in list(rows_of(cells)):
            count += 1
            faults += cells.faults(*strikes)
    print(*faults, f"{count} cells, {len(faults)} faults", sep="\n")  # noqa: T201 (a program for people)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
