"""The local host drives a real function app over real sockets and real queues."""

import asyncio
import base64
import json
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueClient

from dev.azurite import Azurite
from dev.child import ChildFailed
from dev.host.host import App, Host
from dev.host.options import HostFault, HostOptions
from dev.host.process import Event, HostProcess
from tests.servers.web_api import ApiAnswer, ApiRequest, WebApi

TOY = Path(__file__).resolve().parents[1] / "data" / "toy_app"
PREFIX = f"t{uuid.uuid4().hex[:12]}"


def settings(azurite: Azurite, prefix: str) -> dict[str, str]:
    """The app settings of the toy app."""
    storage = azurite.connection_string
    return {"AzureWebJobsStorage": storage, "PREFIX": prefix, "RAISING_SCHEDULE": "*/2 * * * * *"}


def of(function: str, event: str = "ended") -> Callable[[Event], bool]:
    """Events of one function."""
    return lambda each: each["event"] == event and each.get("function") == function


@pytest.fixture(scope="module")
def host(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """The toy app, hosted; it outlives every test here, the ones in which functions raise included."""
    events = tmp_path_factory.mktemp("host") / "events"
    with HostProcess(TOY, settings=settings(azurite, PREFIX), events=events) as running:
        yield running


@pytest.fixture
def own_host(azurite: Azurite, prefix: str, tmp_path: Path) -> Iterator[HostProcess]:
    """A host that a test may stop."""
    with HostProcess(TOY, settings=settings(azurite, prefix), events=tmp_path / "events", grace=0.5) as running:
        yield running


@contextmanager
def queue(azurite: Azurite, name: str) -> Iterator[QueueClient]:
    """One of the shared host's queues, made if it is not there."""
    with QueueClient.from_connection_string(azurite.connection_string, PREFIX + name) as client:
        with suppress(ResourceExistsError):
            client.create_queue()
        yield client


def test_the_ready_event_counts_the_triggers(host: HostProcess) -> None:
    """Three timers, one queue function, six HTTP functions, and the URL at which they answer."""
    (ready,) = host.wait_for(lambda each: each["event"] == "ready")

    assert ready == {"event": "ready", "url": host.url, "timer": 3, "queue": 1, "http": 6}
    assert f"ready {host.url} (3 timers, 1 queue, 6 http)" in host.output()


def test_a_timer_fires_each_second_and_never_early(host: HostProcess) -> None:
    """Its instants are whole seconds in a row, each served at or after its time."""
    events = host.wait_for(of("every_second"), count=3)

    due = [datetime.fromisoformat(event["scheduled"]) for event in events]
    assert {each.microsecond for each in due} == {0}
    assert [later - earlier for earlier, later in pairwise(due)] == [timedelta(seconds=1)] * 2
    assert all(datetime.fromisoformat(event["started"]) >= each for event, each in zip(events, due, strict=True))


def test_a_timer_that_raises_is_reported_and_fires_again(host: HostProcess) -> None:
    """The events tell the error each time, and the traceback is in the output."""
    events = host.wait_for(of("raising"), count=2)

    assert [event["error"] for event in events] == ["ValueError: on purpose"] * 2
    assert "Traceback" in host.output()


def test_a_person_can_fire_a_timer(host: HostProcess) -> None:
    """POST /admin/functions/NAME calls a timer function now, as in the real host."""
    assert httpx.post(f"{host.url}/admin/functions/Never").status_code == 202
    assert httpx.post(f"{host.url}/admin/functions/nobody").status_code == 404

    assert host.wait_for(of("never"))[0]["error"] is None


def test_a_queue_message_reaches_its_function(host: HostProcess, azurite: Azurite) -> None:
    """Base64 is taken off, the first attempt is number 1, and the context names the function."""
    with queue(azurite, "out") as answers, queue(azurite, "in") as incoming:
        incoming.send_message(base64.b64encode(b"hello").decode())
        host.wait_for(lambda each: of("copy")(each) and each["error"] is None)

        (answer,) = answers.receive_messages()
    assert json.loads(base64.b64decode(answer.content)) == {"text": "hello", "attempt": 1, "function": "copy"}


def test_what_keeps_failing_or_is_no_base64_goes_to_the_poison_queue(host: HostProcess, azurite: Azurite) -> None:
    """With a maxDequeueCount of 2: two calls for the one, none for the other; then both lie there as they were."""
    bad = base64.b64encode(b"bad").decode()
    with queue(azurite, "in") as incoming, queue(azurite, "in-poison") as poison:
        incoming.send_message(bad)
        incoming.send_message("not base64!")
        host.wait_for(of("copy", "poisoned"), count=2)

        assert sorted(message.content for message in poison.peek_messages(32)) == sorted([bad, "not base64!"])
    errors = [event["error"] for event in host.events() if of("copy")(event) and event["error"]]
    assert errors == ["ValueError: bad message"] * 2


def test_an_http_function_sees_the_request_and_gives_the_answer(host: HostProcess) -> None:
    """Route and query parameters, headers and body arrive; status, headers and body come back."""
    answer = httpx.put(f"{host.url}/items/5/x%20y?a=1&a=2&b=", content="hi", headers={"User-Agent": "toy"})

    assert answer.status_code == 202
    assert answer.headers["X-Toy"] == "1"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "method": "PUT",
        "url": f"{host.url}/items/5/x%20y?a=1&a=2&b=",
        "route": {"id": "5", "tail": "x y"},
        "params": {"a": "1,2", "b": ""},
        "agent": "toy",
        "body": "hi",
    }


def test_an_async_function_runs_on_the_loop_that_imported_the_app(host: HostProcess) -> None:
    """There is one event loop, as in the worker."""
    assert httpx.get(f"{host.url}/items/special").text == "True"


