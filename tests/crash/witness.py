"""Looks from outside, at the moment at which a run acts on messages, whether it may: the ledger must say so before.

What is wrong only between two calls shows in the end only where a kill falls between them, and often not even then,
since the next run makes up for it. So each delivery, disposition and purge is witnessed, whether or not a kill follows.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.ledger import Stage
from shared.model import MessageKey, MessageRef
from tests.run.real import Tables

#: What the name of a run's file for points ends in, where this is for what was witnessed.
WITNESSED = "-early"

#: As long as a message is at one of these, its original must not be touched.
_UNDECIDED = frozenset({Stage.CLAIMED, Stage.FAILED})


@dataclass(frozen=True, slots=True)
class Witness:
    """Of one run. What it saw is in a file at once, since the run may be killed any moment."""

    tables: Tables
    job_id: str
    told: Path

    def before_delivery(self, keys: Sequence[MessageKey]) -> None:
        """Tickets are about to be made: each attempt must have been counted."""
        stages = self._stages()
        self._tell(f"delivery of {key.item} before the ledger had its claim" for key in keys if key.item not in stages)

    def before(self, what: str, refs: Sequence[MessageRef]) -> None:
        """``what`` is about to be done to these originals: each outcome must be known."""
        stages = self._stages()
        items = [ref.key.item for ref in refs]
        early = [item for item in items if stages.get(item, Stage.CLAIMED) in _UNDECIDED]
        self._tell(f"{what} of {item} before the ledger had its outcome" for item in early)

    def _stages(self) -> Mapping[str, str]:
        """Of each message that the ledger knows, by the SDK alone."""
        return {row["item"]: row["stage"] for row in self.tables.rows("jobs", f"msg:{self.job_id}:")}

    def _tell(self, sentences: Iterable[str]) -> None:
        if lines := [f"{sentence}\n" for sentence in sentences]:
            with self.told.open("a") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
