"""The contract of `shared.ports.ParkedMessages`, and of `Ledger.park` and `Ledger.kept_copy` that feed it."""

from dataclasses import replace
from datetime import timedelta

from shared.ledger import LedgerEntry, Stage
from shared.model import Disposition, ParkedMessage
from shared.ports import RunLease
from tests.builders import NOW, make_ending, make_entry, make_key, make_parked, make_record, make_ref, make_run_id
from tests.contract.storage import Runs, Storage, pages
from tests.contract.test_jobs import PREFIX_IDS
from tests.contract.test_ledger import AWKWARD

RAW = b"Subject: \xff\x00\r\n\r\n" + bytes(range(256)) * 5000


class TestParked:
    """`park`, `page`, `get` and `raw`."""

    def test_keeps_every_column(self, storage: Storage, runs: Runs) -> None:
        """A parked message is listed as it was parked, and the ledger knows it as parked."""
        lease = runs.begin()
        parked = make_parked(
            reason="é😀 'no'",
            subject="é😀",
            sender="",
            message_id="<a/\\#?b>",
            parked_at=NOW.replace(microsecond=123456),
        )
        entry = park(lease, parked=parked)
        assert storage.parked.get("support", "parked-1") == parked
        assert storage.parked.page("support", limit=10) == ([parked], None)
        assert lease.ledger.look_up([make_ref()]) == {make_key(): entry}
        assert list(lease.ledger.unfinished()) == []

    def test_keeps_the_raw_bytes(self, storage: Storage, runs: Runs) -> None:
        """The original comes back to the byte, also when it is large or empty."""
        lease = runs.begin()
        for uid, raw in ((1, RAW), (2, b"")):
            entry = park(lease, uid, raw=raw)
            assert read_raw(storage, uid) == raw
            assert lease.ledger.kept_copy(entry) == raw

    def test_may_have_no_raw_bytes(self, storage: Storage, runs: Runs) -> None:
        """A message that could never be fetched is listed all the same."""
        lease = runs.begin()
        parked = make_parked(has_raw=False)
        entry = park(lease, parked=parked, raw=None)
        assert storage.parked.get("support", "parked-1") == parked
        assert storage.parked.raw("support", "parked-1") is None
        assert lease.ledger.kept_copy(entry) is None

    def test_unknown_message_is_none(self, storage: Storage, runs: Runs) -> None:
        """What was never parked is not there: no listing, no bytes, nothing to retry or discard."""
        runs.begin()
        for job_id in ("support", "nobody"):
            assert storage.parked.get(job_id, "parked-1") is None
            assert storage.parked.raw(job_id, "parked-1") is None
            assert storage.parked.page(job_id, limit=10) == ([], None)
            assert storage.parked.retry(job_id, "parked-1") is False
            assert storage.parked.discard(job_id, "parked-1") is False

    def test_ids_from_a_url_are_only_looked_up(self, storage: Storage, runs: Runs) -> None:
        """A parked id that somebody typed, however odd, names nothing and breaks nothing."""
        park(runs.begin())
        for parked_id in AWKWARD:
            assert storage.parked.get("support", parked_id) is None
            assert storage.parked.raw("support", parked_id) is None

    def test_awkward_items_keep_their_own_bytes(self, storage: Storage, runs: Runs) -> None:
        """Messages whose items differ in any character keep different copies."""
        lease = runs.begin()
        for number, item in enumerate(AWKWARD):
            entry = make_entry(key=make_key(item=item)).park("No.")
            parked = make_parked(parked_id=make_run_id(NOW, f"{number}"), item=item)
            lease.ledger.park(entry, parked, f"raw {number}".encode())
        found = pages(lambda *, limit, cursor=None: storage.parked.page("support", limit=limit, cursor=cursor), limit=9)
        assert sorted(one.item for one in found) == sorted(AWKWARD)
        for one in found:
            raw = storage.parked.raw("support", one.parked_id)
            assert raw
            assert b"".join(raw) == f"raw {AWKWARD.index(one.item)}".encode()

    def test_newest_first_page_by_page(self, storage: Storage, runs: Runs) -> None:
        """Parked messages come newest first, each once, whatever the size of a page."""
        lease = runs.begin()
        listed = []
        for uid in range(9):
            at = NOW + timedelta(seconds=uid)
            listed.append(make_parked(uid, parked_at=at, parked_id=make_run_id(at)))
            park(lease, uid, parked=listed[-1], raw=None)
        for limit in (1, 4, 9, 100):
            page = pages(
                lambda *, limit, cursor=None: storage.parked.page("support", limit=limit, cursor=cursor), limit=limit
            )
            assert page == listed[::-1]

    def test_jobs_do_not_see_each_others(self, storage: Storage, runs: Runs) -> None:
        """Jobs whose ids begin with each other keep their parked messages apart."""
        for job_id in PREFIX_IDS[::2]:
            park(runs.begin(job_id), job_id=job_id)
        for number, job_id in enumerate(PREFIX_IDS):
            found = [one.job_id for one in storage.parked.page(job_id, limit=10)[0]]
            assert found == ([] if number % 2 else [job_id])

    def test_stay_when_the_job_is_deleted(self, storage: Storage, runs: Runs) -> None:
        """Parked messages outlive their job: nothing that was kept is lost by it."""
        park(runs.begin())
        storage.jobs.delete("support")
        assert storage.parked.page("support", limit=10) == ([make_parked()], None)
        assert read_raw(storage) == RAW


