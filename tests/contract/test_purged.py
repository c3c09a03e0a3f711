"""The contract of `shared.ports.PurgedMessages` and `Housekeeping`, and of `Ledger.keep` that feeds them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import LeaseLost
from shared.ledger import LedgerEntry, Stage
from shared.model import Action, Delivered, Disposition, PurgedMessage
from shared.ports import Deadline, RunLease, Tidied
from tests.builders import NOW, make_ending, make_entry, make_key, make_purged, make_record, make_report, make_run_id
from tests.contract.storage import LEASE, Runs, Storage, pages, race
from tests.contract.test_jobs import PREFIX_IDS
from tests.contract.test_ledger import AWKWARD
from tests.contract.test_parked import park
from tests.contract.test_parked import read_raw as read_parked
from tests.fakes.clock import FakeClock

PURGE = Disposition(deleted=True, purge=True)
DAY = timedelta(days=1)


def gone(uid: int = 1, job_id: str = "support", **changes: Any) -> LedgerEntry:
    """The entry of a message that was delivered, and whose original is gone for good."""
    entry = make_entry(uid, job_id, **changes).deliver(Delivered(f"T-{uid}", Action.CREATED), PURGE, sha256="5a")
    return entry.dispose(entry.handle).finish()


def keep(lease: RunLease, *kept: tuple[PurgedMessage, bytes]) -> list[PurgedMessage]:
    """Keep copies as a run does, with entries that are done."""
    placed = list(lease.ledger.keep(kept))
    lease.ledger.record([gone(key=one.key) for one in placed], placed)
    return placed


def raw(storage: Storage, purged_id: str, job_id: str = "support") -> bytes | None:
    """The raw copy as the API would stream it."""
    chunks = storage.purged.raw(job_id, purged_id)
    return None if chunks is None else b"".join(chunks)


def body(uid: int, size: int = 1000) -> bytes:
    """Bytes that tell ``uid`` apart."""
    return f"{uid}:".encode() + bytes([uid % 256]) * size


def tidy(storage: Storage, clock: FakeClock, seconds: float = 60) -> Tidied | None:
    """One call of the housekeeping."""
    return storage.housekeeping.tidy(Deadline(clock() + timedelta(seconds=seconds), clock))


class TestKept:
    """`keep`, `page`, `get` and `raw`."""

    def test_keeps_every_column(self, storage: Storage, runs: Runs) -> None:
        """A purged message is listed as it was kept; the place of its bytes is all that was added."""
        purged = make_purged(reason="é😀 'no'", subject="é😀", sender="", message_id="<a/\\#?b>", ticket_id="")
        (placed,) = keep(runs.begin(), (purged, body(1)))
        assert replace(placed, blob="", offset=0, size=1000) == purged
        assert (placed.size, bool(placed.blob)) == (len(body(1)), True)
        assert storage.purged.get("support", "purged-1") == placed
        assert storage.purged.page("support", limit=10) == ([placed], None)

    def test_keeps_the_bytes_of_each(self, storage: Storage, runs: Runs) -> None:
        """Large ones, small ones and empty ones come back to the octet, in whatever company they were kept."""
        sizes = (10, 5_000_000, 0, 3_500_000, 9_000_000, 1)
        kept = [(make_purged(uid), body(uid, size) if size else b"") for uid, size in enumerate(sizes)]
        keep(runs.begin(), *kept)
        for purged, data in kept:
            assert raw(storage, purged.purged_id) == data

    def test_is_listed_only_with_its_entry(self, storage: Storage, runs: Runs) -> None:
        """Bytes that are kept are not listed before the ledger says what became of the message."""
        runs.begin().ledger.keep([(make_purged(), b"raw")])
        assert storage.purged.page("support", limit=10) == ([], None)

    def test_many_are_listed_with_their_entries(self, storage: Storage, runs: Runs) -> None:
        """More than a transaction takes: each entry and each listing is there, in order."""
        lease = runs.begin()
        kept = [(make_purged(uid, purged_id=make_run_id(NOW, f"{uid:03}")), body(uid, 5)) for uid in range(120)]
        placed = keep(lease, *kept)
        assert len(lease.ledger.look_up([gone(uid).ref for uid in range(120)])) == 120
        found = pages(
            lambda *, limit, cursor=None: storage.purged.page("support", limit=limit, cursor=cursor), limit=50
        )
        assert sorted(found, key=lambda one: one.purged_id) == placed
        assert raw(storage, placed[77].purged_id) == body(77, 5)

    def test_needs_the_lease(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """A run that another has taken over lists nothing."""
        first = runs.begin()
        placed = first.ledger.keep([(make_purged(), b"raw")])
        clock.advance(LEASE + timedelta(seconds=1))
        runs.begin(run_id="run-2")
        with pytest.raises(LeaseLost):
            first.ledger.record([gone()], placed)
        assert storage.purged.page("support", limit=10) == ([], None)

    def test_awkward_items_keep_their_own_bytes(self, storage: Storage, runs: Runs) -> None:
        """Messages whose items differ in any character keep different copies."""
        lease = runs.begin()
        for number, item in enumerate(AWKWARD):
            purged = make_purged(purged_id=make_run_id(NOW, f"{number}"), key=make_key(item=item))
            keep(lease, (purged, f"raw {number}".encode()))
        found = pages(lambda *, limit, cursor=None: storage.purged.page("support", limit=limit, cursor=cursor), limit=9)
        assert sorted(one.key.item for one in found) == sorted(AWKWARD)
        assert all(raw(storage, one.purged_id) == f"raw {AWKWARD.index(one.key.item)}".encode() for one in found)

    def test_newest_first_page_by_page(self, storage: Storage, runs: Runs) -> None:
        """Each once, whatever the size of a page."""
        at = [NOW + timedelta(seconds=uid) for uid in range(9)]
        kept = [(make_purged(uid, purged_at=at[uid], purged_id=make_run_id(at[uid])), b"raw") for uid in range(9)]
        placed = keep(runs.begin(), *kept)
        for limit in (1, 4, 9, 100):
            page = pages(
                lambda *, limit, cursor=None: storage.purged.page("support", limit=limit, cursor=cursor), limit=limit
            )
            assert page == placed[::-1]

    def test_jobs_do_not_see_each_others(self, storage: Storage, runs: Runs) -> None:
        """Jobs whose ids begin with each other keep their copies apart."""
        for job_id in PREFIX_IDS[::2]:
            keep(runs.begin(job_id), (make_purged(1, job_id), b"raw"))
        for number, job_id in enumerate(PREFIX_IDS):
            found = [one.key.job_id for one in storage.purged.page(job_id, limit=10)[0]]
            assert found == ([] if number % 2 else [job_id])

    def test_unknown_message_is_none(self, storage: Storage, runs: Runs) -> None:
        """An id that names nothing, however odd, finds nothing and breaks nothing."""
        keep(runs.begin(), (make_purged(), b"raw"))
        for job_id, purged_id in [*(("support", odd) for odd in AWKWARD), ("nobody", "purged-1")]:
            assert storage.purged.get(job_id, purged_id) is None
            assert storage.purged.raw(job_id, purged_id) is None
            assert storage.purged.reprocess(job_id, purged_id) is False
            assert storage.purged.discard(job_id, purged_id) is False

    def test_is_gone_at_its_time(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """To the second, though nobody has removed the bytes yet."""
        keep(runs.begin(), (make_purged(), b"raw"))
        clock.advance(make_purged().expires_at - NOW - timedelta(seconds=1))
        assert raw(storage, "purged-1") == b"raw"
        clock.advance(timedelta(seconds=1))
        assert storage.purged.page("support", limit=10) == ([], None)
        assert storage.purged.get("support", "purged-1") is None
        assert storage.purged.raw("support", "purged-1") is None
        assert storage.purged.reprocess("support", "purged-1") is False
        assert storage.purged.discard("support", "purged-1") is False

    def test_outlives_its_job(self, storage: Storage, runs: Runs) -> None:
        """A job that is deleted leaves the copies for their time."""
        keep(runs.begin(), (make_purged(), b"raw"))
        storage.jobs.delete("support")
        assert raw(storage, "purged-1") == b"raw"
        assert storage.purged.reprocess("support", "purged-1") is False


class TestReprocess:
    """`reprocess`, and the copy that a run then takes up."""

    def test_next_run_takes_the_copy_up(self, storage: Storage, runs: Runs) -> None:
        """Open again as the next generation, with fresh attempts; the copy is its bytes, and stays listed."""
        lease = runs.begin()
        keep(lease, (make_purged(2), b"other"), (make_purged(), b"raw"))
        lease.finish(make_ending())
        assert storage.purged.reprocess("support", "purged-1") is True
        ledger = runs.begin(run_id="run-2").ledger
        (entry,) = ledger.unfinished()
        assert (entry.key, entry.stage, entry.attempts) == (make_key(generation=1), Stage.FAILED, 0)
        assert ledger.kept_copy(entry) == b"raw"
        assert raw(storage, "purged-1") == b"raw"

    def test_asking_twice_before_the_run_is_one_wish(self, storage: Storage, runs: Runs) -> None:
        """A request that is sent again changes nothing; after the run, it is another wish."""
        lease = runs.begin()
        keep(lease, (make_purged(), b"raw"))
        lease.finish(make_ending())
        assert storage.purged.reprocess("support", "purged-1") is True
        assert storage.purged.reprocess("support", "purged-1") is True
        heir = runs.begin(run_id="run-2")
        (entry,) = heir.ledger.unfinished()
        assert entry.key.generation == 1
        heir.ledger.record([entry.deliver(Delivered("T-9", Action.CREATED), PURGE)])
        heir.finish(make_ending("run-2"))
        assert storage.purged.reprocess("support", "purged-1") is True
        (entry,) = runs.begin(run_id="run-3").ledger.unfinished()
        assert entry.key.generation == 2

    def test_run_under_way_does_not_hide_it(self, storage: Storage, runs: Runs) -> None:
        """A wish in the middle of a run is still open when that run says that it left nothing open."""
        lease = runs.begin()
        keep(lease, (make_purged(), b"raw"))
        assert storage.purged.reprocess("support", "purged-1") is True
        lease.finish(make_ending(unfinished=False))
        assert [entry.copy for entry in runs.begin(run_id="run-2").ledger.unfinished()] == ["purged-1"]

    @pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.DONE])
    def test_waits_until_the_original_is_gone(self, storage: Storage, runs: Runs, stage: Stage) -> None:
        """While the ledger has something to do for the message, or it is parked, its entry is left alone."""
        lease = runs.begin()
        entry = replace(gone(), stage=stage)
        lease.ledger.record([entry], lease.ledger.keep([(make_purged(), b"raw")]))
        assert storage.purged.reprocess("support", "purged-1") is False
        assert list(lease.ledger.look_up([entry.ref]).values()) == [entry]

    def test_is_refused_after_a_move(self, storage: Storage, runs: Runs) -> None:
        """A job that integrates another mailbox by now cannot take the message up; its copy stays."""
        record = storage.jobs.create(make_record())
        lease = runs.begin()
        keep(lease, (make_purged(), b"raw"))
        lease.finish(make_ending())
        moved = replace(record, mailbox="elsewhere", revision="support-2")
        storage.jobs.replace(moved, revision=record.revision, rescheduled=False)
        assert storage.purged.reprocess("support", "purged-1") is False
        assert raw(storage, "purged-1") == b"raw"

    def test_a_copy_that_is_gone_by_then_is_none(self, storage: Storage, runs: Runs) -> None:
        """Discarded between the wish and the run."""
        lease = runs.begin()
        keep(lease, (make_purged(), b"raw"))
        storage.purged.reprocess("support", "purged-1")
        storage.purged.discard("support", "purged-1")
        lease.finish(make_ending())
        ledger = runs.begin(run_id="run-2").ledger
        (entry,) = ledger.unfinished()
        assert ledger.kept_copy(entry) is None


class TestDiscard:
    """`discard`."""

    def test_forgets_the_copy_and_its_listing_only(self, storage: Storage, runs: Runs) -> None:
        """The others of its blob stay as they are, and the ledger still knows the message."""
        lease = runs.begin()
        keep(lease, *((make_purged(uid), body(uid)) for uid in range(3)))
        assert storage.purged.discard("support", "purged-1") is True
        assert storage.purged.get("support", "purged-1") is None
        assert [raw(storage, f"purged-{uid}") for uid in range(3)] == [body(0), None, body(2)]
        assert lease.ledger.look_up([gone().ref]) == {make_key(): gone()}
        assert storage.purged.discard("support", "purged-1") is False

    def test_neighbours_are_discarded_at_the_same_time(self, storage: Storage, runs: Runs) -> None:
        """Eight at once, all of one blob: seven of their neighbours are whole afterwards, and they are gone."""
        keep(runs.begin(), *((make_purged(uid), body(uid)) for uid in range(15)))
        answers = race(8, lambda number: storage.purged.discard("support", f"purged-{2 * number}"))
        assert answers == [True] * 8
        left = [raw(storage, f"purged-{uid}") for uid in range(15)]
        assert left == [body(uid) if uid % 2 else None for uid in range(15)]


class TestHousekeeping:
    """`tidy`."""

    def test_removes_what_has_expired_and_nothing_else(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """Copies, orphans and run records whose time is over; not a day earlier, and no parked message."""
        lease = runs.begin()
        late = make_purged(3, expires_at=make_purged().expires_at + DAY)
        keep(lease, (make_purged(1), b"1"), (make_purged(2), b"2"))
        keep(lease, (late, b"3"))
        lease.ledger.keep([(make_purged(4), b"of a run that died")])
        park(lease, 9)
        lease.finish(make_ending())
        storage.jobs.delete("support")
        clock.advance(2 * DAY)
        assert tidy(storage, clock) == Tidied(0, 0, 0, complete=True)
        assert raw(storage, "purged-1") == b"1"
        clock.advance(DAY)
        assert tidy(storage, clock) == Tidied(2, 2, 0, complete=True)
        assert raw(storage, "purged-3") == b"3"
        clock.advance(DAY)
        assert tidy(storage, clock) == Tidied(1, 1, 0, complete=True)
        assert read_parked(storage, 9) is not None
        assert len(runs.begin().ledger.look_up([make_entry(9).ref])) == 1

    def test_removes_old_run_records(self, storage: Storage, clock: FakeClock) -> None:
        """Those that are older than 90 days, of every job, also of one that is gone."""
        for job_id in PREFIX_IDS:
            for days in (0, 1, 30):
                at = NOW + days * DAY
                run_id = make_run_id(at)
                storage.jobs.note(make_report(run_id, job_id, started=at))
        clock.advance(timedelta(days=91, hours=1))
        assert tidy(storage, clock) == Tidied(0, 0, 2 * len(PREFIX_IDS), complete=True)
        for job_id in PREFIX_IDS:
            assert [run.started for run in storage.jobs.runs(job_id, limit=9)[0]] == [NOW + 30 * DAY]

    def test_is_done_once_a_day(self, storage: Storage, clock: FakeClock) -> None:
        """Of eight callers at once, one does it; on the next day again."""
        for _ in range(2):
            done = race(8, lambda _: tidy(storage, clock))
            assert [one for one in done if one is not None] == [Tidied(0, 0, 0, complete=True)]
            clock.advance(DAY)

    def test_goes_on_when_its_time_was_up(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """A deadline that has passed removes nothing, says so, and the next call does the work."""
        keep(runs.begin(), (make_purged(), b"1"))
        clock.advance(3 * DAY)
        assert tidy(storage, clock, 0) == Tidied(0, 0, 0, complete=False)
        assert tidy(storage, clock) == Tidied(1, 1, 0, complete=True)
        assert tidy(storage, clock) is None
