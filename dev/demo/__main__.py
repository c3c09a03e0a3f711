"""``python -m dev.demo``: exits 0 only if everything that it claims was seen, within two minutes."""

import logging
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from dev.azurite import AzuriteFault, install
from dev.child import ChildFailed
from dev.demo.plot import play
from dev.demo.stage import open_stage
from dev.demo.story import NotSeen, Story
from dev.host.process import PROJECT

INTERRUPTED = 130


def main(app_dir: Path = PROJECT) -> int:
    """0 when every claim was seen, 1 when one was not, 130 when it was interrupted."""
    # The mail server talks of clients that go away; here they go away on purpose.
    logging.disable(logging.CRITICAL)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="replace")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        return _tell(app_dir)
    except AzuriteFault as fault:
        print(f"\n{fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Everything that was started has ended, and what it wrote is gone.", file=sys.stderr)
        return INTERRUPTED


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Once is enough: a second Ctrl-C would cut off the clearing away.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _tell(app_dir: Path) -> int:
    install()
    story = Story()
    story.title(
        "Mail Connector, from a mailbox to tickets, on this machine alone: about a minute and a half.",
        "Each line with ✓ is a claim that was checked just before it was printed.",
    )
    try:
        with open_stage(app_dir) as stage:
            try:
                play(stage, story)
            except NotSeen as missing:
                story.missing.append(str(missing))
            if story.missing:
                print(f"\nThe last words of the local host:\n{stage.host.output()}")
    except ChildFailed as failed:
        story.missing.append(str(failed))
    except Exception as error:  # noqa: BLE001 (what the app did here, nobody foresaw: that is a claim not seen, too)
        traceback.print_exc()
        story.missing.append(f"The story to its end: {type(error).__name__}: {error}")
    return story.end()


if __name__ == "__main__":
    sys.exit(main())
