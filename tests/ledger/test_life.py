"""The life of one message: each transition, and what holds after any sequence of them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.ledger import CLOSED, LedgerEntry, Stage, claim
from shared.model import KEPT, Action, Delivered, Disposition
from tests.builders import NOW, make_entry, make_key, make_ref

DONE_TO_IT = st.builds(
    Disposition,
    read=st.booleans(),
    deleted=st.booleans(),
    purge=st.booleans(),
    flag=st.booleans(),
    category=st.sampled_from(["", "Ticket"]) | st.text(max_size=9),
    move_to=st.sampled_from(["", "INBOX/Done + dusted=1"]) | st.text(max_size=9),
)
TICKET = Delivered("T1", Action.CREATED)


class TestClaim:
    """`claim` counts an attempt before the message is touched."""

    def test_first_claim(self) -> None:
        """A message that nobody knows starts with its first attempt."""
        entry = claim(make_ref(7, handle="42"), None, "run-1")
        assert entry == LedgerEntry(make_key(7), "42", Stage.CLAIMED, attempts=1, run_id="run-1")

    def test_next_claim_counts_on(self) -> None:
        """A message that failed before is counted on, found where it is now, and no longer waits."""
        before = make_entry(attempts=2, kept=True).fail("Busy.", NOW)
        entry = claim(make_ref(handle="moved"), before, "run-2")
        assert (entry.attempts, entry.stage, entry.run_id) == (3, Stage.CLAIMED, "run-2")
        assert (entry.handle, entry.retry_at, entry.kept) == ("moved", None, True)

    def test_takes_the_generation_of_the_ref(self) -> None:
        """A message that is processed anew is claimed under its new key."""
        before = make_entry().finish()
        assert claim(make_ref(key=make_key(generation=1)), before, "run-2").key == make_key(generation=1)

    def test_given_back_claim_does_not_count(self) -> None:
        """A claim that is given back leaves as many attempts as before it, and the message open and due at once."""
        for before in (None, make_entry(attempts=3).fail("Busy.", NOW)):
            entry = claim(make_ref(), before, "run-2").give_back()
            assert entry.attempts == (before.attempts if before else 0)
            assert (entry.stage, entry.retry_at, entry.open) == (Stage.FAILED, None, True)

    def test_attempts_never_go_below_zero(self) -> None:
        """Giving back what counted nothing counts nothing."""
        assert make_entry(attempts=0).give_back().attempts == 0


class TestReprocess:
    """`reprocess`: a purged message is taken up again from its kept copy."""

    PURGED = Disposition(deleted=True, purge=True)

    def test_is_the_next_generation_with_fresh_attempts(self) -> None:
        """So its ticket is another one; what is known of the first is kept."""
        gone = make_entry(attempts=4, kept=True).deliver(TICKET, self.PURGED, sha256="5a").finish()
        again = gone.reprocess("purged-1")
        assert (again.key, again.stage, again.attempts, again.kept) == (make_key(generation=1), Stage.FAILED, 0, False)
        assert (again.copy, again.sha256, again.ticket_id) == ("purged-1", "5a", "T1")

    def test_has_no_original_that_could_be_disposed_of(self) -> None:
        """Delivered, rejected, given up on or gone: there is nothing to mark, and it stays known as purged."""
        taken = replace(make_entry().deliver(TICKET, self.PURGED).finish().reprocess("purged-1"), stage=Stage.CLAIMED)
        for done in (taken.deliver(TICKET, Disposition(read=True)), taken.reject("No.", self.PURGED), taken.finish()):
            assert (done.stage, done.disposition, done.copy) == (Stage.DONE, self.PURGED, "")
        parked = taken.park("No.", Disposition(read=True))
        assert (parked.stage, parked.disposition, parked.copy) == (Stage.PARKED, self.PURGED, "purged-1")


class TestOutcome:
    """`deliver`, `reject`, `fail`, `park` and `retry`."""

    @given(DONE_TO_IT)
    def test_delivered_is_open_while_something_is_to_be_done(self, disposition: Disposition) -> None:
        """A delivered message is open exactly while its original is to be marked."""
        entry = make_entry().deliver(TICKET, disposition, message_id="<1@a>", sha256="ab")
        assert entry.stage is (Stage.DELIVERED if disposition.marks else Stage.DONE)
        assert entry.open is disposition.marks
        assert (entry.ticket_id, entry.action, entry.disposition) == ("T1", Action.CREATED, disposition)
        assert (entry.message_id, entry.sha256) == ("<1@a>", "ab")

    @given(DONE_TO_IT)
    def test_rejected_is_open_while_something_is_to_be_done(self, disposition: Disposition) -> None:
        """A rejected message has no ticket but a reason, and is open exactly while its original is to be marked."""
        entry = make_entry().reject("A rule said no.", disposition, message_id="<1@a>", sha256="ab")
        assert entry.stage is (Stage.REJECTED if disposition.marks else Stage.DONE)
        assert (entry.ticket_id, entry.action, entry.reason) == ("", None, "A rule said no.")
        assert (entry.disposition, entry.message_id, entry.sha256) == (disposition, "<1@a>", "ab")

    def test_outcome_ends_the_waiting(self) -> None:
        """A message that failed before and is decided now waits for nothing."""
        before = make_entry().fail("Busy.", NOW)
        delivered, rejected = before.deliver(TICKET, KEPT), before.reject("No.", KEPT)
        assert (delivered.retry_at, delivered.reason) == (None, "")
        assert (rejected.retry_at, rejected.reason) == (None, "No.")

    def test_failed_waits(self) -> None:
        """A failed message keeps its attempts and says why and until when it is left alone."""
        entry = make_entry(attempts=2).fail("Busy.", NOW)
        assert (entry.stage, entry.attempts, entry.reason, entry.retry_at) == (Stage.FAILED, 2, "Busy.", NOW)
        assert entry.open
        assert entry.undelivered

    def test_parked_is_closed_and_kept(self) -> None:
        """A parked message is nobody's work any more, and there is a copy of it."""
        entry = make_entry(attempts=5).fail("Busy.", NOW).park("Given up on.")
        assert (entry.stage, entry.reason, entry.retry_at, entry.kept) == (Stage.PARKED, "Given up on.", None, True)
        assert not entry.open

    @given(DONE_TO_IT)
    def test_parked_is_open_while_its_original_is_to_be_marked(self, disposition: Disposition) -> None:
        """`on_error` may ask for marks: then it is some run's work until they are set, or it is gone; never purged."""
        entry = make_entry(attempts=5).park("Given up on.", disposition)
        assert entry.open is entry.undisposed is disposition.marks
        assert entry.undelivered is False
        for after in (entry.dispose("moved"), entry.finish()) if disposition.marks else (entry,):
            assert (after.stage, after.kept, after.reason) == (Stage.PARKED, True, "Given up on.")
            assert not after.disposition.purges

    def test_retried_is_open_with_fresh_attempts(self) -> None:
        """A parked message that a person wants again starts anew, due at once, and its copy is still known."""
        entry = make_entry(attempts=5).park("Given up on.").retry()
        assert (entry.stage, entry.attempts, entry.retry_at, entry.kept) == (Stage.FAILED, 0, None, True)
        assert entry.open
        assert entry.undelivered


