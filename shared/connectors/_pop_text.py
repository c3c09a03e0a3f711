"""The texts of POP3 (RFC 1939, RFC 2449) as pure functions: multi-line answers, listings, response codes, handles."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader

#: Response codes that say "not now" rather than "no": RFC 2449 section 8.1.2 and 8.1.1, RFC 3206 section 4.
_TEMPORARY = ("IN-USE", "LOGIN-DELAY", "SYS/TEMP")
_CODE = re.compile(r"\[([^\[\]\s]+)\]")
_CRLF = b"\r\n"
#: How a multi-line answer ends, seen from the line end before it (RFC 1939 section 3).
_END = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True)
class Body:
    """A multi-line answer: its octets as they were before the transport, every line end as it came."""

    data: bytes
    #: Octets of the whole answer; more than ``len(data)`` when only its beginning was kept.
    size: int


def read_body(source: BufferedReader, *, keep: int) -> Body:
    """Read up to the line that ends a multi-line answer, in memory of about ``keep`` octets, whatever comes.

    Only CR LF ends a line here: a lone LF within a message is content, and a dot after it is neither an end nor
    stuffing (RFC 1939 section 3). Raises EOFError when the answer stops before its end.
    """
    kept: list[bytes] = []
    size = 0
    # What came before the octets at hand: a mark may be cut in two. At first, the line end of the status line.
    before = _CRLF
    while chunk := source.peek():
        end = (before + chunk).find(_END)
        taken = chunk if end < 0 else chunk[: end + len(_END) - len(before)]
        source.read(len(taken))
        context = before[-2:]
        part = (context + taken).replace(b"\r\n.", _CRLF)[len(context) :]
        if size < keep + 2:
            kept.append(part[: keep + 2 - size])
        size += len(part)
        if end >= 0:
            # Of the last line only its line end is left.
            return Body(b"".join(kept)[: min(size - 2, keep)], size - 2)
        before = (before + taken)[-4:]
    raise EOFError


def numbered(data: bytes) -> Iterator[tuple[int, str]]:
    """The lines of a LIST or UIDL answer as (message number, what stands beside it); other lines are passed over."""
    for line in data.decode("latin-1").splitlines():
        number, _, rest = line.strip().partition(" ")
        if number.isdecimal():
            yield int(number), rest.strip()


def capabilities_in(data: bytes) -> Mapping[str, tuple[str, ...]]:
    """The answer to CAPA: arguments by name, all in capitals (RFC 2449 section 5)."""
    lines = (line.split() for line in data.decode("latin-1").upper().splitlines())
    return {words[0]: tuple(words[1:]) for words in lines if words}


def code_in(said: str) -> str:
    """The response code that an answer begins with (``IN-USE``), or an empty text (RFC 2449 section 8)."""
    found = _CODE.match(said)
    return found.group(1).upper() if found else ""


def is_temporary(code: str) -> bool:
    """Whether a response code says that the server would answer otherwise later."""
    return any(code == one or code.startswith(f"{one}/") for one in _TEMPORARY)


def handle_of(uidl: str, size: int | None) -> str:
    """What is kept of a listed message to know it again: UIDL, and octets as far as the server told them."""
    return f"{uidl} {'?' if size is None else size}"


def may_be(handle: str, size: int | None) -> bool:
    """Whether a message of ``size`` octets that is listed under the UIDL of ``handle`` can be the same message.

    Servers give a UIDL again, against the rules (RFC 1939 section 7): another size is another message.
    """
    kept = handle.rpartition(" ")[2]
    return size is None or not kept.isdecimal() or int(kept) == size
