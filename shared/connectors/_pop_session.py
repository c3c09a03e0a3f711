"""One POP3 session: what it lists, and what it has done so far. Message numbers mean nothing outside of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.connectors._pop_connection import Connection, Refusal
from shared.connectors._pop_text import numbered
from shared.errors import ConfigInvalid, Unavailable

#: Stands for the UIDL of messages that have none. A real one has no blank in it (RFC 1939 section 7).
NO_UIDL = "no UIDL"


@dataclass(frozen=True, slots=True)
class Listed:
    """A message as the session numbers it."""

    number: int
    #: As LIST tells; None where it does not.
    size: int | None
    #: Why it can be told apart from no other, and so must not be touched; empty for a sound one.
    fault: str = ""


@dataclass(slots=True)
class Session:
    """A signed-in connection and its listing."""

    connection: Connection
    #: Messages in the mailbox when the session began.
    in_box: int
    #: By UIDL, in the order of their numbers.
    listed: Mapping[str, Listed]
    #: UIDLs that were given out whole (RETR) or marked as deleted (DELE): what a QUIT may remove.
    retrieved: set[str] = field(default_factory=set)
    marked: set[str] = field(default_factory=set)

    def leave(self) -> None:
        """End it so that nothing is removed.

        Without QUIT nothing may be (RFC 1939 section 6). With it, a server may delete even what was only retrieved
        (section 8); so the polite end is for sessions that have done neither.
        """
        self.connection.close(politely=not self.retrieved and not self.marked)


def begin(connection: Connection) -> Session:
    """List the mailbox. Raises `ConfigInvalid` where the server has no UIDL, and then closes the connection."""
    try:
        return _list(connection)
    except BaseException:
        connection.close()
        raise


def _list(connection: Connection) -> Session:
    doing = "listing the mailbox"
    try:
        ids = connection.ask_listing(doing, "UIDL")
    except Refusal as refusal:
        if refusal.temporary:
            raise
        raise ConfigInvalid(
            f"{connection.address} gives messages no lasting ids (it refuses UIDL), so it cannot be used.",
            remedy="Use IMAP4 for this mailbox, or have UIDL enabled on the server.",
        ) from refusal
    sizes = dict(numbered(connection.ask_listing(doing, "LIST")))
    told = connection.ask(doing, "STAT").split()
    if not told or not told[0].isdecimal():
        raise Unavailable(f"{connection.address} does not say how many messages there are.")
    by_uidl: dict[str, list[int]] = {}
    uidls = dict(numbered(ids))
    for number in sorted({*uidls, *sizes}):
        by_uidl.setdefault(uidls.get(number) or NO_UIDL, []).append(number)
    listed = {
        uidl: Listed(numbers[0], _octets(sizes.get(numbers[0], "")), _fault(uidl, len(numbers)))
        for uidl, numbers in by_uidl.items()
    }
    return Session(connection, int(told[0]), listed)


def _octets(told: str) -> int | None:
    first = told.partition(" ")[0]
    return int(first) if first.isdecimal() else None


def _fault(uidl: str, count: int) -> str:
    if uidl == NO_UIDL:
        return f"the server gives {count} of its messages no UIDL"
    return f"the server gives {count} messages the same UIDL" if count > 1 else ""
