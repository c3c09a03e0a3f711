"""The contract of `shared.ports.Ledger`: what is known of each message, kept under any key."""

from dataclasses import replace
from datetime import timedelta
from itertools import count
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import LeaseLost
from shared.ledger import LedgerEntry, Stage
from shared.model import Action, Delivered, Disposition, MessageKey, MessageRef
from tests.builders import NOW, make_ending, make_entry, make_item, make_key, make_record, make_ref
from tests.contract.storage import LEASE, Runs, Storage
from tests.contract.test_jobs import PREFIX_IDS
from tests.fakes.clock import FakeClock

#: Items and mailboxes that storage would like to forbid, cut, fold or confuse.
AWKWARD = (
    "a/b", "a\\b", "a#b", "a?b", "a%2Fb", "a!2fb", "a b", " a b", "a b ", "", ".", "..", "'", '"', "a'b", "a:b", "a;b",
    "a|b", "a~b", "a_b", "a-b", "a+b", "a=b", "a&b", "a\x00b", "a\x1fb", "a\x7fb", "a\x9fb", "a\tb", "a\r\nb",
    "A/b", "AAMk", "aamk", "é", "e\u0301", "ß", "ss", "İ", "😀", "a😀b", "\u202eabc", "\ufeffa", "\uffff", "日本語",
    "x" * 500, "x" * 499 + "y", "/" * 500, "/" * 499 + "#", "😀" * 250, "é" * 500, "0" * 500, "0" * 499,
)  # fmt: skip

#: Every example of a property has a job of its own.
NUMBERS = count(1)

any_text = st.text(max_size=60) | st.text(alphabet="/\\#?%'\x00\n aA1", max_size=8)