class TestDisposition:
    """`dispose` and `finish`."""

    @pytest.mark.parametrize(
        ("disposition", "stage"),
        [
            (Disposition(read=True), Stage.DONE),
            (Disposition(deleted=True), Stage.DONE),
            (Disposition(read=True, purge=True), Stage.DONE),
            (Disposition(deleted=True, purge=True), Stage.DISPOSED),
            (Disposition(read=True, deleted=True, purge=True), Stage.DISPOSED),
        ],
        ids=str,
    )
    def test_marked_original_waits_for_its_purge_or_is_done(self, disposition: Disposition, stage: Stage) -> None:
        """Only what is marked deleted and is to be purged stays open after it was marked."""
        entry = make_entry().deliver(TICKET, disposition).dispose("moved")
        assert (entry.stage, entry.handle, entry.ticket_id) == (stage, "moved", "T1")

    def test_finished_is_closed(self) -> None:
        """What is purged or gone is done and keeps its ticket."""
        entry = make_entry().deliver(TICKET, Disposition(deleted=True, purge=True)).dispose("moved").finish()
        assert (entry.stage, entry.open, entry.ticket_id) == (Stage.DONE, False, "T1")

    @given(DONE_TO_IT)
    def test_disposition_is_read_back(self, disposition: Disposition) -> None:
        """The text of a disposition says all of it."""
        assert Disposition.parse(str(disposition)) == disposition


@pytest.mark.parametrize("stage", list(Stage))
def test_open_and_undelivered(stage: Stage) -> None:
    """Everything but done and parked is open; nothing was decided only while claimed or failed."""
    entry = make_entry(stage=stage)
    assert entry.open is (stage not in {Stage.DONE, Stage.PARKED})
    assert entry.undelivered is (stage in {Stage.CLAIMED, Stage.FAILED})
    assert entry.open or stage in CLOSED


