"""Runs the rule tests of a job: pure, with the tickets that each test names and no others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.jobs import Job
from shared.mime import parse
from shared.model import TicketSummary
from shared.rehearsal import Rehearsal, Rehearsed
from shared.routing.samples import RuleTest


@dataclass(frozen=True, slots=True)
class Failed:
    """A test that did not go as expected: its place in the job's list, and what was otherwise, as sentences."""

    index: int
    name: str
    differences: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """For people."""
        return f"Rule test {self.name!r} fails: {' '.join(self.differences)}"


def failing(job: Job) -> list[Failed]:
    """The tests of ``job`` that fail, in their order."""
    found = []
    for index, test in enumerate(job.tests):
        if differences := _differences(test, _rehearse(job, test)):
            found.append(Failed(index, test.name, tuple(differences)))
    return found


class _Threads:
    """See `shared.ports.Threads`: the Message-IDs that a test names."""

    def __init__(self, test: RuleTest) -> None:
        self._tickets = {message_id: ticket.id for ticket in test.tickets for message_id in ticket.message_ids}

    def find(self, scope: str, message_ids: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002 (the port's)
        """See the port."""
        return {one: self._tickets[one] for one in message_ids if one in self._tickets}

    def remember(self, scope: str, tickets: Mapping[str, str]) -> None:
        """See the port. A test remembers nothing beyond itself."""


def _rehearse(job: Job, test: RuleTest) -> Rehearsed:
    known = {
        one.id: TicketSummary(one.id, one.status, frozenset(each.lower() for each in one.participants))
        for one in test.tickets
    }
    rehearsal = Rehearsal(job, lambda _, ids: {one: known[one] for one in ids if one in known}, _Threads(test))
    return rehearsal.judge(parse(test.message.encode("utf-8", "replace")), test.received)


def _differences(test: RuleTest, seen: Rehearsed) -> list[str]:
    expect, decision = test.expect, seen.judgement.decision
    reason = getattr(decision, "reason", "")
    fields = getattr(decision, "fields", {})
    notes = getattr(decision, "notes", ())
    rules = [one.name for one in seen.judgement.verdicts if one.kind == "rule" and one.matched]
    taken = [one.name for one in seen.judgement.message.attachments]
    found: list[str] = []
    if expect.outcome and expect.outcome != seen.outcome:
        because = f" ({reason})" if reason else ""
        found.append(f"Expected it to be {expect.outcome}; it is {seen.outcome}{because}.")
    if expect.rule is not None and expect.rule not in rules:
        found.append(f"Expected rule {expect.rule!r} to match; {_listed(rules) or 'none'} did.")
    if expect.reason is not None and expect.reason not in reason:
        found.append(f"Expected {expect.reason!r} in the reason; it is {reason!r}.")
    if expect.ticket is not None and expect.ticket != seen.ticket_id:
        found.append(f"Expected ticket {expect.ticket}; it is {seen.ticket_id or 'none'}.")
    for name, value in expect.fields.items():
        if name not in fields or (fields[name], type(fields[name])) != (value, type(value)):
            found.append(f"Expected field {name} to be {value!r}; it is {fields.get(name, 'not set')!r}.")
    if expect.note is not None and not any(expect.note in note for note in notes):
        found.append(f"Expected {expect.note!r} in a note; the notes are {list(notes)!r}.")
    if expect.attachments is not None and list(expect.attachments) != taken:
        found.append(
            f"Expected the attachments {_listed(expect.attachments) or 'none'}; it has {_listed(taken) or 'none'}."
        )
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
