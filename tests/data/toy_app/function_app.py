"""A little of everything that the local host drives."""

import asyncio
import json
import logging
import os
import threading
from typing import Any

import azure.functions as func
from azure.functions.timer import TimerRequest
from azure.storage.queue import BinaryBase64EncodePolicy, QueueClient

# As in the real worker, a loop is running while this file is imported.
LOOP_AT_IMPORT = asyncio.get_running_loop()

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

log = logging.getLogger("toy")
release = threading.Event()


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Echo what an ASGI application sees."""
    request = await receive()
    body = json.dumps({"path": scope["path"], "method": scope["method"], "body": request["body"].decode()}).encode()
    headers = [(b"content-type", b"application/json"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
def every_second(timer: TimerRequest) -> None:
    """Due each second."""
    log.info("served %s", timer.schedule_status["Next"])


@app.timer_trigger(arg_name="timer", schedule="%RAISING_SCHEDULE%")
def raising(timer: func.TimerRequest) -> None:
    """Never ends well."""
    raise ValueError("on purpose")


@app.timer_trigger(arg_name="timer", schedule="0 0 0 30 2 *")
def never(timer: func.TimerRequest) -> None:
    """There is no February 30: only a person can fire it."""


@app.queue_trigger(arg_name="message", queue_name="%PREFIX%in", connection="AzureWebJobsStorage")
def copy(message: func.QueueMessage, context: func.Context) -> None:
    """Answer each message with what was seen of it; "bad" fails."""
    text = message.get_body().decode()
    if text == "bad":
        raise ValueError("bad message")
    answer = {"text": text, "attempt": message.dequeue_count, "function": context.function_name}
    _answers().send_message(json.dumps(answer).encode())


def _answers() -> QueueClient:
    connection = os.environ["AzureWebJobsStorage"]  # noqa: SIM112 - the platform's own spelling
    policy = BinaryBase64EncodePolicy()
    return QueueClient.from_connection_string(connection, f"{os.environ['PREFIX']}out", message_encode_policy=policy)


@app.route(route="items/{id:int}/{tail?}", methods=["GET", "PUT"])
def item(req: func.HttpRequest) -> func.HttpResponse:
    """Echo what a function sees."""
    seen = {
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "params": dict(req.params),
        "agent": req.headers.get("User-Agent"),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(json.dumps(seen), status_code=202, mimetype="application/json", headers={"X-Toy": "1"})


@app.route(route="items/special")
async def special(req: func.HttpRequest) -> str:
    """A literal segment wins; async, on the loop that was there at import."""
    return str(asyncio.get_running_loop() is LOOP_AT_IMPORT)


@app.route(route="fail")
def fail(req: func.HttpRequest) -> func.HttpResponse:
    """Never ends well."""
    raise ValueError("on purpose")


@app.route(route="hang")
def hang(req: func.HttpRequest) -> None:
    """Wait until ``release`` is called."""
    release.wait()


@app.route(route="release")
def let_go(req: func.HttpRequest) -> None:
    """Let ``hang`` go."""
    release.set()


@app.route(route="{*rest}")
async def everything_else(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """What no other route takes goes to the ASGI application."""
    middleware = func.AsgiMiddleware(asgi)  # type: ignore[no-untyped-call]
    answer: func.HttpResponse = await middleware.handle_async(req, context)
    return answer
