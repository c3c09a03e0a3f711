"""Fields out of messages: where their value stands, and what it has to be."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.model import Address, FieldValue, Message
from shared.routing import Circumstances, Extraction, extract
from shared.routing.extract import Kind
from tests.builders import NOW, make_message

MAIL = make_message(
    subject="Order 4711: broken",
    sender=Address("ann@customer.example", "Ann Smith"),
    text="Hello\nCity: Bonn \nAmount: 1,234.50 EUR\n<desc>It is\nbroken.</desc>\nasset=ab-12/7\n",
    html="<p>Hi</p><b>City</b>: <i>Bonn <u>am</u> Rhein</p>",
    headers=(("X-Order", ""), ("X-Order", "77"), ("X-Priority", "1 (Highest)")),
)


def one(**config: Any) -> Extraction:
    """One field, as a config has it."""
    return Extraction.model_validate({"field": "f", **config})


def found(message: Message, **config: Any) -> FieldValue | None:
    """The value of one field, or None."""
    return extract(message, [one(**config)], Circumstances(NOW)).fields.get("f")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"between": {"after": "city:"}}, "Bonn"),
        ({"between": {"after": "<desc>", "before": "</desc>"}, "kind": "memo"}, "It is\nbroken."),
        ({"between": {"after": "<desc>", "before": "</desc>"}}, "It is broken."),
        ({"between": {"after": "<desc>", "before": "</other>"}}, None),
        ({"between": {"after": "nowhere:"}}, None),
        ({"between": {"after": "asset="}, "kind": "reference"}, "ab-12/7"),
        ({"position": {"line": 2, "start": 7}}, "Bonn"),
        ({"position": {"line": 99}}, None),
        ({"position": {"start": 7, "length": 4}, "source": "subject", "kind": "integer"}, 4711),
        ({"position": {"start": 500}, "source": "subject"}, None),
        ({"matches": r"order (\d+)", "source": "subject", "kind": "integer"}, 4711),
        ({"matches": r"order (?:x)?(?P<value>\d+)", "source": "subject"}, "4711"),
        ({"matches": r"\d+", "source": "subject"}, "4711"),
        ({"matches": r"amount: (.*)", "kind": "currency"}, "1234.50"),
        ({"matches": r"amount: (.*)", "source": "subject_and_body", "kind": "currency"}, "1234.50"),
        ({"matches": r"order( never)?", "source": "subject"}, None),
        ({"matches": r".*", "source": "sender"}, "ann@customer.example"),
        ({"matches": r"\w+$", "source": "sender_name"}, "Smith"),
        ({"matches": r"\d+", "source": "header", "header": "x-order", "kind": "integer"}, 77),
        ({"matches": r"\d+", "source": "header", "header": "X-None"}, None),
        ({"between": {"after": "<i>", "before": "</p>"}, "kind": "html"}, "Bonn <u>am</u> Rhein"),
        ({"between": {"after": "<b>", "before": "Rhein"}, "kind": "html"}, "City: <i>Bonn <u>am</u></i>"),
        ({"matches": "nothing", "default": 5}, 5),
        ({"matches": "Bonn", "when": {"subject": ["offer"]}, "default": "never"}, None),
        ({"matches": "Bonn", "when": {"subject": ["order"]}}, "Bonn"),
    ],
)
def test_where_a_value_stands(config: dict[str, Any], expected: FieldValue | None) -> None:
    """Between two texts, at a position, or by a pattern: in the subject, the text, the sender or a header field."""
    value = found(MAIL, **config)
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "text", "more", "expected"),
    [
        ("integer", "1,234", {}, 1234),
        ("integer", "1.234", {"decimal_comma": True}, 1234),
        ("integer", "-7", {}, -7),
        ("integer", "7.0", {}, 7),
        ("integer", "7.5", {}, "is no whole number"),
        ("integer", "seven", {}, "is no number"),
        ("integer", "9" * 16, {}, "has more than 15 digits"),
        ("integer", "\u0667", {}, "is no number"),
        ("float", "0,5", {"decimal_comma": True}, 0.5),
        ("float", "\u22121.5", {}, -1.5),
        ("float", "nan", {}, "is no number"),
        ("float", "1e9", {}, "is no number"),
        ("currency", "\u20ac 1.234,5", {"decimal_comma": True}, "1234.50"),
        ("currency", "$12", {}, "12.00"),
        ("currency", "USD 0.125", {}, "0.125"),
        ("currency", "free", {}, "is no number"),
        ("boolean", "Yes", {}, True),
        ("boolean", "NEIN", {}, False),
        ("boolean", "perhaps", {}, "is neither yes nor no"),
        ("string", "a\t b", {}, "a b"),
        ("string", "a" * 1001, {}, "has more than 1000 characters; kind: memo takes it"),
        ("date", "2026-11-23", {}, "2026-11-23"),
        ("date", "23.11.2026", {"format": "%d.%m.%Y"}, "2026-11-23"),
        ("date", "31.11.2026", {"format": "%d.%m.%Y"}, "is not written as %d.%m.%Y says"),
        ("datetime", "2026-11-23T12:00:00+01:00", {}, "2026-11-23T11:00:00Z"),
        ("datetime", "2026-11-23 12:00", {"time_zone": "Europe/Berlin"}, "2026-11-23T11:00:00Z"),
        ("datetime", "0001-01-01 00:00", {"time_zone": "Asia/Tokyo"}, "is not written as ISO 8601 says"),
        ("datetime", "tomorrow", {}, "is not written as ISO 8601 says"),
        ("reference", "INC-12/7#a", {}, "INC-12/7#a"),
        ("reference", "not an id", {}, "is no id (it has spaces or other signs, or more than 200 characters)"),
    ],
)
def test_kinds(kind: str, text: str, more: dict[str, Any], expected: FieldValue) -> None:
    """Each kind has one way to be written to the ticket; what is no such value is noted, and the field left unset."""
    answer = extract(make_message(text=text), [one(kind=kind, matches="(?s).+", **more)], Circumstances(NOW))
    if answer.notes:
        assert answer.fields == {}
        assert answer.notes[0].endswith(f" {expected}.")
        assert not answer.verdicts[0].matched
    else:
        assert (answer.fields["f"], type(answer.fields["f"])) == (expected, type(expected))
        assert answer.verdicts[0].matched


def test_the_first_that_finds_a_value_gives_it() -> None:
    """Several ways for one field are tried in their order; a value comes before any default."""
    ways = [one(matches="nowhere", default="none"), one(between={"after": "City:"}), one(matches="Hello")]
    answer = extract(MAIL, ways, Circumstances(NOW))
    assert answer.fields == {"f": "Bonn"}
    assert [verdict.matched for verdict in answer.verdicts] == [False, True]


def test_a_long_memo_is_cut_and_says_so() -> None:
    """It never grows beyond what a ticket can hold."""
    value = found(make_message(text="x" * 200_000), kind="memo", matches="(?s).+")
    assert isinstance(value, str)
    assert value.endswith("\n[cut: it has 200000 characters]")
    assert len(value) < 101_000


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "say with one of between, position and matches"),
        ({"matches": "a", "position": {}}, "say with one of between, position and matches"),
        ({"matches": "a", "source": "header"}, "source: header and header go together"),
        ({"matches": "a", "header": "X"}, "source: header and header go together"),
        ({"matches": "a", "source": "subject", "kind": "html"}, "only the body has HTML"),
        ({"matches": "(a"}, "no regular expression"),
        ({"matches": "a", "field": "no name"}, "field"),
    ],
)
def test_what_cannot_be_meant_is_refused(config: dict[str, Any], told: str) -> None:
    """When the config is saved."""
    with pytest.raises(ValidationError) as fault:
        one(**config)
    assert told in str(fault.value)


@settings(deadline=None)
@given(st.sampled_from(list(Kind)), st.text(max_size=60), st.booleans())
def test_no_text_breaks_it(kind: Kind, text: str, comma: bool) -> None:  # noqa: FBT001 (hypothesis)
    """Whatever stands there, there is a value or a note, and the value is one that JSON takes."""
    answer = extract(
        make_message(text=text), [one(kind=kind, matches="(?s).+", decimal_comma=comma)], Circumstances(NOW)
    )
    assert len(answer.fields) + len(answer.notes) == (1 if text.strip() else 0)
    assert all(isinstance(value, str | int | float | bool) for value in answer.fields.values())
