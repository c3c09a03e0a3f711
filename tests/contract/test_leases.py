"""The contract of `shared.ports.JobStore.begin` and `shared.ports.RunLease`: one run per mailbox, fenced."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import LeaseHeld, LeaseLost, Stale
from shared.model import CanaryState, Health, JobRecord, RunOutcome
from shared.ports import RunLease
from tests.builders import (
    NOW,
    make_claim,
    make_ending,
    make_entry,
    make_parked,
    make_record,
    make_ref,
    make_report,
    make_state,
)
from tests.contract.storage import LEASE, Runs, Storage, race
from tests.fakes.clock import FakeClock

LATER = NOW + timedelta(minutes=5)
MOMENT = timedelta(seconds=1)


class TestBegin:
    """`begin`: claims and takes the lease."""

    def test_writes_the_claim(self, storage: Storage, runs: Runs) -> None:
        """The run holds the mailbox from now on, and its occurrence is claimed."""
        lease = runs.begin(last_occurrence=NOW, next_due=LATER)
        state = stored(storage).state
        assert (state.lease_run, state.last_occurrence, state.next_due) == ("run-1", NOW, LATER)
        assert state.lease_expires == NOW + LEASE
        assert lease.record == stored(storage)

    def test_run_by_hand_claims_no_occurrence(self, storage: Storage, runs: Runs) -> None:
        """A claim without an occurrence leaves the one that is stored."""
        runs.begin(last_occurrence=NOW).finish(make_ending())
        lease = runs.begin(run_id="run-2", last_occurrence=None)
        assert lease.record.state.last_occurrence == NOW
        assert stored(storage).state.last_occurrence == NOW

    def test_claim_can_be_the_last(self, storage: Storage, runs: Runs) -> None:
        """A claim of the last occurrence of all leaves the job never due again."""
        storage.jobs.create(make_record(state=make_state(next_due=NOW)))
        lease = runs.begin(next_due=None)
        assert lease.record.state.next_due is None
        assert stored(storage).state.next_due is None

    def test_disabled_job_can_run(self, storage: Storage, runs: Runs) -> None:
        """A run by hand may begin for a disabled job, which stays disabled."""
        storage.jobs.create(make_record(enabled=False))
        lease = runs.begin(last_occurrence=None, next_due=None)
        assert not lease.record.enabled
        lease.finish(make_ending())
        assert not stored(storage).enabled

    def test_live_run_keeps_others_out(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """While a run holds the mailbox, no other begins, until the last moment of its lease."""
        runs.begin()
        with pytest.raises(LeaseHeld):
            runs.begin(run_id="run-2")
        clock.advance(LEASE - MOMENT)
        with pytest.raises(LeaseHeld):
            runs.begin(run_id="run-2")
        assert stored(storage).state.lease_run == "run-1"
        assert storage.jobs.run("support", "run-2") is None

    def test_claimed_meanwhile_is_refused(self, storage: Storage) -> None:
        """A claim on a record from before somebody else's claim does nothing, also when that run is over."""
        record = storage.jobs.create(make_record())
        lease = storage.jobs.begin(record, make_claim())
        with pytest.raises((Stale, LeaseHeld)):
            storage.jobs.begin(record, make_claim("run-2"))
        lease.finish(make_ending())
        with pytest.raises(Stale):
            storage.jobs.begin(record, make_claim("run-2"))
        assert storage.jobs.run("support", "run-2") is None

    def test_same_run_begins_once(self, storage: Storage) -> None:
        """A run request that the queue delivers twice at a time begins one run."""
        record = storage.jobs.create(make_record())
        lease = storage.jobs.begin(record, make_claim())
        with pytest.raises((Stale, LeaseHeld)):
            storage.jobs.begin(record, make_claim())
        lease.finish(make_ending())

    def test_changed_or_deleted_meanwhile_is_stale(self, storage: Storage) -> None:
        """A run does not begin with a config that is no longer the job's."""
        record = storage.jobs.create(make_record())
        changed = replace(record, config="{}", revision="support-2")
        after = storage.jobs.replace(changed, revision=record.revision, rescheduled=False)
        with pytest.raises(Stale):
            storage.jobs.begin(record, make_claim())
        storage.jobs.delete("support")
        with pytest.raises(Stale):
            storage.jobs.begin(after, make_claim())
        assert storage.jobs.read("support") is None

    @pytest.mark.parametrize("same_run", [False, True], ids=["many runs", "one run many times"])
    def test_one_of_many_begins(self, storage: Storage, *, same_run: bool) -> None:
        """Of six that reach for one occurrence at once, one begins."""
        record = storage.jobs.create(make_record())
        claims = [make_claim("run" if same_run else f"run-{number}") for number in range(6)]
        answers = race(6, lambda number: storage.jobs.begin(record, claims[number]))
        leases = [answer for answer in answers if not isinstance(answer, Exception)]
        refusals = [answer for answer in answers if isinstance(answer, (Stale, LeaseHeld))]
        for lease in leases:
            lease.abandon()
        assert (len(leases), len(refusals)) == (1, 5), answers
        assert stored(storage).state.lease_run == leases[0].record.state.lease_run

    def test_fence_counts_up(self, runs: Runs) -> None:
        """Every lease has a higher number than the one before."""
        fences = []
        for run_id in ("run-1", "run-2", "run-3"):
            lease = runs.begin(run_id=run_id)
            fences.append(lease.record.state.fence)
            lease.finish(make_ending(run_id))
        assert fences == sorted(set(fences))


