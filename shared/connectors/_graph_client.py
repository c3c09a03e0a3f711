"""Requests to Microsoft Graph through the request adapter of msgraph-sdk, with retries, time limits and batches.

The adapter is used without the generated request builders and models: docs/servers-graph.md has what those cost. Its
event loop lives in here: every public method is synchronous and has ended all that it began when it returns.

One thing at a time: Exchange Online allows four requests at once for an app and a mailbox, and a batch by itself runs
four of its requests side by side (https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits).
"""

import asyncio
import base64
import io
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from kiota_http.middleware.options import RedirectHandlerOption, RetryHandlerOption
from msgraph.graph_request_adapter import GraphRequestAdapter, options
from msgraph_core import GraphClientFactory  # type: ignore[import-untyped] # the package has no marker

from shared.connectors._graph_answers import AGAIN, BUSY, Answer, Place, answer_of, busy, may_not_send, refusal
from shared.errors import AuthFailed, JobError, MailConnectorError, Unavailable, Unreachable
from shared.ports import Deadline, Opening
from shared.signin.entra import claims_in

#: Seconds: for a connection to come up; of silence; for one answer as a whole; for one large message as a whole.
_CONNECT, _SILENCE, _EXCHANGE, _STREAM = 30.0, 60.0, 120.0, 240.0
#: How often something is asked in all.
_TRIES = 4
#: Seconds that a run sits and waits at most; where Graph asks for more, the job comes back later instead.
_LONGEST_PAUSE = 120.0
#: https://learn.microsoft.com/graph/json-batching#batch-size-limitations
_BATCH = 20
#: https://learn.microsoft.com/graph/outlook-immutable-id: "include this header with every API request".
_IMMUTABLE = 'IdType="ImmutableId"'

_T = TypeVar("_T")
#: Waits that many seconds.
Pause = Callable[[float], Awaitable[None]]

_log = logging.getLogger(__name__)


class Forgotten(Unavailable):
    """A delta token has no meaning any more: the list has to be begun again."""


class Lost(Unavailable):
    """No answer came, or half of one, however often we asked. Whoever suspects a single message catches it."""


