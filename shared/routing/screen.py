"""What is asked of a message before anybody looks for its ticket: the guards, the job's rules, its fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.model import FieldValue, Message, Reject, Verdict
from shared.routing.conditions import Circumstances
from shared.routing.extract import Extraction, extract
from shared.routing.guards import guarded
from shared.routing.nature import Nature, name_of, nature_of
from shared.routing.rules import Rule, rule_on
from shared.routing.settings import Accept, GuardSettings


@dataclass(frozen=True, slots=True)
class Screened:
    """What guards and rules say of a message."""

    #: Set where there is to be no ticket.
    rejected: Reject | None = None
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    #: Everything that was asked, in its order.
    verdicts: tuple[Verdict, ...] = ()
    nature: Nature = Nature.PERSON
    #: Why it may only join a ticket and make none; empty where it may make one.
    only_joins: str = ""
    #: The target that a rule chose; empty for the job's own.
    target: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What of it goes into the evidence of a decision."""
        return tuple(
            f"Rule {one.name!r} matched: {one.evidence}." for one in self.verdicts if one.kind == "rule" and one.matched
        )


def screen(
    message: Message,
    guards: GuardSettings,
    rules: Sequence[Rule],
    circumstances: Circumstances,
    extractions: Sequence[Extraction] = (),
) -> Screened:
    """Ask guards and rules; the first that says no ends it. A field that a rule sets is not changed by the message."""
    nature, sign = nature_of(message)
    rejected, verdicts = guarded(message, guards, circumstances)
    if rejected:
        return Screened(rejected, verdicts=verdicts, nature=nature)
    ruling = rule_on(message, rules, circumstances)
    asked = (*verdicts, *ruling.verdicts)
    if ruling.reject:
        by = ruling.verdicts[-1]
        why = f"Rule {by.name!r} matched: {by.evidence}."
        return Screened(Reject(ruling.reject, (why,)), verdicts=asked, nature=nature)
    extracted = extract(message, extractions, circumstances)
    marks = () if nature is Nature.PERSON else (f"This is {name_of(nature)} ({sign}).",)
    only_joins = f"This is {name_of(nature)} ({sign})" if guards.accepts(nature) is Accept.REPLY else ""
    return Screened(
        fields={**extracted.fields, **ruling.fields},
        notes=(*marks, *ruling.notes, *extracted.notes),
        verdicts=(*asked, *extracted.verdicts),
        nature=nature,
        only_joins=only_joins,
        target=ruling.target,
    )
