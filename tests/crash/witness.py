"""Looks from outside, at the moment at which a run touches originals, whether it may: the ledger must say so before.

What is wrong only between two calls shows in the end only where a kill falls between them, and often not even then,
since the next run makes up for it. So each disposition and each purge is witnessed, whether or not a kill follows.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.ledger import Stage
from shared.model import MessageRef
from tests.run.real import Tables

#: What the name of a run's file for points ends in, where this is for what was witnessed.
WITNESSED = "-early"

#: As long as a message is at one of these, its original must not be touched.
_UNDECIDED = {Stage.CLAIMED, Stage.FAILED}


@dataclass(frozen=True, slots=True)
class Witness:
    """Of one run. What it saw is in a file at once, since the run may be killed any moment."""

    tables: Tables
    job_id: str
    told: Path

    def look(self, what: str, refs: Sequence[MessageRef]) -> None:
        """``what`` is about to be done to these: read their rows with the SDK alone."""
        rows = {row["item"]: row["stage"] for row in self.tables.rows("jobs", f"msg:{self.job_id}:")}
        early = [one for one in refs if rows.get(one.key.item, Stage.CLAIMED) in _UNDECIDED]
        if early:
            with self.told.open("a") as file:
                file.writelines(f"{what} of {one.key.item} before the ledger had its outcome\n" for one in early)
                file.flush()
                os.fsync(file.fileno())
