"""Mail made to exhaust: what is looked at stays within `limits`, and what is cut is said and kept as the original."""

import zlib

import pytest

from shared.mime import limits, parse
from shared.mime.markup import balance, sanitise
from shared.mime.reading import Reading
from shared.mime.structure import read
from tests.mime import tnef_bytes
from tests.mime.make_mail import base64_part, der, envelope, mixed

HTML = b"From: a@example.com\nContent-Type: text/html; charset=utf-8\n\n"


def nested(levels: int) -> bytes:
    """Multiparts within multiparts around one text."""
    raw = b"core"
    for level in range(levels):
        raw = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n%s\n--b%d--\n" % (level, level, raw, level)
    return raw


def test_a_thousand_levels_are_cut() -> None:
    """Nested deeper than the limit, the rest is left out, the message says so, and the original is attached."""
    raw = nested(1_000)
    message = parse(raw)
    assert message.defects[0] == f"Parts more than {limits.DEPTH} levels deep were left out."
    assert [(one.name, one.content_type, one.data) for one in message.attachments] == [
        ("original.eml", "message/rfc822", raw)
    ]


def test_levels_within_the_limit_are_read() -> None:
    """As deep as the limit allows, the text is found and nothing is attached."""
    message = parse(nested(limits.DEPTH))
    assert message.text == "core"
    assert message.attachments == ()


