"""Rules: which message they match, what they then decide, and what they say of it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.model import Address, Message, Reject
from shared.routing import Circumstances, GuardSettings, Rule, screen
from shared.routing.patterns import like
from tests.builders import NOW, make_attachment, make_message

GUARDS = GuardSettings()
SUNDAY_EVENING = datetime(2026, 11, 29, 22, 30, tzinfo=UTC)


def rule(name: str = "one", **config: Any) -> Rule:
    """A rule as a config has it."""
    return Rule.model_validate({"name": name, **config})


def matches(message: Message, when: dict[str, Any], *, at: datetime = NOW, authserv_id: str = "mx.example") -> bool:
    """Whether one rule with these conditions matches."""
    screened = screen(message, GUARDS, [rule(when=when, note="Matched.")], Circumstances(at, authserv_id))
    return screened.notes == ("Matched.",)


def why(message: Message, *rules: Rule) -> list[str]:
    """What each rule that was asked said."""
    return [one.evidence for one in screen(message, GUARDS, rules, Circumstances(NOW)).verdicts if one.kind == "rule"]


MAIL = make_message(
    subject="Invoice 4711 for Straße 5",
    sender=Address("billing@shop.example", "Shop"),
    to=(Address("support@mail.example"),),
    cc=(Address("ann@customer.example"), Address("Bob@Customer.example")),
    text="Please pay order no. 12345 today.",
    size=50 * 1024,
    attachments=(make_attachment("invoice.PDF", content_type="application/pdf"), make_attachment("logo.png")),
    headers=(("X-Spam-Flag", "YES"), ("Received", "from a"), ("Received", "from b.shop.example")),
)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, True),
        ({"sender": ["billing@shop.example"]}, True),
        ({"sender": ["*@SHOP.example"]}, True),
        ({"sender": ["*@example"]}, False),
        ({"sender": ["nobody@x.example", "billing@*"]}, True),
        ({"recipient": ["bob@customer.example"]}, True),
        ({"recipient": ["eve@*"]}, False),
        ({"subject": ["invoice"]}, True),
        ({"subject": ["STRASSE"]}, True),
        ({"subject": ["offer", "4711"]}, True),
        ({"subject": [{"matches": r"invoice\s+\d{4}\b"}]}, True),
        ({"subject": [{"matches": r"^\d"}]}, False),
        ({"body": ["order no."]}, True),
        ({"body": [{"matches": r"order no\. (\d+)"}]}, True),
        ({"body": ["offer"]}, False),
        ({"header": {"x-spam-flag": ["yes"]}}, True),
        ({"header": {"X-Spam-Flag": []}}, True),
        ({"header": {"X-Absent": []}}, False),
        ({"header": {"received": ["shop.example"]}}, True),
        ({"header": {"received": ["elsewhere"]}}, False),
        ({"min_kb": 50}, True),
        ({"min_kb": 51}, False),
        ({"max_kb": 50}, True),
        ({"max_kb": 49}, False),
        ({"attachment": {"name": ["*.pdf"]}}, True),
        ({"attachment": {"name": ["*.png"], "type": ["application/*"]}}, False),
        ({"attachment": {"type": ["text/*"]}}, True),
        ({"attachment": {"name": ["*.exe"]}}, False),
        ({"sender": ["*@shop.example"], "subject": ["invoice"], "body": ["no such text"]}, False),
    ],
)
def test_conditions(when: dict[str, Any], *, expected: bool) -> None:
    """All that are given must hold; of a list, any one suffices; the case of letters never matters."""
    assert matches(MAIL, when) is expected


def test_a_message_without_anything_meets_no_condition() -> None:
    """No sender, no recipient, no attachment: conditions on them do not hold, and nothing breaks."""
    bare = make_message(sender=None, to=(), cc=(), subject="", text="", headers=(), size=0)
    whens: list[dict[str, Any]] = [
        {"sender": ["*"]},
        {"recipient": ["*"]},
        {"attachment": {}},
        {"header": {"Subject": []}},
    ]
    for when in whens:
        assert not matches(bare, when)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ({"start": "18:00", "end": "08:00"}, True),
        ({"start": "08:00", "end": "18:00"}, False),
        ({"start": "22:30", "end": "22:31"}, True),
        ({"start": "22:00", "end": "22:30"}, False),
        ({"days": ["sunday"]}, True),
        ({"days": ["sunday"], "time_zone": "Asia/Tokyo"}, False),
        ({"days": ["monday"], "start": "07:00", "time_zone": "Asia/Tokyo"}, True),
        ({}, True),
    ],
)
def test_when_it_was_received(received: dict[str, Any], *, expected: bool) -> None:
    """By the wall clock of the zone: the start included, the end not, a window over midnight, days of that zone."""
    assert matches(MAIL, {"received": received}, at=SUNDAY_EVENING) is expected


OURS = "mx.example; spf=pass (a; spf=fail) smtp.mailfrom=x; dkim=fail header.d=a; dkim=pass header.d=b"
FORGED = "mx.evil.example; spf=fail; dmarc=pass"


@pytest.mark.parametrize(
    ("asked", "authserv_id", "expected"),
    [
        ({"spf": ["pass"]}, "mx.example", True),
        ({"spf": ["fail"]}, "mx.example", False),
        ({"spf": ["fail"]}, "MX.EVIL.example", True),
        ({"dkim": ["pass"]}, "mx.example", True),
        ({"dkim": ["fail"]}, "mx.example", True),
        ({"dmarc": ["pass"]}, "mx.example", False),
        ({"dmarc": ["none"]}, "mx.example", True),
        ({"dmarc": ["pass"]}, "*", True),
        ({"spf": ["pass"]}, "elsewhere.example", False),
        ({"spf": ["none"]}, "elsewhere.example", True),
    ],
)
def test_authentication_results(asked: dict[str, Any], authserv_id: str, *, expected: bool) -> None:
    """Only the field of the server that received the mail for us counts; comments in it do not."""
    message = make_message(headers=(("Authentication-Results", FORGED), ("Authentication-Results", OURS)))
    assert matches(message, {"authentication": asked}, authserv_id=authserv_id) is expected


def test_the_first_that_matches_decides() -> None:
    """Its fields and its note are kept, and the rules after it are not looked at."""
    screened = screen(
        MAIL,
        GUARDS,
        [
            rule("no", when={"subject": ["offer"]}, reject="No offers."),
            rule("yes", when={"subject": ["invoice"]}, fields={"team": "billing", "vip": True}, note="For billing."),
            rule("late", fields={"team": "other"}),
        ],
        Circumstances(NOW),
    )
    assert screened.fields == {"team": "billing", "vip": True}
    assert screened.notes == ("For billing.",)
    assert [(one.name, one.matched) for one in screened.verdicts if one.kind == "rule"] == [
        ("no", False),
        ("yes", True),
    ]
    assert screened.sentences == ("Rule 'yes' matched: the subject contains \"invoice\".",)


def test_rules_that_do_not_stop_add_up() -> None:
    """What an earlier one set stays; a disabled one is not asked."""
    screened = screen(
        MAIL,
        GUARDS,
        [
            rule("off", enabled=False, reject="Never."),
            rule("first", fields={"team": "a", "level": 1}, stop=False),
            rule("second", fields={"team": "b", "city": "Bonn"}, note="Two.", stop=False),
        ],
        Circumstances(NOW),
    )
    assert screened.fields == {"team": "a", "level": 1, "city": "Bonn"}
    assert screened.notes == ("Two.",)


def test_unless_excepts() -> None:
    """A rule does not match where its exception holds, and says so."""
    one = rule(when={"subject": ["invoice"]}, unless={"sender": ["*@shop.example"]}, reject="No invoices.")
    assert screen(MAIL, GUARDS, [one], Circumstances(NOW)).rejected is None
    assert why(MAIL, one) == ["excepted: the sender billing@shop.example is like *@shop.example"]
    other = make_message(subject="Invoice")
    assert screen(other, GUARDS, [one], Circumstances(NOW)).rejected == Reject(
        "No invoices.", ("Rule 'one' matched: the subject contains \"invoice\".",)
    )


def test_a_rule_says_why_it_did_not_match() -> None:
    """The first condition that did not hold, with what was there."""
    assert why(MAIL, rule(when={"subject": ["invoice"], "recipient": ["eve@*"]}, reject="x")) == [
        "a recipient is none of those asked for (it is support@mail.example, ann@customer.example, Bob@Customer.example)"
    ]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"stop": False}, "does nothing"),
        ({"reject": "No.", "fields": {"a": 1}}, "there is no ticket for its fields"),
        ({"note": "x", "unless": {}}, "can never match"),
        ({"note": "x", "when": {"min_kb": 5, "max_kb": 4}}, "min_kb is the larger one"),
        ({"note": "x", "when": {"subject": [{"matches": "(a"}]}}, "no regular expression of RE2"),
        ({"note": "x", "when": {"subject": [{"matches": "(?=a)"}]}}, "no regular expression of RE2"),
        ({"note": "x", "when": {"received": {"time_zone": "Mars/Base"}}}, "no time zone 'Mars/Base'"),
        ({"note": "x", "when": {"received": {"start": "25:00"}}}, "start"),
        ({"note": "x", "fields": {"1st": "a"}}, "1st"),
        ({"note": "x", "fields": {"a": "y" * 1001}}, "1000"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(config: dict[str, Any], told: str) -> None:
    """With what is wrong, when the config is saved."""
    with pytest.raises(ValidationError) as fault:
        rule(**config)
    assert told in str(fault.value)


def test_no_pattern_stalls_a_run() -> None:
    """A pattern that takes two to the power of a million steps elsewhere is answered for a million letters."""
    long = make_message(text="a" * 1_000_000 + "b")
    assert not matches(long, {"body": [{"matches": r"^(a+)+$"}]})


LETTERS = st.text("abc.@", max_size=5)


@settings(deadline=None)
@given(LETTERS, st.lists(st.tuples(LETTERS, LETTERS), max_size=4))
def test_an_asterisk_stands_for_any_text(first: str, rest: list[tuple[str, str]]) -> None:
    """Whatever an asterisk is put in place of: the pattern is like the text."""
    pattern = first + "".join(f"*{kept}" for _, kept in rest)
    assert like(pattern, first + "".join(left_out + kept for left_out, kept in rest))


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [("a*a", "a", False), ("a*a", "aa", True), ("*.exe", "A.EXE", True), ("a", "ab", False), ("*a*b*", "xbxa", False)],
)
def test_likeness(pattern: str, text: str, *, expected: bool) -> None:
    """The ends are anchored and do not overlap; the parts come in their order."""
    assert like(pattern, text) is expected
