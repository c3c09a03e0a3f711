"""What a sweep asks of storage: it grows with the due jobs alone. The table: ``python -m dev.bench.sweep_requests``."""

from dev.azurite import Azurite
from dev.bench.sweep_requests import fill, sweep


def test_a_sweep_asks_as_much_of_storage_for_400_jobs_as_for_100(azurite: Azurite, prefix: str) -> None:
    """One question for each of the sixteen partitions, and one queue message for each job that is due."""
    asked = []
    for count in (100, 400):
        fill(azurite, f"{prefix}n{count}", count, due=10)
        requests, queued, _ = sweep(azurite, f"{prefix}n{count}")
        asked.append((dict(requests), queued))
    assert asked == [({"GET": 16}, 10)] * 2
