"""The part of the Mailbox contract about what a disposition can ask for besides read and deleted."""

import pytest

from shared.errors import ConfigInvalid, MessageGone
from shared.model import Disposition
from tests.contract.mailbox_world import UNREAD, Outside, World, by_subject, listed


class ExtrasContract:
    """Flag, category, and another folder: each where the server has it."""

    def test_a_flag_is_set_and_nothing_else(self, world: World) -> None:
        """For follow-up; the message stays unread, and others stay as they are."""
        world.able("flag").deliver_all("one", "other")
        what = Disposition(flag=True)
        with world.open() as mailbox:
            assert list(mailbox.hindrances(what)) == []
            for _ in range(2):
                (answer,) = mailbox.dispose([by_subject(mailbox)["one"]], what)
                assert answer.error is None
            assert listed(mailbox) == ["one", "other"]
        assert world.flagged() == ["one"]

    def test_a_category_is_added_to_those_that_are_there(self, world: World) -> None:
        """What people gave the message stays; doing it again adds none."""
        world.able("category").deliver_all("one", "other")
        world.categorise("one", "Theirs")
        what = Disposition(category="Ours", read=True)
        with world.open() as mailbox:
            assert list(mailbox.hindrances(what)) == []
            refs = by_subject(mailbox)
            for _ in range(2):
                (answer,) = mailbox.dispose([refs["one"]], what)
                assert answer.error is None
        assert (world.categories("one"), world.categories("other")) == ({"Theirs", "Ours"}, set())

    def test_a_message_is_moved_with_its_marks(self, world: World) -> None:
        """Marks first, so that in the other folder it has all of them; asked again, it is there once."""
        world.able("move_to").deliver_all("one", "other")
        path = world.add_folder("Done")
        what = Disposition(read=True, move_to=path)
        with world.open() as mailbox:
            assert list(mailbox.hindrances(what)) == []
            refs = by_subject(mailbox)
            (answer,) = mailbox.dispose([refs["one"]], what)
            assert answer.error is None
            assert listed(mailbox) == ["other"]
        with world.open() as mailbox:
            (again,) = mailbox.dispose([refs["one"]], what)
        assert again.error is None or isinstance(again.error, MessageGone)
        assert world.inside(path) == ["one"]
        assert [one for one in world.outside() if one.subject == "other"] == [
            Outside("other", seen=False, deleted=False)
        ]

    def test_many_messages_are_moved_each_with_its_answer(self, world: World) -> None:
        """More than a batch; what vanished meanwhile says so and holds nobody up."""
        world.able("move_to").while_others_remove().deliver_all(*(f"m{number}" for number in range(130)))
        path = world.add_folder("Done")
        with world.open() as mailbox:
            refs = by_subject(mailbox)
            chosen = [refs[f"m{number}"] for number in range(120)]
            world.remove("m5")
            answers = mailbox.dispose(chosen, Disposition(move_to=path))
        assert [answer.ref.key for answer in answers] == [ref.key for ref in chosen]
        assert [type(answer.error) for answer in answers if answer.error] == [MessageGone]
        assert sorted(world.inside(path)) == sorted(f"m{number}" for number in range(120) if number != 5)

    def test_a_folder_that_is_not_there_is_told_and_not_made(self, world: World) -> None:
        """By the connection test, and by the run before it touches the message."""
        world.able("move_to").deliver_all("one")
        what = Disposition(read=True, move_to="Nowhere")
        before = world.outside()
        with world.open() as mailbox:
            assert [one for one in mailbox.hindrances(what) if one.always]
            with pytest.raises(ConfigInvalid, match="Nowhere") as told:
                mailbox.dispose(mailbox.candidates(UNREAD).refs, what)
        assert told.value.remedy
        assert world.outside() == before
