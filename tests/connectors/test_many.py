"""A folder with very many messages: the listing takes few requests, and little memory for each.

50,000 where the server costs nothing; the simulator of EWS, which is slower than what it stands for, has fewer. Graph's
listing is held to the same in `tests.connectors.test_graph_listing`.
"""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.ports import Mailbox
from tests.connectors.ews_jobs import open_exchange
from tests.connectors.imap_jobs import open_scripted as open_imap
from tests.connectors.pop_jobs import open_scripted as open_pop
from tests.contract.mailbox import UNREAD
from tests.servers.ews import Exchange
from tests.servers.ews_fixture import MAILBOX, exchange, exchange_authority
from tests.servers.scripted_imap import ScriptedImap, found, opened
from tests.servers.scripted_imap import signed_in as imap_signed_in
from tests.servers.scripted_pop3 import ScriptedPop3, listing
from tests.servers.scripted_pop3 import signed_in as pop_signed_in
from tests.servers.tls import Authority

__all__ = ["exchange", "exchange_authority"]

COUNT = 50_000
#: For each message that is listed: its key, its handle, its size and date. No content, no answer of the server.
OCTETS = 1_400


@contextmanager
def measured() -> Iterator[Callable[[], int]]:
    """Tells how much memory is held by what was allocated within, at its end."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def held_by_the_listing(mailbox: Mailbox, count: int = COUNT) -> int:
    """List once; octets that stay for each message."""
    with measured() as held:
        refs = mailbox.candidates(UNREAD).refs
        assert len(refs) == count
        assert len({ref.key for ref in refs}) == count
        return held() // count


def test_imap4_lists_them_with_one_search() -> None:
    """One line of half a megabyte."""
    talk = [*imap_signed_in(), opened(exists=COUNT), found("UNSEEN UNDELETED", *range(1, COUNT + 1))]
    with ScriptedImap(talk) as server, open_imap(server) as mailbox:
        assert held_by_the_listing(mailbox) < OCTETS


def test_pop3_lists_them_with_three_commands() -> None:
    """UIDL, LIST and STAT, whatever their number."""
    talk = [*pop_signed_in(), *listing({f"uidl-{number}": 1_000 for number in range(COUNT)})]
    with ScriptedPop3(talk) as server, open_pop(server) as mailbox:
        assert held_by_the_listing(mailbox) < OCTETS


def test_ews_lists_them_by_pages_of_a_thousand(exchange: Exchange, exchange_authority: Authority) -> None:
    """Ten requests for 10,000; each page is let go of."""
    box = exchange.mailboxes[MAILBOX]
    for _ in range(10_000):
        box.deliver(b"Subject: m\r\n\r\n")
    with open_exchange(exchange, exchange_authority) as mailbox:
        assert held_by_the_listing(mailbox, 10_000) < OCTETS
    assert exchange.operations().count("FindItem") == 10_000 // 1_000
