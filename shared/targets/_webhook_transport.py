"""httpx on connections that are guarded (`_webhook_guard`), with answers of a bounded length."""

import ssl
from typing import Final

import httpcore
import httpx

from shared.targets._webhook_calls import Where
from shared.targets._webhook_guard import GuardedBackend, Resolve

#: Of an answer no more is read.
_LONGEST_ANSWER: Final = 4 * 1024 * 1024


class Transport(httpx.BaseTransport):
    """One pool of connections."""

    def __init__(self, where: Where, resolve: Resolve) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(cafile=where.ca_file) if where.tls else None,
            network_backend=GuardedBackend(allow_private=where.allow_private, resolve=resolve),
            max_connections=4,
            keepalive_expiry=20,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method, url, headers=request.headers.raw, content=request.read(), extensions=request.extensions
            )
        )
        try:
            # Read here, so that no answer however long is ever held.
            body = bytearray()
            for part in answer.iter_stream():
                body += part
                if len(body) > _LONGEST_ANSWER:
                    raise httpcore.RemoteProtocolError("The answer is over 4 MiB.")
        finally:
            answer.close()
        return httpx.Response(answer.status, headers=answer.headers, content=bytes(body), request=request)

    def close(self) -> None:
        self._pool.close()