class TestRetry:
    """`retry`."""

    def test_next_run_takes_it_up(self, storage: Storage, runs: Runs) -> None:
        """The message is open again, with fresh attempts and its raw copy, and no longer listed."""
        lease = runs.begin()
        entry = park(lease)
        lease.finish(make_ending())
        assert storage.parked.retry("support", "parked-1") is True
        assert storage.parked.page("support", limit=10) == ([], None)
        ledger = runs.begin(run_id="run-2").ledger
        again = entry.retry()
        assert list(ledger.unfinished()) == [again]
        assert (again.attempts, again.stage) == (0, Stage.FAILED)
        assert ledger.kept_copy(again) == RAW

    def test_run_under_way_does_not_hide_it(self, storage: Storage, runs: Runs) -> None:
        """A retry in the middle of a run is still open when that run says that it left nothing open."""
        lease = runs.begin()
        entry = park(lease)
        assert storage.parked.retry("support", "parked-1") is True
        lease.ledger.record([make_entry(2).finish()])
        lease.finish(make_ending(unfinished=False))
        state = stored_state_unfinished(storage)
        assert state is True
        assert list(runs.begin(run_id="run-2").ledger.unfinished()) == [entry.retry()]

    def test_survives_as_the_last_thing_before_the_end(self, storage: Storage, runs: Runs) -> None:
        """A retry between the last ledger write and the end of the run is not lost either."""
        lease = runs.begin()
        park(lease)
        storage.parked.retry("support", "parked-1")
        lease.finish(make_ending(unfinished=False))
        assert stored_state_unfinished(storage) is True

    def test_is_over_when_a_later_run_ended(self, storage: Storage, runs: Runs) -> None:
        """The run after that handles it, and says so with effect."""
        lease = runs.begin()
        entry = park(lease)
        storage.parked.retry("support", "parked-1")
        lease.finish(make_ending())
        heir = runs.begin(run_id="run-2")
        heir.ledger.record([entry.finish()])
        heir.finish(make_ending("run-2", unfinished=False))
        assert stored_state_unfinished(storage) is False

    def test_works_once(self, storage: Storage, runs: Runs) -> None:
        """A second retry of the same message finds nothing to do and gives no fresh attempts."""
        lease = runs.begin()
        entry = park(lease)
        assert storage.parked.retry("support", "parked-1") is True
        lease.ledger.record([replace(entry.retry(), attempts=2)])
        assert storage.parked.retry("support", "parked-1") is False
        assert lease.ledger.look_up([make_ref()])[make_key()].attempts == 2

    def test_can_be_parked_again(self, storage: Storage, runs: Runs) -> None:
        """A message that fails again is listed again, with the copy that was kept, though it was not fetched anew."""
        lease = runs.begin()
        entry = park(lease)
        storage.parked.retry("support", "parked-1")
        park(lease, parked=make_parked(parked_id="parked-1-again"), raw=lease.ledger.kept_copy(entry.retry()))
        assert [one.parked_id for one in storage.parked.page("support", limit=10)[0]] == ["parked-1-again"]
        raw = storage.parked.raw("support", "parked-1-again")
        assert raw
        assert b"".join(raw) == RAW

    def test_does_not_take_the_lease(self, storage: Storage, runs: Runs) -> None:
        """A run goes on writing after a retry."""
        lease = runs.begin()
        park(lease)
        storage.parked.retry("support", "parked-1")
        lease.ledger.record([make_entry(2)])
        assert lease.ledger.look_up([make_ref(2)]) == {make_key(2): make_entry(2)}

    def test_is_refused_after_a_move(self, storage: Storage, runs: Runs) -> None:
        """A job that integrates another mailbox by now cannot take the message up; it stays parked."""
        record = storage.jobs.create(make_record())
        lease = runs.begin()
        park(lease)
        lease.finish(make_ending())
        moved = replace(record, mailbox="elsewhere", revision="support-2")
        storage.jobs.replace(moved, revision=record.revision, rescheduled=False)
        assert storage.parked.retry("support", "parked-1") is False
        assert storage.parked.get("support", "parked-1") == make_parked()
        assert read_raw(storage) == RAW

    def test_waits_until_the_original_is_marked(self, storage: Storage, runs: Runs) -> None:
        """The run that parked it is about to mark it, and would overwrite the wish: it is refused, and not lost."""
        ledger = runs.begin().ledger
        entry = make_entry(attempts=5).park("The target refused it five times.", Disposition(read=True))
        ledger.park(entry, make_parked(), RAW)
        assert ledger.unfinished() == [entry]
        assert storage.parked.retry("support", "parked-1") is False
        ledger.record([entry.dispose(entry.handle)])
        assert storage.parked.retry("support", "parked-1") is True