class TestTakeover:
    """What happens when a run dies, or only seems to."""

    def test_expired_lease_is_taken_over(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """After a run died the next one begins, and the dead one is recorded as died."""
        dead = runs.begin()
        clock.advance(LEASE + MOMENT)
        heir = runs.begin(run_id="run-2")
        assert heir.record.state.fence > dead.record.state.fence
        report = storage.jobs.run("support", "run-1")
        assert report
        assert (report.outcome, report.started, report.job_name) == (RunOutcome.DIED, NOW, "Mail Connector")
        assert report.ended
        assert {one.run_id for one in storage.jobs.runs("support", limit=10)[0]} == {"run-1", "run-2"}

    def test_abandoned_lease_expires_by_itself(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """Abandoning writes nothing: the mailbox stays held until the lease runs out."""
        lease = runs.begin()
        before = stored(storage)
        lease.abandon()
        assert stored(storage).etag == before.etag
        with pytest.raises(LeaseHeld):
            runs.begin(run_id="run-2")
        clock.advance(LEASE + MOMENT)
        assert runs.begin(run_id="run-2").record.state.lease_run == "run-2"

    def test_writing_renews(self, runs: Runs, clock: FakeClock) -> None:
        """Every ledger write holds the mailbox for another whole lease."""
        lease = runs.begin()
        clock.advance(LEASE - MOMENT)
        lease.ledger.record([make_entry()])
        clock.advance(LEASE - MOMENT)
        lease.ledger.park(make_entry().park("No."), make_parked(), b"raw")
        clock.advance(LEASE - MOMENT)
        with pytest.raises(LeaseHeld):
            runs.begin(run_id="run-2")

    def test_replaced_run_can_write_nothing(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """A run that was only thought dead finds every write refused, and none of them has an effect."""
        zombie = runs.begin()
        zombie.ledger.record([make_entry(1)])
        clock.advance(LEASE + MOMENT)
        heir = runs.begin(run_id="run-2")
        before = stored(storage)
        refuse_all(zombie)
        assert stored(storage) == before
        refs = [make_ref(1), make_ref(2), make_ref(3)]
        assert heir.ledger.look_up(refs) == {refs[0].key: make_entry(1)}
        assert storage.parked.page("support", limit=10) == ([], None)
        report = storage.jobs.run("support", "run-1")
        assert report
        assert report.outcome is RunOutcome.DIED

    def test_heir_goes_on_beside_a_zombie(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """The writes that are refused to the one before do not disturb the run that took over."""
        zombie = runs.begin()
        clock.advance(LEASE + MOMENT)
        heir = runs.begin(run_id="run-2")
        refuse_all(zombie)
        heir.ledger.record([make_entry(1, run_id="run-2")])
        refuse_all(zombie)
        heir.finish(make_ending("run-2"))
        refuse_all(zombie)
        assert stored(storage).state.lease_run == ""

    def test_same_run_delivered_again(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """A run request that comes again after its worker died runs under its own id, and only the newer one writes."""
        zombie = runs.begin()
        clock.advance(LEASE + MOMENT)
        again = runs.begin()
        report = storage.jobs.run("support", "run-1")
        assert report
        assert report.outcome is RunOutcome.RUNNING
        refuse_all(zombie)
        again.ledger.record([make_entry()])
        ended = make_report(created=1)
        again.finish(make_ending(report=ended))
        assert storage.jobs.runs("support", limit=10) == ([ended], None)

    def test_deleted_job_can_be_written_no_more(self, storage: Storage, runs: Runs) -> None:
        """A run whose job was deleted loses its lease, and does not bring the job back."""
        lease = runs.begin()
        storage.jobs.delete("support")
        refuse_all(lease)
        assert storage.jobs.read("support") is None

    def test_job_made_again_is_not_the_old_runs(self, storage: Storage, runs: Runs) -> None:
        """A run from before a deletion cannot write to the job that was made again, not even under its own run id."""
        zombie = runs.begin()
        storage.jobs.delete("support")
        storage.jobs.create(make_record())
        refuse_all(zombie)
        heir = runs.begin()
        refuse_all(zombie)
        heir.finish(make_ending())

    def test_change_of_config_keeps_the_lease(self, storage: Storage, runs: Runs) -> None:
        """A config that is changed in the middle of a run does not end the run."""
        record = storage.jobs.create(make_record())
        lease = runs.begin()
        changed = replace(record, config="{}", revision="support-2")
        storage.jobs.replace(changed, revision=record.revision, rescheduled=False)
        lease.ledger.record([make_entry()])
        assert stored(storage).config == "{}"
        with pytest.raises(LeaseHeld):
            runs.begin(run_id="run-2")
        lease.finish(make_ending())
        assert (stored(storage).config, stored(storage).state.lease_run) == ("{}", "")


class TestFinish:
    """`finish`: the job's new state, the run record, and the release."""

    def test_stores_the_new_state(self, storage: Storage, runs: Runs) -> None:
        """The next run reads what this one left behind."""
        lease = runs.begin(next_due=LATER)
        lease.finish(
            make_ending(
                next_due=LATER + timedelta(hours=1),
                failures=2,
                health=Health.PAUSED,
                last_error="The server refused the sign-in: é😀.",
                unfinished=True,
                cursor="c" * 2000,
            )
        )
        state = stored(storage).state
        assert (state.failures, state.health, state.unfinished) == (2, Health.PAUSED, True)
        assert (state.last_error, state.cursor) == ("The server refused the sign-in: é😀.", "c" * 2000)
        assert state.next_due == LATER + timedelta(hours=1)
        assert (state.created, state.last_occurrence) == (NOW, NOW)

    def test_overwrites_the_state_before(self, storage: Storage, runs: Runs) -> None:
        """Nothing of the last run's trouble stays when this one was well."""
        runs.begin().finish(
            make_ending(failures=2, health=Health.FAILING, last_error="Away.", unfinished=True, cursor="c")
        )
        runs.begin(run_id="run-2").finish(make_ending("run-2"))
        state = stored(storage).state
        assert (state.failures, state.health, state.last_error) == (0, Health.HEALTHY, "")
        assert (state.unfinished, state.cursor) == (False, None)

    def test_releases_the_mailbox(self, storage: Storage, runs: Runs) -> None:
        """The next run can begin at once, and the one that ended is not taken for dead."""
        runs.begin().finish(make_ending())
        assert (stored(storage).state.lease_run, stored(storage).state.lease_expires) == ("", None)
        runs.begin(run_id="run-2")
        assert storage.jobs.run("support", "run-1") == make_report()

    def test_leaves_next_due_when_it_says_nothing(self, storage: Storage, runs: Runs) -> None:
        """Without a next instant, what the claim wrote stays; or what a change of the schedule wrote meanwhile."""
        record = storage.jobs.create(make_record())
        runs.begin(next_due=LATER).finish(make_ending(next_due=None))
        assert stored(storage).state.next_due == LATER
        lease = runs.begin(run_id="run-2", next_due=LATER)
        changed = replace(record, config="{}", revision="support-2", state=make_state(next_due=NOW + MOMENT))
        storage.jobs.replace(changed, revision=record.revision, rescheduled=True)
        lease.finish(make_ending("run-2", next_due=None))
        assert stored(storage).state.next_due == NOW + MOMENT

    def test_health_knows_since_when(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """The instant moves when the health changes and stays while it does not."""
        since = []
        for number, health in enumerate((Health.FAILING, Health.FAILING, Health.PAUSED, Health.HEALTHY)):
            run_id = f"run-{number}"
            lease = runs.begin(run_id=run_id)
            clock.advance(MOMENT)
            lease.finish(make_ending(run_id, health=health))
            since.append(stored(storage).state.health_since)
        assert since == [NOW + MOMENT, NOW + MOMENT, NOW + 3 * MOMENT, NOW + 4 * MOMENT]

    def test_cursor_of_the_old_mailbox_is_dropped(self, storage: Storage, runs: Runs) -> None:
        """A run that ends after its job moved to another mailbox hands its cursor to nobody."""
        record = storage.jobs.create(make_record())
        lease = runs.begin()
        moved = replace(record, mailbox="elsewhere", revision="support-2")
        storage.jobs.replace(moved, revision=record.revision, rescheduled=False)
        lease.finish(make_ending(cursor="of the old mailbox"))
        assert (stored(storage).mailbox, stored(storage).state.cursor) == ("elsewhere", None)

    def test_what_is_known_of_the_canary(self, storage: Storage, runs: Runs) -> None:
        """Noted at once, kept by an end that says nothing of it, and changed by one that does."""
        lease = runs.begin()
        out = CanaryState(sent=NOW, out="0123456789abcdef", expected_by=NOW + MOMENT)
        lease.note_canary(out)
        assert stored(storage).state.canary == out
        assert stored(storage).state.lease_run == "run-1"
        lease.finish(make_ending())
        assert stored(storage).state.canary == out
        back = CanaryState(
            sent=NOW, seen=NOW + MOMENT, delay=timedelta(milliseconds=61_005), posted=True, missing_since=NOW, fault="é"
        )
        runs.begin(run_id="run-2").finish(make_ending("run-2", canary=back))
        assert stored(storage).state.canary == back
        runs.begin(run_id="run-3").finish(make_ending("run-3", canary=CanaryState()))
        assert stored(storage).state.canary == CanaryState()

    def test_the_canary_of_the_old_mailbox_is_forgotten(self, storage: Storage, runs: Runs) -> None:
        """By the move, and by a run that was under way during it."""
        record = storage.jobs.create(make_record())
        lease = runs.begin()
        lease.note_canary(CanaryState(sent=NOW))
        moved = replace(record, mailbox="elsewhere", revision="support-2")
        assert storage.jobs.replace(moved, revision=record.revision, rescheduled=False).state.canary == CanaryState()
        lease.note_canary(CanaryState(sent=NOW))
        assert stored(storage).state.canary == CanaryState()
        lease.finish(make_ending(canary=CanaryState(sent=NOW)))
        assert stored(storage).state.canary == CanaryState()

    def test_after_it_nothing_can_be_written(self, storage: Storage, runs: Runs) -> None:
        """A run that ended holds nothing any more; abandoning it is harmless."""
        lease = runs.begin()
        lease.finish(make_ending())
        lease.abandon()
        with pytest.raises(LeaseLost):
            lease.ledger.record([make_entry()])
        assert stored(storage).state.lease_run == ""
        assert runs.begin(run_id="run-2").ledger.look_up([make_ref()]) == {}


def stored(storage: Storage) -> JobRecord:
    """The ``support`` job as it is now."""
    record = storage.jobs.read("support")
    assert record
    return record


def refuse_all(lease: RunLease) -> None:
    """Every kind of write under this lease raises `LeaseLost`."""
    with pytest.raises(LeaseLost):
        lease.ledger.record([make_entry(2)])
    with pytest.raises(LeaseLost):
        lease.ledger.park(make_entry(3).park("No."), make_parked(3), b"raw")
    with pytest.raises(LeaseLost):
        lease.finish(make_ending(report=make_report(created=99)))
    with pytest.raises(LeaseLost):
        lease.note_canary(CanaryState(sent=NOW))
