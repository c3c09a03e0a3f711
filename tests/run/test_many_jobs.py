"""Many jobs on two hosts, one of them killed: a small form of ``python -m tests.run.many_jobs``."""

from dev.azurite import Azurite
from tests.run.many_jobs import Plan, run_many


def test_every_occurrence_is_run_once(azurite: Azurite, prefix: str) -> None:
    """40 jobs over 33 virtual minutes, by timers, sweep and queue together, with a kill every eighth minute."""
    result = run_many(azurite, Plan(jobs=40, minutes=33, kill_every=8, timers=15), prefix=prefix)
    assert result.exact, result
    assert result.occurrences >= 40
    assert result.killed == 4
