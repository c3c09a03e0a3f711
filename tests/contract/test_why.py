"""The contract of `shared.ports.WhyRecords`, and of the ledger that feeds it."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from shared.errors import LeaseLost
from shared.ledger import LedgerEntry
from shared.model import Action, Create, Delivered, Disposition, Modify, Reject, Verdict
from shared.ports import Deadline, RunLease
from shared.why import WHY_DAYS, Outcome, Why, why_of
from tests.builders import NOW, make_entry, make_message, make_parked
from tests.contract.storage import LEASE, Runs, Storage
from tests.contract.test_jobs import PREFIX_IDS
from tests.fakes.clock import FakeClock

TODAY = NOW.date()
RUN = f"{NOW:%Y%m%dT%H%M%S}.000Z-aaaaaa"


def decided(uid: int = 1, job_id: str = "support", ticket_id: str = "", **changes: Any) -> LedgerEntry:
    """The entry of a message that made a ticket."""
    message = make_message(uid)
    entry = make_entry(uid, job_id, **{"run_id": RUN, **changes})
    answer = Delivered(ticket_id or f"T-{uid}", Action.CREATED)
    return entry.deliver(answer, Disposition(read=True), message_id=message.message_id or "")


def record(lease: RunLease, *entries: LedgerEntry, **known: Any) -> list[Why]:
    """Store entries with their records."""
    whys = [why_of(entry, NOW, message=make_message(int(entry.key.item[-10:])), **known) for entry in entries]
    lease.ledger.record(entries, (), whys)
    return whys


class TestFind:
    """`find`: by Message-ID and by ticket."""

    def test_has_everything(self, storage: Storage, runs: Runs) -> None:
        """A record comes back as it was, whatever its texts are."""
        lease = runs.begin(run_id=RUN)
        entry = decided(ticket_id="T-é😀")
        why = why_of(
            entry,
            NOW,
            taken_up=NOW - timedelta(seconds=2),
            received=NOW - timedelta(minutes=5),
            message=make_message(1, subject="Ünï 😀 'x'", defects=("Odd.",)),
            decision=Create(("New.",), ("T-9",), {"a": 1, "b": "é", "c": True, "d": 0.5}, ("Noted.",)),
            verdicts=(Verdict("rule", "é", matched=True, evidence='says "x"'),),
        )
        lease.ledger.record([entry], (), [why])
        assert list(storage.whys.find(message_id="<1@customer.example>")) == [why]
        assert list(storage.whys.find(ticket_id="T-é😀")) == [why]
        assert why.sentence == "It made ticket T-é😀."

    def test_of_many(self, storage: Storage, runs: Runs) -> None:
        """Of more messages than a transaction takes, each is found, alone, and the whole ticket that they share."""
        lease = runs.begin(run_id=RUN)
        whys = record(lease, *(decided(uid, ticket_id="T-1") for uid in range(120)))
        for uid in (0, 60, 97, 98, 119):
            assert list(storage.whys.find(message_id=f"<{uid}@customer.example>")) == [whys[uid]]
        assert {why.key for why in storage.whys.find(ticket_id="T-1", limit=200)} == {why.key for why in whys}
        assert len(storage.whys.find(ticket_id="T-1", limit=7)) == 7

    def test_jobs_with_like_names_stay_apart(self, storage: Storage, runs: Runs) -> None:
        """The same message in several mailboxes has a record for each; a job's own are found alone."""
        for job_id in PREFIX_IDS:
            record(runs.begin(job_id, run_id=RUN), decided(1, job_id))
        asked = "<1@customer.example>"
        assert {why.key.job_id for why in storage.whys.find(message_id=asked)} == set(PREFIX_IDS)
        for job_id in PREFIX_IDS:
            assert [why.key.job_id for why in storage.whys.find(message_id=asked, job_id=job_id)] == [job_id]

    def test_unknown_is_nothing(self, storage: Storage, runs: Runs) -> None:
        """What nobody took up has no record, however it is asked for."""
        record(runs.begin(run_id=RUN), decided())
        for asked in ("<2@customer.example>", "1@customer.example", "' or 1 eq 1", "é"):
            assert list(storage.whys.find(message_id=asked)) == []
            assert list(storage.whys.find(ticket_id=asked)) == []
        assert list(storage.whys.find(message_id="<1@customer.example>", job_id="other")) == []

    def test_the_last_run_counts(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """A message that failed first and made a ticket later has the record of its ticket."""
        lease = runs.begin(run_id=RUN)
        failed = make_entry(1, run_id=RUN).fail("Away.", NOW, message_id="<1@customer.example>")
        record(lease, failed)
        (before,) = storage.whys.find(message_id="<1@customer.example>")
        assert (before.outcome, before.sentence) == (
            Outcome.FAILED,
            "It has no ticket yet: it was tried once, and is tried again from 2026-11-23 12:00 UTC on. Away.",
        )
        clock.advance(LEASE * 2)
        later = RUN.replace("aaaaaa", "bbbbbb")
        record(runs.begin(run_id=later), decided(run_id=later))
        (after,) = storage.whys.find(message_id="<1@customer.example>")
        assert after.outcome is Outcome.CREATED

    def test_a_parked_one(self, storage: Storage, runs: Runs) -> None:
        """Its record is stored with its listing."""
        entry = make_entry(1, run_id=RUN).park("It cannot be read.", message_id="<1@customer.example>")
        runs.begin(run_id=RUN).ledger.park(entry, make_parked(), b"raw", why_of(entry, NOW))
        (why,) = storage.whys.find(message_id="<1@customer.example>")
        assert why.sentence == "It has no ticket: it was tried once and is parked. It cannot be read."

    def test_the_ledger_knows_more_than_nothing(self, storage: Storage, runs: Runs) -> None:
        """Of a message without a record, what the ledger says is told."""
        runs.begin(run_id=RUN).ledger.record([decided()])
        (why,) = storage.whys.find(message_id="<1@customer.example>")
        assert (why.sentence, why.sender) == ("It made ticket T-1.", "")


class TestDay:
    """`of_day`: by sender and day."""

    def test_of_a_day(self, storage: Storage, runs: Runs) -> None:
        """Messages that runs of that day took up, by their sender, or all; whoever else wrote is left out."""
        lease = runs.begin(run_id=RUN)
        record(lease, decided(1), decided(2))
        eve = why_of(decided(3), NOW + timedelta(seconds=1), message=make_message(3, sender=None))
        lease.ledger.record([decided(3)], (), [eve])
        assert {why.key.item[-1] for why in storage.whys.of_day(TODAY, sender="Ann@Customer.example")} == {"1", "2"}
        assert next(iter(storage.whys.of_day(TODAY))) == eve
        assert len(storage.whys.of_day(TODAY)) == 3
        assert len(storage.whys.of_day(TODAY, limit=2)) == 2
        assert list(storage.whys.of_day(TODAY, job_id="other")) == []
        for other in (TODAY - timedelta(days=1), TODAY + timedelta(days=1), date(2026, 1, 23)):
            assert list(storage.whys.of_day(other)) == []


class TestStored:
    """With the ledger, or not at all."""

    def test_not_after_the_lease_is_lost(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """A run that has lost its lease leaves no record."""
        lost = runs.begin(run_id=RUN)
        clock.advance(LEASE * 2)
        runs.begin(run_id="20261123T130000.000Z-bbbbbb")
        with pytest.raises(LeaseLost):
            record(lost, decided())
        assert list(storage.whys.of_day(TODAY)) == []

    def test_goes_after_its_days(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """The housekeeping removes records of runs that are 30 days old, of every job, and none that is younger."""
        for job_id in PREFIX_IDS[:2]:
            lease = runs.begin(job_id, run_id=RUN)
            record(lease, decided(1, job_id))
            younger = RUN.replace("T12", "T23")
            clock.advance(LEASE * 2)
            record(runs.begin(job_id, run_id=younger), decided(2, job_id, run_id=younger))
        clock.advance(NOW + timedelta(days=WHY_DAYS, hours=1) - clock())
        done = storage.housekeeping.tidy(Deadline(clock() + timedelta(minutes=5), clock))
        assert done is not None
        assert {why.key.item[-1] for why in storage.whys.of_day(TODAY)} == {"2"}
        assert len(storage.whys.of_day(TODAY)) == 2


def test_a_record_never_grows_too_long() -> None:
    """Two hundred rules, long texts and fields: what matched stays longest, and the record says that it is cut."""
    verdicts = tuple(Verdict("rule", f"r{n}", matched=n == 150, evidence="é" * 5_000) for n in range(200))
    why = why_of(
        decided(),
        NOW,
        message=make_message(subject="s" * 5_000, defects=("d" * 900,) * 50),
        decision=Modify("T-1", ("e" * 900,) * 40, {f"f{n}": "v" * 900 for n in range(50)}, ("n" * 900,) * 40),
        verdicts=verdicts,
    )
    assert why.cut
    assert len(repr(why)) < 8_000
    short = why_of(decided(), NOW, message=make_message(), verdicts=verdicts[:3])
    assert [one.name for one in short.verdicts] == ["r0", "r1", "r2"]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (make_entry(1).reject("No offers.", Disposition()), "It made no ticket: No offers."),
        (make_entry(1).finish(), "It made no ticket: it left the mailbox before it could be read."),
        (
            replace(make_entry(1, attempts=3).fail("Refused.", NOW), retry_at=None),
            "It has no ticket yet: it was tried 3 times, and is tried again in the next run. Refused.",
        ),
        (
            make_entry(1).deliver(Delivered("T-1", Action.MODIFIED), Disposition()),
            "It was added to ticket T-1.",
        ),
    ],
)
def test_sentences(entry: LedgerEntry, sentence: str) -> None:
    """The first thing that a person reads says what became of the message."""
    assert why_of(entry, NOW, decision=Reject("x")).sentence == sentence
