"""The app's HTTP API, as commands use it.

Signs in with a function key or a token of Microsoft Entra, whichever the environment has:

``MAILCONNECTOR_URL``       where the app is, as https://<app>.azurewebsites.net
``MAILCONNECTOR_KEY``       a function key
``MAILCONNECTOR_AUDIENCE``  or the application ID URI of the API (api://<client id>): azure-identity finds who is asking
"""

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote

import httpx

from cli.faults import CommandFault, Exit

#: A request that asks the mail server may take half a minute; nothing takes longer than the platform lets it.
_TIMEOUT = httpx.Timeout(230, connect=20)
_TRIES = 4
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout)


class App:
    """A client of one app. Closes with ``with``."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        base = url.rstrip("/").removesuffix("/api")
        self._client = httpx.Client(base_url=f"{base}/api", headers=dict(headers or {}), timeout=_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any
    ) -> httpx.Response:
        """Answers below 400. Raises `CommandFault` with the app's own words otherwise.

        What surely was not done is tried again: a connection that could not be made, and what the app was short of
        for a moment (503). A question is also asked again when its answer got lost; a change never, since it may have
        been made: asked twice, it would start two runs, or be refused as somebody else's.
        """
        for left in reversed(range(_TRIES)):
            try:
                answer = self._client.request(method, path, headers=dict(headers or {}), **request)
            except httpx.TransportError as fault:
                if left and (method == "GET" or isinstance(fault, _NOT_CONNECTED)):
                    time.sleep(1)
                    continue
                raise CommandFault(
                    f"{self._client.base_url} does not answer: {str(fault) or type(fault).__name__}."
                ) from fault
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and left:
                time.sleep(pause_of(answer.headers))
                continue
            if answer.is_error:
                raise _refusal(answer)
            return answer
        raise AssertionError

    def get(self, path: str, **parameters: Any) -> Any:
        """Parsed JSON."""
        return self.call("GET", path, params=parameters).json()

    def pages(self, path: str, **parameters: Any) -> Iterator[Any]:
        """Every item of a list, page by page."""
        cursor = None
        while True:
            page = self.get(path, **parameters, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page.get("next")
            if not cursor:
                return


def pause_of(headers: Mapping[str, str]) -> int:
    """How long to stay away, in seconds: what ``Retry-After`` says, 30 at most; 2 where it says no number of them."""
    said = headers.get("Retry-After", "")
    return min(int(said), 30) if said.isdigit() else 2


def job_path(job_id: str, *parts: str) -> str:
    """``/jobs/<id>/...`` with each part as a path wants it."""
    return "/".join(["/jobs", *(quote(part, safe="") for part in (job_id, *parts))])


def open_app(url: str) -> App:
    """The app that the command line or the environment names. Raises `CommandFault`."""
    if not url:
        raise CommandFault("Which app? Give --url, or set MAILCONNECTOR_URL.", code=Exit.USAGE)
    if key := os.environ.get("MAILCONNECTOR_KEY"):
        return App(url, {"x-functions-key": key})
    if audience := os.environ.get("MAILCONNECTOR_AUDIENCE"):
        return App(url, {"Authorization": f"Bearer {_token(audience)}"})
    return App(url)


def _token(audience: str) -> str:
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import DefaultAzureCredential

    try:
        return DefaultAzureCredential().get_token(f"{audience.rstrip('/')}/.default").token
    except ClientAuthenticationError as fault:
        first = str(fault.message).splitlines()[0]
        raise CommandFault(f"Nobody is signed in who may ask {audience}: {first} Try `az login`.") from fault


def _refusal(answer: httpx.Response) -> CommandFault:
    """The problem document (RFC 9457) as sentences."""
    where = f"{answer.request.method} {answer.request.url.path}"
    try:
        problem = answer.json()
        sentences = [problem.get("detail") or problem["title"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return CommandFault(f"{where}: {answer.status_code} {answer.reason_phrase}{_HINTS.get(answer.status_code, '')}")
    sentences += [f"  {one.get('pointer') or '/'}: {one['detail']}" for one in problem.get("errors", [])]
    changed = answer.status_code in (httpx.codes.PRECONDITION_FAILED, httpx.codes.PRECONDITION_REQUIRED)
    return CommandFault("\n".join(sentences), code=Exit.CHANGED_MEANWHILE if changed else Exit.FAILED)


_HINTS = {
    401: ": sign in with MAILCONNECTOR_KEY or MAILCONNECTOR_AUDIENCE.",
    403: ": you have no role that may do this.",
    404: ": is this the address of the app?",
}