class TestRecord:
    """`record` and `look_up`."""

    def test_keeps_every_field(self, runs: Runs) -> None:
        """An entry comes back as it was stored, whatever its stage."""
        claimed = make_entry(1, handle="moved/42 é\x00")
        delivered = make_entry(2).deliver(
            Delivered("T1", Action.MODIFIED), Disposition(read=True, deleted=True, purge=True),
            message_id="<[83c4/\\#?@x]>" + "é" * 1000, sha256="ab" * 32,
        )  # fmt: skip
        failed = make_entry(3, attempts=4, kept=True).fail(
            "The target's answer was 'é😀 \"no\"'.", NOW.replace(microsecond=654321)
        )
        rejected = make_entry(4).reject("A rule.", Disposition(read=True))
        done = make_entry(5, key=make_key(5, generation=7), action=Action.CREATED, ticket_id="T2").finish()
        entries = [claimed, delivered, failed, rejected, delivered_twice(make_entry(6)), done]
        ledger = runs.begin().ledger
        ledger.record(entries)
        found = ledger.look_up([make_ref(uid) for uid in range(1, 7)])
        assert found == {make_key(uid): entry for uid, entry in zip((1, 2, 3, 4, 6, 5), entries, strict=True)}

    def test_newer_value_replaces_older(self, runs: Runs) -> None:
        """A message has one entry: what was stored last, with nothing left of what was stored before."""
        ledger = runs.begin().ledger
        ledger.record([make_entry(ticket_id="T1", reason="No.", retry_at=NOW, message_id="<1>", kept=True)])
        ledger.record([make_entry()])
        assert ledger.look_up([make_ref()]) == {make_key(): make_entry()}

    def test_is_keyed_by_the_refs_own_key(self, runs: Runs) -> None:
        """The entry of a later generation answers for the message, under the key that the mailbox listed."""
        ledger = runs.begin().ledger
        entry = make_entry(key=make_key(generation=2))
        ledger.record([make_entry()])
        ledger.record([entry])
        assert ledger.look_up([make_ref()]) == {make_key(): entry}

    def test_unknown_messages_are_left_out(self, runs: Runs) -> None:
        """Nothing is known of a message that was never recorded, not even next to one that was."""
        ledger = runs.begin().ledger
        assert ledger.look_up([make_ref()]) == {}
        ledger.record([make_entry(2)])
        assert ledger.look_up([make_ref(1), make_ref(3)]) == {}

    def test_nothing_is_no_fault(self, runs: Runs) -> None:
        """Recording nothing and looking up nothing are quiet."""
        ledger = runs.begin().ledger
        ledger.record([])
        assert ledger.look_up([]) == {}
        assert list(ledger.unfinished()) == []

    def test_next_run_knows(self, runs: Runs) -> None:
        """What one run recorded the next one finds."""
        first = runs.begin()
        first.ledger.record([make_entry().finish()])
        first.finish(make_ending())
        assert runs.begin(run_id="run-2").ledger.look_up([make_ref()]) == {make_key(): make_entry().finish()}

    def test_answers_for_a_whole_listing(self, runs: Runs) -> None:
        """A listing of 2,500 is answered exactly, known and unknown mixed, in any order."""
        known = [make_entry(uid).finish() for uid in range(1, 5001, 2)]
        refs = [make_ref(uid) for uid in range(1, 2501)]
        Random(7).shuffle(refs)
        ledger = runs.begin().ledger
        ledger.record(known)
        found = ledger.look_up(refs)
        assert found == {entry.key: entry for entry in known if entry.key.item <= make_item(2500)}
        assert len(found) == 1250

    def test_answers_for_ids_that_do_not_sort(self, runs: Runs) -> None:
        """Ids without any order, as Graph has them, are answered as exactly."""
        random = Random(7)
        keys = [make_key(item=f"AAMk{random.getrandbits(400):x}") for _ in range(1200)]
        entries = [LedgerEntry(key, handle=key.item, stage=Stage.DONE) for key in keys[::3]]
        ledger = runs.begin().ledger
        ledger.record(entries)
        assert ledger.look_up([MessageRef(key, handle=key.item) for key in keys]) == {one.key: one for one in entries}

    def test_long_entries_fit_together(self, runs: Runs) -> None:
        """99 entries with the longest keys and reasons are stored at once."""
        mailbox = "m/" * 250
        keys = [make_key(mailbox=mailbox, item=f"{uid:03}" + "/" * 497) for uid in range(99)]
        entries = [replace(make_entry(), key=key, reason="é" * 500, message_id="<" + "x" * 900 + ">") for key in keys]
        ledger = runs.begin(record=make_record(mailbox=mailbox)).ledger
        ledger.record(entries)
        assert ledger.look_up([entry.ref for entry in entries]) == {entry.key: entry for entry in entries}

    def test_lost_lease_splits_nothing(self, runs: Runs, clock: FakeClock) -> None:
        """A run that was replaced stores none of many entries."""
        zombie = runs.begin()
        clock.advance(LEASE + timedelta(seconds=1))
        heir = runs.begin(run_id="run-2")
        with pytest.raises(LeaseLost):
            zombie.ledger.record([make_entry(uid) for uid in range(250)])
        assert heir.ledger.look_up([make_ref(uid) for uid in range(250)]) == {}


