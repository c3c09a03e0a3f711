"""The stamp of a canary: nobody but the job writes it, and whatever else comes is no stamp and no trouble."""

from datetime import timedelta
from email import message_from_bytes
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.canary import HEADER, Stamp, letter, new_stamp, read_stamp, usable_key, write_stamp
from shared.errors import ConfigInvalid
from shared.mime import parse
from tests.builders import NOW

KEY = "a key that nobody could guess"
DAY = timedelta(days=1)


def read(text: str, *, job: str = "support", key: str = KEY, after: timedelta = timedelta(0)) -> Stamp | None:
    """As a run of ``job`` would, that much later."""
    return read_stamp(text, job, key, now=NOW + after, max_age=DAY)


def test_a_stamp_comes_back_from_a_message() -> None:
    """Also where a server folded the field, changed its case, or put it before others."""
    stamp = new_stamp(NOW)
    raw = letter(stamp, "support", KEY, sender="a@mail.example", recipient="b@mail.example").raw()
    assert max(map(len, raw.splitlines())) < 200
    folded = raw.replace(b"; ", b";\r\n\t").replace(HEADER.encode(), HEADER.lower().encode())
    for one in (raw, folded):
        value = parse(one).header(HEADER)
        assert value is not None
        assert read(value) == stamp
        assert read(value.upper()) == stamp


def test_the_letter_says_that_nobody_has_to_answer_it() -> None:
    """From, To, Date and Message-ID are there; no other program replies to it; the key is not in it."""
    raw = letter(Stamp(NOW, "0" * 16), "support", KEY, sender="a@mail.example", recipient="b@other.example").raw()
    seen = message_from_bytes(raw, policy=default)
    assert (seen["From"], seen["To"]) == ("a@mail.example", "b@other.example")
    assert seen["Message-ID"] == "<canary-0000000000000000@other.example>"
    assert (seen["Auto-Submitted"], seen["X-Auto-Response-Suppress"]) == ("auto-generated", "All")
    assert seen["Date"].datetime == NOW
    assert KEY.encode() not in raw
    assert raw.count(b"\n") == raw.count(b"\r\n")


@pytest.mark.parametrize(
    ("job", "key", "after", "known"),
    [
        ("support", KEY, timedelta(0), True),
        ("support", KEY, DAY, True),
        ("support", KEY, DAY + timedelta(seconds=1), False),
        ("support", KEY, timedelta(minutes=-4), True),
        ("support", KEY, timedelta(minutes=-6), False),
        ("sales", KEY, timedelta(0), False),
        ("support", KEY + "!", timedelta(0), False),
    ],
)
def test_only_the_job_itself_knows_it_and_not_for_ever(job: str, key: str, after: timedelta, known: bool) -> None:  # noqa: FBT001
    """Another job, another key, too old, from the future: no stamp. Clocks may differ a little."""
    value = write_stamp(Stamp(NOW, "0123456789abcdef"), "support", KEY)
    assert (read(value, job=job, key=key, after=after) is not None) == known


def test_no_character_of_it_can_be_changed() -> None:
    """Each is covered by the HMAC, or makes no difference to a reader: tried with whatever stands in one."""
    stamp = Stamp(NOW, "0123456789abcdef")
    value = write_stamp(stamp, "support", KEY)
    for place, was in enumerate(value):
        for mark in {*"0123456789abcdefTZtnh=;:.-x"} - {was, was.lower(), was.upper()}:
            changed = value[:place] + mark + value[place + 1 :]
            assert read(changed) is None, changed


@given(
    st.text()
    | st.from_regex(r"t=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z; n=[0-9a-f]{16}; h=[0-9a-f]{64}", fullmatch=True)
)
def test_anything_else_is_no_stamp(text: str) -> None:
    """Nor an error, whatever a stranger writes."""
    assert read(text) is None


@pytest.mark.parametrize("key", ["", " " * 40, "fifteen letters"])
def test_a_key_that_could_be_guessed_is_refused(key: str) -> None:
    """With the name of the secret, and not the key."""
    with pytest.raises(ConfigInvalid, match="'canary'") as caught:
        usable_key(key, secret="canary")
    assert not key.strip() or key not in str(caught.value)
