"""The contract of the `Mailbox` port as tests: written once, run over every connector and over the fake.

A connector's test module derives from `MailboxContract` and gives a fixture ``world``.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import MessageGone
from shared.model import Disposition, Pick, Picking
from shared.ports import Disposed
from tests.contract.mailbox_extras import ExtrasContract
from tests.contract.mailbox_still_there import StillThereContract
from tests.contract.mailbox_world import (
    DELETED,
    EARLIER,
    LIMIT,
    NEW,
    READ,
    UNREAD,
    Abilities,
    Outside,
    World,
    as_the_ledger_has_it,
    by_subject,
    listed,
    mail,
    subject_of,
)

__all__ = [
    "EARLIER",
    "LIMIT",
    "NEW",
    "UNREAD",
    "Abilities",
    "MailboxContract",
    "Outside",
    "World",
    "by_subject",
    "listed",
    "mail",
]


class MailboxContract(ExtrasContract, StillThereContract):
    """Every promise of the port's docstrings."""

    @pytest.fixture
    def world(self) -> World:
        """The mailbox under test, empty."""
        raise NotImplementedError

    def test_an_empty_mailbox_has_no_candidates(self, world: World) -> None:
        """Nothing is there: nothing is listed, and the box counts none."""
        with world.open() as mailbox:
            for picking in (UNREAD, NEW):
                listing = mailbox.candidates(picking)
                assert listing.refs == ()
                assert listing.in_box == 0

    def test_unread_messages_are_listed_oldest_first(self, world: World) -> None:
        """Read and deleted messages are no candidates, but they count as being in the box."""
        world.deliver_all("one", "two", "three", "four")
        world.mark_read("two")
        world.mark_deleted("four")
        world.deliver(mail("five"), seen=True)
        with world.open() as mailbox:
            everything = ["one", "two", "three", "four", "five"]
            assert listed(mailbox) == (["one", "three"] if world.abilities.heeds_marks else everything)
            assert mailbox.candidates(UNREAD).in_box == 4 + world.abilities.counts_deleted

    def test_new_messages_are_listed_read_or_not(self, world: World) -> None:
        """``Pick.NEW`` takes what a person read first, and leaves what is deleted."""
        world.deliver_all("one", "two", "three")
        world.mark_read("two")
        world.mark_deleted("three")
        with world.open() as mailbox:
            assert listed(mailbox, NEW) == ["one", "two"] + ["three"] * (not world.abilities.heeds_marks)

    def test_new_leaves_out_what_arrived_before_the_job(self, world: World) -> None:
        """``since`` is an instant, not a day. Where arrivals are not known, nothing is left out."""
        since = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        for subject, seconds in (("old", -86_400), ("just-before", -1), ("just-in-time", 0), ("after", 1)):
            world.deliver(mail(subject), received=since + timedelta(seconds=seconds))
        with world.open() as mailbox:
            before = [] if world.abilities.knows_arrival else ["old", "just-before"]
            assert listed(mailbox, Picking(Pick.NEW, since=since)) == [*before, "just-in-time", "after"]

    def test_a_cursor_leaves_out_what_was_listed_before(self, world: World) -> None:
        """A listing made with the cursor of the one before has only what came since, and may have nothing.

        Without a cursor everything is listed afresh each time.
        """
        world.deliver_all("one", "two")
        with world.open() as mailbox:
            first = mailbox.candidates(NEW)
        assert (first.cursor is not None) is world.abilities.knows_arrival
        world.deliver_all("three")
        before = [] if first.cursor else ["one", "two"]
        with world.open() as mailbox:
            second = mailbox.candidates(replace(NEW, cursor=first.cursor))
            assert [subject_of(one) for one in mailbox.fetch(second.refs, max_bytes=LIMIT)] == [*before, "three"]
            again = mailbox.candidates(replace(NEW, cursor=second.cursor))
            assert again.refs == (() if second.cursor else second.refs)

    def test_the_cursor_of_an_empty_mailbox_misses_nothing(self, world: World) -> None:
        """What comes after a listing that had nothing is in the next."""
        with world.open() as mailbox:
            cursor = mailbox.candidates(NEW).cursor
        world.deliver_all("one")
        with world.open() as mailbox:
            assert listed(mailbox, replace(NEW, cursor=cursor)) == ["one"]

    def test_a_listing_is_a_snapshot(self, world: World) -> None:
        """What arrives or leaves afterwards does not move what was listed."""
        world.while_others_remove().deliver_all("one", "two", "three")
        with world.open() as mailbox:
            refs = mailbox.candidates(UNREAD).refs
            world.remove("one")
            world.deliver_all("four")
            gone, *others = mailbox.fetch(refs, max_bytes=LIMIT)
        with world.open() as mailbox:
            (later,) = mailbox.fetch(refs[:1], max_bytes=LIMIT)
        assert isinstance(later.error, MessageGone)
        assert isinstance(gone.error, MessageGone) or (
            world.abilities.session_stands_still and subject_of(gone) == "one"
        )
        assert [subject_of(one) for one in others] == ["two", "three"]

    def test_keys_are_lasting_unique_and_in_order(self, world: World) -> None:
        """A message has the same key in every session, no other has it, and keys sort as the server's ids do."""
        world.deliver_all(*(f"m{number}" for number in range(12)))
        with world.open() as mailbox:
            first = [ref.key for ref in mailbox.candidates(UNREAD).refs]
        with world.open() as mailbox:
            again = [ref.key for ref in mailbox.candidates(UNREAD).refs]
        assert first == again
        assert len(set(first)) == 12
        assert {key.job_id for key in first} == {"job"}
        assert (first == sorted(first)) is world.abilities.items_sort

    def test_looking_changes_nothing(self, world: World) -> None:
        """Listing, fetching and leaving are not seen from outside."""
        world.deliver_all("one", "two")
        world.deliver(mail("big", size=5_000))
        world.mark_deleted("two")
        before = world.outside()
        with world.open() as mailbox:
            for picking in (UNREAD, NEW):
                refs = mailbox.candidates(picking).refs
                assert len(list(mailbox.fetch(refs, max_bytes=2_000))) == 3 - world.abilities.heeds_marks
        assert world.outside() == before

    def test_messages_come_whole_and_in_the_order_asked_for(self, world: World) -> None:
        """One answer for each ref, in order, whatever the batches; the bytes as they were delivered."""
        sent = {f"m{number}": mail(f"m{number}", size=number * 10) for number in range(130)}
        world.deliver_many(list(sent.values()))
        with world.open() as mailbox:
            refs = list(by_subject(mailbox).items())
            refs = refs[::2] + refs[1::2][::-1]
            answers = list(mailbox.fetch([ref for _, ref in refs], max_bytes=LIMIT))
        assert [one.ref for one in answers] == [ref for _, ref in refs]
        assert [subject_of(one) for one in answers] == [subject for subject, _ in refs]
        for one in answers:
            assert one.raw is not None
            assert one.raw.size == len(one.raw.data)
            assert one.raw.ref.key == one.ref.key
            assert not one.raw.header_only
            assert (one.raw.data == sent[subject_of(one)]) is world.abilities.keeps_bytes

    def test_too_large_a_message_comes_as_its_header(self, world: World) -> None:
        """Over ``max_bytes`` only the header is given, with the size of the whole; the others are not affected."""
        world.deliver_all("before")
        world.deliver(mail("big", size=50_000))
        world.deliver_all("after")
        with world.open() as mailbox:
            answers = list(mailbox.fetch(mailbox.candidates(UNREAD).refs, max_bytes=10_000))
        assert [subject_of(one) for one in answers] == ["before", "big", "after"]
        raws = [one.raw for one in answers if one.raw]
        assert [raw.header_only for raw in raws] == [False, True, False]
        assert raws[1].size >= 50_000
        assert len(raws[1].data) < 10_000
        assert b"0123456789" not in raws[1].data

    def test_a_message_at_the_limit_comes_whole(self, world: World) -> None:
        """``max_bytes`` itself is not too much; one octet more is."""
        world.deliver(mail("edge", size=3_000))
        with world.open() as mailbox:
            (ref,) = mailbox.candidates(UNREAD).refs
            (whole,) = mailbox.fetch([ref], max_bytes=LIMIT)
            assert whole.raw
            (same,) = mailbox.fetch([ref], max_bytes=whole.raw.size)
            (less,) = mailbox.fetch([ref], max_bytes=whole.raw.size - 1)
        assert same.raw == whole.raw
        assert less.raw
        assert less.raw.header_only

    def test_refs_of_an_earlier_run_are_enough(self, world: World) -> None:
        """A ref that was stored without size and date serves in another session."""
        world.deliver_all("one")
        world.deliver(mail("big", size=50_000))
        with world.open() as mailbox:
            refs = [as_the_ledger_has_it(ref) for ref in mailbox.candidates(UNREAD).refs]
        with world.open() as mailbox:
            answers = list(mailbox.fetch(refs, max_bytes=10_000))
        assert [subject_of(one) for one in answers] == ["one", "big"]
        assert [one.raw.header_only for one in answers if one.raw] == [False, True]

    def test_nothing_stands_against_what_can_be_done(self, world: World) -> None:
        """No disposition is hindered; asking changes nothing, and the session goes on as before."""
        world.deliver_all("one", "two")
        world.mark_deleted("two")
        before = world.outside()
        with world.open() as mailbox:
            candidates = mailbox.candidates(UNREAD).refs
            for disposition in world.abilities.dispositions:
                assert list(mailbox.hindrances(disposition)) == []
            assert mailbox.candidates(UNREAD).refs == candidates
        assert world.outside() == before

    def test_a_right_that_is_missing_is_told_before_it_is_needed(self, world: World) -> None:
        """Whoever may only look learns so beforehand, with what to do; to keep messages as they are needs no right."""
        world.deliver_all("one")
        if world.abilities.has_rights:
            world.make_read_only()
        with world.open() as mailbox:
            assert list(mailbox.hindrances(Disposition())) == []
            for disposition in (READ, DELETED, replace(DELETED, purge=True)):
                found = [one for one in mailbox.hindrances(disposition) if one.always]
                assert bool(found) is world.abilities.has_rights
                assert all(one.what and one.remedy for one in found)
            assert listed(mailbox) == ["one"]

    def test_no_refs_is_no_work(self, world: World) -> None:
        """Nothing asked, nothing answered, nothing changed."""
        world.deliver_all("one")
        world.mark_deleted("one")
        with world.open() as mailbox:
            assert list(mailbox.fetch([], max_bytes=LIMIT)) == []
            assert list(mailbox.dispose([], world.abilities.dispositions[-1])) == []
            assert list(mailbox.purge([])) == []
        assert world.subjects() == ["one"]

    def test_every_disposition_does_just_what_it_says(self, world: World) -> None:
        """Side by side in one mailbox: marks as asked for, and only what is deleted and to be purged is removed."""
        asked = {str(number): what for number, what in enumerate(world.abilities.dispositions)}
        lasts = world.abilities.marks_last
        world.deliver_all(*asked, "bystander")
        with world.open() as mailbox:
            refs = by_subject(mailbox)
            purging = []
            for subject, what in asked.items():
                (answer,) = mailbox.dispose([refs[subject]], what)
                assert answer.error is None
                purging += [answer.ref] if what.purges else []
            marked = {one.subject: one for one in world.outside()}
            assert marked == {
                **{name: Outside(name, what.read, what.deleted and lasts) for name, what in asked.items()},
                "bystander": Outside("bystander", seen=False, deleted=False),
            }
            assert [one.error for one in mailbox.purge(purging)] == [None] * len(purging)
        left = {one.subject: one for one in world.outside()}
        assert left == {name: one for name, one in marked.items() if name not in asked or not asked[name].purges}

    def test_disposing_again_is_harmless(self, world: World) -> None:
        """The same answer and the same marks, in this session and in the next."""
        what = world.abilities.dispositions[-1]
        world.deliver_all("one", "two", "other")
        with world.open() as mailbox:
            refs = [ref for subject, ref in by_subject(mailbox).items() if subject != "other"]
            first = [answer.ref for answer in mailbox.dispose(refs, what)]
            once = world.outside()
            assert [answer.error for answer in mailbox.dispose(first, what)] == [None, None]
        with world.open() as mailbox:
            assert [answer.error for answer in mailbox.dispose(first, what)] == [None, None]
        assert world.outside() == once
        deleted = what.deleted and world.abilities.marks_last
        assert [one.deleted for one in once] == [deleted, deleted, False]

    def test_many_messages_are_marked_each_with_its_answer(self, world: World) -> None:
        """More than a batch, not all neighbours: every one asked for is marked, no other is."""
        what = world.abilities.dispositions[-1]
        world.deliver_all(*(f"m{number}" for number in range(150)))
        with world.open() as mailbox:
            chosen = [ref for number, ref in enumerate(mailbox.candidates(UNREAD).refs) if number % 3]
            answers = mailbox.dispose(chosen[::-1], what)
            assert [answer.ref.key for answer in answers] == [ref.key for ref in chosen[::-1]]
            assert [answer.error for answer in answers] == [None] * 100
            if world.abilities.marks_last:
                assert [one.deleted for one in world.outside()] == [bool(number % 3) for number in range(150)]
            assert list(mailbox.purge([answer.ref for answer in answers])) == list(answers)
        assert world.subjects() == [f"m{number}" for number in range(0, 150, 3)]

    def test_disposing_between_two_answers_disturbs_nothing(self, world: World) -> None:
        """The flow marks what it has delivered while the rest is still being fetched."""
        what = world.abilities.dispositions[-1]
        world.deliver_all(*(f"m{number}" for number in range(110)))
        taken: list[str] = []
        marked: list[Disposed] = []
        with world.open() as mailbox:
            for answer in mailbox.fetch(mailbox.candidates(UNREAD).refs, max_bytes=LIMIT):
                taken.append(subject_of(answer))
                if len(taken) in {1, 105}:
                    marked += mailbox.dispose([answer.ref], what)
            assert [one.error for one in marked] == [None, None]
            assert [one.error for one in mailbox.purge([one.ref for one in marked])] == [None, None]
        assert taken == [f"m{number}" for number in range(110)]
        assert world.subjects() == [subject for subject in taken if subject not in {"m0", "m104"}]

    def test_disposing_of_what_is_gone_says_so(self, world: World) -> None:
        """A vanished message is answered with `MessageGone`; its neighbour is marked all the same."""
        what = world.abilities.dispositions[-1]
        world.while_others_remove().deliver_all("gone", "there")
        with world.open() as mailbox:
            refs = list(mailbox.candidates(UNREAD).refs)
            world.remove("gone")
            gone, there = mailbox.dispose(refs, what)
        with world.open() as mailbox:
            later, still = mailbox.dispose(refs, what)
        assert isinstance(later.error, MessageGone)
        assert isinstance(gone.error, MessageGone) or (world.abilities.session_stands_still and gone.error is None)
        assert [there.error, still.error] == [None, None]
        assert [(one.subject, one.deleted) for one in world.outside()] == [("there", world.abilities.marks_last)]

    def test_purging_touches_nobody_elses_mail(self, world: World) -> None:
        """A message that somebody else deleted stays, beside one of ours that goes."""
        world.deliver_all("ours", "theirs", "fresh")
        world.mark_deleted("theirs")
        with world.open() as mailbox:
            refs = by_subject(mailbox)
            (done,) = mailbox.dispose([refs["ours"]], world.abilities.dispositions[-1])
            (answer,) = mailbox.purge([done.ref])
        assert answer.error is None
        assert world.subjects() == ["theirs", "fresh"]

    def test_purging_in_a_later_session_works(self, world: World) -> None:
        """What an earlier run deleted, and whose ref the ledger kept, is purged by the next; again is harmless."""
        world.deliver_all("ours", "other")
        with world.open() as mailbox:
            (done,) = mailbox.dispose([by_subject(mailbox)["ours"]], world.abilities.dispositions[-1])
        assert world.subjects() == ["ours", "other"]
        with world.open() as mailbox:
            ref = as_the_ledger_has_it(done.ref)
            for _ in range(2):
                (answer,) = mailbox.purge([ref])
                assert answer.error is None
        assert world.subjects() == ["other"]

    def test_a_restored_message_is_not_purged(self, world: World) -> None:
        """When a person took the deletion back, the message stays and the answer is: done.

        Nobody can where marks do not outlast their session: what was disposed of is purged.
        """
        world.deliver_all("kept", "purged")
        with world.open() as mailbox:
            refs = list(mailbox.candidates(UNREAD).refs)
            done = [answer.ref for answer in mailbox.dispose(refs, world.abilities.dispositions[-1])]
        world.restore("kept")
        with world.open() as mailbox:
            assert [answer.error for answer in mailbox.purge(done)] == [None, None]
        assert [(one.subject, one.deleted) for one in world.outside()] == [("kept", False)] * world.abilities.marks_last

    def test_purging_what_is_gone_is_done(self, world: World) -> None:
        """A message that a person removed first needs nothing more; its neighbour is purged."""
        world.while_others_remove().deliver_all("gone", "ours")
        with world.open() as mailbox:
            refs = list(mailbox.candidates(UNREAD).refs)
            done = [answer.ref for answer in mailbox.dispose(refs, world.abilities.dispositions[-1])]
            world.remove("gone")
            assert [answer.error for answer in mailbox.purge(done)] == [None, None]
        assert world.subjects() == []

    def test_what_is_not_marked_is_not_purged(self, world: World) -> None:
        """A purge of a message that nobody deleted leaves it; where marks do not last, the caller's word must do."""
        world.deliver_all("one")
        with world.open() as mailbox:
            (answer,) = mailbox.purge(mailbox.candidates(UNREAD).refs)
        assert answer.error is None
        assert not any(one.deleted for one in world.outside())
        assert world.subjects() == ["one"] * world.abilities.marks_last

    def test_leaving_commits_nothing_and_hides_no_error(self, world: World) -> None:
        """A session that fails after the marks leaves the messages to the next one; its error comes through."""
        world.deliver_all("one")
        with pytest.raises(RuntimeError, match="the run failed"), world.open() as mailbox:  # noqa: PT012 - the with is the test
            mailbox.dispose(mailbox.candidates(UNREAD).refs, world.abilities.dispositions[-1])
            raise RuntimeError("the run failed")
        assert world.subjects() == ["one"]