class TestKeys:
    """No key meets another."""

    def test_awkward_items_stay_apart(self, runs: Runs) -> None:
        """Items that differ in any character are different messages, and come back to the character."""
        entries = [make_entry(key=make_key(item=item), reason=f"{number}") for number, item in enumerate(AWKWARD)]
        ledger = runs.begin().ledger
        ledger.record(entries)
        assert ledger.look_up([entry.ref for entry in entries]) == {entry.key: entry for entry in entries}
        assert {entry.key for entry in ledger.unfinished()} == {entry.key for entry in entries}

    def test_awkward_mailboxes_stay_apart(self, storage: Storage, runs: Runs) -> None:
        """A job that moves from mailbox to mailbox finds in each what it knew of it, and nothing of any other."""
        record = storage.jobs.create(make_record(mailbox="first"))
        for number, mailbox in enumerate(AWKWARD[::3]):
            moved = replace(record, mailbox=mailbox, revision=f"support-{number}")
            record = storage.jobs.replace(moved, revision=record.revision, rescheduled=False)
            lease = runs.begin(run_id=f"run-{number}")
            entry = make_entry(key=make_key(mailbox=mailbox), reason=f"{number}")
            assert lease.ledger.look_up([entry.ref]) == {}
            lease.ledger.record([entry])
            assert lease.ledger.look_up([entry.ref]) == {entry.key: entry}
            lease.finish(make_ending(f"run-{number}", unfinished=True))

    @pytest.mark.parametrize("boxes", ["a b:c", "a:b c", "a: b", ": a", "a a:"])
    def test_mailbox_and_item_do_not_run_together(self, storage: Storage, runs: Runs, boxes: str) -> None:
        """Where the mailbox ends and the item begins is part of the key."""
        first, second = boxes.split(" ")
        record = storage.jobs.create(make_record(mailbox=first))
        known = make_entry(key=make_key(mailbox=first, item=f"{second}:c"))
        lease = runs.begin()
        lease.ledger.record([known])
        lease.finish(make_ending(unfinished=True))
        moved = replace(record, mailbox=f"{first}:{second}", revision="support-2")
        storage.jobs.replace(moved, revision=record.revision, rescheduled=False)
        ledger = runs.begin(run_id="run-2").ledger
        assert ledger.look_up([make_ref(key=make_key(mailbox=f"{first}:{second}", item="c"))]) == {}
        assert list(ledger.unfinished()) == []

    def test_jobs_do_not_see_each_others_messages(self, runs: Runs) -> None:
        """Jobs whose ids begin with each other keep their ledgers apart."""
        ledgers = {job_id: runs.begin(job_id).ledger for job_id in PREFIX_IDS}
        for job_id in PREFIX_IDS[::2]:
            ledgers[job_id].record([make_entry(1, job_id, ticket_id=job_id)])
        for number, job_id in enumerate(PREFIX_IDS):
            found = ledgers[job_id].look_up([make_ref(1, job_id)])
            assert [entry.ticket_id for entry in found.values()] == ([] if number % 2 else [job_id])
            assert [entry.key for entry in ledgers[job_id].unfinished()] == list(found)

    @settings(
        max_examples=12, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(mailbox=any_text, items=st.sets(any_text, min_size=1, max_size=60))
    def test_any_keys_stay_apart(self, runs: Runs, mailbox: str, items: set[str]) -> None:
        """Whatever texts mailbox and items are, every entry is found by its own key and by no other."""
        job_id, mailbox = f"job-{next(NUMBERS)}", f"{mailbox} {next(NUMBERS)}"
        lease = runs.begin(job_id, record=make_record(job_id, mailbox=mailbox))
        keys = [MessageKey(job_id, mailbox, item) for item in sorted(items)]
        entries = [LedgerEntry(key, handle=key.item, stage=Stage.CLAIMED) for key in keys]
        half = entries[::2]
        lease.ledger.record(half)
        assert lease.ledger.look_up([entry.ref for entry in entries]) == {entry.key: entry for entry in half}
        lease.abandon()


class TestUnfinished:
    """`unfinished`, and what the job's state says about it."""

    def test_lists_open_entries_oldest_first(self, runs: Runs) -> None:
        """Everything that is neither done nor parked is listed, in the order of its keys."""
        marks = Disposition(read=True, deleted=True, purge=True)
        delivered = make_entry(20).deliver(Delivered("T1", Action.CREATED), marks)
        open_entries = [
            make_entry(3),
            make_entry(10).fail("Busy.", NOW),
            delivered,
            make_entry(100).reject("No.", marks),
            replace(delivered, key=make_key(1000)).dispose("moved"),
        ]
        closed = [make_entry(1).finish(), make_entry(2).park("No."), make_entry(15).reject("No.", Disposition())]
        lease = runs.begin()
        lease.ledger.record([*reversed(open_entries), *closed])
        lease.finish(make_ending(unfinished=True))
        assert list(runs.begin(run_id="run-2").ledger.unfinished()) == open_entries

    def test_lists_all_of_many(self, runs: Runs) -> None:
        """1,100 open entries among 1,100 closed ones are listed, each once, in order."""
        entries = [make_entry(uid) if uid % 2 else make_entry(uid).finish() for uid in range(2200)]
        first = runs.begin()
        first.ledger.record(entries)
        first.finish(make_ending(unfinished=True))
        assert list(runs.begin(run_id="run-2").ledger.unfinished()) == entries[1::2]

    def test_run_that_died_leaves_its_claims(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """Claims of a run that never came to its end are open for the next one: the state says so by itself."""
        dead = runs.begin()
        assert not dead.record.state.unfinished
        dead.ledger.record([make_entry(1), make_entry(2)])
        clock.advance(LEASE + timedelta(seconds=1))
        record = storage.jobs.read("support")
        assert record
        assert record.state.unfinished
        heir = runs.begin(run_id="run-2")
        assert list(heir.ledger.unfinished()) == [make_entry(1), make_entry(2)]

    def test_run_sees_its_own_claims(self, runs: Runs) -> None:
        """A run that asks again finds what it has opened itself."""
        ledger = runs.begin().ledger
        assert list(ledger.unfinished()) == []
        ledger.record([make_entry()])
        assert list(ledger.unfinished()) == [make_entry()]

    def test_state_that_says_none_is_believed(self, runs: Runs) -> None:
        """When the last run said that nothing is open, nothing is looked for."""
        first = runs.begin()
        first.ledger.record([make_entry()])
        first.finish(make_ending(unfinished=False))
        assert list(runs.begin(run_id="run-2").ledger.unfinished()) == []

    def test_leaves_out_what_another_mailbox_left_open(self, storage: Storage, runs: Runs) -> None:
        """A job that moved to another mailbox is not asked to finish there what belongs to the one before."""
        record = storage.jobs.create(make_record())
        lease = runs.begin()
        lease.ledger.record([make_entry()])
        lease.finish(make_ending(unfinished=True))
        moved = replace(record, mailbox="elsewhere", revision="support-2")
        storage.jobs.replace(moved, revision=record.revision, rescheduled=False)
        assert list(runs.begin(run_id="run-2").ledger.unfinished()) == []

    def test_job_that_moves_back_goes_on(self, storage: Storage, runs: Runs) -> None:
        """What a job left open in its old mailbox is finished when it comes back, whatever it did in between."""
        record = storage.jobs.create(make_record())
        lease = runs.begin()
        lease.ledger.record([make_entry()])
        lease.finish(make_ending(unfinished=True))
        found = []
        for number, mailbox in enumerate(("elsewhere", record.mailbox)):
            moved = replace(record, mailbox=mailbox, revision=f"support-{number + 2}")
            record = storage.jobs.replace(moved, revision=record.revision, rescheduled=False)
            lease = runs.begin(run_id=f"run-{number + 2}")
            found = list(lease.ledger.unfinished())
            lease.finish(make_ending(f"run-{number + 2}", unfinished=bool(found)))
        assert found == [make_entry()]

    def test_job_made_again_goes_on(self, storage: Storage, runs: Runs) -> None:
        """After a deletion, a job of the same id and mailbox finds what the old one left open, and what it knew."""
        first = runs.begin()
        first.ledger.record([make_entry(1), make_entry(2).finish()])
        first.finish(make_ending(unfinished=True))
        storage.jobs.delete("support")
        heir = runs.begin(run_id="run-2")
        assert list(heir.ledger.unfinished()) == [make_entry(1)]
        assert heir.ledger.look_up([make_ref(2)]) == {make_key(2): make_entry(2).finish()}


def delivered_twice(entry: LedgerEntry) -> LedgerEntry:
    """An entry whose original was marked as read, which was all there was to do."""
    return entry.deliver(Delivered("T'3", Action.CREATED), Disposition(read=True)).dispose("moved")