def test_ref_finds_the_original() -> None:
    """The message can be fetched or disposed of by what the entry knows."""
    entry = make_entry(handle="moved")
    assert (entry.ref.key, entry.ref.handle) == (entry.key, "moved")


class Life(RuleBasedStateMachine):
    """Any life that the flow can lead a message through, crashes included: what must hold at every moment."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = make_entry()
        self.claims = 0
        self.ticket = ""

    @initialize()
    def arrive(self) -> None:
        """The message is seen for the first time."""
        self.entry = claim(make_ref(), None, "run-1")
        self.claims, self.ticket = 1, ""

    @rule()
    @precondition(lambda self: self.entry.undelivered)
    def claim_again(self) -> None:
        """The next run takes it up, after a failure or after the worker was killed."""
        self.entry = claim(make_ref(), self.entry, "run-2")
        self.claims += 1

    @rule()
    @precondition(lambda self: self.entry.stage is Stage.CLAIMED)
    def give_back(self) -> None:
        """The target is away."""
        self.entry = self.entry.give_back()
        self.claims -= 1

    @rule(minutes=st.integers(1, 60))
    @precondition(lambda self: self.entry.stage is Stage.CLAIMED)
    def fail(self, minutes: int) -> None:
        """The message cannot be handled."""
        self.entry = self.entry.fail("Busy.", NOW + timedelta(minutes=minutes))

    @rule(disposition=DONE_TO_IT)
    @precondition(lambda self: self.entry.stage is Stage.CLAIMED)
    def park(self, disposition: Disposition) -> None:
        """Its attempts are used up."""
        self.entry = self.entry.park("Given up on.", disposition)

    @rule()
    @precondition(lambda self: self.entry.stage is Stage.PARKED)
    def retry(self) -> None:
        """A person wants it again."""
        self.entry = self.entry.retry()
        self.claims = 0

    @rule(disposition=DONE_TO_IT)
    @precondition(lambda self: self.entry.stage is Stage.CLAIMED)
    def deliver(self, disposition: Disposition) -> None:
        """Its ticket is made."""
        self.entry = self.entry.deliver(TICKET, disposition)
        self.ticket = TICKET.ticket_id

    @rule(disposition=DONE_TO_IT)
    @precondition(lambda self: self.entry.stage is Stage.CLAIMED)
    def reject(self, disposition: Disposition) -> None:
        """A rule says no."""
        self.entry = self.entry.reject("No.", disposition)

    @rule(handle=st.sampled_from(["1", "moved"]))
    @precondition(lambda self: self.entry.undisposed)
    def dispose(self, handle: str) -> None:
        """Its original is marked."""
        self.entry = self.entry.dispose(handle)

    @rule()
    @precondition(lambda self: self.entry.stage is Stage.DISPOSED)
    def purge(self) -> None:
        """Its original is removed for good."""
        self.entry = self.entry.finish()

    @rule()
    @precondition(lambda self: self.entry.stage is Stage.DONE)
    def another_arrives(self) -> None:
        """Nothing more happens to a message that is done: another one takes its place here."""
        self.entry = claim(make_ref(), None, "run-1")
        self.claims, self.ticket = 1, ""

    @invariant()
    def attempts_are_the_claims_that_counted(self) -> None:
        """Each claim counts once, and only a claim counts."""
        assert self.entry.attempts == self.claims

    @invariant()
    def ticket_is_never_forgotten(self) -> None:
        """Once there is a ticket the entry names it, and nothing is undecided any more."""
        assert self.entry.ticket_id == self.ticket
        assert not (self.ticket and self.entry.undelivered)

    @invariant()
    def only_failed_messages_wait(self) -> None:
        """Nothing but a failed message has an instant to wait for."""
        assert self.entry.retry_at is None or self.entry.stage is Stage.FAILED

    @invariant()
    def key_stays(self) -> None:
        """The identity never changes."""
        assert self.entry.key == make_key()

    @invariant()
    def what_is_open_has_a_next_step(self) -> None:
        """An open entry is undecided, or has an original that is to be marked or purged."""
        entry = self.entry
        pending = entry.disposition.purges if entry.stage is Stage.DISPOSED else entry.disposition.marks
        assert not entry.open or entry.undelivered or pending


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_entries_are_values() -> None:
    """A transition makes a new entry and leaves the old one as it was."""
    entry = make_entry()
    before = replace(entry)
    entry.deliver(TICKET, Disposition(read=True))
    entry.park("No.")
    assert entry == before
