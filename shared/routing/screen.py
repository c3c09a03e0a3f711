"""What is asked of a message before anybody looks for its ticket: the guards, then the job's rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.model import FieldValue, Message, Reject, Verdict
from shared.routing.conditions import Circumstances
from shared.routing.guards import guarded
from shared.routing.rules import Rule, rule_on


@dataclass(frozen=True, slots=True)
class Screened:
    """What guards and rules say of a message."""

    #: Set where there is to be no ticket.
    rejected: Reject | None = None
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    #: Everything that was asked, in its order.
    verdicts: tuple[Verdict, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What of it goes into the evidence of a decision."""
        return tuple(f"Rule {one.name!r} matched: {one.evidence}." for one in self.verdicts if one.matched)


def screen(message: Message, rules: Sequence[Rule], circumstances: Circumstances) -> Screened:
    """Ask guards and rules; the first that says no ends it."""
    rejected, verdicts = guarded(message)
    if rejected:
        return Screened(rejected, verdicts=verdicts)
    ruling = rule_on(message, rules, circumstances)
    asked = (*verdicts, *ruling.verdicts)
    if ruling.reject:
        by = ruling.verdicts[-1]
        return Screened(Reject(ruling.reject, (f"Rule {by.name!r} matched: {by.evidence}.",)), verdicts=asked)
    return Screened(None, ruling.fields, ruling.notes, asked)
