"""What holds for any bytes whatever."""

from base64 import b64encode
from email.utils import formataddr
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.mime import names, parse, sections, transfer
from shared.mime.addresses import addresses
from shared.mime.charsets import decode
from shared.mime.header import words
from shared.mime.markup import sanitise
from shared.mime.reading import Reading
from tests.mime.promises import check, check_html, check_names, check_sections

MAIL = Path(__file__).parents[1] / "data" / "mail"


@cache
def corpus() -> tuple[bytes, ...]:
    """Every mail of the corpus."""
    return tuple(source.read_bytes() for source in sorted(MAIL.glob("*.eml")))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A mail of the corpus with pieces cut out, doubled, put in, or taken from another mail."""
    raw = draw(st.sampled_from(corpus()))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 200)))
        other = draw(st.sampled_from(corpus()))
        insertion = draw(
            st.one_of(
                st.just(b""),
                st.just(raw[start:end] * 2),
                st.binary(max_size=12),
                st.sampled_from(
                    [b"\r\n\r\n", b"\n", b"\r", b"--b\n", b"=?utf-8?b?", b'"', b"<", b"(", b";", b"%", b"\x00"]
                ),
                st.just(other[start:end]),
            )
        )
        raw = raw[:start] + insertion + raw[end:]
    return raw


@given(st.binary(max_size=2_000))
def test_any_bytes_are_a_message(raw: bytes) -> None:
    """No bytes raise, and whatever comes out keeps its promises."""
    check(parse(raw), raw)
    check(parse(raw, header_only=True), raw)


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_damaged_mail_is_a_message(raw: bytes) -> None:
    """Mail of the corpus, damaged at random, still gives a message that keeps its promises."""
    check(parse(raw), raw)


@given(st.lists(st.tuples(st.text(max_size=300), st.sampled_from(["image/png", "a/b", "message/rfc822"])), max_size=8))
def test_names_are_safe_and_unique(given_names: list[tuple[str, str]]) -> None:
    """Whatever names parts were given, they come out safe and different from each other."""
    taken: set[str] = set()
    check_names([names.unique(names.safe(name, kind), taken) for name, kind in given_names])


@given(st.lists(st.sampled_from(["con", "NUL.txt", "a/../b", "..", "x" * 300 + ".pdf", "X" * 300 + ".PDF", " .a. "])))
def test_hostile_names_are_safe_and_unique(given_names: list[str]) -> None:
    """Reserved, climbing and over-long names too, each as often as it comes."""
    taken: set[str] = set()
    check_names([names.unique(names.safe(name, "a/b"), taken) for name in given_names])


@given(st.text(alphabet="<>/!-abip=\"' &;#xscriptyle\n", max_size=400))
def test_sanitised_html_is_harmless(html: str) -> None:
    """No tag soup gets a script, an event handler or a remote picture through."""
    clean = sanitise(html, Reading()).lower()
    check_html(clean)
    assert sanitise(clean, Reading()).lower() == clean


@given(
    st.binary(max_size=60), st.one_of(st.text(max_size=20), st.sampled_from(["utf-7", "utf-16", "hz", "idna", "zlib"]))
)
def test_any_octets_have_a_text(data: bytes, label: str) -> None:
    """No charset label raises, known or not."""
    assert isinstance(decode(data, label)[0], str)


PRINTED = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff\ufffe\uffff")


@given(st.text(PRINTED, max_size=60), st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=10))
def test_encoded_words_come_back(text: str, cuts: list[tuple[int, bool]]) -> None:
    """A text comes back from encoded words wherever it was cut into them, within characters too."""
    data = text.encode()
    out: list[str] = []
    for length, quoted in [*cuts, (len(data), True)]:
        octets, data = data[:length], data[length:]
        if quoted:
            out.append("=?UTF-8*en?Q?" + "".join(f"={octet:02X}" for octet in octets) + "?=")
        else:
            out.append(f"=?utf-8?b?{b64encode(octets).decode()}?=")
    assert words("> " + " \n ".join(out) + " <", Reading()) == f"> {text} <"


@given(st.lists(st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.example", fullmatch=True), max_size=6), st.data())
def test_addresses_come_back(emails: list[str], data: st.DataObject) -> None:
    """Addresses written by the standard library's rules are read back, whatever their names hold."""
    name = st.text(alphabet='abc "\\,;:<>()@.é', max_size=10)
    raw = ", ".join(formataddr((data.draw(name), email)) for email in emails)
    assert [address.email for address in addresses(raw.encode(), "To", Reading())] == emails


LINES = st.sampled_from(
    """|  |hello|> quoted|On Fri, 20 Nov 2026 Ann <a@example.com> wrote:|From: Ann|Sent: today|To: us|Subject: x|-- |Thanks
    |Sent from my iPhone|-----Original Message-----|______________|a@b.c>:|---------- Forwarded message ---------
    |Am 20.11.2026 schrieb Ann|What about that, then?""".replace("\n    ", "").split("|")
)


@settings(max_examples=300)
@given(st.lists(LINES, max_size=20), st.sampled_from(["", "Re: x", "FW: x"]))
def test_no_line_of_a_text_is_lost(lines: list[str], subject: str) -> None:
    """However marks, quotations and signatures follow each other, each line is in one section."""
    text = "\n".join(lines)
    check_sections(sections(text, subject), text)


@given(
    st.binary(max_size=80),
    st.lists(st.tuples(st.integers(0, 120), st.sampled_from([b"\r\n", b" ", b"\n", b"\t"])), max_size=6),
)
def test_base64_comes_back(data: bytes, breaks: list[tuple[int, bytes]]) -> None:
    """However its lines are broken, and whether or not the padding is there; only what is missing is said."""
    encoded = b64encode(data)
    for at, space in breaks:
        encoded = encoded[:at] + space + encoded[at:]
    reading = Reading()
    assert transfer.decode(encoded, "base64", reading) == data
    assert reading.defects == ()
    assert transfer.decode(encoded.replace(b"=", b""), "base64", reading) == data
    assert len(reading.defects) == bool(len(data) % 3)
    assert transfer.decode(b"*" + encoded, "base64", reading) == data


@given(
    st.binary(max_size=60).map(lambda octets: octets.translate(bytes(b"AB=\r\n *C"[octet % 8] for octet in range(256))))
)
def test_clean_base64_is_read_as_mended_base64_is(data: bytes) -> None:
    """The short way for clean data gives what the long way would: one that a character to be skipped forces."""
    short, long = Reading(), Reading()
    before_padding = data.partition(b"=")
    mended = before_padding[0] + b"*" + before_padding[1] + before_padding[2]
    assert transfer.decode(data, "base64", short) == transfer.decode(mended, "base64", long)
    assert set(long.defects) - set(short.defects) <= {"Characters that do not belong into base64 data were skipped."}
