"""The texts of EWS: keys, paths, classes, instants, headers."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.connectors._ews_text import (
    checked_folder,
    cursor_of,
    header_bytes,
    header_of,
    instant_of,
    is_mail,
    item_of,
    parts_of,
)
from shared.mime import parse

_MOMENTS = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1))  # noqa: DTZ001 - the zone is added


@given(_MOMENTS, _MOMENTS, st.text(min_size=1), st.text(min_size=1))
def test_items_sort_as_messages_arrive(one: datetime, two: datetime, first: str, second: str) -> None:
    """The later one sorts behind; two messages never share an item; all of it is safe in a storage key."""
    earlier, later = sorted(moment.replace(microsecond=0, tzinfo=UTC) for moment in (one, two))
    if earlier != later:
        assert item_of(first, earlier) < item_of(second, later)
    assert (item_of(first, earlier) == item_of(second, earlier)) == (first == second)
    assert re.fullmatch(r"[0-9T.a-f]{56}", item_of(first, earlier))


def test_an_item_without_a_date_still_has_a_key() -> None:
    """Servers that give none must not stop the job."""
    assert item_of("x", None).startswith("00000000T000000.")


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("Inbox", ("inbox", ())),
        ("INBOX / Support", ("inbox", ("Support",))),
        ("Sent Items/A", ("sentitems", ("A",))),
        ("Team/Inbox", ("msgfolderroot", ("Team", "Inbox"))),
        ("/Team/", ("msgfolderroot", ("Team",))),
        ("Deleted Items/Kept", ("deleteditems", ("Kept",))),
    ],
)
def test_a_path_begins_with_a_well_known_folder_or_at_the_top(path: str, parts: tuple[str, tuple[str, ...]]) -> None:
    """In English, since these names are the protocol's; every other folder by the name that people see."""
    assert parts_of(path) == parts
    assert checked_folder(path) == path


@pytest.mark.parametrize(
    "item_class",
    [
        "IPM.Note",
        "ipm.note.smime.multipartsigned",
        "IPM.Schedule.Meeting.Request",
        "IPM.Schedule.Meeting.Resp.Pos",
        "REPORT.IPM.Note.NDR",
        "IPM.Helpdesk.Request",
        "IPM.TaskRequest",
        "IPM.Sharing",
        "",
    ],
)
def test_what_was_sent_is_mail(item_class: str) -> None:
    """Forms of somebody's own too, and whatever is not known: no message is lost for its class."""
    assert is_mail(item_class)


@pytest.mark.parametrize("item_class", ["IPM.Appointment", "ipm.contact", "IPM.Task", "IPM.Post.RSS", "IPM.StickyNote"])
def test_what_only_lies_there_is_no_mail(item_class: str) -> None:
    """Things that people make or drag into a folder."""
    assert not is_mail(item_class)


@given(_MOMENTS, st.integers(-14 * 60, 14 * 60), st.text("0123456789", max_size=12))
def test_instants_are_read_to_the_second(moment: datetime, minutes: int, digits: str) -> None:
    """Any zone, and more digits of the second than any clock has."""
    zone = timezone(timedelta(minutes=minutes))
    text = moment.replace(microsecond=0).isoformat() + (f".{digits}" if digits else "")
    sign, whole = "-" if minutes < 0 else "+", abs(minutes)
    written = f"{text}{sign}{whole // 60:02d}:{whole % 60:02d}"
    assert instant_of(written) == moment.replace(microsecond=0, tzinfo=zone)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00+99:99"])
def test_an_instant_that_makes_no_sense_is_none(text: str) -> None:
    """Not an error: a date is not worth a message."""
    assert instant_of(text) is None


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=80)), max_size=8))
def test_a_header_is_one_whatever_its_fields_say(fields: list[tuple[str, str]]) -> None:
    """Names that are none are left out, values cannot break out of their line, and one empty line ends it."""
    data = header_bytes(fields)
    assert data.isascii()
    *lines, end, rest = data.split(b"\r\n")
    assert (end, rest) == (b"", b"")
    assert all(re.match(rb"[!-9;-~]+: ", line) for line in lines)
    parse(data, header_only=True)


def test_a_header_keeps_what_its_fields_say() -> None:
    """Umlauts come back from the parser as they were."""
    message = parse(header_bytes([("Subject", "Grüße an alle"), ("From", "a@example.com")]), header_only=True)
    assert message.subject == "Grüße an alle"


def test_the_header_of_a_message_ends_at_the_first_empty_line() -> None:
    """With either line end; a message that is all header is all header."""
    assert header_of(b"A: 1\r\n\r\nB: 2\r\n\r\n") == b"A: 1\r\n\r\n"
    assert header_of(b"A: 1\n\nrest") == b"A: 1\n\n"
    assert header_of(b"A: 1") == b"A: 1"


def test_a_state_that_storage_cannot_keep_is_no_cursor() -> None:
    """Then each listing starts over, and the ledger knows what was there."""
    assert cursor_of("x" * 30_000) == "x" * 30_000
    assert cursor_of("x" * 30_001) is None
    assert cursor_of("") is None