def test_the_catch_all_hands_the_rest_to_an_asgi_application(host: HostProcess) -> None:
    """What no route takes, an unlisted method included, arrives with its whole path; both cookies come back."""
    answer = httpx.post(f"{host.url}/items/5", content="hi")

    assert (answer.status_code, answer.json()) == (201, {"path": "/items/5", "method": "POST", "body": "hi"})
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_an_http_function_that_raises_is_a_500_without_a_word(host: HostProcess) -> None:
    """What went wrong stands in the events, not in the answer."""
    answer = httpx.get(f"{host.url}/fail")

    assert (answer.status_code, answer.text) == (500, "")
    assert host.wait_for(of("fail"))[0]["error"] == "ValueError: on purpose"


def test_passing_the_function_timeout_is_told(host: HostProcess) -> None:
    """After functionTimeout (1 s) the host says so, and lets the function go on to its end."""
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(httpx.get, f"{host.url}/hang")
        (event,) = host.wait_for(of("hang", "overtime"))
        httpx.get(f"{host.url}/release")

        assert event["seconds"] == 1
        assert hanging.result().status_code == 204


def test_stopping_ends_in_good_order(own_host: HostProcess) -> None:
    """Exit code 0 and nothing cut off; afterwards nobody answers, and it can be started again."""
    url = own_host.url
    assert own_host.stop() == 0
    assert own_host.events()[-1] == {"event": "stopped", "cut_off": []}
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)

    own_host.start()
    assert httpx.get(f"{own_host.url}/items/special").status_code == 200


def test_stopping_does_not_wait_for_ever(own_host: HostProcess) -> None:
    """A function that does not end within the grace is cut off, by name, with exit code 1."""
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(httpx.get, f"{own_host.url}/hang", timeout=60)
        own_host.wait_for(of("hang", "started"))

        assert own_host.stop() == 1
        assert hanging.exception() or hanging.result().status_code == 500
    assert own_host.events()[-1] == {"event": "stopped", "cut_off": ["hang"]}


def test_polling_outlives_an_outage_of_the_storage(prefix: str, tmp_path: Path) -> None:
    """While Azurite is away the host says so once; when it is back, messages flow."""
    with Azurite() as storage:
        with HostProcess(TOY, settings=settings(storage, prefix), events=tmp_path / "events") as running:
            storage.stop()
            running.wait_for(lambda each: each["event"] == "queue_away")
            storage.start()
            connection = storage.connection_string
            with (
                QueueClient.from_connection_string(connection, f"{prefix}out") as answers,
                QueueClient.from_connection_string(connection, f"{prefix}in") as incoming,
            ):
                answers.create_queue()
                incoming.create_queue()
                incoming.send_message(base64.b64encode(b"hello").decode())
                running.wait_for(of("copy"))
        assert running.output().count("does not answer") == 1


class _Nonsense(WebApi):
    """Says yes to everything, with nothing in it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_often = threading.Event()

    def answer(self, request: ApiRequest) -> ApiAnswer:  # noqa: ARG002 (whatever it is)
        if len(self.requests) > 9:
            self.asked_often.set()
        return ApiAnswer(200, raw=b"", headers={"Content-Type": "application/xml"})


def test_polling_outlives_answers_that_are_none(azurite: Azurite, prefix: str, tmp_path: Path) -> None:
    """What breaks off, or is no XML, is an outage like any other."""
    with _Nonsense() as nonsense:
        connection = re.sub(r"QueueEndpoint=[^;]+", f"QueueEndpoint={nonsense.url}/x", azurite.connection_string)
        told = {**settings(azurite, prefix), "AzureWebJobsStorage": connection}
        with HostProcess(TOY, settings=told, events=tmp_path / "events") as running:
            running.wait_for(lambda each: each["event"] == "queue_away" and each["error"] == "ParseError")
            assert nonsense.asked_often.wait(30)
            assert running.running


def test_a_port_that_is_taken_is_told_with_the_way_out() -> None:
    """Two hosts cannot share a port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        async def scenario() -> None:
            await Host(App(Path(), (), HostOptions(), {}), port=port).serve(asyncio.Event())

        with pytest.raises(HostFault, match=f"Port {port} is taken: choose another one with --port"):
            asyncio.run(scenario())


def app(folder: Path, source: str) -> HostProcess:
    """A host for an app of these lines."""
    (folder / "host.json").write_text('{"version": "2.0"}')
    (folder / "function_app.py").write_text("import azure.functions as func\napp = func.FunctionApp()\n" + source)
    return HostProcess(folder, settings={}, events=folder / "events")


FUNCTION = "@app.function_name('{name}')\n@app.timer_trigger(arg_name='t', schedule='{schedule}')\ndef f(t): pass\n"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (FUNCTION.format(name="1bad", schedule="0 * * * * *"), "'1bad': the name must start with a letter"),
        (FUNCTION.format(name="job", schedule="0 * * * * 7"), "'job': "),
        ("raise ValueError('broken')", "in Azure the app would have no functions"),
        (
            "@app.queue_trigger(arg_name='m', queue_name='q', connection='Missing')\ndef f(m): pass",
            "connection setting Missing is not set",
        ),
    ],
)
def test_an_app_that_cannot_be_hosted_is_refused_in_words(tmp_path: Path, source: str, words: str) -> None:
    """The host ends at once and its last line says why."""
    host = app(tmp_path, source)

    with pytest.raises(ChildFailed) as caught:
        host.start()
    assert "The local host ended" in str(caught.value)
    assert words in str(caught.value).splitlines()[-1]
    assert host.kill() == 1
