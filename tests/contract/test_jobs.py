"""The contract of `shared.ports.JobStore`: configs, mailboxes, revisions, and which jobs are overdue."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

import pytest

from shared.errors import MailboxTaken, Stale
from shared.model import DueJob, Health, JobRecord
from tests.builders import NOW, make_ending, make_record, make_state
from tests.contract.storage import LEASE, Runs, Storage, pages, race
from tests.fakes.clock import FakeClock

#: Ids that begin with each other, in their order.
PREFIX_IDS = sorted("a" + "".join(tail) for length in range(4) for tail in product("a-b", repeat=length))


class TestCreate:
    """`create` and `read`."""

    def test_reads_back_what_was_stored(self, storage: Storage) -> None:
        """A job comes back with its config, its columns and its state, to the microsecond."""
        state = make_state(created=NOW.replace(microsecond=123456), next_due=NOW + timedelta(minutes=5, microseconds=1))
        record = make_record(enabled=False, ncrontab="", state=state)
        created = storage.jobs.create(record)
        assert storage.jobs.read("support") == created
        assert (created.name, created.config) == ("Mail Connector", record.config)
        assert (created.ncrontab, created.enabled) == ("", False)
        assert (created.mailbox, created.state.created) == (record.mailbox, state.created)
        assert created.state.next_due == state.next_due
        assert created.revision
        assert created.etag

    def test_new_job_has_no_history(self, storage: Storage) -> None:
        """A job that never ran has claimed nothing, failed nothing, and is held by nobody."""
        state = storage.jobs.create(make_record()).state
        assert (state.last_occurrence, state.next_due, state.lease_run, state.lease_expires) == (None, None, "", None)
        assert (state.failures, state.health, state.cursor) == (0, Health.HEALTHY, None)

    def test_unknown_job_is_none(self, storage: Storage) -> None:
        """A job that is not there is no error."""
        assert storage.jobs.read("nobody") is None

    def test_keeps_long_config_exactly(self, storage: Storage) -> None:
        """A config with many rules, far longer than one table property, is kept to the character."""
        config = '{"rules": "' + "a😀é" * 20_000 + '"}'
        storage.jobs.create(make_record(config=config))
        stored = storage.jobs.read("support")
        assert stored
        assert stored.config == config

    def test_taken_id_is_stale(self, storage: Storage) -> None:
        """A second job of the same id is refused and changes nothing."""
        first = storage.jobs.create(make_record())
        with pytest.raises(Stale):
            storage.jobs.create(make_record(config="{}", mailbox="elsewhere"))
        assert storage.jobs.read("support") == first
        assert storage.jobs.create(make_record("other", mailbox="elsewhere")).job_id == "other"

    def test_taken_mailbox_is_refused(self, storage: Storage) -> None:
        """A second job on a mailbox is refused by the name of the first, and nothing of it is stored."""
        storage.jobs.create(make_record("first", mailbox="box"))
        with pytest.raises(MailboxTaken) as refusal:
            storage.jobs.create(make_record("second", mailbox="box"))
        assert refusal.value.other_job == "first"
        assert storage.jobs.read("second") is None

    def test_mailboxes_differ_by_every_character(self, storage: Storage) -> None:
        """Mailboxes whose names differ in one odd or late character are different mailboxes."""
        long = "x" * 499
        mailboxes = ["a/b", "a\\b", "a#b", "a?b", "A/b", "a/b ", "a%2Fb", "é", "e\u0301", "a\x00b", "a\nb", "", "😀"]
        for number, mailbox in enumerate([*mailboxes, f"{long}1", f"{long}2"]):
            created = storage.jobs.create(make_record(f"job-{number}", mailbox=mailbox))
            assert created.mailbox == mailbox

    def test_one_of_many_gets_the_mailbox(self, storage: Storage) -> None:
        """Of six jobs created at once on one mailbox, one is stored and five are told whose it is."""
        answers = race(6, lambda number: storage.jobs.create(make_record(f"job-{number}", mailbox="box")))
        winners = [answer for answer in answers if isinstance(answer, JobRecord)]
        losers = [answer for answer in answers if isinstance(answer, MailboxTaken)]
        assert (len(winners), len(losers)) == (1, 5), answers
        assert {loser.other_job for loser in losers} == {winners[0].job_id}
        assert [record.job_id for record in pages(storage.jobs.page, limit=10)] == [winners[0].job_id]


class TestReplace:
    """`replace`."""

    def test_stores_config_columns_and_next_due(self, storage: Storage) -> None:
        """A changed config replaces the old one under a new revision."""
        first = storage.jobs.create(make_record())
        wanted = changed(first, enabled=False, ncrontab="0 0 8 * * 1", state=make_state(next_due=NOW))
        replaced = storage.jobs.replace(wanted, revision=first.revision, rescheduled=True)
        assert (replaced.config, replaced.enabled, replaced.ncrontab) == (wanted.config, False, "0 0 8 * * 1")
        assert replaced.state.next_due == NOW
        assert replaced.revision != first.revision
        assert storage.jobs.read("support") == replaced

    def test_keeps_next_due_unless_rescheduled(self, storage: Storage) -> None:
        """A change that leaves the schedule alone leaves alone when the job is due, whatever the record says."""
        first = storage.jobs.create(make_record(state=make_state(next_due=NOW)))
        replaced = storage.jobs.replace(
            changed(first, state=make_state(next_due=None)), revision=first.revision, rescheduled=False
        )
        assert replaced.state.next_due == NOW

    def test_changed_meanwhile_is_stale(self, storage: Storage) -> None:
        """A change of what somebody else changed since is refused and changes nothing."""
        first = storage.jobs.create(make_record())
        second = storage.jobs.replace(changed(first), revision=first.revision, rescheduled=False)
        with pytest.raises(Stale):
            storage.jobs.replace(changed(first, config='{"late": true}'), revision=first.revision, rescheduled=False)
        assert storage.jobs.read("support") == second

    def test_missing_job_is_stale(self, storage: Storage) -> None:
        """A job that was deleted cannot be changed, and does not come back by it."""
        with pytest.raises(Stale):
            storage.jobs.replace(make_record(), revision="support-1", rescheduled=False)
        assert storage.jobs.read("support") is None

    def test_one_of_many_changes(self, storage: Storage) -> None:
        """Of six changes of one revision at once, one is stored and five are stale."""
        first = storage.jobs.create(make_record())
        answers = race(
            6,
            lambda number: storage.jobs.replace(
                changed(first, config=f'{{"by": {number}}}', revision=f"support-2-{number}"),
                revision=first.revision,
                rescheduled=False,
            ),
        )
        winners = [answer for answer in answers if isinstance(answer, JobRecord)]
        assert len(winners) == 1, answers
        assert sum(isinstance(answer, Stale) for answer in answers) == 5, answers
        assert storage.jobs.read("support") == winners[0]

    def test_keeps_what_runs_wrote(self, storage: Storage, runs: Runs) -> None:
        """What a run wrote after the config was read stays when the config is replaced."""
        first = storage.jobs.create(make_record())
        runs.begin().finish(make_ending(failures=3, health=Health.FAILING, last_error="Away.", cursor="c1"))
        replaced = storage.jobs.replace(changed(first), revision=first.revision, rescheduled=False)
        state = replaced.state
        assert (state.failures, state.health, state.last_error, state.cursor) == (3, Health.FAILING, "Away.", "c1")
        assert (state.last_occurrence, state.next_due) == (NOW, NOW.replace(minute=5))

    def test_runs_keep_the_revision(self, storage: Storage, runs: Runs) -> None:
        """A run changes the state and not the revision: who read the config before it can still replace it."""
        first = storage.jobs.create(make_record())
        lease = runs.begin()
        assert lease.record.revision == first.revision
        lease.finish(make_ending())
        after = storage.jobs.read("support")
        assert after
        assert after.revision == first.revision
        assert after.etag != first.etag

    def test_taken_mailbox_is_refused(self, storage: Storage) -> None:
        """A job cannot move to a mailbox that another job has, and keeps its own."""
        storage.jobs.create(make_record("other", mailbox="other box"))
        first = storage.jobs.create(make_record(mailbox="box"))
        with pytest.raises(MailboxTaken) as refusal:
            storage.jobs.replace(changed(first, mailbox="other box"), revision=first.revision, rescheduled=False)
        assert refusal.value.other_job == "other"
        assert storage.jobs.read("support") == first
        with pytest.raises(MailboxTaken):
            storage.jobs.create(make_record("third", mailbox="box"))

    def test_moving_frees_the_old_mailbox(self, storage: Storage) -> None:
        """A job that moved has its new mailbox, and another job may have the old one."""
        first = storage.jobs.create(make_record(mailbox="old box"))
        moved = storage.jobs.replace(changed(first, mailbox="new box"), revision=first.revision, rescheduled=False)
        assert moved.mailbox == "new box"
        storage.jobs.create(make_record("heir", mailbox="old box"))
        with pytest.raises(MailboxTaken):
            storage.jobs.create(make_record("third", mailbox="new box"))

    def test_moving_forgets_the_cursor(self, storage: Storage, runs: Runs) -> None:
        """What the old mailbox returned as its cursor is not handed to the new one."""
        first = storage.jobs.create(make_record(mailbox="old box"))
        runs.begin().finish(make_ending(cursor="of the old box"))
        moved = storage.jobs.replace(changed(first, mailbox="new box"), revision=first.revision, rescheduled=False)
        assert moved.state.cursor is None

    def test_stale_move_takes_no_mailbox(self, storage: Storage) -> None:
        """A change that is refused as stale leaves the mailbox it wanted free for others."""
        first = storage.jobs.create(make_record(mailbox="box"))
        storage.jobs.replace(changed(first), revision=first.revision, rescheduled=False)
        with pytest.raises(Stale):
            storage.jobs.replace(changed(first, mailbox="wanted"), revision=first.revision, rescheduled=False)
        storage.jobs.create(make_record("other", mailbox="wanted"))


class TestDelete:
    """`delete`."""

    def test_removes_job_and_frees_id_and_mailbox(self, storage: Storage) -> None:
        """After a deletion the id and the mailbox can be used again, by different jobs."""
        storage.jobs.create(make_record(mailbox="box"))
        storage.jobs.delete("support")
        assert storage.jobs.read("support") is None
        storage.jobs.create(make_record("heir", mailbox="box"))
        storage.jobs.create(make_record(mailbox="new box"))

    def test_missing_job_is_no_fault(self, storage: Storage) -> None:
        """Deleting twice, or with a revision, or what never was, is quiet."""
        created = storage.jobs.create(make_record())
        storage.jobs.delete("support", revision=created.revision)
        storage.jobs.delete("support", revision=created.revision)
        storage.jobs.delete("nobody")
        assert storage.jobs.read("support") is None

    def test_changed_meanwhile_is_stale(self, storage: Storage) -> None:
        """A job that somebody changed since is not deleted."""
        first = storage.jobs.create(make_record())
        second = storage.jobs.replace(changed(first), revision=first.revision, rescheduled=False)
        with pytest.raises(Stale):
            storage.jobs.delete("support", revision=first.revision)
        assert storage.jobs.read("support") == second


class TestPage:
    """`page`."""

    def test_lists_jobs_in_the_order_of_their_ids(self, storage: Storage) -> None:
        """Every job is listed once, in order, whatever the size of a page."""
        for job_id in reversed(PREFIX_IDS):
            storage.jobs.create(make_record(job_id))
        for limit in (1, 7, len(PREFIX_IDS), 1000):
            assert [record.job_id for record in pages(storage.jobs.page, limit=limit)] == PREFIX_IDS

    def test_nothing_is_an_empty_page(self, storage: Storage) -> None:
        """Without jobs there is one page, and nothing in it."""
        assert storage.jobs.page(limit=10) == ([], None)

    def test_goes_on_where_it_stopped(self, storage: Storage) -> None:
        """A job that comes or goes between two pages makes no other job appear twice or not at all."""
        for job_id in ("b", "c", "d", "e"):
            storage.jobs.create(make_record(job_id))
        page, cursor = storage.jobs.page(limit=2)
        assert [record.job_id for record in page] == ["b", "c"]
        storage.jobs.create(make_record("a"))
        storage.jobs.delete("c")
        page, cursor = storage.jobs.page(limit=10, cursor=cursor)
        assert [record.job_id for record in page] == ["d", "e"]
        assert cursor is None

    def test_lists_whole_records(self, storage: Storage) -> None:
        """A listed job is the job as `read` gives it."""
        created = storage.jobs.create(make_record())
        assert storage.jobs.page(limit=1)[0] == [created]


class TestOverdue:
    """`overdue`."""

    def test_names_enabled_jobs_that_are_due(self, storage: Storage) -> None:
        """Due means: enabled, and due since before the given instant."""
        due, later = NOW - timedelta(minutes=2), NOW + timedelta(seconds=1)
        storage.jobs.create(make_record("due", state=make_state(next_due=due), ncrontab="1 2 3 * * *"))
        storage.jobs.create(make_record("disabled", state=make_state(next_due=due), enabled=False))
        storage.jobs.create(make_record("later", state=make_state(next_due=later)))
        storage.jobs.create(make_record("never"))
        assert storage.jobs.overdue(NOW) == [DueJob("due", "1 2 3 * * *", due)]
        assert storage.jobs.overdue(NOW - timedelta(minutes=3)) == []
        assert overdue(storage, NOW + timedelta(minutes=1)) == ["due", "later"]

    def test_leaves_out_what_a_live_run_holds(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """A job that runs is not overdue; when its run dies it is again."""
        storage.jobs.create(make_record(state=make_state(next_due=NOW)))
        runs.begin(next_due=NOW)
        clock.advance(LEASE - timedelta(seconds=1))
        assert overdue(storage, clock()) == []
        clock.advance(timedelta(seconds=2))
        assert overdue(storage, clock()) == ["support"]

    def test_names_jobs_whose_run_died(self, storage: Storage, runs: Runs, clock: FakeClock) -> None:
        """What a dead run left is not left until the next occurrence; that of a disabled job is."""
        for job_id in ("daily", "never", "disabled"):
            following = None if job_id == "never" else NOW + timedelta(days=1)
            storage.jobs.create(make_record(job_id, enabled=job_id != "disabled", state=make_state(next_due=NOW)))
            runs.begin(job_id, next_due=following)
        clock.advance(LEASE - timedelta(seconds=1))
        assert overdue(storage, clock()) == []
        clock.advance(timedelta(seconds=1))
        assert [(job.job_id, job.next_due) for job in storage.jobs.overdue(clock())] == [
            ("daily", NOW + LEASE),
            ("never", NOW + LEASE),
        ]
        assert overdue(storage, NOW + LEASE - timedelta(seconds=1)) == []

    def test_follows_claim_ending_and_change(self, storage: Storage, runs: Runs) -> None:
        """Whoever writes when the job is due next, a run or a change of the schedule, decides."""
        first = storage.jobs.create(make_record(state=make_state(next_due=NOW)))
        runs.begin(next_due=NOW + timedelta(hours=1)).finish(make_ending())
        assert overdue(storage, NOW) == []
        sooner = changed(first, state=make_state(next_due=NOW))
        storage.jobs.replace(sooner, revision=first.revision, rescheduled=True)
        assert overdue(storage, NOW) == ["support"]

    def test_longest_due_first(self, storage: Storage) -> None:
        """Every overdue job is named once, however many there are, and who has waited longest comes first."""
        wait = {job_id: number * 7 % len(PREFIX_IDS) for number, job_id in enumerate(PREFIX_IDS)}
        for job_id, minutes in wait.items():
            storage.jobs.create(make_record(job_id, state=make_state(next_due=NOW - timedelta(minutes=minutes))))
        assert overdue(storage, NOW) == sorted(PREFIX_IDS, key=lambda job_id: -wait[job_id])


def overdue(storage: Storage, before: datetime) -> list[str]:
    """The ids of the jobs that are overdue."""
    return [job.job_id for job in storage.jobs.overdue(before)]


def changed(record: JobRecord, **changes: object) -> JobRecord:
    """The record with another config and revision."""
    return replace(record, **{"config": '{"changed": true}', "revision": f"{record.job_id}-2", **changes})  # type: ignore[arg-type]
