"""The pure parts of the POP3 connector."""

import io
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.connectors._pop_text import (
    capabilities_in,
    code_in,
    handle_of,
    is_temporary,
    may_be,
    numbered,
    read_body,
)

#: Much of what matters: line ends, parts of them, dots, and something else.
MESSAGES = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"..", b"x", b"\xff"]), max_size=40).map(b"".join)


class _Pieces(io.RawIOBase):
    """A connection that gives its octets in pieces."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = data
        self._sizes = sizes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # narrower than any buffer
        count = min(len(buffer), self._sizes.pop() if self._sizes else len(buffer))
        part, self._data = self._data[:count], self._data[count:]
        buffer[: len(part)] = part
        return len(part)


def _source(data: bytes, sizes: list[int] | None = None, *, buffer: int = 8_192) -> io.BufferedReader:
    return cast(io.BufferedReader, io.BufferedReader(_Pieces(data, sizes or []), buffer))


def _on_the_wire(message: bytes) -> bytes:
    """As RFC 1939 section 3 has a server send it; a message that does not end with a line end gets one."""
    lines = message.removesuffix(b"\r\n").split(b"\r\n") if message else []
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"


@given(MESSAGES, st.lists(st.integers(min_value=1, max_value=5)), st.integers(min_value=1, max_value=70))
def test_a_message_comes_through_as_it_was(message: bytes, sizes: list[int], buffer: int) -> None:
    """Whatever its line ends and dots are, and however it is cut on the way; what follows is not touched."""
    wire = _on_the_wire(message)
    source = _source(wire + b"+OK next\r\n", sizes, buffer=buffer)
    body = read_body(source, keep=10_000)
    expected = message if not message or message.endswith(b"\r\n") else message + b"\r\n"
    assert (body.data, body.size) == (expected, len(expected))
    assert source.read() == b"+OK next\r\n"


@given(MESSAGES, st.integers(min_value=0, max_value=60), st.lists(st.integers(min_value=1, max_value=5)))
def test_what_is_too_much_is_counted_and_dropped(message: bytes, keep: int, sizes: list[int]) -> None:
    """The beginning is kept, the size is that of the whole."""
    whole = read_body(_source(_on_the_wire(message)), keep=10_000)
    body = read_body(_source(_on_the_wire(message), sizes, buffer=16), keep=keep)
    assert (body.data, body.size) == (whole.data[:keep], whole.size)


@given(MESSAGES)
def test_an_answer_that_stops_before_its_end_is_none(message: bytes) -> None:
    """At whatever octet."""
    wire = _on_the_wire(message)
    for length in range(len(wire)):
        with pytest.raises(EOFError):
            read_body(_source(wire[:length]), keep=10_000)


@given(st.lists(st.tuples(st.integers(min_value=1), st.text("ab0.:<>[]\x7f\xff", min_size=1)), max_size=5))
def test_listings_are_read_as_they_are_written(lines: list[tuple[int, str]]) -> None:
    """One number and what stands beside it."""
    wire = "".join(f"{number} {rest}\r\n" for number, rest in lines)
    assert list(numbered(wire.encode("latin-1"))) == lines


def test_lines_of_a_listing_that_make_no_sense_are_passed_over() -> None:
    """No number, no line."""
    assert list(numbered(b"\r\nx y\r\n-1 z\r\n7\r\n8  two words \r\n")) == [(7, ""), (8, "two words")]


def test_capabilities_are_read_in_any_case() -> None:
    """Names and arguments (RFC 2449 section 5), and no fault over an empty line."""
    found = capabilities_in(b"top\r\nSASL Plain LOGIN\r\n\r\nLOGIN-DELAY 60\r\n")
    assert found == {"TOP": (), "SASL": ("PLAIN", "LOGIN"), "LOGIN-DELAY": ("60",)}


@pytest.mark.parametrize(
    ("said", "code", "temporary"),
    [
        ("[IN-USE] do you have another POP session running?", "IN-USE", True),
        ("[LOGIN-DELAY]", "LOGIN-DELAY", True),
        ("[sys/temp] disk", "SYS/TEMP", True),
        ("[SYS/TEMP/QUOTA] x", "SYS/TEMP/QUOTA", True),
        ("[SYS/PERM] gone", "SYS/PERM", False),
        ("[AUTH] wrong", "AUTH", False),
        ("no [IN-USE] at its beginning", "", False),
        ("[no code] here", "", False),
    ],
)
def test_response_codes_tell_not_now_from_no(said: str, code: str, temporary: bool) -> None:  # noqa: FBT001 - a table
    """RFC 2449 section 8 and RFC 3206."""
    assert code_in(said) == code
    assert is_temporary(code) is temporary


@given(st.text(min_size=1), st.none() | st.integers(min_value=0), st.none() | st.integers(min_value=0))
def test_a_handle_knows_its_message_by_size(uidl: str, size: int | None, later: int | None) -> None:
    """Two sizes that are both known must be the same."""
    assert may_be(handle_of(uidl, size), later) is (size is None or later is None or size == later)
