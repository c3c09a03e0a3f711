"""Rules that choose a target: each message goes to its own, and answers find their ticket wherever it is."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from shared.jobs import Job
from shared.model import Ticket
from shared.ports import Target, TargetRequest
from shared.targets.table import TableTarget
from tests.fakes.storage import FakeStorage
from tests.run.world import Killed, World, mail, reply

RULES: list[dict[str, Any]] = [
    {"name": "Sales", "when": {"recipient": ["sales@*"]}, "target": "sales"},
    {"name": "Urgent", "when": {"subject": ["urgent"]}, "fields": {"urgent": True}},
]
TARGETS = {"sales": {"type": "queue", "queue": "sales-tickets"}}


class TwoTargets(World):
    """The job's own target, and one more that is called ``sales``."""

    def __init__(self, **config: Any) -> None:
        super().__init__(rules=RULES, targets=TARGETS, **config)
        self.sales = FakeStorage(self.clock)
        self.opened: list[str] = []

    def _open_target(self, request: TargetRequest) -> Target:
        self.opened.append(request.settings.type)
        if request.settings.type == "queue":
            return self._target(TableTarget(self.sales.tickets), self)
        return super()._open_target(request)

    def has_ticket(self, ticket_id: str) -> bool:
        """See `World.has_ticket`."""
        return super().has_ticket(ticket_id) or self.sales.tickets.ticket(ticket_id) is not None

    def in_sales(self) -> list[list[str]]:
        """The subjects of each ticket there."""
        shown, _ = self.sales.tickets.page(limit=1000)
        found: list[Ticket | None] = [self.sales.tickets.ticket(one.ticket_id) for one in shown]
        return sorted([entry.subject for entry in one.entries] for one in found if one)


def test_each_message_goes_to_its_target() -> None:
    """In one batch, in their order; the evidence says where it went, and each original is treated as ever."""
    world = TwoTargets()
    world.deliver(mail("a"), mail("b", To="sales@mail.example"), mail("urgent c"), mail("d", To="sales@mail.example"))
    report = world.report()
    assert (report.created, report.errors) == (4, 0)
    assert (world.subjects(), world.in_sales()) == ([["a"], ["urgent c"]], [["b"], ["d"]])
    assert set(world.flags().values()) == {"seen"}
    (why,) = world.storage.whys.find(message_id="<b@customer.example>")
    assert why.evidence[-1] == "It goes to the target 'sales'."


def test_an_answer_finds_its_ticket_wherever_it_is() -> None:
    """Though no rule chooses the target again, and the other way round; in the same run and in a later one."""
    world = TwoTargets()
    world.deliver(mail("b", To="sales@mail.example"), reply("Re: b", to="b"), mail("a"))
    world.report()
    world.deliver(reply("Re: b again", to="b"), reply("Re: a", to="a", To="sales@mail.example"))
    assert world.report().updated == 2
    assert world.in_sales() == [["b", "Re: b", "Re: b again"]]
    assert world.subjects() == [["a", "Re: a"]]
    (ticket,), _ = world.sales.tickets.page(limit=9)
    world.deliver(mail(f"By tag [{ticket.ticket_id}]"))
    assert world.report().updated == 1
    assert world.in_sales() == [["b", "Re: b", "Re: b again", f"By tag [{ticket.ticket_id}]"]]


def test_a_target_is_opened_when_it_is_needed() -> None:
    """A run without mail for it does not touch it."""
    world = TwoTargets()
    world.deliver(mail("a"))
    world.report()
    assert world.opened == ["table"]


def test_one_target_that_refuses_keeps_nothing_from_the_other() -> None:
    """Its message is tried again; the others have their tickets."""
    world = TwoTargets()
    world.refused.add("b")
    world.deliver(mail("a"), mail("b", To="sales@mail.example"))
    report = world.report()
    assert (report.created, report.errors) == (1, 1)
    assert (world.subjects(), world.in_sales()) == ([["a"]], [])
    world.refused.clear()
    world.later()
    assert world.in_sales() == [["b"]]


def test_a_target_must_be_there() -> None:
    """A rule that chooses one that the job has not is refused, with those that it has."""
    server = {"type": "imap4", "host": "mail.example", "username": "support", "password_secret": "support"}
    with pytest.raises(
        ValidationError, match=r"chooses the target 'sales', which is not one of targets \(there are none"
    ):
        Job.model_validate({"id": "support", "server": server, "rules": RULES})
    with pytest.raises(ValidationError, match="no ticket for its fields, its note or its target"):
        Job.model_validate({"id": "support", "server": server, "rules": [{**RULES[0], "reject": "No."}]})


def test_a_run_that_is_killed_between_two_targets_doubles_nothing() -> None:
    """One target has its tickets, the other not yet: the next run ends in the same state as one that lived."""
    world = TwoTargets()
    world.deliver(mail("a"), mail("b", To="sales@mail.example"))
    applied: list[int] = []

    def look(step: str, uids: Sequence[int]) -> None:
        world.check(step, uids)
        if step == "apply":
            applied.append(len(applied))
            if len(applied) == 2:
                raise Killed

    world.steps.before = look
    world.kill_and_recover()
    assert (world.subjects(), world.in_sales()) == ([["a"]], [])
    assert world.report().created == 2
    assert (world.subjects(), world.in_sales()) == ([["a"]], [["b"]])
    assert set(world.flags().values()) == {"seen"}