class _Silent(Lost, Unreachable):
    """There was no connection to lose."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: ``path`` below the version (``/users/...``), or the whole address of a page that Graph named."""

    path: str
    method: str = "GET"
    #: What JSON holds, or a message as MIME.
    body: Mapping[str, Any] | bytes | None = None
    #: Preferences beside the immutable ids.
    prefer: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """As one request has them, be it by itself or within a batch."""
        type_of_body = "text/plain" if isinstance(self.body, bytes) else "application/json"
        kind = {} if self.body is None else {"Content-Type": type_of_body}
        return {"Prefer": ", ".join((_IMMUTABLE, *self.prefer)), **kind}

    @property
    def content(self) -> bytes:
        """The body as a request by itself has it: MIME goes in base64."""
        return base64.b64encode(self.body) if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Client:
    """``root`` is Graph's own, without the version. ``close`` it; nothing here may be shared between threads."""

    def __init__(
        self,
        root: str,
        scope: str,
        credential: TokenCredential,
        *,
        mailbox: str,
        deadline: Deadline,
        pause: Pause = asyncio.sleep,
        begins: Callable[[Opening], None] = lambda _: None,
    ) -> None:
        self.place = Place(mailbox, root)
        self._base = f"{root}/v1.0"
        self._deadline = deadline
        self._pause = pause
        self._begins = begins
        self._credential = credential
        self._scope = scope
        self._loop = asyncio.new_event_loop()
        own = httpx.AsyncClient(
            timeout=httpx.Timeout(_SILENCE, connect=_CONNECT), limits=httpx.Limits(max_connections=3), http2=True
        )
        # The SDK wraps these and forgets to close them.
        self._transports: list[httpx.AsyncBaseTransport] = [own._transport, *filter(None, own._mounts.values())]  # noqa: SLF001 - no public way there
        # We pause and ask again ourselves, within the deadline and also for what is inside of a batch.
        choices = {
            **options,
            RetryHandlerOption.get_key(): RetryHandlerOption(max_retries=0, should_retry=False),
            RedirectHandlerOption.get_key(): RedirectHandlerOption(max_redirect=0, should_redirect=False),
        }
        self._http: httpx.AsyncClient = GraphClientFactory.create_with_default_middleware(client=own, options=choices)
        hosts = [urlsplit(root).hostname or ""]
        sign_in = AzureIdentityAuthenticationProvider(credential, scopes=[scope], allowed_hosts=hosts)
        self._adapter = GraphRequestAdapter(sign_in, client=self._http)
        self._adapter.base_url = self._base

    def close(self) -> None:
        """Let go of the connections and of the loop. Never raises; harmless when done again."""
        if self._loop.is_closed():
            return
        try:
            self._loop.run_until_complete(self._http.aclose())
            for transport in self._transports:
                self._loop.run_until_complete(transport.aclose())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        except (httpx.HTTPError, OSError, RuntimeError) as exc:
            _log.debug("The connections with %s did not close well: %s", self.place.root, type(exc).__name__)
        finally:
            self._loop.close()

    def ask(self, call: Call, doing: str) -> Answer:
        """The answer, whatever it is about. Raises where it is about the sign-in or the mailbox as a whole.

        ``doing`` says in a sentence what is going on. Raises `AuthFailed`, `ConfigInvalid`, `Unavailable` (`Lost`).
        """
        return self._run(self._ask(call, doing))

    def get(self, path: str, doing: str, *prefer: str) -> Mapping[str, Any]:
        """The JSON at ``path``; anything else ends the run."""
        answer = self.ask(Call(path, prefer=prefer), doing)
        if answer.state_lost:
            raise Forgotten(f"Microsoft Graph does not know its own state any more ({answer}, while {doing}).")
        if not answer.ok or not isinstance(answer.body, dict):
            raise self._refusal(answer, doing)
        return answer.body

    def pages(self, path: str, doing: str, *prefer: str) -> Iterator[Mapping[str, Any]]:
        """Every page from ``path`` on. An empty page is no end; a page that comes twice is no progress, so it raises.

        https://learn.microsoft.com/graph/paging
        """
        seen: set[str] = set()
        following: str | None = path
        while following:
            if following in seen:
                raise Unavailable(f"Microsoft Graph names the same page again and again (while {doing}).")
            seen.add(following)
            page = self.get(following, doing, *prefer)
            yield page
            following = page.get("@odata.nextLink")

    def batch(self, calls: Sequence[Call], doing: str) -> list[Answer]:
        """One answer for each call, in their order, each asked again by itself where it said "not now".

        Raises as `ask` does: also when only some of the calls were refused, and then any part may have been done.
        """
        return self._run(self._batch(calls, doing))

    def read(self, path: str, doing: str, *, most: int) -> Answer:
        """The octets at ``path``, one more than ``most`` where there are more: the rest is not fetched."""

        async def stream() -> Answer:
            return await self._stream(Call(path), most)

        return self._run(self._judged(doing, stream, _STREAM))

    def send_mail(self, body: Mapping[str, Any] | bytes) -> None:
        """POST sendMail from the mailbox. Asked once: after a lost answer nobody knows whether it is on its way.

        Raises `AuthFailed`, `ConfigInvalid` or `Unavailable`.
        """
        doing = "sending mail"

        async def exchange() -> Answer:
            return await self._exchange(Call(f"/users/{quote(self.place.mailbox, safe='')}/sendMail", "POST", body))

        answer = self._run(self._once(exchange, doing, _EXCHANGE))
        if answer.status == HTTPStatus.FORBIDDEN:
            raise may_not_send(answer, self.place)
        if not answer.ok:
            raise self._refusal(answer, doing, changing=True)

    def roles(self) -> frozenset[str]:
        """The application permissions that the app's token names; those granted within Exchange are not among them."""
        found = claims_in(self._credential.get_token(self._scope).token).get("roles", ())
        return frozenset(map(str, found)) if isinstance(found, list) else frozenset()

    def _refusal(self, answer: Answer, doing: str, *, changing: bool = False) -> JobError:
        roles = self.roles() if answer.status == HTTPStatus.FORBIDDEN else frozenset[str]()
        return refusal(answer, doing, self.place, changing=changing, roles=roles)

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._loop.run_until_complete(work)

    async def _ask(self, call: Call, doing: str) -> Answer:
        async def exchange() -> Answer:
            return await self._exchange(call)

        return await self._judged(doing, exchange, _EXCHANGE)

    async def _judged(self, doing: str, send: Callable[[], Awaitable[Answer]], limit: float) -> Answer:
        answer = await self._patiently(send, doing, limit)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            self._begins(Opening.MAILBOX)
        if answer.about_mailbox:
            raise self._refusal(answer, doing)
        self._begins(Opening.FOLDER)
        return answer

    async def _patiently(self, send: Callable[[], Awaitable[Answer]], doing: str, limit: float) -> Answer:
        """Ask until there is an answer that is not "not now", a few times."""
        for tried in range(1, _TRIES):
            try:
                answer = await self._once(send, doing, limit)
            except Lost:
                await self._rest(None, tried, doing)
            else:
                if answer.status not in BUSY | {500}:
                    return answer
                await self._rest(answer, tried, doing)
        answer = await self._once(send, doing, limit)
        if answer.status in BUSY:
            raise busy(answer, doing, self.place)
        return answer

    async def _once(self, send: Callable[[], Awaitable[Answer]], doing: str, limit: float) -> Answer:
        left = self._deadline.left.total_seconds()
        if left <= 0:
            raise Unavailable(f"The time of the run was up before {doing} ({self.place.mailbox}).")
        try:
            async with asyncio.timeout(min(limit, left)):
                return await send()
        except MailConnectorError:
            raise
        except ClientAuthenticationError as exc:
            raise AuthFailed(
                f"The app cannot sign in for mailbox {self.place.mailbox!r}.",
                remedy="Check the sign-in of the job: tenant, client and secret or certificate.",
            ) from exc
        except AzureError as exc:
            raise Unavailable(f"No token can be had for mailbox {self.place.mailbox!r} just now.") from exc
        except TimeoutError as exc:
            raise Lost(f"{self.place.root} did not finish {doing} in time.") from exc
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            why = type(exc).__name__
            kind = _Silent if isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout) else Lost
            raise kind(f"The connection with {self.place.root} was lost while {doing} ({why}).") from exc

    async def _rest(self, answer: Answer | None, tried: int, doing: str) -> None:
        """Wait as long as Graph asks for, or ever longer where it does not say."""
        asked = answer.retry_after if answer else None
        seconds = 2.0 ** (tried - 1) if asked is None else asked
        if seconds >= min(_LONGEST_PAUSE, self._deadline.left.total_seconds()):
            if answer:
                raise busy(answer, doing, self.place)
            raise Unavailable(f"{self.place.root} gives no answer, and the time of the run is nearly up.")
        await self._pause(seconds)

    async def _exchange(self, call: Call) -> Answer:
        info = self._request(call)
        span = self._adapter.start_tracing_span(info, "mail_connector")
        try:
            response = await self._adapter.get_http_response_message(info, span)
        finally:
            span.end()
        return self._answer(response)

    async def _stream(self, call: Call, most: int) -> Answer:
        request = await self._adapter.convert_to_native_async(self._request(call))
        response = await self._http.send(request, stream=True)
        try:
            if response.status_code != 200:
                await response.aread()
                return self._answer(response)
            data = io.BytesIO()
            async for part in response.aiter_bytes():
                data.write(part[: most + 1 - data.tell()])
                if data.tell() > most:
                    break
            return Answer(200, data.getvalue())
        finally:
            await response.aclose()

    def _answer(self, response: httpx.Response) -> Answer:
        return answer_of(response.status_code, response.headers, response.content, self._deadline.clock())

    def _request(self, call: Call) -> RequestInformation:
        url = f"{self._base}{call.path}" if call.path.startswith("/") else call.path
        if not url.startswith(f"{self._base}/"):
            raise Unavailable(f"{self.place.root} names a page that is not its own; the token was not sent there.")
        info = RequestInformation()
        info.http_method = Method[call.method]
        info.url = url
        for name, value in call.headers.items():
            info.headers.try_add(name, value)
        if call.body is not None:
            info.content = call.content
        return info

    async def _batch(self, calls: Sequence[Call], doing: str) -> list[Answer]:
        answers: dict[int, Answer] = {}
        tries = dict.fromkeys(range(len(calls)), 0)
        while left := [number for number in tries if number not in answers]:
            part = left[:_BATCH]
            found = await self._one_batch({number: calls[number] for number in part}, doing)
            slowest: Answer | None = None
            for number, answer in found.items():
                tries[number] += 1
                if answer.about_mailbox:
                    raise self._refusal(answer, doing, changing=calls[number].method != "GET")
                if answer.status in AGAIN and tries[number] < _TRIES:
                    slowest = max(answer, slowest or answer, key=lambda one: one.retry_after or 0)
                elif answer.status in BUSY:
                    raise busy(answer, doing, self.place)
                else:
                    answers[number] = answer
            if slowest:
                await self._rest(slowest, max(tries[number] for number in part), doing)
        return [answers[number] for number in range(len(calls))]

    async def _one_batch(self, calls: Mapping[int, Call], doing: str) -> Mapping[int, Answer]:
        """https://learn.microsoft.com/graph/json-batching: answers come in any order; a missing one is asked again."""
        requests = [
            {"id": str(number), "method": call.method, "url": call.path, "headers": call.headers}
            | ({} if call.body is None else {"body": call.body})
            for number, call in calls.items()
        ]
        whole = await self._ask(Call("/$batch", "POST", {"requests": requests}), doing)
        if not whole.ok or not isinstance(whole.body, dict):
            raise self._refusal(whole, doing)
        now = self._deadline.clock()
        found = {
            str(one.get("id")): answer_of(int(one.get("status", 0)), one.get("headers") or {}, one.get("body"), now)
            for one in whole.body.get("responses", ())
        }
        return {number: found.get(str(number), Answer(424)) for number in calls}
