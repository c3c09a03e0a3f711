"""What applying job files would change: pure, over documents."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: What the app adds to a job when it shows it.
_READ_ONLY = ("state", "warnings")


class Action(StrEnum):
    """What would be done with a job."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: its place (as a JSON pointer, RFC 6901), and what it is and would be. None: it is not there."""

    pointer: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Live:
    """A job as the app has it."""

    document: Mapping[str, Any]
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What would be done with one job, and on which version of it that rests."""

    action: Action
    job_id: str
    #: The job as it would be; empty for a deletion.
    document: Mapping[str, Any] = field(default_factory=dict)
    #: Of the job as it was read; empty where there is none.
    etag: str = ""
    differences: Sequence[Difference] = ()


def changes(wanted: Mapping[str, Mapping[str, Any]], live: Mapping[str, Live], *, prune: bool = False) -> list[Change]:
    """In the order of the ids. Jobs that no file describes are left alone unless ``prune``."""
    found = []
    for job_id in sorted({*wanted, *live}):
        document, there = wanted.get(job_id), live.get(job_id)
        if document is None and there is not None:
            if prune:
                found.append(Change(Action.DELETE, job_id, etag=there.etag))
        elif document is not None and there is None:
            found.append(Change(Action.CREATE, job_id, document))
        elif document is not None and there is not None:
            config = {name: value for name, value in there.document.items() if name not in _READ_ONLY}
            found.append(_against(job_id, document, config, there.etag))
    return found


def _against(job_id: str, document: Mapping[str, Any], config: Mapping[str, Any], etag: str) -> Change:
    differences = tuple(compare(config, document))
    action = Action.UPDATE if differences else Action.NOTHING
    return Change(action, job_id, document, etag, differences)


def compare(before: Any, after: Any, pointer: str = "") -> Iterator[Difference]:
    """The smallest places at which two documents differ; a list is one place."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*after, *(name for name in before if name not in after)]:
            place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from compare(before.get(name), after.get(name), place)
    elif before != after:
        yield Difference(pointer, before, after)


def to_json(planned: Sequence[Change]) -> list[dict[str, Any]]:
    """For ``--output json`` and for a plan that is kept."""
    return [
        {
            "action": change.action.value,
            "id": change.job_id,
            "etag": change.etag,
            "document": dict(change.document),
            "differences": [
                {"pointer": one.pointer, "before": one.before, "after": one.after} for one in change.differences
            ],
        }
        for change in planned
    ]


def from_json(kept: Any) -> list[Change]:
    """A plan that was kept. Raises `ValueError` where it is none."""
    try:
        return [
            Change(
                Action(one["action"]),
                one["id"],
                one["document"],
                one["etag"],
                tuple(Difference(**difference) for difference in one["differences"]),
            )
            for one in kept
        ]
    except (TypeError, KeyError) as fault:
        raise ValueError("this is no plan that `mailconnector plan --save` wrote") from fault
