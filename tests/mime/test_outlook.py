"""Outlook's own form: compressed RTF, the HTML in it, and the attributes of a winmail.dat."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.mime import rtf, tnef
from tests.mime import make_mail, tnef_bytes

#: The two examples of MS-OXRTFCP section 4.1.
EXAMPLES = [
    (
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0",
        b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n",
    ),
    (
        "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0",
        b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}",
    ),
]


@pytest.mark.parametrize(("packed", "rich"), EXAMPLES)
def test_compressed_rtf_is_unpacked(packed: str, rich: bytes) -> None:
    """The examples of the specification, one of them with a copy that runs into itself."""
    assert rtf.decompress(bytes.fromhex(packed), 1_000) == rich


def test_uncompressed_rtf_is_taken_as_it_is() -> None:
    """MELA says that nothing was compressed; what is neither is nothing (MS-OXRTFCP section 2.1.3.1)."""
    packed = tnef_bytes.u32(99) + tnef_bytes.u32(6) + b"MELA" + bytes(4) + b"{\\rtf}beyond"
    assert rtf.decompress(packed, 1_000) == b"{\\rtf}"
    assert rtf.decompress(b"ZIPZIPZIPZIPZIPZIP", 1_000) is None


def test_what_is_unpacked_has_a_limit() -> None:
    """A copy is at most 17 octets, so that the limit is passed by little."""
    packed = bytes(8) + b"LZFu" + bytes(4) + (b"\xff" + b"\x00\x0f" * 8) * 1_000
    found = rtf.decompress(packed, 5_000)
    assert found is not None
    assert 5_000 <= len(found) <= 5_000 + 8 * 17


@pytest.mark.parametrize(
    ("rich", "text"),
    [
        (rb"{\rtf1\ansi\ansicpg1250 \'9elu\'9d}", "žluť"),
        (rb"{\rtf1\ansi {\fonttbl{\f3\fcharset128 X;}}{\f3 \'93\'fa\'96\'7b} \'e9}", "日本 é"),
        (rb"{\rtf1 a\u233?b\uc2\u8364 xxc\u-10179 yy\u-8704 zz}", "aébc😀".replace("b", "b€")),
        (rb"{\rtf1 a{\*\unknown b}c{\stylesheet d}e\~f\_g\-h\emdash i}", "ace\u00a0f\u2011gh\u2014i"),
        (b"{\\rtf1 " + b"{" * 2_000 + b"deep" + b"}" * 2_000 + b" end}", "deep end"),
        (rb"{\rtf1 }}}}after{\*", "after"),
        (rb"{\rtf1\ansi\ansicpg65001 gr\'c3\'bcn}", "grün"),
    ],
)
def test_rich_text_is_read(rich: bytes, text: str) -> None:
    """Code pages, fonts of other scripts, Unicode with what stands for it, groups that are no text."""
    assert rtf.read(rich) == (text, None)


def test_what_is_no_rtf_is_nothing() -> None:
    """Anything else has no text in it."""
    assert rtf.read(b"hello") == (None, None)


def test_a_code_page_of_a_winmail_dat_holds_for_its_texts() -> None:
    """Attributes and properties without Unicode are in the code page that was named before them."""
    title = tnef_bytes.attribute(2, 0x00018010, "Отчёт.doc".encode("cp1251") + b"\0")
    subject = tnef_bytes.attribute(1, 0x00018004, "Тема".encode("cp1251") + b"\0")
    data = (
        tnef_bytes.SIGNATURE
        + tnef_bytes.attribute(1, 0x00069007, tnef_bytes.u32(1251) + bytes(4))
        + subject
        + tnef_bytes.attribute(2, 0x00069002, bytes(14))
        + title
        + tnef_bytes.attribute(2, 0x0006800F, b"x")
    )
    found = tnef.read(data)
    assert found is not None
    assert (found.subject, found.files[0].name, found.files[0].data) == ("Тема", "Отчёт.doc", b"x")
    assert not found.damaged


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_outlook_mail_is_read_as_far_as_it_goes(data: st.DataObject) -> None:
    """Neither a changed octet nor a cut one raises, in the attributes or in the RTF."""
    whole = bytearray(tnef_bytes.winmail(
        tnef_bytes.named("x"), tnef_bytes.binary(0x1009, tnef_bytes.compressed(make_mail.RTF_WITH_HTML)),
        files=[tnef_bytes.file("a", b"b")],
    ))  # fmt: skip
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = tnef.read(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    if found and found.rtf is not None and (rich := rtf.decompress(found.rtf, 100_000)) is not None:
        assert sum(form is not None for form in rtf.read(rich)) <= 1
