"""Random histories of a mailbox, its people, a job and its ledger: ``make histories``.

Mail arrives; people read, delete, move, remove and restore it; the server gives out new UIDs; runs go well, fail, or are
killed anywhere; the target refuses; parked messages are retried and discarded; the job is changed, deleted and made again;
days and months pass; the housekeeping tidies. After each step, judged from outside:

- no message for which a ticket was made is handed to the target again, whatever the ledger forgot by then;
- the ledger knows every such message that is in the mailbox, or in a folder from where it can come back;
- what is parked has its copy.

In the end, with everything in order again, every unread message in the folder has its ticket, or is parked.

The mailbox is the fake that keeps the contract, in which a move keeps the key, as on Exchange; `tests.run.test_histories` is
a short form of this, and one over Dovecot and Azurite. What is put back from a backup later than ``ledger_days`` after it
went may become a second ticket (docs/retention.md): nobody does that here.
"""

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.api.records import save
from shared.errors import Unavailable
from shared.jobs import Job, load_job
from shared.ports import Deadline
from tests.fakes.mailbox import Stored
from tests.run.world import LONG, Broken, Killed, World, mail

DAY = timedelta(days=1)
LEDGER_DAYS = 30

HANDLINGS: tuple[dict[str, Any], ...] = (
    {},
    {"mark_as_read": True},
    {"mark_as_deleted": True},
    {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True},
    {"move_to": "Done"},
    {"mark_as_read": True, "move_to": "Done"},
)
TIMES = (timedelta(minutes=10), LONG, DAY, 29 * DAY, 31 * DAY, 62 * DAY)
FAULTS = st.tuples(st.sampled_from(["steps", "storage"]), st.integers(1, 14), st.booleans())
#: One of those that are there, whichever they are.
ANY = st.integers(0, 1_000)


