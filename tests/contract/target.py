"""The contract of the `Target` port as tests: written once, run over every kind of target.

A target's test module derives from `TargetContract` and gives a fixture ``world``.
"""

from collections.abc import Sequence

import pytest

from shared.errors import MessageError, Unavailable
from shared.model import Action, Delivered, Delivery, TicketStatus
from tests.builders import make_attachment, make_key, make_message
from tests.contract.target_world import Crash, Entry, Seen, TargetWorld, ids, is_new, new, reply
from tests.contract.test_ledger import AWKWARD

#: More steps outside than any delivery of one message takes.
_STEPS = 60


class TargetContract:
    """Every promise of the port's docstrings."""

    @pytest.fixture
    def world(self) -> TargetWorld:
        """The target under test, without a ticket."""
        raise NotImplementedError

    # --- what comes of a message --------------------------------------------------------------------------------------

    def test_a_message_becomes_a_ticket(self, world: TargetWorld) -> None:
        """With its subject, its text, and its files octet by octet."""
        data = bytes(range(256)) * 40
        files = (make_attachment("plan.bin", data, content_type="application/octet-stream"), make_attachment())
        (answer,) = world.open().apply([new(1, make_message(1, subject="Grüße & <b>", attachments=files))])
        assert isinstance(answer, Delivered)
        assert answer.action is Action.CREATED
        entry = Entry("Please come and look at printer 1.", (("plan.bin", data), ("printer.txt", b"Paper jam.")))
        assert world.tickets() == {answer.ticket_id: Seen("Grüße & <b>", (entry,))}

    def test_a_reply_is_added_to_its_ticket(self, world: TargetWorld) -> None:
        """By another process; its files too. The ticket keeps its subject."""
        (ticket,) = ids(world.open().apply([new(1)]))
        answer = reply(2, ticket, make_message(2, subject="Re: it", attachments=(make_attachment("a.txt", b"12"),)))
        assert list(world.open().apply([answer])) == [Delivered(ticket, Action.MODIFIED)]
        assert world.tickets() == {
            ticket: Seen("Printer 1 is on fire", (_entry(1), Entry(_entry(2).text, (("a.txt", b"12"),))))
        }

    def test_answers_come_in_order(self, world: TargetWorld) -> None:
        """New ones and replies mixed, one answer for each."""
        one, two = ids(world.open().apply([new(1), new(2)]))
        assert one != two
        answers = world.open().apply([reply(3, two), new(4), reply(5, one)])
        three, four, five = ids(answers)
        assert (three, five) == (two, one)
        assert four not in {one, two}
        assert _texts(world) == {one: [1, 5], two: [2, 3], four: [4]}

    def test_two_replies_to_one_ticket_at_once(self, world: TargetWorld) -> None:
        """Both are kept, in their order."""
        (ticket,) = ids(world.open().apply([new(1)]))
        assert ids(world.open().apply([reply(2, ticket), reply(3, ticket)])) == [ticket, ticket]
        assert _texts(world) == {ticket: [1, 2, 3]}

    def test_nothing_is_no_fault(self, world: TargetWorld) -> None:
        """Asked to deliver nothing, it does nothing."""
        assert list(world.open().apply([])) == []
        assert world.tickets() == {}

    def test_takes_as_many_as_it_says(self, world: TargetWorld) -> None:
        """``batch`` deliveries in one call."""
        target = world.open()
        assert target.batch >= 1
        assert len(set(ids(target.apply([new(uid) for uid in range(target.batch)])))) == target.batch
        assert len(world.tickets()) == target.batch

    def test_awkward_texts_arrive(self, world: TargetWorld) -> None:
        """No text of a stranger is taken for markup, for a template, or for the end of anything."""
        odd = ['{{ job }} {% raw %} "}', "a'b\\\"c\x0b\u2028d", "%(x)s ${x} {x}", "Zeile 1\nZeile 2", "😀" * 50]
        deliveries = [new(uid, make_message(uid, subject=f"S{uid}", text=text)) for uid, text in enumerate(odd)]
        tickets = ids([answer for one in deliveries for answer in world.open().apply([one])])
        seen = world.tickets()
        assert [seen[ticket].entries[0].text for ticket in tickets] == odd

    # --- idempotent under the key -------------------------------------------------------------------------------------

    def test_asked_again_it_answers_the_same(self, world: TargetWorld) -> None:
        """By another process, in one call and in two: the same answers, and nothing changes."""
        file = make_attachment()
        first = new(1, make_message(1, attachments=(file,)))
        (ticket,) = ids(world.open().apply([first]))
        second = reply(2, ticket, make_message(2, attachments=(file,)))
        answers = [*world.open().apply([first]), *world.open().apply([second])]
        before = world.tickets()
        assert list(world.open().apply([first, second])) == answers
        assert list(world.open().apply([second])) == answers[1:]
        assert world.tickets() == before

    def test_twice_in_one_call(self, world: TargetWorld) -> None:
        """One message that is handed over twice is one entry."""
        one, again = ids(world.open().apply([new(1), new(1)]))
        assert one == again
        assert ids(world.open().apply([reply(2, one), reply(2, one)])) == [one, one]
        assert _texts(world) == {one: [1, 2]}

    def test_decided_otherwise_the_second_time(self, world: TargetWorld) -> None:
        """A message that made a ticket is not added to another one as well, nor the other way round."""
        one, two = ids(world.open().apply([new(1), new(2)]))
        assert list(world.open().apply([reply(1, two)])) == [Delivered(one, Action.CREATED)]
        assert ids(world.open().apply([reply(3, two)])) == [two]
        assert list(world.open().apply([new(3)])) == [Delivered(two, Action.MODIFIED)]
        assert _texts(world) == {one: [1], two: [2, 3]}

    def test_another_generation_is_another_message(self, world: TargetWorld) -> None:
        """What is to be processed anew makes a ticket of its own."""
        first = new(1)
        again = type(first)(make_key(1, generation=1), first.message, first.decision, first.received)
        one, two = ids([*world.open().apply([first]), *world.open().apply([again])])
        assert one != two
        assert len(world.tickets()) == 2

    @pytest.mark.parametrize("modifies", [False, True])
    def test_killed_anywhere_nothing_is_lost_or_doubled(self, world: TargetWorld, *, modifies: bool) -> None:
        """A worker dies at each thing that it does outside; the next one completes, and a third changes nothing."""
        (question,) = ids(world.open().apply([new(1000)]))
        file = make_attachment("a.txt", b"12")
        for nth in range(1, _STEPS):
            message = make_message(nth, subject=f"S{nth}", attachments=(file,))
            delivery = reply(nth, question, message) if modifies else new(nth, message)
            world.crash_at(nth)
            try:
                world.open().apply([delivery])
            except (Crash, Unavailable):
                crashed = True
            else:
                crashed = False
            world.recover()
            answers = list(world.open().apply([delivery]))
            self._is_there_once(world, delivery, answers)
            before = world.tickets()
            assert list(world.open().apply([delivery])) == answers
            assert world.tickets() == before
            if not crashed:
                break
        else:
            pytest.fail(f"A delivery takes more than {_STEPS} steps.")
        assert nth > 1

    def test_killed_in_the_middle_of_a_batch(self, world: TargetWorld) -> None:
        """Each message of the batch is there once in the end."""
        (question,) = ids(world.open().apply([new(1000)]))
        for nth in (2, 3, 5, 8):
            base = nth * 10
            deliveries = [new(base + 1), reply(base + 2, question), new(base + 3)]
            world.crash_at(nth)
            try:  # noqa: SIM105 (where the steps are fewer, nobody dies)
                world.open().apply(deliveries)
            except (Crash, Unavailable):
                pass
            world.recover()
            one, two, three = ids(world.open().apply(deliveries))
            assert two == question
            texts = _texts(world)
            assert (texts[one], texts[three]) == ([base + 1], [base + 3])
            assert texts[question].count(base + 2) == 1
        assert len(world.tickets()) == 9

    # --- looking up ---------------------------------------------------------------------------------------------------

    def test_known_tickets_are_found(self, world: TargetWorld) -> None:
        """Open, with everybody who was on their messages so far; also by a process that did not make them."""
        one, two = ids(world.open().apply([new(1), new(2)]))
        found = world.open().look_up([one, two])
        assert set(found) == {one, two}
        for ticket_id, summary in found.items():
            assert (summary.ticket_id, summary.status) == (ticket_id, TicketStatus.OPEN)
            assert "ann@customer.example" in summary.participants

    def test_unknown_ids_are_left_out(self, world: TargetWorld) -> None:
        """Ids stand in the subjects of strangers' mail: any text may be asked for."""
        (ticket,) = ids(world.open().apply([new(1)]))
        odd = [*AWKWARD, "999999999", "..", "a/../b", "x?y=z&q", "#"]
        assert set(world.open().look_up([*odd, ticket])) == {ticket}
        assert world.open().look_up([]) == {}

    def test_a_closed_ticket_is_closed(self, world: TargetWorld) -> None:
        """Routing then makes a new one."""
        one, two = ids(world.able("close").open().apply([new(1), new(2)]))
        world.close_ticket(one)
        found = world.open().look_up([one, two])
        assert {ticket: summary.status for ticket, summary in found.items()} == {
            one: TicketStatus.CLOSED,
            two: TicketStatus.OPEN,
        }

    # --- what it will not take, and when it is away -------------------------------------------------------------------

    def test_a_reply_to_no_ticket_is_that_messages_fault(self, world: TargetWorld) -> None:
        """The others of the batch have their tickets, and the message can still become one."""
        first, lost, third = world.able("refuse unknown").open().apply([new(1), reply(2, "999999"), new(3)])
        assert isinstance(lost, MessageError)
        ids([first, third])
        (made,) = ids(world.open().apply([new(2)]))
        assert _texts(world)[made] == [2]
        assert len(world.tickets()) == 3

    def test_what_is_refused_is_that_messages_fault(self, world: TargetWorld) -> None:
        """Its answer is an error that says so; the others have their tickets; later it may be taken."""
        world.able("refuse").refuse("Printer 2 is on fire")
        first, refused, third = world.open().apply([new(1), new(2), new(3)])
        ids([first, third])
        assert isinstance(refused, MessageError)
        assert str(refused)
        assert len(world.tickets()) == 2
        world.recover()
        ids(world.open().apply([new(2)]))
        assert len(world.tickets()) == 3

    def test_one_that_is_away_ends_the_run_and_no_message(self, world: TargetWorld) -> None:
        """`Unavailable`, when asked for anything; once it is back, everything is as if nothing had been."""
        (ticket,) = ids(world.open().apply([new(1)]))
        world.go_away()
        with pytest.raises(Unavailable):
            world.open().apply([new(2)])
        with pytest.raises(Unavailable):
            world.able("look up away").open().look_up([ticket])
        world.recover()
        (other,) = ids(world.open().apply([new(2)]))
        assert _texts(world) == {ticket: [1], other: [2]}

    def _is_there_once(self, world: TargetWorld, delivery: Delivery, answers: Sequence[object]) -> None:
        (ticket,) = ids(answers)
        seen = world.tickets()
        wanted = delivery.message
        entries = [one for each in seen.values() for one in each.entries if one.text == wanted.text]
        assert entries == [Entry(wanted.text, (("a.txt", b"12"),))]
        assert entries[0] in seen[ticket].entries
        assert sum(one.subject == wanted.subject for one in seen.values()) == is_new(delivery)


def _entry(uid: int) -> Entry:
    return Entry(make_message(uid).text)


def _texts(world: TargetWorld) -> dict[str, list[int]]:
    """The numbers of the messages of each ticket."""
    return {
        ticket: [int(entry.text.rpartition(" ")[2].rstrip(".")) for entry in seen.entries]
        for ticket, seen in world.tickets().items()
    }
