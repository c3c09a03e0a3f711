"""Coverage-guided fuzzing of what reads mail: `make fuzz MINUTES=60`. Prints a line for each way; exit code 1 for a find.

The time is shared out among the ways. libFuzzer (through atheris) starts from the corpus and keeps what reaches new code
in .local/fuzz, so that the next run goes on from there. An input that raises or takes more than TIMEOUT seconds is left
in .local/fuzz/WAY/found: mend the fault, and put the input into tests/fuzz/seeds/WAY, which the suite runs through.
"""

# ruff: noqa: T201 - a command

import argparse
import hashlib
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.ways import WAYS, seeds

TIMEOUT = 10
LARGEST = 32_768
#: Larger seeds are left to the suite: each costs as much time as a hundred small ones.
SEED = 8_192
MEMORY_MB = 2_048
_STATISTIC = re.compile(r"^stat::number_of_executed_units:\s+(\d+)", re.MULTILINE)
_PROGRESS = re.compile(r"^#(\d+)\s.*\bcov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)


@dataclass(slots=True)
class Outcome:
    """What became of one way."""

    way: str
    minutes: float = 0
    executions: int = 0
    edges: int = 0
    features: int = 0
    corpus: int = 0
    found: list[str] = field(default_factory=list)

    def line(self, slowest: Path) -> str:
        """A row of the table."""
        seconds = slowest.with_suffix(".seconds")
        took = f"{seconds.read_text('utf-8')} s ({slowest.stat().st_size:,} octets)" if seconds.exists() else "< 0.02 s"
        crashes = sum(not one.startswith("timeout") for one in self.found)
        return (
            f"| {self.way} | {self.minutes:.1f} | {self.executions:,} | {self.edges:,} | {self.features:,} "
            f"| {self.corpus:,} | {crashes} | {len(self.found) - crashes} | {took} |"
        )


def fuzz(way: str, seconds: float, room: Path) -> Outcome:
    """Fuzz one way for so long, and start again after each find."""
    corpus, found = room / "corpus", room / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in (one for one in seeds(way) if len(one) <= SEED):
        (corpus / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    outcome = Outcome(way)
    begun = time.monotonic()
    while (left := seconds - (time.monotonic() - begun)) > 1:
        output = _libfuzzer(way, left, room)
        progress = _PROGRESS.findall(output)
        statistic = _STATISTIC.search(output)
        outcome.executions += int(statistic[1]) if statistic else int(progress[-1][0]) if progress else 0
        if progress:
            _, outcome.edges, outcome.features, outcome.corpus = map(int, progress[-1])
        if not progress and not any(found.iterdir()):
            raise SystemExit(f"The fuzzing of {way} did not start:\n{output[-2_000:]}")
    outcome.minutes = (time.monotonic() - begun) / 60
    outcome.found = sorted(path.name for path in found.iterdir())
    return outcome


def _libfuzzer(way: str, seconds: float, room: Path) -> str:
    command = [
        sys.executable, "-m", "tests.fuzz.one", way, str(room / "slowest"), str(room / "corpus"),
        f"-max_total_time={max(1, int(seconds))}", f"-timeout={TIMEOUT}", f"-max_len={LARGEST}",
        f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={room / 'found'}/", "-print_final_stats=1",
    ]  # fmt: skip
    with (room / "log").open("w+", encoding="utf-8", errors="replace") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
        log.seek(0)
        return log.read()


def main() -> None:
    """Fuzz every way, or those that are named, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("ways", nargs="*", choices=[[], *WAYS], default=[])
    given = parser.parse_args()
    ways = given.ways or list(WAYS)
    place = Path(".local/fuzz").resolve()
    print("| way | minutes | executions | edges | features | corpus | crashes | time-outs | slowest input |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    finds = 0
    for way in ways:
        outcome = fuzz(way, given.minutes * 60 / len(ways), place / way)
        print(outcome.line(place / way / "slowest"), flush=True)
        finds += len(outcome.found)
    if finds:
        print(f"\n{finds} inputs were found to be bad: see {place.name}/*/found under .local.")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
