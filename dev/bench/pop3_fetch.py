"""How fast the POP3 connector lists, fetches and deletes on a real Dovecot, as ratios to poplib's one at a time.

``python -m dev.bench.pop3_fetch [messages]``. Ratios, because absolute figures say more of the machine than of us.
"""

import poplib
import ssl
import sys
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from shared.connectors.pop import Pop3Settings, open_mailbox
from shared.model import Disposition, Pick, Picking
from shared.ports import Deadline, Mailbox, OpenRequest
from tests.servers.dovecot import Dovecot
from tests.servers.imap_host import User

_SMALL, _LARGE = 6_000, 1_000_000
_PICKING = Picking(Pick.UNREAD, since=datetime(2026, 1, 1, tzinfo=UTC))
_DELETED = Disposition(deleted=True, purge=True)


class _Password:
    def __init__(self, user: User) -> None:
        self._user = user

    def get(self, name: str) -> str:  # noqa: ARG002 - there is only one
        return self._user.password


def _open(server: Dovecot, user: User) -> Mailbox:
    settings = Pop3Settings(
        type="pop3",
        host=server.host,
        port=server.pop3s_port,
        username=user.name,
        password_secret="mailbox",
        ca_file=str(server.ca_file),
    )
    deadline = Deadline(datetime.now(UTC) + timedelta(minutes=30), lambda: datetime.now(UTC))
    return open_mailbox(OpenRequest("bench", settings, _Password(user), deadline))


def _rate(count: int, work: Callable[[], object], *, times: int = 3) -> float:
    """Messages per second in the best of some passes."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return count / best


def _mail(size: int) -> bytes:
    return b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * (size // 18)


def _one_by_one(server: Dovecot, user: User) -> None:
    context = ssl.create_default_context(cafile=server.ca_file)
    client = poplib.POP3_SSL(server.host, server.pop3s_port, context=context)
    try:
        client.user(user.name)
        client.pass_(user.password)
        for number in range(1, client.stat()[0] + 1):
            client.retr(number)
    finally:
        client.close()


def main(count: int) -> None:
    """Print the ratios."""
    with Dovecot() as server:
        user, large = server.new_mailbox(), server.new_mailbox()
        server.append(user, "INBOX", [_mail(_SMALL)] * count)
        server.append(large, "INBOX", [_mail(_LARGE)] * 100)
        single = _rate(count, lambda: _one_by_one(server, user))
        print(f"{count} messages of {_SMALL} octets; poplib, one by one = 1")
        with _open(server, user) as mailbox:
            refs = mailbox.candidates(_PICKING).refs
            print(
                f"fetch, 20 in flight {_rate(count, lambda: list(mailbox.fetch(refs, max_bytes=_LARGE))) / single:5.1f}"
            )
            print(f"mark (DELE)         {_rate(count, lambda: mailbox.dispose(refs, _DELETED), times=1) / single:5.1f}")
            print(f"purge (QUIT)        {_rate(count, lambda: mailbox.purge(refs), times=1) / single:5.1f}")
        tracemalloc.start()
        with _open(server, large) as mailbox:
            for _ in mailbox.fetch(mailbox.candidates(_PICKING).refs, max_bytes=2 * _LARGE):
                pass
        peak = tracemalloc.get_traced_memory()[1] / 1_000_000
        print(f"100 messages of 1 MB take {peak:.0f} MB of memory at most")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
