"""``python -m dev.host``: host the function app of a folder until SIGTERM or SIGINT."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dev.host.host import App, Host
from dev.host.indexing import index, load_app
from dev.host.options import HostFault, load_settings, read_host_json
from dev.host.worker import log, say


def main(argv: Sequence[str] | None = None) -> int:
    """0 when it stopped in good order, 1 when it could not start or had to cut functions off."""
    parser = argparse.ArgumentParser(prog="python -m dev.host", description=__doc__)
    parser.add_argument("--port", type=int, default=7071, help="of the HTTP functions; 0 picks a free one")
    parser.add_argument("--app-dir", type=Path, default=Path(), help="where function_app.py and host.json are")
    parser.add_argument("--env", type=Path, metavar="FILE", help="more settings, NAME=VALUE lines")
    parser.add_argument("--events", type=Path, metavar="FILE", help="append what happens, one JSON object a line")
    parser.add_argument("--grace", type=float, default=10, metavar="SECONDS", help="for running functions at the end")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("azure", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        cut_off = asyncio.run(_host(arguments))
    except HostFault as exc:
        say(str(exc))
        return 1
    return 1 if cut_off else 0


async def _host(arguments: argparse.Namespace) -> tuple[str, ...]:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    folder = arguments.app_dir.resolve()
    events = arguments.events and arguments.events.resolve()
    load_settings(os.environ, folder / "local.settings.json", arguments.env)
    options = read_host_json(folder / "host.json")
    # The worker's current folder is the app's, too.
    os.chdir(folder)
    try:
        functions = index(load_app(folder))
    except HostFault:
        raise
    except Exception as exc:
        log.exception("function_app.py cannot be imported.")
        raise HostFault("function_app.py cannot be imported: in Azure the app would have no functions.") from exc
    host = Host(App(folder, functions, options, os.environ), port=arguments.port, events=events, grace=arguments.grace)
    cut_off = await host.serve(stop)
    if cut_off:
        # Threads cannot be ended, and a normal exit waits for them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
    return cut_off


def _stop_on_signals(stop: asyncio.Event) -> None:
    def heard() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, heard)


if __name__ == "__main__":
    sys.exit(main())
