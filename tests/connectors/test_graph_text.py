"""The pure functions below the Graph connector."""

import base64
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.connectors._graph_answers import Answer, Place, answer_of, refusal
from shared.connectors._graph_text import header_from, mime_in, received_in, size_in
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.mime import parse

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PLACE = Place("support@example.com", "https://graph.microsoft.com")


def _error(code: str, *inner: str) -> dict[str, object]:
    error: dict[str, object] = {}
    for one in reversed((code, *inner)):
        error = {"code": one, "message": "words", "innerError": error}
    return {"error": error}


@given(st.binary())
@example(b"\xff" * 3)
def test_octets_survive_a_batch_as_base64(data: bytes) -> None:
    """Whatever they are, and in either alphabet."""
    assert mime_in(base64.b64encode(data).decode()) == data
    assert mime_in(base64.urlsafe_b64encode(data).decode().rstrip("=")) == data


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("Subject: hi\r\n\r\nbody", b"Subject: hi\r\n\r\nbody"),
        ("Subject: h\u00ef\r\n\r\nbody", None),
        ("", b""),
        ("abcde", None),
        (None, None),
        ({"error": {}}, None),
    ],
)
def test_text_is_taken_only_where_it_is_sure(text: object, octets: bytes | None) -> None:
    """Plain ASCII is what it is; what may have been changed on the way is fetched again by itself."""
    assert mime_in(text) == octets


@given(st.text(), st.text(), st.text())
def test_no_value_can_make_another_header_field(subject: str, name: str, value: str) -> None:
    """Whatever Graph reports, the header ends where we end it, and has the fields that we put there."""
    header = header_from(
        {
            "internetMessageHeaders": [{"name": "X-One", "value": value}, {"name": name, "value": "v"}],
            "subject": subject,
        }
    )
    assert header.endswith(b"\r\n\r\n")
    body = header[: -len(b"\r\n\r\n")].split(b"\r\n")
    assert all(b":" in line and b"\r" not in line and b"\n" not in line for line in body)
    assert len(body) <= 3
    assert body[0].startswith(b"X-One: ")


def test_a_message_that_never_left_the_organisation_still_has_a_header() -> None:
    """Graph knows sender, recipients, subject and date where there are no internet headers."""
    header = header_from(
        {
            "subject": "Grüße",
            "from": {"emailAddress": {"name": 'Ann "A" Lee', "address": "ann@example.com"}},
            "toRecipients": [{"emailAddress": {"address": "b@example.com"}}, {"emailAddress": {}}],
            "internetMessageId": "<1@example.com>",
            "sentDateTime": "2026-11-23T12:00:00Z",
        }
    )
    message = parse(header, header_only=True, size=10**6)
    assert message.subject == "Grüße"
    assert message.sender
    assert message.sender.email == "ann@example.com"
    assert [one.email for one in message.to] == ["b@example.com"]
    assert message.message_id == "<1@example.com>"
    assert message.date == NOW


def test_internet_headers_come_before_what_is_made_up() -> None:
    """A field that is there is not made a second time."""
    header = header_from({"internetMessageHeaders": [{"name": "subject", "value": "real"}], "subject": "other"})
    assert header == b"subject: real\r\n\r\n"


@pytest.mark.parametrize(
    ("properties", "size"),
    [
        ([{"id": "Long 0xe08", "value": "1576"}], 1576),
        ([{"id": "LONG 0x0E08", "value": "7"}], 7),
        ([{"id": "Long 0xe09", "value": "7"}], None),
        ([{"id": "Long 0xe08", "value": "-1"}], None),
        ([{}], None),
        (None, None),
    ],
)
def test_the_size_is_found_whatever_the_spelling(properties: object, size: int | None) -> None:
    """Graph answers in another spelling than it was asked in."""
    assert size_in({"singleValueExtendedProperties": properties}) == size


@pytest.mark.parametrize("text", ["", None, "yesterday", "2026-13-01T00:00:00Z"])
def test_an_absurd_date_is_no_date(text: str | None) -> None:
    """And no fault."""
    assert received_in({"receivedDateTime": text}) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    """RFC 9110 section 10.2.3; anything else says nothing."""
    assert answer_of(429, {"Retry-After": header}, b"", NOW).retry_after == seconds


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (401, _error("InvalidAuthenticationToken"), AuthFailed, "does not accept the app's token"),
        (403, _error("ErrorAccessDenied"), AuthFailed, "may not open mailbox"),
        (403, _error("extensionError"), AuthFailed, "RBAC for Applications"),
        (404, _error("ErrorInvalidUser"), ConfigInvalid, "The tenant has no mailbox"),
        (404, _error("Request_ResourceNotFound"), ConfigInvalid, "The tenant has no mailbox"),
        (404, _error("MailboxNotEnabledForRESTAPI"), ConfigInvalid, "licence"),
        (403, _error("ErrorAccessDenied", "MailboxNotEnabledForRESTAPI"), ConfigInvalid, "licence"),
        (429, _error("ApplicationThrottled"), Unavailable, "is throttling this app"),
        (503, None, Unavailable, "is not available"),
        (400, _error("InefficientFilter"), Unavailable, "400 InefficientFilter"),
        (302, None, Unavailable, "makes no sense here"),
    ],
)
def test_each_refusal_has_its_own_sentence(status: int, body: object, kind: type[JobError], sentence: str) -> None:
    """By status and code, the inner ones too; never by the words of the message."""
    fault = refusal(Answer(status, body), "looking", PLACE, changing=False)
    assert type(fault) is kind
    assert sentence in str(fault)
    assert "support@example.com" in str(fault)


@pytest.mark.parametrize("body", [None, b"", "text", [], {"error": None}, {"error": "x"}, {"error": {"code": None}}])
def test_an_error_without_a_form_is_no_fault_of_ours(body: object) -> None:
    """A gateway may say anything."""
    answer = Answer(404, body)
    assert (answer.codes, answer.gone, answer.about_mailbox) == (frozenset(), False, False)
