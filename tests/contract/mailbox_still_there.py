"""The part of the Mailbox contract about which messages are still there: what the ledger may forget hangs on it."""

from dataclasses import replace

from shared.model import Disposition
from tests.contract.mailbox_world import DELETED, UNREAD, World, as_the_ledger_has_it, by_subject


class StillThereContract:
    """`Mailbox.still_there`."""

    def test_only_what_is_removed_is_not_there_any_more(self, world: World) -> None:
        """Read or marked as deleted is there; what a person removed for good is not. Asking changes nothing."""
        world.deliver_all("one", "read", "deleted", "removed")
        with world.open() as mailbox:
            refs = {subject: as_the_ledger_has_it(ref) for subject, ref in by_subject(mailbox).items()}
        world.mark_read("read")
        world.mark_deleted("deleted")
        world.remove("removed")
        before = world.outside()
        # Where a person's deletion is a move that takes the key away, the message cannot come back under it.
        sure = {"one", "read"} | ({"deleted"} if world.abilities.deletion_keeps_key else set())
        with world.open() as mailbox:
            there = mailbox.still_there(list(refs.values()))
            assert there == {refs[subject].key for subject in sure}
            assert mailbox.still_there(list(refs.values())) == there
            assert mailbox.still_there([]) == frozenset()
        assert world.outside() == before

    def test_what_a_job_deleted_is_there_until_it_is_purged(self, world: World) -> None:
        """A person can still take it back, where marks last."""
        world.deliver_all("one", "other")
        with world.open() as mailbox:
            refs = by_subject(mailbox)
            (deleted,) = mailbox.dispose([refs["one"]], DELETED)
            assert mailbox.still_there([deleted.ref, refs["other"]]) == {refs["one"].key, refs["other"].key}
            mailbox.purge([deleted.ref])
            assert mailbox.still_there([deleted.ref, refs["other"]]) == {refs["other"].key}
        with world.open() as mailbox:
            assert mailbox.still_there([deleted.ref, refs["other"]]) == {refs["other"].key}

    def test_many_are_told_apart(self, world: World) -> None:
        """More than a batch, in any order, some of them gone."""
        world.deliver_all(*(f"m{number}" for number in range(130)))
        with world.open() as mailbox:
            refs = by_subject(mailbox)
        gone = ["m0", "m64", "m129"]
        for subject in gone:
            world.remove(subject)
        with world.open() as mailbox:
            there = mailbox.still_there(list(refs.values())[::-1])
        assert {refs[subject].key for subject in gone} == {ref.key for ref in refs.values()} - there

    def test_a_message_in_another_folder_may_come_back(self, world: World) -> None:
        """Where a move keeps the key, it is there still; elsewhere it would come back as another message."""
        world.able("move_to").deliver_all("one", "other")
        path = world.add_folder("Done")
        with world.open() as mailbox:
            refs = by_subject(mailbox)
            (moved,) = mailbox.dispose([refs["one"]], Disposition(read=True, move_to=path))
        with world.open() as mailbox:
            there = mailbox.still_there([moved.ref, refs["other"]])
            # Also for a run that died before it could write down where the message went.
            assert mailbox.still_there([refs["one"], refs["other"]]) == there
        kept = {refs["one"].key} if world.abilities.moves_keep_keys else set()
        assert there == kept | {refs["other"].key}

    def test_of_another_mailbox_nothing_is_known(self, world: World) -> None:
        """What the ledger holds of a mailbox that the job had before counts as there."""
        world.deliver_all("one")
        with world.open() as mailbox:
            (ref,) = mailbox.candidates(UNREAD).refs
            stranger = replace(ref, key=replace(ref.key, mailbox="somewhere else"))
            assert mailbox.still_there([stranger]) == {stranger.key}
