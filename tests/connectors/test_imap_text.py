"""The pure parts of the IMAP connector."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.connectors._imap_text import (
    code_in,
    cursor_of,
    find_folder,
    item_of,
    normal_folder,
    uid_after,
    uid_of,
    uid_sets,
)
from shared.connectors._text import header_of, readable

NUMBERS = st.integers(min_value=1, max_value=2**32 - 1)


def _expanded(uid_set: str) -> set[int]:
    uids: set[int] = set()
    for part in uid_set.split(","):
        first, _, last = part.partition(":")
        uids |= set(range(int(first), int(last or first) + 1))
    return uids


@given(st.lists(st.integers(min_value=1, max_value=3_000)), st.integers(min_value=20, max_value=200))
def test_uid_sets_name_exactly_what_was_asked_for(uids: list[int], octets: int) -> None:
    """Neither one more nor one less, no set over its limit, nothing twice."""
    sets = list(uid_sets(uids, octets=octets))
    named = [_expanded(one) for one in sets]
    assert set().union(*named) == set(uids)
    assert sum(map(len, named)) == len(set(uids))
    assert all(len(one) <= octets for one in sets)


def test_neighbours_become_a_range() -> None:
    """A thousand messages in a row are one short word."""
    assert list(uid_sets(range(1, 1001))) == ["1:1000"]
    assert list(uid_sets([7, 1, 2, 3, 9])) == ["1:3,7,9"]


@given(NUMBERS, NUMBERS, NUMBERS)
def test_items_and_cursors_mean_nothing_under_another_uidvalidity(era: int, uid: int, other: int) -> None:
    """They come back as they were under the same UIDVALIDITY, and as nothing under another."""
    same = era == other
    assert uid_of(item_of(era, uid), other) == (uid if same else None)
    assert uid_after(cursor_of(era, uid), other) == (uid if same else 0)


@given(st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS))
def test_items_sort_as_the_server_counts(one: tuple[int, int], other: tuple[int, int]) -> None:
    """Text order is number order."""
    assert (item_of(*one) < item_of(*other)) == (one < other)


@pytest.mark.parametrize("text", ["", "x", "7", "7.", ".7", "7.x", "AAMk=", "7.5.3", "-7.5"])
def test_a_foreign_item_names_no_message(text: str) -> None:
    """What another kind of server gave as an id is nothing here."""
    assert uid_of(text, 7) is None


@pytest.mark.parametrize("text", [None, "", "x", "7", "7:", "7:x", "x:7"])
def test_a_broken_cursor_starts_afresh(text: str | None) -> None:
    """Rather list too much, which the ledger knows, than miss a message."""
    assert uid_after(text, 7) == 0


@pytest.mark.parametrize(
    ("spelling", "normal"),
    [
        ("inbox", "INBOX"),
        ("Inbox.Support", "INBOX/Support"),
        ("INBOX/Support/", "INBOX/Support"),
        ("Entw&APw-rfe", "Entwürfe"),
        ("Entwu\u0308rfe", "Entwürfe"),
        ("R&D", "R&D"),
        ("R&D-X", "R&D-X"),
        ("&AP-", "&AP-"),
        ("&2AA-", "&2AA-"),
    ],
)
def test_spellings_of_a_folder_are_one(spelling: str, normal: str) -> None:
    """Delimiter, capitals of INBOX, Unicode form and UTF-7 do not make another folder."""
    assert normal_folder(spelling) == normal


@pytest.mark.parametrize(
    ("wanted", "folders", "expected"),
    [
        ("INBOX.Support", {("INBOX", "/"), ("INBOX/Support", "/")}, "INBOX/Support"),
        ("INBOX/Support", {("INBOX", "."), ("INBOX.Support", ".")}, "INBOX.Support"),
        ("inbox\\a", {("INBOX\\a", "\\")}, None),
        ("INBOX/a", {("INBOX\\a", "\\")}, "INBOX\\a"),
        ("Entw&APw-rfe", {("Entwürfe", "/")}, "Entwürfe"),
        ("a.b", {("a/b", "/"), ("a.b", "/")}, None),
        ("Support", {("support", "/")}, None),
        ("Flat", {("Flat", "")}, "Flat"),
    ],
)
def test_a_folder_is_found_by_any_spelling_but_never_guessed(
    wanted: str, folders: set[tuple[str, str]], expected: str | None
) -> None:
    """One match is taken; none or two are not."""
    assert find_folder(wanted, folders) == expected


@pytest.mark.parametrize(
    ("message", "header"),
    [
        (b"A: 1\r\n\r\nbody\r\n\r\n", b"A: 1\r\n\r\n"),
        (b"A: 1\n\nbody\r\n\r\n", b"A: 1\n\n"),
        (b"A: 1\r\n", b"A: 1\r\n"),
        (b"", b""),
    ],
)
def test_the_header_ends_at_the_first_empty_line(message: bytes, header: bytes) -> None:
    """Whatever the line ends, and where there is none, all is header."""
    assert header_of(message) == header


def test_answers_become_one_readable_line() -> None:
    """Control characters and line ends go; the length is bounded; the response code is found."""
    assert readable(b"[ALERT] a\r\nb\x1b[31m\xff.") == "[ALERT] a b [31m\N{REPLACEMENT CHARACTER}"
    assert len(readable("x" * 1_000)) == 200
    assert code_in("login failed: [AUTHENTICATIONFAILED] no") == "AUTHENTICATIONFAILED"
    assert code_in("no code") == ""
