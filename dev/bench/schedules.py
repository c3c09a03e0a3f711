"""How long "when next?" takes for schedules of several kinds, as multiples of the default one's."""

import time
from datetime import UTC, datetime
from typing import Any

from shared.schedule.cover import cover
from shared.schedule.model import read_schedule
from shared.schedule.occurrences import Occurrences

KINDS: dict[str, dict[str, Any]] = {
    "default: every 5 minutes, UTC": {},
    "every minute, Africa/Casablanca": {
        "frequency": {"type": "interval", "every": 1},
        "time_zone": "Africa/Casablanca",
    },
    "yearly on 29 February": {
        "pattern": {"type": "yearly", "month": "february", "day": 29},
        "frequency": {"type": "once", "at": "02:30"},
    },
    "day 31 of every 99th month": {
        "pattern": {"type": "monthly", "day": 31, "every": 99},
        "time_zone": "Asia/Kathmandu",
    },
    "every 99th Sunday": {"pattern": {"type": "weekly", "every": 99, "days": ["sunday"]}},
    "NCRONTAB for a 29 February on a Monday": {"ncrontab": "0 0 29 2 mon", "time_zone": "Pacific/Apia"},
}
ROUNDS = 500


def main() -> None:
    """Print a line for each kind."""
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    reference = 0.0
    print(f"{'schedule':42} {'next_after':>12} {'ratio':>6} {'cover':>10}")
    for kind, document in KINDS.items():
        schedule = read_schedule(document)
        occurrences = Occurrences(schedule)
        begun = time.perf_counter()
        for _ in range(ROUNDS):
            occurrences.next_after(now)
        each = (time.perf_counter() - begun) / ROUNDS
        reference = reference or each
        begun = time.perf_counter()
        cover(schedule)
        covering = time.perf_counter() - begun
        print(f"{kind:42} {each * 1e6:9.0f} us {each / reference:6.1f} {covering * 1e3:7.1f} ms")


if __name__ == "__main__":
    main()
