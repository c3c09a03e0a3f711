"""Runs that do not come from a job's own timer: by hand, from the sweep, and what a run left for lack of time."""

import logging

import azure.functions as func

from functions.wiring import services, settings

_log = logging.getLogger(__name__)


def register(app: func.FunctionApp) -> None:
    """The queue is named after the setting, which is read at import like everything that shapes a binding."""

    @app.function_name("run_queue")
    @app.queue_trigger(arg_name="message", queue_name=f"{settings().prefix}-runs", connection="AzureWebJobsStorage")
    def run_queue(message: func.QueueMessage) -> None:
        from functions.running import run_and_log
        from shared.events import Event, tell
        from shared.storage.run_queue import read_request

        try:
            request = read_request(message.get_body().decode())
        except (ValueError, KeyError, TypeError):
            tell(_log, Event.RUN_REQUEST_UNREADABLE, "a message on the run queue is not one of ours; it is dropped.")
            return
        run_and_log(request.job_id, request.trigger, services(), run_id=request.run_id)
