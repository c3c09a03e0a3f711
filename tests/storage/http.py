"""Servers that do not behave as storage does, on real sockets: scripted answers, silence, or nobody at all."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from shared.storage.open import Account

KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


def account_at(port: int) -> Account:
    """The storage account whose every service is on this port."""
    services = ("Blob", "Queue", "Table")
    endpoints = ";".join(f"{name}Endpoint=http://127.0.0.1:{port}/devstoreaccount1" for name in services)
    return Account(
        connection_string=f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};{endpoints}"
    )


class Answer:
    """What a server says to one request."""

    def __init__(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.status = status
        self.body = body
        #: So many octets are announced besides, and never come: then the connection closes.
        self.missing = 0
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def broken_off(self, missing: int) -> Self:
        """The same, but ``missing`` octets of it never come."""
        self.missing = missing
        return self


@contextmanager
def answering(answer: Callable[[int], Answer]) -> Iterator[Account]:
    """A server that says ``answer(n)`` to its nth request, from 1."""
    lock = threading.Lock()
    asked = 0

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            nonlocal asked
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                asked += 1
                said = answer(asked)
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body) + said.missing))
            self.end_headers()
            self.wfile.write(said.body)
            self.close_connection |= bool(said.missing)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield account_at(server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent(first_words: bytes = b"") -> Iterator[Account]:
    """A server that takes every connection, says ``first_words``, and never says anything more."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                held.append(connection)
                connection.sendall(first_words)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield account_at(listening.getsockname()[1])
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()
