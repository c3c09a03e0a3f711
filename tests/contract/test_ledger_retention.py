"""The contract of `shared.ports.Ledger` about what may be forgotten: `outdated` and `forget`."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import LeaseLost
from shared.ledger import Stage
from shared.model import Disposition
from shared.ports import Deadline, Tidied
from tests.builders import NOW, make_ending, make_entry, make_key, make_parked, make_purged, make_record, make_ref
from tests.contract.storage import LEASE, Runs, Storage
from tests.contract.test_jobs import PREFIX_IDS
from tests.fakes.clock import FakeClock

DAY = timedelta(days=1)
LEFT = timedelta(days=180)
#: After everything that the tests write before they let time pass.
LATER = NOW + 10 * DAY


class TestOutdated:
    """`outdated`."""

    def test_has_what_is_settled_and_old(self, runs: Runs, clock: FakeClock) -> None:
        """Done, oldest key first; nothing that is open, nothing that was written since."""
        ledger = runs.begin().ledger
        ledger.record([make_entry(2).finish(), make_entry(1).finish(), make_entry(3), make_entry(4).finish()])
        clock.advance(DAY)
        ledger.record([make_entry(4).finish()])
        assert list(ledger.outdated(NOW, limit=10)) == [make_entry(1).finish(), make_entry(2).finish()]
        assert list(ledger.outdated(NOW - timedelta(seconds=1), limit=10)) == []
        assert [entry.key for entry in ledger.outdated(clock(), limit=10)] == [make_key(uid) for uid in (1, 2, 4)]

    @pytest.mark.parametrize("stage", list(Stage))
    def test_has_no_stage_that_is_open(self, runs: Runs, stage: Stage) -> None:
        """A run has something to do for all of those."""
        entry = replace(make_entry(), stage=stage)
        ledger = runs.begin().ledger
        ledger.record([entry])
        assert bool(ledger.outdated(LATER, limit=10)) is not entry.open

    def test_gives_no_more_than_asked_for(self, runs: Runs) -> None:
        """The first ones; what is written anew makes room for the next."""
        entries = [make_entry(uid).finish() for uid in range(250)]
        ledger = runs.begin().ledger
        ledger.record(entries)
        assert list(ledger.outdated(LATER, limit=100)) == entries[:100]

    def test_leaves_out_what_is_parked_until_it_is_discarded(
        self, storage: Storage, runs: Runs, clock: FakeClock
    ) -> None:
        """Its listing and its copy hang on the entry; discarding it counts as a change."""
        lease = runs.begin()
        lease.ledger.park(make_entry().park("No."), make_parked(), b"raw")
        clock.advance(DAY)
        assert list(lease.ledger.outdated(clock(), limit=10)) == []
        assert storage.parked.discard("support", "parked-1")
        assert list(lease.ledger.outdated(clock() - timedelta(seconds=1), limit=10)) == []
        assert [entry.key for entry in lease.ledger.outdated(clock(), limit=10)] == [make_key()]

    def test_leaves_out_what_is_purged_while_its_copy_is_kept(self, runs: Runs, clock: FakeClock) -> None:
        """Whoever has the copy re-processed needs the entry."""
        purged = make_purged()
        entry = make_entry(disposition=Disposition(deleted=True, purge=True)).keep(purged.expires_at).finish()
        ledger = runs.begin().ledger
        ledger.record([entry], ledger.keep([(purged, b"raw")]))
        clock.advance(purged.expires_at - NOW - timedelta(seconds=1))
        assert list(ledger.outdated(clock(), limit=10)) == []
        clock.advance(timedelta(seconds=1))
        assert list(ledger.outdated(clock(), limit=10)) == [entry]

    def test_has_nothing_of_another_mailbox_or_job(self, storage: Storage, runs: Runs) -> None:
        """Only of the one that the run holds."""
        record = storage.jobs.create(make_record())
        lease = runs.begin()
        lease.ledger.record([make_entry().finish()])
        lease.finish(make_ending())
        moved = replace(record, mailbox="elsewhere", revision="support-2")
        storage.jobs.replace(moved, revision=record.revision, rescheduled=False)
        assert list(runs.begin(run_id="run-2").ledger.outdated(LATER, limit=10)) == []
        assert list(runs.begin("support-2").ledger.outdated(LATER, limit=10)) == []


class TestForget:
    """`forget`."""

    def test_forgets_these_and_no_other(self, runs: Runs) -> None:
        """However many; asked again, as after an answer that was lost, it is no fault."""
        entries = [make_entry(uid).finish() for uid in range(250)]
        ledger = runs.begin().ledger
        ledger.record(entries)
        for _ in range(2):
            ledger.forget(entries[:249])
            assert ledger.look_up([entry.ref for entry in entries]) == {entries[249].key: entries[249]}
        ledger.forget([])

    def test_the_copy_of_a_message_that_was_parked_once_goes_with_it(self, storage: Storage, runs: Runs) -> None:
        """It was retried and became a ticket: nobody needs the copy any more. One that is parked keeps its own."""
        lease = runs.begin()
        for uid in (1, 2):
            lease.ledger.park(make_entry(uid).park("No."), make_parked(uid), b"raw")
        lease.finish(make_ending())
        assert storage.parked.retry("support", "parked-1")
        ledger = runs.begin(run_id="run-2").ledger
        (entry,) = ledger.unfinished()
        done = entry.finish()
        ledger.record([done])
        assert ledger.kept_copy(done) == b"raw"
        ledger.forget([done])
        assert ledger.kept_copy(done) is None
        assert storage.parked.raw("support", "parked-2") is not None

    def test_a_run_that_was_overtaken_forgets_nothing(self, runs: Runs, clock: FakeClock) -> None:
        """The heir finds all of it."""
        zombie = runs.begin()
        zombie.ledger.record([make_entry().finish()])
        clock.advance(LEASE + timedelta(seconds=1))
        heir = runs.begin(run_id="run-2")
        with pytest.raises(LeaseLost):
            zombie.ledger.forget([make_entry().finish()])
        assert heir.ledger.look_up([make_ref()]) == {make_key(): make_entry().finish()}


class TestReviewed:
    """When the ledger was last looked through."""

    def test_is_kept_until_the_next_time(self, runs: Runs) -> None:
        """A run that did not look leaves it as it was."""
        said = []
        for number, reviewed in enumerate((None, NOW, None, LATER, None)):
            lease = runs.begin(run_id=f"run-{number}")
            said.append(lease.record.state.reviewed)
            lease.finish(make_ending(f"run-{number}", reviewed=reviewed))
        assert said == [None, None, NOW, NOW, LATER]


class TestLeft:
    """What becomes of the ledger of a job that is gone, or of a mailbox that it left."""

    def test_the_ledger_of_a_deleted_job_is_kept_for_its_time(
        self, storage: Storage, runs: Runs, clock: FakeClock
    ) -> None:
        """180 days to the second, then in slices; jobs whose ids begin with each other are not affected."""
        for job_id in PREFIX_IDS[:6]:
            lease = runs.begin(job_id)
            lease.ledger.record([make_entry(uid, job_id).finish() for uid in range(150)])
            lease.finish(make_ending(job_id=job_id))
        for job_id in PREFIX_IDS[:6:2]:
            storage.jobs.delete(job_id)
        clock.advance(LEFT - timedelta(seconds=1))
        assert tidy(storage, clock).ledger_entries == 0
        clock.advance(DAY)
        assert tidy(storage, clock).ledger_entries == 3 * 150
        for number, job_id in enumerate(PREFIX_IDS[:6]):
            known = runs.begin(job_id, run_id="run-2").ledger.look_up([make_ref(uid, job_id) for uid in range(150)])
            assert len(known) == (150 if number % 2 else 0)

    def test_a_job_that_was_made_again_keeps_it(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """However long ago it was deleted once; deleted again, its time begins anew."""
        lease = runs.begin()
        lease.ledger.record([make_entry().finish()])
        lease.finish(make_ending())
        storage.jobs.delete("support")
        clock.advance(LEFT - DAY)
        storage.jobs.create(make_record())
        clock.advance(LEFT)
        assert tidy(storage, clock).ledger_entries == 0
        storage.jobs.delete("support")
        clock.advance(LEFT - DAY)
        assert tidy(storage, clock).ledger_entries == 0
        assert runs.begin(run_id="run-2").ledger.look_up([make_ref()]) != {}

    def test_a_mailbox_that_a_job_left_is_forgotten_and_the_one_that_it_has_is_not(
        self, storage: Storage, runs: Runs, clock: FakeClock
    ) -> None:
        """And one to which it came back in time is not either."""
        record = storage.jobs.create(make_record(mailbox="first"))
        entries = {}
        for number, mailbox in enumerate(("second", "third", "first")):
            lease = runs.begin(run_id=f"run-{number}")
            entry = make_entry(key=make_key(mailbox=record.mailbox)).finish()
            lease.ledger.record([entry])
            lease.finish(make_ending(f"run-{number}"))
            entries[record.mailbox] = entry
            moved = replace(record, mailbox=mailbox, revision=f"support-{number + 2}")
            record = storage.jobs.replace(moved, revision=record.revision, rescheduled=False)
        clock.advance(LEFT)
        assert tidy(storage, clock).ledger_entries == 2
        first = entries["first"]
        assert runs.begin(run_id="run-9").ledger.look_up([first.ref]) == {first.key: first}

    def test_what_a_parked_message_hangs_on_is_kept(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """With its copy, until it is discarded; and so is one that a person had taken up again just before."""
        lease = runs.begin()
        for uid in (1, 2):
            lease.ledger.park(make_entry(uid).park("No."), make_parked(uid), b"raw")
        lease.ledger.record([make_entry(3).finish(), make_entry(4)])
        lease.finish(make_ending())
        assert storage.parked.retry("support", "parked-2")
        storage.jobs.delete("support")
        clock.advance(LEFT)
        assert tidy(storage, clock).ledger_entries == 2
        chunks = storage.parked.raw("support", "parked-1")
        assert chunks is not None
        assert b"".join(chunks) == b"raw"
        assert storage.parked.discard("support", "parked-1")
        clock.advance(DAY)
        assert tidy(storage, clock).ledger_entries == 1
        (left,) = runs.begin(run_id="run-2").ledger.look_up([make_ref(uid) for uid in range(5)]).values()
        assert left.key == make_key(2)

    def test_its_time_is_bounded(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """Where there is none, the next call does it."""
        lease = runs.begin()
        lease.ledger.record([make_entry().finish()])
        lease.finish(make_ending())
        storage.jobs.delete("support")
        clock.advance(LEFT)
        assert not tidy(storage, clock, seconds=0).complete
        assert tidy(storage, clock).ledger_entries == 1


def tidy(storage: Storage, clock: FakeClock, seconds: float = 60) -> Tidied:
    """One call of the housekeeping that must find something to do."""
    tidied = storage.housekeeping.tidy(Deadline(clock() + timedelta(seconds=seconds), clock))
    assert tidied is not None
    return tidied


class TestParkedDays:
    """Parked messages of a job that keeps them for some days only."""

    def test_one_is_discarded_when_its_days_are_over_and_the_others_stand(
        self, storage: Storage, runs: Runs, clock: FakeClock
    ) -> None:
        """Listing and copy, not a second early; the ledger still knows the message. One without days stands for ever."""
        lease = runs.begin()
        for uid, expires in ((1, NOW + 7 * DAY), (2, NOW + 8 * DAY), (3, None)):
            lease.ledger.park(make_entry(uid).park("No."), make_parked(uid, expires_at=expires), b"raw")
        lease.finish(make_ending())
        clock.advance(7 * DAY - timedelta(seconds=1))
        assert tidy(storage, clock).parked_messages == 0
        clock.advance(DAY)
        assert tidy(storage, clock).parked_messages == 1
        listed, _ = storage.parked.page("support", limit=10)
        assert {one.item for one in listed} == {make_key(uid).item for uid in (2, 3)}
        assert storage.parked.raw("support", "parked-1") is None
        clock.advance(4_000 * DAY)
        assert tidy(storage, clock).parked_messages == 1
        known = runs.begin(run_id="run-2").ledger.look_up([make_ref(uid) for uid in (1, 2, 3)])
        assert [(entry.stage, entry.kept) for entry in known.values()] == [
            (Stage.PARKED, False), (Stage.PARKED, False), (Stage.PARKED, True)
        ]  # fmt: skip
