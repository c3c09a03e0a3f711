"""What `parse` promises beyond the corpus: exact bytes, headers, the header-only form."""

import pytest

from shared.mime import parse

ENCLOSED = b"Subject: =?utf-8?q?R=C3=BCckfrage?=\r\nX-Odd:\tone\r\n two\r\n\r\nbody\r\n.\r\n"


def test_an_enclosed_message_is_kept_octet_for_octet() -> None:
    """message/rfc822 becomes an .eml with exactly the bytes that were enclosed, named after its subject."""
    raw = (
        b"From: a@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + ENCLOSED + b"\r\n--b--\r\n"
    )
    (attachment,) = parse(raw).attachments
    assert attachment.data == ENCLOSED
    assert attachment.name == "Rückfrage.eml"


def test_a_digest_holds_messages() -> None:
    """The parts of a multipart/digest are messages unless they say otherwise (RFC 2046 section 5.1.5)."""
    raw = b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\n1\n--b\n\nSubject: two\n\n2\n--b--\n"
    assert [one.name for one in parse(raw).attachments] == ["one.eml", "two.eml"]


def test_headers_keep_order_names_and_decoded_values() -> None:
    """All fields are there in their order, names as written, values decoded and unfolded."""
    message = parse(b"X-A: 1\nx-a: =?utf-8?q?=C3=A9?=\nLong: a\n\tb\nFrom: a@example.com\n\nx")
    assert message.headers == (("X-A", "1"), ("x-a", "é"), ("Long", "a b"), ("From", "a@example.com"))
    assert message.header("LONG") == "a b"


def test_a_bare_header_says_what_it_is() -> None:
    """Of a message over the limit the header is read, and the text says so with the size of the whole."""
    message = parse(
        b"From: a@example.com\r\nSubject: huge\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        header_only=True,
        size=52_400_000,
    )
    assert message.text == "This message of 52.4 MB is over the size limit; only its header was read."
    assert message.header_only
    assert message.size == 52_400_000
    assert message.subject == "huge"
    assert message.sender is not None
    assert message.attachments == ()
    assert message.defects == ()


def test_a_bare_header_of_unknown_size() -> None:
    """Without a size the sentence does without it."""
    text = parse(b"Subject: huge\n\n", header_only=True).text
    assert text == "This message is over the size limit; only its header was read."


def test_a_picture_is_inline_only_where_the_html_shows_it() -> None:
    """The HTML writes a Content-ID as a URL does (RFC 2392); a part that it does not show stands beside the text."""
    raw = (
        b"Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n"
        b'<img src="cid:a&amp;b%40x"><a href="cid:no@x">y</a>\n'
        b"--b\nContent-Type: image/png\nContent-ID: <a&b@x>\n\n1\n"
        b"--b\nContent-Type: image/png\nContent-ID: <no@x>\n\n2\n--b--\n"
    )
    assert {one.content_id: one.inline for one in parse(raw).attachments} == {"a&b@x": True, "no@x": False}


def test_text_that_came_as_a_file_is_attached() -> None:
    """A named or attached text part is no text of the message."""
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n--b\nContent-Type: text/plain; name=log.txt\n\nlog\n"
        b"--b\nContent-Disposition: attachment\nContent-Type: text/html\n\n<p>page</p>\n--b--\n"
    )
    message = parse(raw)
    assert message.text == "hello"
    assert message.html is None
    assert [(one.name, one.data) for one in message.attachments] == [("log.txt", b"log"), ("text.html", b"<p>page</p>")]


def test_a_report_says_whether_something_bounced() -> None:
    """One recipient that failed for good is a bounce; a delay or a receipt that says so is none (RFC 3464)."""

    def bounced(kind: str, fields: bytes) -> bool:
        raw = b"Content-Type: multipart/report; boundary=r\n\n--r\nContent-Type: message/" + kind.encode() + b"\n\n"
        report = parse(raw + fields + b"\n--r--\n").report
        assert report is not None
        return report.bounced

    failed = b"Final-Recipient: rfc822; a@example.com\nAction: failed\n"
    assert bounced("delivery-status", b"Final-Recipient: rfc822; b@example.com\nAction: delivered\n\n" + failed)
    assert not bounced("delivery-status", failed.replace(b"failed", b"delayed"))
    assert not bounced("disposition-notification", b"Final-Recipient: rfc822; a@example.com\nDisposition: x; failed\n")
    assert not bounced("delivery-status", b"")


def test_a_report_has_a_limit_of_recipients() -> None:
    """However many a report names, a hundred are read."""
    raw = b"Content-Type: multipart/report; boundary=r\n\n--r\nContent-Type: message/delivery-status\n\n"
    report = parse(raw + b"Final-Recipient: rfc822; a@example.com\nAction: failed\n\n" * 1_000 + b"--r--\n").report
    assert report is not None
    assert len(report.recipients) == 100


@pytest.mark.parametrize(
    ("field", "addresses"),
    [
        (b'"ann b"@example.com', ['"ann b"@example.com']),
        (b'Ann <"ann b"@example.com>', ['Ann <"ann b"@example.com>']),
        (b'"Ann B"', []),
        (b'"Ann  B" <ann@example.com>, " "@example.com', ["Ann B <ann@example.com>"]),
        (b'"Ann B" ann@example.com', ["Ann B <ann@example.com>"]),
        (b'"=?utf-8?q?J=C3=BCrgen?= =?utf-8?q?_B?=" <j@example.com>', ["Jürgen B <j@example.com>"]),
    ],
)
def test_quotes_keep_an_address_together(field: bytes, addresses: list[str]) -> None:
    """A space within quotes is the address's own: without it the address would be somebody else's."""
    assert [str(one) for one in parse(b"To: " + field + b"\n\n").to] == addresses
