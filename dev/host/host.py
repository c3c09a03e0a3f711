"""The host: all triggers of one app on one event loop, from ready to stopped."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET, socket

from dev.host.clock import Clock, WallClock
from dev.host.indexing import TRIGGERS, Function
from dev.host.options import HostFault, HostOptions
from dev.host.queues import Queue
from dev.host.routes import check_distinct, parse_route
from dev.host.timers import Timer
from dev.host.web import Server, Web
from dev.host.worker import Events, Worker, log, say


@dataclass(frozen=True, slots=True)
class App:
    """What there is to host."""

    folder: Path
    functions: Sequence[Function]
    options: HostOptions
    #: The app settings.
    environment: Mapping[str, str]


class Host:
    """Drives an app. ``grace`` is how many seconds functions get to end when it stops (10, as on the platform)."""

    def __init__(
        self, app: App, *, port: int = 0, events: Path | None = None, clock: Clock | None = None, grace: float = 10
    ) -> None:
        """Raise `HostFault` when a trigger cannot be driven. ``port`` 0 picks a free one."""
        self._events = Events(events)
        self._worker = Worker(
            clock or WallClock(), self._events, folder=app.folder, timeout=app.options.function_timeout
        )
        self._port = port
        self._grace = grace
        self._count = {kind: sum(each.kind == kind for each in app.functions) for kind in TRIGGERS.values()}
        self._timers = [Timer(each, self._worker, app.environment) for each in app.functions if each.kind == "timer"]
        self._queues = [
            Queue(each, self._worker, app.options.queues, app.environment)
            for each in app.functions
            if each.kind == "queue"
        ]
        routes = [parse_route(each, app.options.route_prefix) for each in app.functions if each.kind == "http"]
        check_distinct(routes)
        self._web = Web(routes, self._timers, self._worker)

    async def serve(self, stop: asyncio.Event) -> tuple[str, ...]:
        """Run until ``stop`` is set; the names of what did not end within the grace (then this process should exit).

        Raises `HostFault` when the port is taken.
        """
        with closing(self._events), closing(self._listen()) as listener:
            server = Server(self._web, listener, grace=self._grace, opened=lambda: self._tell_ready(listener))
            tasks = [
                asyncio.create_task(server.run_until_told(), name="HTTP server"),
                *(asyncio.create_task(timer.run(), name=timer.function.name) for timer in self._timers),
                *(asyncio.create_task(queue.run(), name=queue.function.name) for queue in self._queues),
            ]
            for task in tasks:
                task.add_done_callback(lambda ended: _stop_on_defect(ended, stop))
            await stop.wait()
            say("stopping")
            self._events.write("stopping")
            server.should_exit = True
            for task in tasks[1:]:
                task.cancel()
            left, *_ = await asyncio.gather(self._worker.drain(self._grace), *tasks, return_exceptions=True)
            for queue in self._queues:
                queue.close()
            cut_off = left if isinstance(left, tuple) else ()
            self._events.write("stopped", cut_off=cut_off)
            say(f"stopped; cut off: {', '.join(cut_off)}" if cut_off else "stopped")
            return cut_off

    def _listen(self) -> socket:
        listener = socket()
        listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._port))
        except OSError as exc:
            listener.close()
            raise HostFault(f"Port {self._port} is taken: choose another one with --port.") from exc
        return listener

    def _tell_ready(self, listener: socket) -> None:
        url = "http://{}:{}".format(*listener.getsockname())
        counts = ", ".join(
            f"{count} {kind}{'s' if kind == 'timer' and count != 1 else ''}" for kind, count in self._count.items()
        )
        self._events.write("ready", url=url, **self._count)
        say(f"ready {url} ({counts})")


def _stop_on_defect(task: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("The host itself failed in %s.", task.get_name(), exc_info=error)
        stop.set()