def test_two_hundred_thousand_parts_are_cut() -> None:
    """Only as many parts as the limit allows are made into objects."""
    reading = Reading()
    part = read(b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\n" * 200_000, reading)
    assert len(part.children) == limits.PARTS - 1
    assert reading.parts == limits.PARTS
    assert reading.incomplete


def test_lines_that_look_like_boundaries_are_counted() -> None:
    """Millions of look-alikes end the search instead of prolonging it."""
    reading = Reading()
    read(b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--xx\n" * (limits.BOUNDARY_LINES * 3), reading)
    assert reading.boundary_lines == limits.BOUNDARY_LINES + 1
    assert reading.incomplete


def test_attachments_beyond_the_limit_are_in_the_original() -> None:
    """More attachments than the limit: the first ones, then the whole original."""
    raw = b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\nContent-Type: a/b\n\nz\n" * (limits.ATTACHMENTS + 5)
    message = parse(raw)
    assert len(message.attachments) == limits.ATTACHMENTS + 1
    assert message.attachments[-1].data == raw


def test_a_long_header_is_cut_and_the_body_still_found() -> None:
    """Fields after the limit are not read, but the body is."""
    message = parse(b"Subject: kept\n" + b"X-Fill: y\n" * 100_000 + b"To: late@example.com\n\nThe body")
    assert message.subject == "kept"
    assert len(message.headers) == limits.HEADER_FIELDS
    assert message.text == "The body"
    assert message.to == ()


def test_five_thousand_recipients_are_cut() -> None:
    """As many addresses as the limit allows, and a sentence about the rest."""
    many = b", ".join(b"User %d <user%d@example.com>" % (number, number) for number in range(5_000))
    message = parse(b"From: a@example.com\nTo: " + many + b"\n\nhi")
    assert len(message.to) == limits.ADDRESSES
    assert message.to[-1].email == f"user{limits.ADDRESSES - 1}@example.com"
    assert message.defects == (f"To has more than {limits.ADDRESSES:,} addresses; the rest was not read.",)


def test_the_last_references_are_kept() -> None:
    """Of very many Message-IDs those nearest to the message stay; one of absurd length does not."""
    raw = (
        b"From: a@b\nReferences: "
        + b" ".join(b"<%d@x>" % number for number in range(300))
        + b" <"
        + b"y" * 2_000
        + b">"
    )
    message = parse(raw + b"\n\nhi")
    assert message.references == tuple(f"<{number}@x>" for number in range(200, 300))
    assert len(message.defects) == 2


def test_many_blank_lines_do_not_hide_the_message() -> None:
    """A hundred thousand blank lines before the header are skipped."""
    message = parse(b"\n" * 100_000 + b"From: a@example.com\nSubject: here\n\nhi")
    assert (message.subject, message.text) == ("here", "hi")


def test_long_text_is_cut_and_kept_in_the_original() -> None:
    """Text over the limit is cut there, and the original is attached."""
    raw = b"From: a@example.com\n\n" + b"line of text\n" * 200_000
    message = parse(raw)
    assert len(message.text) == limits.TEXT_CHARS
    assert message.attachments[-1].data == raw


def test_long_text_is_cut_between_characters() -> None:
    """A part is cut before it is decoded, but not so that its charset can no longer be told."""
    message = parse(b"From: a@example.com\n\n" + "é\n".encode() * 3_000_000)
    assert message.text == "é\n" * (limits.TEXT_CHARS // 2)
    assert len(message.defects) == 1


def test_a_line_of_two_megabytes_is_text_like_any_other() -> None:
    """A line without an end is read up to the limit."""
    assert parse(b"From: a@example.com\n\n" + b"x" * 2_000_000).text == "x" * limits.TEXT_CHARS


@pytest.mark.parametrize("tag", ["<div>", "<table><tr><td>", "<blockquote>", "<b>", "<span><p>"])
def test_elements_within_elements_are_flattened(tag: str) -> None:
    """However deep the HTML is nested, what reaches the HTML parser is not."""
    balanced = balance(tag * 20_000 + "core", Reading())
    depth = deepest = 0
    for piece in balanced.split("<")[1:]:
        depth += -1 if piece.startswith("/") else 1
        deepest = max(deepest, depth)
    assert depth == 0
    assert 0 < deepest <= limits.HTML_DEPTH
    assert "core" in balanced


def test_open_formatting_does_not_multiply() -> None:
    """Formatting left open is not carried over into thousands of blocks, as an HTML parser would."""
    html = "<p>" + "".join(f"<b title={number}>" for number in range(100)) + "<div>x</div>" * 2_000
    assert len(sanitise(html, Reading())) < 10 * len(html)


def test_twenty_megabytes_of_tables_are_cut() -> None:
    """HTML over the limit is shown up to it, and the original is attached."""
    message = parse(HTML + b"<table><tr><td>x" * 1_300_000)
    assert message.html is not None
    assert len(message.html) < 2 * limits.HTML_CHARS
    assert message.attachments[-1].name == "original.eml"


def test_ampersands_are_cut() -> None:
    """An HTML parser is quadratic in ampersands: only as many as the limit reach it."""
    message = parse(HTML + b"&" * 900_000)
    assert message.html is not None
    assert message.html.count("&amp;") <= limits.AMPERSANDS
    assert message.attachments[-1].name == "original.eml"


def test_html_that_ends_within_a_tag_keeps_the_original() -> None:
    """What a browser would drop silently is said, and kept."""
    message = parse(HTML + b"<p>shown</p><!-- never closed <p>hidden</p>")
    assert message.text == "shown"
    assert message.attachments[-1].name == "original.eml"


def test_defects_are_bounded() -> None:
    """A message with a thousand different faults lists some and counts the rest."""
    parts = b"".join(b"--x\nContent-Transfer-Encoding: odd-%d\n\nz\n" % number for number in range(200))
    defects = parse(b"From: a@b\nContent-Type: multipart/mixed; boundary=x\n\n" + parts + b"--x--").defects
    assert len(defects) == limits.DEFECTS + 1
    assert defects[-1] == f"{200 - limits.DEFECTS} more defects are not listed."


def test_an_absurd_content_field_is_cut() -> None:
    """A Content-Type with thousands of parameters is read up to the limit; its type still counts."""
    message = parse(b"From: a@b\nContent-Type: text/html" + b";x=y" * 3_000 + b"\n\n<p>hi</p>")
    assert message.text == "hi"
    assert message.defects == ("A Content field is absurdly long; only its beginning was read.",)


def test_parameters_that_the_standard_library_cannot_read_are_left_out() -> None:
    """A parameter number of 5,000 digits costs the parameters, not the part."""
    message = parse(b"From: a@b\nContent-Type: text/html; name*" + b"9" * 5_000 + b"=x\n\n<p>hi</p>")
    assert message.text == "hi"
    assert message.defects == ("The parameters of a Content field make no sense; they were left out.",)


def test_an_address_of_absurd_length_is_left_out() -> None:
    """The others of its field are kept."""
    message = parse(b"From: a@b\nTo: " + b"x" * 400 + b"@example.com, b@example.com\n\nhi")
    assert [address.email for address in message.to] == ["b@example.com"]
    assert message.defects == ("To has an address of more than 320 characters; it was left out.",)


def test_a_fault_of_ours_costs_one_field_and_is_said() -> None:
    """A step that raises gives its default, a sentence, and the original."""
    reading = Reading()
    assert reading.guard("Date", -1, int, "no number") == -1
    assert reading.defects == ("Date could not be read (ValueError).",)
    assert reading.incomplete


def test_what_unpacks_does_so_once_over_all_parts() -> None:
    """Compressed parts share one limit: the second of two that fill it stays closed, and is kept."""
    data = zlib.compress(b"Content-Type: text/plain\n\nwithin" + b" " * (limits.INFLATED_OCTETS - 100))
    part = base64_part("application/pkcs7-mime", envelope(bytes.fromhex("060b2a864886f70d0109100109"), der(0x04, data)))
    message = parse(b"From: a@example.com\n" + mixed(part, part, part))
    assert message.text == "within"
    assert len(message.attachments) == 3 + 1  # the text is longer than is shown, so that the original is there too
    assert (
        "A part is in S/MIME form but cannot be opened; it is kept as it came, in the attachments." in message.defects
    )


def test_rich_text_is_read_once_over_all_parts() -> None:
    """However many winmail.dat there are, as much Rich Text is read as one may have."""
    rich = rb"{\rtf1 " + b"a" * (limits.RTF_OCTETS // 2)
    part = base64_part(
        "application/ms-tnef", tnef_bytes.winmail(tnef_bytes.binary(0x1009, tnef_bytes.compressed(rich)))
    )
    message = parse(b"From: a@example.com\n" + mixed(part, part, part, part))
    assert len(message.text.replace("\n", "")) <= limits.RTF_OCTETS
    assert message.attachments[-1].name == "original.eml"
