"""How much of the code the kept inputs of the fuzzing reach, in lines and branches: `python -m tests.fuzz.reached`."""

import importlib
import io
import sys
from pathlib import Path

import coverage

PACKAGES = ("shared/mime", "shared/routing")


def main() -> None:
    """Run every input of .local/fuzz once more, and print a line for each package."""
    # Nothing of ours may be imported before it is measured.
    measured = coverage.Coverage(data_file=None, branch=True, source=list(PACKAGES), config_file=False)
    measured.start()
    ways = importlib.import_module("tests.fuzz.ways").WAYS
    count = 0
    for name, way in ways.items():
        for path in sorted(Path(".local/fuzz", name, "corpus").glob("*")):
            way(path.read_bytes())
            count += 1
    measured.stop()
    sys.stdout.write(f"{count:,} inputs\n")
    for package in PACKAGES:
        total = measured.report(include=[f"{package}/*"], file=io.StringIO())
        sys.stdout.write(f"{package}: {total:.1f} % of lines and branches\n")


if __name__ == "__main__":
    main()
