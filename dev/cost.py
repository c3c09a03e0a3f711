"""What the app costs a month, from requests that tests count and prices that you give: ``python -m dev.cost --help``.

The counts: a poll that finds nothing is 3 table requests (tests/run/test_requests.py), a message less than 0.1 (the
same), a sweep 16 (dev/bench/sweep_requests.py, docs/reliability.md). How long an instance is busy is an assumption that
can be given.
"""

import argparse
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

_MINUTES = 60 * 24 * 30
_POLL_REQUESTS = 3
_SWEEP_REQUESTS = 16
_MESSAGE_REQUESTS = 0.1
#: A poll leaves about three lines of log of half a kB each, the sweep two.
_LOG_KB = 1.5


@dataclass(frozen=True, slots=True)
class Load:
    """A month of work."""

    jobs: int
    #: Minutes between two polls of a job.
    every: float
    #: New messages a day, of all jobs together.
    messages: int
    #: Size of one, in kB.
    kilobytes: float
    #: How long a poll keeps an instance busy, in seconds, and the memory of an instance in GB.
    seconds: float
    memory: float


def reckon(load: Load, prices: dict[str, float]) -> dict[str, float]:
    """US dollars a month, by what they are for."""
    polls = load.jobs * _MINUTES / load.every
    messages = load.messages * 30
    executions = polls + _MINUTES
    busy = (polls * load.seconds + _MINUTES * 0.3 + messages * 0.05) * load.memory
    table = polls * _POLL_REQUESTS + _MINUTES * _SWEEP_REQUESTS + messages * _MESSAGE_REQUESTS
    gigabytes = messages * load.kilobytes / 1024**2
    return {
        "execution": max(0.0, busy - prices["free_gb_seconds"]) * prices["gb_second"]
        + max(0.0, executions - prices["free_executions"]) / 1e6 * prices["million_executions"],
        "table requests": table / 1e4 * prices["ten_thousand_table_requests"],
        "attachments and texts": messages / 1e4 * prices["ten_thousand_blob_writes"]
        + gigabytes * prices["gb_month_blobs"],
        "logs": (polls + _MINUTES) * _LOG_KB / 1024**2 * prices["gb_logs"],
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m dev.cost", description=__doc__)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--every", type=float, default=5, metavar="MINUTES")
    parser.add_argument("--messages", type=int, default=1_000, metavar="A_DAY")
    parser.add_argument("--kilobytes", type=float, default=75)
    parser.add_argument("--seconds", type=float, default=1.5, help="that a poll keeps an instance busy")
    parser.add_argument("--memory", type=float, default=2.0, metavar="GB")
    parser.add_argument("--prices", type=Path, default=Path(__file__).with_name("prices.toml"))
    given = parser.parse_args()
    load = Load(given.jobs, given.every, given.messages, given.kilobytes, given.seconds, given.memory)
    costs = reckon(load, tomllib.loads(given.prices.read_text()))
    for name, dollars in costs.items():
        print(f"{name:24}{dollars:10.2f}")
    print(f"{'a month, in all':24}{sum(costs.values()):10.2f}   (US dollars, by the prices in {given.prices.name})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
