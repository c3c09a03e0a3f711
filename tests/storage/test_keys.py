"""Keys that hold any text, never confuse two of them, and sort as we read them."""

import re
import string
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from shared.storage.keys import (
    BUCKETS,
    bucket,
    digest,
    escape,
    newest_first,
    prefix_end,
    read_time,
    write_time,
)
from shared.storage.limits import KEY_UNITS, check_entity

#: Any text, lone surrogates included, short and long, and such as looks escaped already.
texts = (
    st.text(st.characters(), max_size=50)
    | st.text(st.sampled_from("!~0123456789abcdef/#%😀\ud800:;"), max_size=20)
    | st.text(st.sampled_from("a/😀"), min_size=380, max_size=420)
)
numbers = st.integers(0, 2**32 - 1)


@given(texts, texts)
@example("a/b", "a!2fb")
@example("x" * 401, "x" * 402)
@example("/" * 134, "/" * 133 + "!2")
@example("a" * 400 + "/", "a" * 400 + "!~" + digest("a" * 400 + "/"))
def test_two_texts_never_meet(one: str, other: str) -> None:
    """Different texts have different keys."""
    assert (escape(one) == escape(other)) == (one == other)


@given(texts)
def test_a_key_is_safe(text: str) -> None:
    """Whatever the text: Azure takes the key, and room is left for what stands around it."""
    key = escape(text)
    check_entity({"PartitionKey": f"p{key}", "RowKey": f"msg:{'j' * 63}:{'0' * 12}:{key}"})
    assert len(key) <= KEY_UNITS / 2
    assert re.fullmatch(r"[A-Za-z0-9.@_+=!~-]*", key)


@given(numbers, numbers, numbers, numbers)
def test_imap_items_sort_as_their_numbers(era: int, uid: int, other_era: int, other_uid: int) -> None:
    """UIDVALIDITY, then UID, both zero-padded: the order of keys is the order of the mailbox."""
    one, other = f"{era:010}.{uid:010}", f"{other_era:010}.{other_uid:010}"
    assert (escape(one) < escape(other)) == ((era, uid) < (other_era, other_uid))


@given(*[st.text(string.digits + string.ascii_letters, max_size=30)] * 2)
def test_digits_and_letters_keep_their_order(one: str, other: str) -> None:
    """They are left as they are."""
    assert escape(one) == one
    assert (escape(one) < escape(other)) == (one < other)


@given(st.text(string.digits + "T-:.Z", min_size=20, max_size=20), st.text(string.digits, min_size=20, max_size=20))
def test_newest_first_turns_the_order_round(text: str, other: str) -> None:
    """The later of two times of the same form sorts first; and it is its own reverse."""
    assert newest_first(newest_first(text)) == text
    digits = "".join(character if character.isdigit() else "0" for character in text)
    assert (newest_first(digits) < newest_first(other)) == (digits > other)


@given(st.text(string.ascii_lowercase + "-", max_size=8), texts, st.text(string.ascii_lowercase + "-", max_size=8))
def test_a_prefix_ends_behind_all_that_begins_with_it(job: str, text: str, other_job: str) -> None:
    """The range of one job holds all its rows and none of another's, whose name may begin with this one's."""
    low, high = f"msg:{job}:", prefix_end(f"msg:{job}:")
    assert low <= low + escape(text) < high
    theirs = f"msg:{other_job}:{escape(text)}"
    assert (low <= theirs < high) == (job == other_job)


@given(st.text(string.ascii_lowercase, min_size=1, max_size=63))
def test_a_job_has_one_bucket(job_id: str) -> None:
    """One of the sixteen, always the same."""
    assert bucket(job_id) in BUCKETS
    assert bucket(job_id) == bucket(job_id)


def test_jobs_are_spread_over_the_buckets() -> None:
    """A thousand jobs lie in all of them, and none holds more than twice its share."""
    counts = [sum(bucket(f"job-{number}") == one for number in range(1_000)) for one in BUCKETS]
    assert 0 < min(counts) <= max(counts) < 2 * 1_000 / len(BUCKETS)


instants = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis wants naive bounds)


@given(instants, instants)
def test_times_come_back_and_sort(one: datetime, other: datetime) -> None:
    """To the microsecond; the order of the texts is the order of the times."""
    assert read_time(write_time(one)) == one
    assert (write_time(one) < write_time(other)) == (one < other)


def test_no_time_is_an_empty_text() -> None:
    """It sorts before every time."""
    assert write_time(None) == ""
    assert read_time("") is None