class History(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        #: UIDs that a ticket was made for, as the ledger said at some time.
        self.ticketed: set[int] = set()
        #: UIDs that a person gave up on.
        self.discarded: set[int] = set()
        #: What is in no folder any more, and when it was last seen in one.
        self.removed: dict[int, tuple[Stored, datetime]] = {}
        self.arrived = 0

    @initialize(handling=st.sampled_from(HANDLINGS), pick=st.sampled_from(["unread", "new"]))
    def begin(self, handling: dict[str, Any], pick: str) -> None:
        """One job on one mailbox."""
        # Runs are by hand. A schedule with many occurrences would only take its time at each change of the job.
        once = {"frequency": {"type": "once", "at": "08:30"}}
        config: dict[str, Any] = {"on_success": handling, "pick": pick, "ledger_days": LEDGER_DAYS}
        self.world = World(max_attempts=2, schedule=once, **config)
        self.folder = self.world.folder
        self.folder.others["Done"] = []
        self.world.steps.before = self.look

    # --- mail and people ---------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 5), refused=st.booleans())
    def mail_arrives(self, count: int, *, refused: bool) -> None:
        """Some messages; one that the target refuses may be among them."""
        names = [f"m{self.arrived + number}" for number in range(count)]
        self.arrived += count
        self.world.deliver(*map(mail, names))
        self.world.refused |= {names[0]} if refused else set()

    @precondition(lambda self: self.folder.messages)
    @rule(which=ANY, mark=st.sampled_from(["seen", "deleted"]))
    def person_marks(self, which: int, mark: str) -> None:
        """Read, unread, deleted or restored."""
        stored = self.folder.messages[_chosen(self.folder.messages, which)]
        setattr(stored, mark, not getattr(stored, mark))

    @precondition(lambda self: self.folder.messages)
    @rule(which=ANY)
    def person_moves(self, which: int) -> None:
        """Into another folder."""
        self.folder.others["Done"].append(self.folder.messages.pop(_chosen(self.folder.messages, which)))

    @precondition(lambda self: self.folder.others["Done"])
    @rule(which=ANY, unread=st.booleans())
    def person_puts_back(self, which: int, *, unread: bool) -> None:
        """From the other folder, perhaps as unread."""
        others = self.folder.others["Done"]
        self._put(others.pop(-1 - which % len(others)), unread=unread)

    @precondition(lambda self: self.folder.messages)
    @rule(which=ANY)
    def person_removes(self, which: int) -> None:
        """For good."""
        uid = _chosen(self.folder.messages, which)
        self.removed[uid] = (self.folder.messages.pop(uid), self.world.clock())

    @precondition(lambda self: self.restorable)
    @rule(which=ANY, unread=st.booleans())
    def person_restores(self, which: int, *, unread: bool) -> None:
        """What was removed or purged, while the ledger must still know it."""
        self._put(self.removed.pop(_chosen(self.restorable, which))[0], unread=unread)

    @rule()
    def server_renumbers(self) -> None:
        """A new UIDVALIDITY: every message gets another UID, and is another message by that."""
        self.folder.renumber()
        self.removed.clear()

    def _put(self, stored: Stored, *, unread: bool) -> None:
        self.folder.messages[stored.uid] = stored
        if unread:
            stored.seen = stored.deleted = False

    @property
    def restorable(self) -> list[int]:
        """What went so short a time ago that the ledger cannot have forgotten it."""
        since = self.world.clock() - LEDGER_DAYS * DAY
        return [uid for uid, (_, at) in self.removed.items() if at > since]

    # --- runs, time, operators ---------------------------------------------------------------------------------------

    @rule(by=st.sampled_from(TIMES))
    def run_goes_well(self, by: timedelta) -> None:
        """After some time."""
        self.world.clock.advance(by)
        self._run()

    @rule(fault=FAULTS, by=st.sampled_from(TIMES))
    def run_fails(self, fault: tuple[str, int, bool], by: timedelta) -> None:
        """Server, target or storage fails at some step, before or after it took effect."""
        self.world.clock.advance(by)
        self._break(fault, Unavailable("Out of order."))

    @rule(fault=FAULTS, by=st.sampled_from(TIMES))
    def run_is_killed(self, fault: tuple[str, int, bool], by: timedelta) -> None:
        """At any step; what was on its way to storage is or is not there."""
        self.world.clock.advance(by)
        self._break(fault, Killed())

    def _break(self, fault: tuple[str, int, bool], error: BaseException) -> None:
        place, nth, after = fault
        if place == "steps":
            self.world.steps.fail_next(nth, error, after=after)
        else:
            self.world.storage.fail_next(nth, error, after=after, lasting=isinstance(error, Killed))
        self._run()
        self.world.recover()
        # Whatever lease was held by then has expired.
        self.world.clock.advance(LONG)

    def _run(self) -> None:
        before, now = dict(self.folder.messages), self.world.clock()
        try:
            with suppress(Killed, Unavailable):
                self.world.run()
        except Broken as broken:
            raise AssertionError(broken.args) from broken
        there = {*self.folder.messages, *(stored.uid for stored in self.folder.others["Done"])}
        self.removed |= {uid: (stored, now) for uid, stored in before.items() if uid not in there}
        self.learn()

    @rule()
    def housekeeping_tidies(self) -> None:
        """As once a day."""
        self.world.storage.housekeeping.tidy(Deadline(self.world.clock() + DAY, self.world.clock))

    @rule()
    def target_is_mended(self) -> None:
        """It refuses nothing that is there by now."""
        self.world.refused.clear()

    @precondition(lambda self: self.parked)
    @rule(which=ANY, retry=st.booleans())
    def person_looks_after_parked(self, which: int, *, retry: bool) -> None:
        """Retries one, or discards it."""
        uid, parked_id = self.parked[which % len(self.parked)]
        if retry:
            self.world.storage.parked.retry("support", parked_id)
        else:
            self.world.storage.parked.discard("support", parked_id)
            self.discarded.add(uid)

    @rule(handling=st.sampled_from(HANDLINGS), pick=st.sampled_from(["unread", "new"]), days=st.sampled_from([30, 90]))
    def job_is_changed(self, handling: dict[str, Any], pick: str, days: int) -> None:
        """What becomes of originals, which are taken, how long they are remembered."""
        before = self.world.record()
        changed = {**_document(load_job(before)), "on_success": handling, "pick": pick, "ledger_days": days}
        save(self.world.storage.jobs, Job.model_validate(changed), before=before, now=self.world.clock())

    @rule(days=st.integers(0, 170))
    def job_is_made_again(self, days: int) -> None:
        """Deleted, and made again under its id before its ledger is."""
        job = load_job(self.world.record())
        self.world.storage.jobs.delete("support")
        for _ in range(2):
            self.world.clock.advance(days * DAY / 2)
            self.housekeeping_tidies()
        save(self.world.storage.jobs, job, before=None, now=self.world.clock())

    # --- judged from outside -----------------------------------------------------------------------------------------

    @property
    def parked(self) -> list[tuple[int, str]]:
        """UID and id of what is parked."""
        found, _ = self.world.storage.parked.page("support", limit=1_000)
        return [(int(one.item), one.parked_id) for one in found]

    def look(self, step: str, uids: Sequence[int]) -> None:
        """Before each step of a run."""
        self.world.check(step, uids)
        self.learn()
        if step == "apply" and (again := self.ticketed & set(uids)):
            raise Broken("There would be a second ticket.", again)

    def learn(self) -> None:
        """Note what has a ticket, as long as the ledger knows it."""
        self.ticketed |= {uid for uid, entry in self.world.ledger().items() if entry.action}

    @invariant()
    def what_may_come_back_is_remembered(self) -> None:
        """The ledger knows each message that has its ticket and is in the mailbox."""
        if hasattr(self, "world"):
            there = {*self.folder.messages, *(stored.uid for stored in self.folder.others["Done"]), *self.restorable}
            assert (self.ticketed & there) <= self.world.ledger().keys()

    @invariant()
    def what_is_parked_has_its_copy(self) -> None:
        """It can be downloaded, however long it lies there."""
        if hasattr(self, "world"):
            listed, _ = self.world.storage.parked.page("support", limit=1_000)
            for one in listed:
                assert not one.has_raw or self.world.storage.parked.raw("support", one.parked_id) is not None

    def teardown(self) -> None:
        """In the end everything works: then nothing is lost."""
        if not hasattr(self, "world"):
            return
        self.target_is_mended()
        self.job_is_changed({"mark_as_read": True}, "unread", LEDGER_DAYS)
        self.world.drain()
        self.learn()
        waiting = {uid for uid, one in self.folder.messages.items() if not one.seen and not one.deleted}
        known = self.ticketed | self.discarded | {uid for uid, _ in self.parked}
        assert waiting <= known, f"Lost: {waiting - known}"


def _chosen(uids: Any, which: int) -> int:
    # The newest first: what nobody has handled yet is where most can go wrong.
    ordered: list[int] = sorted(uids, reverse=True)
    return ordered[which % len(ordered)]


def _document(job: Job) -> dict[str, Any]:
    return job.model_dump(mode="json", exclude_unset=True)


def try_histories(count: int, steps: int) -> None:
    """Play ``count`` histories of up to ``steps`` steps; raises at one that breaks a promise, made as short as can be."""
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=count,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


if __name__ == "__main__":
    logging.disable()
    try_histories(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000, 60)
