"""A job whose five messages go every way there is, and the judge of what became of them.

The judge reads the tables with the storage SDK alone, and the mailbox as another client of the server.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.api.records import check_job, record_of
from shared.jobs import new_state
from shared.model import Clock
from shared.storage import Storage
from tests.crash.poison import POISON
from tests.run.real import Tables
from tests.run.target_sides import TableSide, TargetSide
from tests.run.world import mail, reply
from tests.servers.counterparts import Counterpart

#: Its only occurrence within a day is the one for which the first run is started.
_SCHEDULE = {"pattern": {"type": "yearly", "month": "january", "day": 1}, "frequency": {"type": "once", "at": "03:00"}}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong in the end, as sentences; nothing, as it should be."""

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    #: Originals that were touched before the ledger had the outcome, whatever came of it.
    early: tuple[str, ...] = ()
    #: How many of the strikes hit.
    struck: int = 0

    def __str__(self) -> str:
        counts = f"{len(self.lost)}/{len(self.doubled)}/{len(self.stuck)}"
        return f"{counts}, {len(self.early)} early" if self.early else counts

    @property
    def faults(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.lost, *self.doubled, *self.stuck, *self.early)


class Scene:
    """A mailbox with two questions, a reply, one of our own mails and one that cannot be read, and its job."""

    def __init__(
        self,
        name: str,
        mailbox: Counterpart,
        storage: Storage,
        tables: Tables,
        clock: Clock,
        *,
        target: TargetSide | None = None,
    ) -> None:
        self.name, self._mailbox, self._storage, self._tables, self._clock = name, mailbox, storage, tables, clock
        self._target = target or TableSide(tables)
        mailbox.deliver(
            mail(f"{name} first"),
            mail(f"{name} second"),
            reply(f"{name} reply", to=f"{name} first"),
            mail(f"{name} own", X_Mail_Connector="1"),
            mail(f"{name} poison", **{POISON.replace("-", "_"): "1"}),
        )
        document = {
            "id": name,
            "server": mailbox.block,
            "target": self._target.block,
            "max_attempts": 1,
            "schedule": _SCHEDULE,
            **mailbox.handling,
        }
        now: datetime = clock()
        state = replace(new_state(now - timedelta(days=1)), next_due=now - timedelta(seconds=1))
        storage.jobs.create(record_of(check_job(document), state))

    @property
    def due(self) -> bool:
        """Whether the sweep finds the job."""
        return self.name in {job.job_id for job in self._storage.jobs.overdue(self._clock())}

    def judge(self) -> Verdict:
        """Tickets, parked messages, originals and the ledger against what five messages must have become."""
        first, second, answer, own, poison = (
            f"{self.name} {text}" for text in ("first", "second", "reply", "own", "poison")
        )
        tickets, entries = self._target.made(self.name)
        parked = Counter(row["subject"] for row in self._tables.rows("jobs", f"parked:{self.name}:"))
        wanted = (
            ("ticket", tickets, (first, second)),
            ("entry", entries, (first, second, answer)),
            ("parked message", parked, (poison,)),
        )
        lost = [f"no {what}: {one}" for what, found, due in wanted for one in due if not found[one]]
        doubled = [
            f"{times} times a {what}, {int(one in due)} due: {one}"
            for what, found, due in wanted
            for one, times in found.items()
            if times > (one in due)
        ]
        return Verdict(tuple(lost), tuple(doubled), tuple(self._stuck((first, second, answer), own, poison)))

    def _stuck(self, handled: Sequence[str], own: str, poison: str) -> list[str]:
        """Originals that are not as the job wants them, messages that the ledger has open, a job that is still due."""
        ends = {**dict.fromkeys(handled, self._mailbox.ends["ticket"]), own: self._mailbox.ends["rejected"]}
        ends[poison] = self._mailbox.ends["parked"]
        shown = self._mailbox.originals()
        wrong = [
            f"the original of {subject!r} is {found!r}, not {end!r}"
            for subject, end in ends.items()
            if (found := shown.get(subject, "gone")) != end
        ]
        rows = self._tables.rows("jobs", f"msg:{self.name}:")
        wrong += [f"the ledger has {row['item']} open ({row['stage']})" for row in rows if row["open"]]
        record = self._storage.jobs.read(self.name)
        assert record
        if record.state.lease_run:
            wrong.append("a lease is left")
        if self.due:
            wrong.append("the job is still due")
        return wrong
