"""What the real worker and host refuse is refused here."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from dev.host.indexing import index, load_app
from dev.host.options import HostFault


def timer(app: func.FunctionApp, name: str, body: Callable[..., None], argument: str = "timer") -> None:
    """Declare a timer function."""
    app.function_name(name)(app.timer_trigger(arg_name=argument, schedule="0 * * * * *")(body))


def tick(timer: func.TimerRequest) -> None:
    """Do nothing."""


def test_functions_are_listed_with_their_triggers() -> None:
    """Name, kind, parameter and whether a context is wanted."""
    app = func.FunctionApp()
    timer(app, "job_1", tick)

    @app.queue_trigger(arg_name="message", queue_name="q", connection="C")
    async def work(message: func.QueueMessage, context: func.Context) -> None:
        """Do nothing."""

    first, second = index(app)

    assert (first.name, first.kind, first.parameter, first.wants_context, first.is_async) == (
        "job_1", "timer", "timer", False, False,
    )  # fmt: skip
    assert (second.name, second.kind, second.parameter, second.wants_context, second.is_async) == (
        "work", "queue", "message", True, True,
    )  # fmt: skip
    assert second.trigger["queueName"] == "q"


@pytest.mark.parametrize("name", ["1job", "_job", "job.x", "jöb", "j" * 129, "job\n"])
def test_a_bad_function_name_is_refused(name: str) -> None:
    """A letter first, then letters, digits, hyphens and underscores, 128 in all."""
    app = func.FunctionApp()
    timer(app, name, tick)

    with pytest.raises(HostFault, match="the name must start with a letter"):
        index(app)


def test_a_name_of_128_characters_is_accepted() -> None:
    """The limit itself is allowed."""
    app = func.FunctionApp()
    timer(app, "J" + "-" * 127, tick)

    assert len(index(app)) == 1


@pytest.mark.parametrize(("one", "other"), [("job", "JOB"), ("job", "job")])
def test_names_that_differ_by_case_alone_are_refused(one: str, other: str) -> None:
    """The real host knows them as the same function."""
    app = func.FunctionApp()
    timer(app, one, tick)
    timer(app, other, tick)

    with pytest.raises(HostFault, match=f"{other}.*name"):
        index(app)


def test_every_fault_is_named_at_once() -> None:
    """A binding name with an underscore, parameters that are no bindings, a trigger that is not driven."""
    app = func.FunctionApp()

    def underscore(my_timer: func.TimerRequest) -> None:
        """Do nothing."""

    timer(app, "underscore", underscore, "my_timer")
    timer(app, "stranger", tick, "other")

    @app.blob_trigger(arg_name="blob", path="x", connection="C")
    def blobs(blob: func.InputStream) -> None:
        """Do nothing."""

    with pytest.raises(HostFault) as caught:
        index(app)

    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "Function 'underscore'",
        "Function 'stranger'",
        "Function 'blobs'",
    ]


@pytest.mark.parametrize(
    ("source", "words"),
    [(None, "no function_app.py"), ("x = 1", "holds 0 function apps")],
)
def test_a_folder_without_an_app_is_refused(tmp_path: Path, source: Any, words: str) -> None:
    """The sentence says what is missing."""
    if source:
        (tmp_path / "function_app.py").write_text(source)

    async def load() -> None:
        load_app(tmp_path)

    with pytest.raises(HostFault, match=words):
        asyncio.run(load())
