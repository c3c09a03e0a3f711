"""Rules: ordered; the first that matches a message decides. Pure, and each says why.

::

    for each rule, in order
      its conditions hold, and those of unless do not
        reject?  -> no ticket, and its reason
        fields, note, target -> kept for the ticket
        stop (the default)? -> no further rule is looked at
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from shared.model import FieldValue, Message, Verdict
from shared.ports import Settings
from shared.routing.conditions import Circumstances, When, meets

FieldName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
Value = StrictBool | StrictInt | StrictFloat | Annotated[str, Field(max_length=1000)]


class Rule(Settings):
    """One rule of a job."""

    name: str = Field(min_length=1, max_length=100, description="Shown wherever this rule decided something.")
    enabled: bool = True
    when: When = Field(default_factory=When, description="All of this must hold. Left out: every message.")
    unless: When | None = Field(default=None, description="The rule does not match where all of this holds.")
    reject: str | None = Field(
        default=None, min_length=1, max_length=500, description="Make no ticket; the reason, as a sentence."
    )
    fields: dict[FieldName, Value] = Field(default={}, max_length=50, description="Fields of the ticket to set.")
    note: str | None = Field(default=None, min_length=1, max_length=500, description="A sentence for the ticket.")
    target: str | None = Field(
        default=None, max_length=32, description="The name of the target, one of the job's targets, that gets it."
    )
    stop: bool = Field(default=True, description="Look at no further rule once this one matched.")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.reject and (self.fields or self.note or self.target):
            raise ValueError(f"Rule {self.name!r} rejects: there is no ticket for its fields, its note or its target.")
        if self.unless and self.unless.anything:
            raise ValueError(f"Rule {self.name!r} can never match: its unless holds for every message.")
        if not (self.reject or self.fields or self.note or self.target or self.stop):
            raise ValueError(f"Rule {self.name!r} does nothing: give it reject, fields, a note or a target, or stop.")
        return self

    @property
    def always(self) -> bool:
        """Whether it matches every message, and no rule after it is ever looked at."""
        return self.enabled and self.stop and self.when.anything and self.unless is None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rules say of a message."""

    #: Why there is to be no ticket; empty where there is to be one.
    reject: str = ""
    fields: dict[str, FieldValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    #: The target that was chosen; empty for the job's own.
    target: str = ""
    #: One for each rule that was looked at, in their order.
    verdicts: tuple[Verdict, ...] = ()


def rule_on(message: Message, rules: Sequence[Rule], circumstances: Circumstances) -> Ruling:
    """Ask the rules in their order. A field that two matching rules set has the value of the first."""
    fields: dict[str, FieldValue] = {}
    notes: list[str] = []
    verdicts: list[Verdict] = []
    target = ""
    for rule in rules:
        if not rule.enabled:
            continue
        matched, why = meets(message, rule.when, circumstances)
        if matched and rule.unless:
            excepted, exception = meets(message, rule.unless, circumstances)
            if excepted:
                matched, why = False, f"excepted: {exception}"
        verdicts.append(Verdict("rule", rule.name, matched=matched, evidence=why))
        if not matched:
            continue
        if rule.reject:
            return Ruling(reject=rule.reject, verdicts=tuple(verdicts))
        fields = {**rule.fields, **fields}
        notes += [rule.note] if rule.note else []
        target = target or rule.target or ""
        if rule.stop:
            break
    return Ruling(fields=fields, notes=tuple(notes), target=target, verdicts=tuple(verdicts))


def faults_of(rules: Sequence[Rule]) -> list[str]:
    """What is wrong with the rules as a whole, as sentences."""
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [f"Two rules are called {name!r}; a name says which rule decided." for name in twice]


def warnings_of(rules: Sequence[Rule]) -> list[str]:
    """What is allowed but surely not meant."""
    for at, rule in enumerate(rules[:-1]):
        if rule.always:
            return [
                f"Rule {rule.name!r} matches every message and stops: the {len(rules) - at - 1} after it never count."
            ]
    return []
