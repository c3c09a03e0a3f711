"""One way under libFuzzer: `python -m tests.fuzz.one WAY SLOWEST [libFuzzer's arguments]`; see `tests.fuzz.run`.

SLOWEST is the file that gets the input which took longest so far; its time, in seconds, is in a file beside it.
"""

import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["shared"], enable_loader_override=False):
    from tests.fuzz.ways import WAYS


def main() -> None:
    """Fuzz until libFuzzer has had enough, or something raises."""
    way, slowest = WAYS[sys.argv[1]], Path(sys.argv[2])
    time_file = slowest.with_suffix(".seconds")
    longest = float(time_file.read_text("utf-8")) if time_file.exists() else 0.02

    def once(data: bytes) -> None:
        nonlocal longest
        begun = time.process_time()
        way(data)
        took = time.process_time() - begun
        if took > longest:
            longest = took
            slowest.write_bytes(data)
            time_file.write_text(f"{took:.3f}", "utf-8")

    atheris.Setup([sys.argv[0], *sys.argv[3:]], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