class TestDiscard:
    """`discard`."""

    def test_forgets_listing_and_copy_only(self, storage: Storage, runs: Runs) -> None:
        """The message is gone from the list, its bytes are gone, and the ledger keeps it from coming back."""
        lease = runs.begin()
        entry = park(lease)
        assert storage.parked.discard("support", "parked-1") is True
        assert storage.parked.page("support", limit=10) == ([], None)
        assert storage.parked.raw("support", "parked-1") is None
        assert lease.ledger.kept_copy(entry) is None
        assert lease.ledger.look_up([make_ref()])[make_key()].stage is Stage.PARKED

    def test_touches_no_other(self, storage: Storage, runs: Runs) -> None:
        """Other parked messages stay, listing and bytes."""
        lease = runs.begin()
        park(lease, 1)
        park(lease, 2, raw=b"second")
        storage.parked.discard("support", "parked-1")
        assert storage.parked.page("support", limit=10) == ([make_parked(2)], None)
        assert read_raw(storage, 2) == b"second"

    def test_works_once(self, storage: Storage, runs: Runs) -> None:
        """What was discarded can neither be discarded again nor retried."""
        park(runs.begin())
        storage.parked.discard("support", "parked-1")
        assert storage.parked.discard("support", "parked-1") is False
        assert storage.parked.retry("support", "parked-1") is False


def park(
    lease: RunLease,
    uid: int = 1,
    *,
    job_id: str = "support",
    parked: ParkedMessage | None = None,
    raw: bytes | None = RAW,
) -> LedgerEntry:
    """Park message ``uid`` after its fifth attempt; returns its entry."""
    entry = make_entry(uid, job_id, attempts=5).park("The target refused it five times.")
    lease.ledger.park(entry, parked or make_parked(uid, job_id), raw)
    return entry


def read_raw(storage: Storage, uid: int = 1) -> bytes | None:
    """The raw copy as the API would stream it."""
    raw = storage.parked.raw("support", f"parked-{uid}")
    return None if raw is None else b"".join(raw)


def stored_state_unfinished(storage: Storage) -> bool:
    """What the job's state says about open entries."""
    record = storage.jobs.read("support")
    assert record
    return record.state.unfinished


class TestEverywhere:
    """`everywhere`."""

    def test_those_of_all_jobs_come_job_by_job(self, storage: Storage, runs: Runs) -> None:
        """Newest first within each, each once whatever the size of a page, also of a job that is gone."""
        for job_id in PREFIX_IDS[:5]:
            lease = runs.begin(job_id)
            for uid in (1, 2):
                at = NOW + timedelta(minutes=uid)
                parked = make_parked(uid, job_id, parked_id=make_run_id(at), parked_at=at)
                lease.ledger.park(make_entry(uid, job_id).park("No."), parked, b"raw")
        storage.jobs.delete(PREFIX_IDS[0])
        for limit in (1, 3, 10, 100):
            found = [(one.job_id, one.item) for one in pages(storage.parked.everywhere, limit=limit)]
            assert sorted(job_id for job_id, _ in found) == sorted([*PREFIX_IDS[:5]] * 2)
            jobs = list(dict.fromkeys(job_id for job_id, _ in found))
            assert found == [(job_id, make_entry(uid).key.item) for job_id in jobs for uid in (2, 1)]
