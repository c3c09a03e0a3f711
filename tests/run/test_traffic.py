"""Caps and folding: what a sender, a ticket, or alike messages may bring within a window."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as within
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.model import Address
from shared.routing import GuardSettings
from shared.routing.traffic import Traffic, alike
from tests.builders import NOW, make_message
from tests.run.world import World, mail, reply

HOUR = timedelta(hours=1)
PROGRAM = {"Auto_Submitted": "auto-replied"}


class TestCounts:
    """`Traffic` alone."""

    def test_is_kept_until_the_window_has_passed(self) -> None:
        """Counts and tickets go from run to run; an hour after the first message, counting begins anew."""
        traffic = Traffic("", NOW, HOUR)
        traffic.settle(["a", "b"], "T-1")
        traffic.settle(["a"], "T-2")
        later = Traffic(traffic.written(), NOW + timedelta(minutes=59), HOUR)
        assert (later.count("a"), later.count("b"), later.count("c")) == (2, 1, 0)
        assert (later.ticket("a"), later.ticket("b"), later.ticket("c")) == ("T-2", "T-1", "")
        later.settle(["a"], "T-3")
        assert Traffic(later.written(), NOW + HOUR, HOUR).count("a") == 0

    def test_what_is_judged_counts_until_it_is_given_back(self) -> None:
        """Within a run; what failed is forgotten, and is not written."""
        traffic = Traffic("", NOW, HOUR)
        traffic.expect(["a"])
        traffic.expect(["a"])
        traffic.settle(["a"], "T-1")
        assert (traffic.count("a"), traffic.waits("a")) == (2, True)
        traffic.give_back()
        assert (traffic.count("a"), traffic.waits("a")) == (1, False)
        assert Traffic(traffic.written(), NOW, HOUR).count("a") == 1

    def test_is_bounded(self) -> None:
        """Of thousands of senders those with the most messages are kept, in less than a column holds."""
        traffic = Traffic("", NOW, HOUR)
        for number in range(3_000):
            traffic.settle([f"s{number}"], "T-" + "x" * 200)
        for _ in range(5):
            traffic.settle(["busy"], "T-1")
        assert len(traffic.written()) < 32_000
        assert Traffic(traffic.written(), NOW, HOUR).count("busy") == 5

    @pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"a": 1}', '{"a": [1, 2]}', '{"a": ["x", 1, ""]}', "null"])
    def test_nonsense_is_nothing(self, text: str) -> None:
        """A column that somebody has touched stops no run."""
        assert Traffic(text, NOW, HOUR).written() == ""

    @within(deadline=None)
    @given(st.integers(0, 10**9), st.integers(0, 10**9))
    def test_numbers_make_no_difference(self, one: int, other: int) -> None:
        """Alarms that count are alike; those of other senders or with other words are not."""
        first = make_message(subject=f"ALARM {one}: disk-{other} full")
        assert alike(first) == alike(make_message(subject=f"Alarm {other}: disk-{one} FULL!"))
        assert alike(first) != alike(make_message(subject=f"Alarm {one}: disk full soon"))
        assert alike(first) != alike(make_message(subject=first.subject, sender=Address("eve@evil.example")))


def guards(**settings: Any) -> dict[str, Any]:
    """The ``guards`` block of a job."""
    return {"guards": settings}


class TestCaps:
    """Within runs."""

    def test_a_sender_may_bring_so_many(self) -> None:
        """Also over several runs; others are not touched; an hour later there is room again."""
        world = World(**guards(max_per_sender=3))
        world.deliver(*(mail(f"m{n}") for n in "abcd"), mail("other", sender="bob@customer.example"))
        report = world.report()
        assert (report.created, report.rejected) == (4, 1)
        world.deliver(mail("me"))
        world.clock.advance(timedelta(minutes=30))
        assert (world.report().created, world.ledger()[6].reason) == (
            0,
            "ann@customer.example has sent 3 messages within 60 minutes, and this job takes no more (max_per_sender: 3).",
        )
        world.clock.advance(timedelta(minutes=31))
        world.deliver(mail("mf"))
        assert world.report().created == 1

    def test_a_ticket_takes_so_many(self) -> None:
        """Whoever they are from; a new message is not touched."""
        world = World(**guards(max_per_ticket=2))
        world.deliver(mail("Lamp"), *(reply(f"r{n}", to="Lamp") for n in "abc"), mail("Door"))
        report = world.report()
        assert (report.created, report.updated, report.rejected) == (2, 1, 2)
        assert "has had 2 messages within 60 minutes, and takes no more (max_per_ticket: 2)" in world.ledger()[4].reason

    def test_two_programs_that_answer_each_other_come_to_an_end(self) -> None:
        """By default: fifty automatic answers of one sender within an hour, and no more, in however many runs."""
        world = World()
        world.deliver(mail("Lamp"))
        world.report()
        for turn in range(60):
            world.deliver(reply(f"r{turn}", to="Lamp", **PROGRAM))
            world.clock.advance(timedelta(seconds=30))
            world.report()
        (ticket,) = world.tickets()
        assert len(ticket.entries) == 51
        assert "has sent 50 automatic messages within 60 minutes" in world.ledger()[61].reason

    def test_what_failed_does_not_count(self) -> None:
        """A message that the target refuses is tried again without using up the room of others."""
        world = World(**guards(max_per_sender=2))
        world.refused.add("bad")
        world.deliver(mail("bad"))
        world.report()
        world.clock.advance(timedelta(minutes=20))
        world.deliver(mail("one"), mail("two"))
        assert world.report().created == 2

    def test_a_job_without_caps_keeps_nothing(self) -> None:
        """People's messages leave no trace in the job's state."""
        world = World()
        world.deliver(mail("Lamp"))
        world.report()
        assert world.state().traffic == ""


class TestFolding:
    """A storm becomes one ticket."""

    def test_alike_messages_join_the_last_ones_ticket(self) -> None:
        """From the third on, in one run or in the next; the entries say so. Others make tickets as ever."""
        world = World(**guards(fold_after=2))
        world.deliver(*(mail(f"Alarm {n}") for n in range(6)), mail("Lamp"))
        assert world.report().created == 3
        world.clock.advance(timedelta(minutes=10))
        world.deliver(mail("ALARM 99"), mail("Alarm 7", sender="bob@customer.example"))
        report = world.report()
        assert (report.created, report.updated) == (1, 1)
        assert sorted(len(ticket.entries) for ticket in world.tickets()) == [1, 1, 1, 6]
        (storm,) = [ticket for ticket in world.tickets() if len(ticket.entries) == 6]
        (note,) = storm.entries[1].notes
        assert note.startswith("This is number 3 of messages alike from ann@customer.example within 60 minutes")
        assert note.endswith("it was added to the ticket of the one before (fold_after: 2).")
        assert "ALARM 99" in {entry.subject for entry in storm.entries}

    def test_after_the_window_there_is_a_new_ticket(self) -> None:
        """A storm of tomorrow is another one."""
        world = World(**guards(fold_after=1))
        world.deliver(mail("Alarm 1"), mail("Alarm 2"))
        assert world.report().created == 1
        world.clock.advance(timedelta(minutes=61))
        world.deliver(mail("Alarm 3"))
        assert world.report().created == 1


def test_a_window_is_bounded() -> None:
    """Counts are of minutes up to a day."""
    for minutes in (0, 1441):
        with pytest.raises(ValidationError, match="window_minutes"):
            GuardSettings(window_minutes=minutes)
