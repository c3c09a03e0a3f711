"""Mail made to exhaust, as large as the size limit lets through: what each costs in time and memory (Linux)."""

import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from shared.mime import parse, sections
from tests.mime import tnef_bytes
from tests.mime.make_mail import base64_part, der, envelope, head

SIZE = 25_000_000
_PROPERTIES = tnef_bytes.properties(*[b"\x03\0" * 4] * 99)
_COMPRESSED = bytes.fromhex("060b2a864886f70d0109100109")


def html(unit: str) -> bytes:
    """HTML that says one thing over and over."""
    return head("x") + b"Content-Type: text/html; charset=utf-8\n\n" + fill(unit.encode())


def plain(unit: str) -> bytes:
    """The same as text."""
    return head("x") + b"Content-Type: text/plain; charset=utf-8\n\n" + fill(unit.encode())


def field(name: str, unit: str) -> bytes:
    """A header field of it."""
    return f"{name}: ".encode() + fill(unit.encode()) + b"\n\nx\n"


def fill(unit: bytes, size: int = SIZE) -> bytes:
    """As often as it fits."""
    return unit * (size // len(unit))


def encoded(kind: str, data: bytes) -> bytes:
    """A part of that kind in base64."""
    return head("x") + base64_part(kind, data)


def zipped() -> bytes:
    """Compressed S/MIME within the limit, of HTML."""
    data = zlib.compress(b"Content-Type: text/html\n\n" + fill(b"<b><i>", 19_000_000))
    length = len(data).to_bytes(4, "big")
    return encoded("application/pkcs7-mime", envelope(_COMPRESSED, b"\x04\x84" + length + data, wrap=der))


def tnef_of(unit: bytes) -> bytes:
    """A winmail.dat of one attribute over and over."""
    return encoded("application/ms-tnef", tnef_bytes.SIGNATURE + fill(unit, SIZE * 7 // 10))


def rich(unit: bytes) -> bytes:
    """Compressed RTF that says one thing over and over."""
    text = rb"{\rtf1\ansi\fromhtml1 " + fill(unit, 2_000_000)
    return encoded("application/ms-tnef", tnef_bytes.winmail(tnef_bytes.binary(0x1009, tnef_bytes.compressed(text))))


def _many_rich() -> bytes:
    """A winmail.dat of some 25 kB whose RTF unpacks to eight times as much."""
    packed = bytes(8) + b"LZFu" + bytes(4) + b"\x00{\\rtf1 \\" + fill(b"\xff" + b"\x00\x0f" * 8, 18_000)
    return base64_part("application/ms-tnef", tnef_bytes.winmail(tnef_bytes.binary(0x1009, packed)))


def _bomb() -> bytes:
    """Compressed S/MIME of 20 kB that unpacks to just less than the limit."""
    data = zlib.compress(b"\n" + bytes(19_900_000), 9)
    return base64_part("application/pkcs7-mime", envelope(_COMPRESSED, der(0x04, data)))


def parts(content: bytes) -> bytes:
    """A multipart of one part over and over."""
    return head("x") + b"Content-Type: multipart/mixed; boundary=b\n\n" + fill(b"--b\n" + content)


def deep() -> bytes:
    """Multiparts within multiparts."""
    return b"".join(b"Content-Type: multipart/mixed; boundary=l%dx\n\n--l%dx\n" % (n, n) for n in range(350_000))


WORST: dict[str, Callable[[], bytes]] = {
    "a plain text": lambda: plain("A line of text as people write it, with words.\n"),
    "an attachment": lambda: encoded("application/octet-stream; name=a.bin", bytes(SIZE * 7 // 10)),
    "zeros": lambda: bytes(SIZE),
    "line ends": lambda: fill(b"\n"),
    "CR alone": lambda: fill(b"\r"),
    "header fields": lambda: fill(b"A: b\n"),
    "continuation lines": lambda: field("Subject", "x\n "),
    "encoded words": lambda: field("Subject", "=?utf-8?q?a?= "),
    "half encoded words": lambda: field("Subject", "=?utf-8?q?"),
    "addresses": lambda: field("To", "a@b,"),
    "brackets of addresses": lambda: field("To", "<"),
    "comments of addresses": lambda: field("To", "("),
    "quotes of addresses": lambda: field("To", '" \\'),
    "Message-IDs": lambda: field("References", "<a@b>"),
    "brackets of Message-IDs": lambda: field("References", "<"),
    "parameters": lambda: field("Content-Type", "text/plain; a*0=b;"),
    "quotes of parameters": lambda: field("Content-Type", 'text/plain; name="\\"'),
    "comments of a date": lambda: field("Date", "("),
    "parts": lambda: parts(b"\nx\n"),
    "parts with headers": lambda: parts(b"Content-Type: text/html\n\n<b>\n"),
    "parts of flowed text": lambda: parts(b"Content-Type: text/plain; format=flowed\n\n> a \n"),
    "boundaries that are none": lambda: parts(b"--bb\n"),
    "levels": deep,
    "HTML: unclosed": lambda: html("<b><i><u>"),
    "HTML: tables": lambda: html("<table><tr><td>"),
    "HTML: open angles": lambda: html("<"),
    "HTML: ampersands": lambda: html("&"),
    "HTML: comments": lambda: html("<!--"),
    "HTML: attributes": lambda: html('<a href="x" '),
    "HTML: quotes": lambda: html('<a href="'),
    "HTML: styles": lambda: html('<p style="color:red;;;">'),
    "HTML: lists": lambda: html("<ul><li>"),
    "HTML: scripts": lambda: html("<script>"),
    "HTML: links": lambda: html('<a href="http://a">b</a>'),
    "HTML: pictures": lambda: html('<img src="cid:a">'),
    "text: quoted": lambda: plain("> a\n"),
    "text: wrote": lambda: plain("On 1 Jan a@b wrote:\n"),
    "text: From": lambda: plain("From: a\n"),
    "text: one line": lambda: plain("On a 1 "),
    "text: spaces": lambda: plain(" "),
    "text: dashes": lambda: plain("-"),
    "text: closings": lambda: plain("Thanks\n"),
    "text: uuencode": lambda: plain("begin 644 a\n"),
    "text: uuencoded": lambda: plain("begin 644 a\n#86)C\nend\n"),
    "text: yEnc": lambda: plain("=ybegin name=a\n"),
    "calendar": lambda: encoded("text/calendar", b"BEGIN:VEVENT\n" + fill(b"A;B=C;D=E:F\n", 10_000_000)),
    "calendar: parameters": lambda: encoded("text/calendar", b"BEGIN:VEVENT\nA" + fill(b";B=C", 10_000_000)),
    "TNEF: attributes": lambda: tnef_of(tnef_bytes.attribute(1, 0x00068005, b"")),
    "TNEF: attachments": lambda: tnef_of(tnef_bytes.attribute(2, 0x00069002, b"")),
    "TNEF: properties": lambda: tnef_of(tnef_bytes.attribute(1, 0x00069003, _PROPERTIES)),
    "TNEF: bodies": lambda: tnef_of(tnef_bytes.attribute(1, 0x0002800C, b"a" * 1_000)),
    "RTF: groups": lambda: rich(b"{"),
    "RTF: words": lambda: rich(rb"\f1 a"),
    "RTF: octets": lambda: rich(rb"\'e4"),
    "RTF: tags": lambda: rich(rb"{\*\htmltag64 <b>}"),
    "RTF: many of them": lambda: parts(_many_rich()),
    "S/MIME: many bombs": lambda: parts(_bomb()),
    "S/MIME: open lengths": lambda: encoded("application/pkcs7-mime", fill(b"\x30\x80", 10_000_000)),
    "S/MIME: compressed HTML": zipped,
    "base64 junk": lambda: head("x") + b"Content-Transfer-Encoding: base64\n\n" + fill(b"=a*"),
    "quoted-printable": lambda: head("x") + b"Content-Transfer-Encoding: quoted-printable\n\n" + fill(b"=3D=\n"),
    "UTF-7": lambda: head("x") + b"Content-Type: text/plain; charset=utf-7\n\n" + fill(b"+AGE-"),
    "ISO-2022-JP": lambda: head("x") + b"Content-Type: text/plain; charset=iso-2022-jp\n\n" + fill(b"\x1b$B!!\x1b(B"),
    "reports": lambda: parts(b"Content-Type: message/delivery-status\n\n\n").replace(b"mixed", b"report", 1),
    "report: recipients": lambda: head("x") + b"Content-Type: multipart/report; boundary=b\n\n--b\n"
    b"Content-Type: message/delivery-status\n\n" + fill(b"Final-Recipient: rfc822; a@b\n\n"),
}  # fmt: skip


def measure(path: Path) -> None:
    """Print the seconds that one takes, and the megabytes that it needs beside its own octets."""
    raw = path.read_bytes()
    before = peak()
    begun = time.process_time()
    message = parse(raw)
    sections(message.text, message.subject)
    took = time.process_time() - begun
    print(f"{took:.3f} {(peak() - before) / 1_024:.0f}")


def peak() -> int:
    """Kilobytes that this process had at most. Not what getrusage says: that counts what it was forked from."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def main() -> None:
    """Each in a process of its own, so that its memory is its own too."""
    if sys.argv[1:]:
        measure(Path(sys.argv[1]))
        return
    print(f"{'mail of up to 25 MB':28} {'seconds':>8} {'ratio':>6} {'MB more':>8}", flush=True)
    reference = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mail.eml"
        for name, make in WORST.items():
            path.write_bytes(make())
            command = [sys.executable, "-m", "dev.bench.mime_worst", str(path)]
            took, more = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            reference = reference or float(took)
            print(f"{name:28} {float(took):8.2f} {float(took) / reference:6.1f} {more:>8}", flush=True)


if __name__ == "__main__":
    main()
