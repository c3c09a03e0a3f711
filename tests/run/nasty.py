"""The thirty nasty inputs through Dovecot in one run: `make nasty` prints a row for each, and writes docs/nasty-inputs.md.

The large ones are small here unless ``full`` asks for their real size. Rows 26 to 30 are about protocols: each has its
likeness on IMAP4; what is POP3's, Exchange's or Graph's own is in their suites.
"""

# ruff: noqa: T201, RUF001 - a command, and mail in Cyrillic

import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.azurite import Azurite
from shared.model import MessageKey, RunOutcome, RunReport, TicketEntry
from shared.routing.guards import OWN_MARK
from tests.mime import promises
from tests.mime.make_mail import base64_part, head
from tests.run.real import Real
from tests.run.world import Killed
from tests.servers.dovecot import Dovecot
from tests.servers.imap_host import User

MAIL = Path(__file__).parents[1] / "data" / "mail"
PAGE = Path(__file__).parents[2] / "docs" / "nasty-inputs.md"
_HEAD = """# Thirty nasty inputs

Written by `make nasty`: all of it lies in one folder of a Dovecot and becomes tickets on Azurite. The first run is killed
after it made tickets and before the ledger knew; the second finishes; the third finds nothing. *new* is a ticket,
*joined* an entry of one, *said* a defect that the entry names. The suite runs the same with smaller files.

Rows 26 to 30 are about protocols: here stands their likeness on IMAP4, and what is POP3's, Exchange's or Graph's own is in
their suites. Rows 2 and 25: a mail that lies twice in one folder is two messages there, with identities of their own, and
makes two tickets; that the second could be known by its content is not built. Row 5: of 5,000 recipients 1,000 are read and
200 kept.

"""
FOLDER, FOLDER_ON_THE_WIRE = "Entwürfe", "Entw&APw-rfe"


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one message."""

    outcome: str
    entry: TicketEntry | None = None

    @property
    def shown(self) -> TicketEntry:
        """Its entry; for rows in which every message has one."""
        assert self.entry is not None
        return self.entry


Look = Callable[[Sequence[Judged]], str]


def counts(judged: Sequence[Judged]) -> str:
    """How many became what."""
    kinds = [one.outcome for one in judged]
    names = {"created": "new", "modified": "joined", "none": "no ticket", "parked": "parked", "gone": "gone"}
    return ", ".join(f"{kinds.count(kind)} {name}" for kind, name in names.items() if kind in kinds)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``expected`` is compared with what ``look`` makes of the messages."""

    number: int
    what: str
    mails: tuple[bytes, ...]
    expected: str
    look: Look = counts


def corpus(*names: str) -> tuple[bytes, ...]:
    """Mails of the corpus, each with a Message-ID of its own where it had the usual one."""
    mails = []
    for name in names:
        raw = (MAIL / f"{name}.eml").read_bytes()
        mails.append(raw.replace(b"<m1@example.com>", f"<{name}-{uuid.uuid4().hex}@example.com>".encode()))
    return tuple(mails)


def also(more: Callable[[TicketEntry], str]) -> Look:
    """The counts, and something of each entry."""
    return lambda judged: counts(judged) + ": " + " / ".join(more(one.shown) for one in judged)


def text(entry: TicketEntry) -> str:
    """The beginning of the text, on one line."""
    return " ".join(entry.text.replace(" |", ";").split())[:24] or "no text"


def files(entry: TicketEntry) -> str:
    """Its attachments, which must have safe names that differ."""
    promises.check_names([one.name for one in entry.attachments])
    return ", ".join(one.name for one in entry.attachments) or "no files"


def sizes(entry: TicketEntry) -> str:
    """Names and octets of the attachments, or how it says that there is too much."""
    if not entry.attachments:
        return "header only" if "only its header was read" in entry.text else "no files"
    return ", ".join(f"{one.name} {one.size:,}" for one in entry.attachments)


def harmless(entry: TicketEntry) -> str:
    """Whether the HTML holds what is promised, and whether the original is kept where something was cut."""
    promises.check_html(entry.html or "")
    return "safe" + (", original kept" if any(one.name == "original.eml" for one in entry.attachments) else "")


def dated(entry: TicketEntry) -> str:
    """The day of the Date field, or that another was taken for it."""
    return "2026-11-20" if entry.date.isoformat().startswith("2026-11-20T09:00") else "when received"


def raw(subject: str, body: bytes = b"hello\n", *more: str, sender: str = "ann@example.com") -> bytes:
    """A plain mail."""
    lines = [f"From: {sender}", "To: help@example.org", f"Subject: {subject}", *more, "", ""]
    return "\n".join(lines).encode() + body


def rows(*, full: bool) -> list[Row]:
    """All thirty. ``full``: in the sizes that the requirements name."""
    scale = 10 if full else 1
    odd_id = "[83c4aaaa0001@microsoft.com]"
    exchange = raw("Odd id", b"x\n", f"Message-ID: <{odd_id}>")
    answer = raw("Re: Odd id", b"y\n", "Message-ID: <answer@example.com>", f"In-Reply-To: <{odd_id}>")
    forged = raw("Re: Odd id", b"z\n", f"References: <{odd_id}>", sender="mallory@evil.example")
    twice = raw("Moved back to the inbox", b"once\n", "Message-ID: <twice@example.com>")
    unnamed = (raw("No id", b"one\n"), raw("No id", b"two\n"), raw("No id", b"two\n"))
    logos = corpus("related-thirty-logos")
    nested = head("Levels")
    for level in range(1_000):
        nested += f"Content-Type: multipart/mixed; boundary=l{level}x\n\n--l{level}x\n".encode()
    tables = b"<table><tr><td>" * (140_000 * scale // 2)
    file = bytes(4_000_000 * scale)
    return [
        Row(1, "Message-ID in brackets within brackets; an answer to it", (exchange, answer), "1 new, 1 joined"),
        Row(2, "no Message-ID: two bodies, and the second delivered again", unnamed, "3 new"),
        Row(
            3,
            "Message-ID twice, folded, with spaces",
            corpus("message-id-twice-folded", "message-id-with-spaces"),
            "2 new: <first.part@example.com> / <twowords@example.com>",
            also(lambda entry: entry.message_id or "none"),
        ),
        Row(
            4,
            "From missing, empty, a group, two addresses; `To: (c):`",
            corpus("from-missing", "from-empty", "from-group", "from-two-to-comment"),
            "4 new: nobody / nobody / ann@example.com / ann@example.com",
            also(lambda entry: entry.sender.email if entry.sender else "nobody"),
        ),
        Row(
            5,
            "Cc with a trailing comma; 5,000 recipients",
            (
                *corpus("cc-trailing-comma"),
                raw("Crowd", b"x\n", "Cc: " + ",\n ".join(f"n{n}@a.example" for n in range(5_000))),
            ),
            "2 new: 4 / 200",
            also(lambda entry: f"{len(entry.cc):,}"),
        ),
        Row(
            6,
            "Subject blank, missing, 10 kB, with NUL and an encoded line end",
            (*corpus("subject-blank", "subject-missing"), raw("long " * 2_000), *corpus("subject-controls")),
            "4 new: (no subject) / (no subject) / 1,000 characters / one line",
            also(
                lambda entry: (
                    entry.subject
                    if len(entry.subject) == 12
                    else "1,000 characters"
                    if len(entry.subject) == 1_000
                    else "one line"
                    if entry.subject.isprintable()
                    else "no"
                )
            ),
        ),
        Row(
            7,
            "encoded words cut within a character; charsets mixed; raw 8-bit header",
            corpus("subject-split-character", "charset-mixed-parts", "header-raw-8bit"),
            "3 new: €€ euro and caféмир =?utf-8?q?=5Bcut? / Grüße and Привет / Überfällig",
            also(lambda entry: entry.subject),
        ),
        Row(
            8,
            "charsets iso-8859-8-i, windows-874, cp-850, unicode-1-1-utf-7, unknown-8bit, `utf-8;`",
            corpus(
                "charset-hebrew-visual",
                "charset-thai",
                "charset-cp850",
                "charset-utf-7",
                "charset-unknown-8bit",
                "charset-with-semicolon",
            ),
            "6 new: שלום / สวัสดี / Größe / Größe € / Größe € / Größe €",
            also(text),
        ),
        Row(
            9,
            "Date missing, 1970, 2099, +9999, two digits",
            corpus("date-missing", "date-1970", "date-2099", "date-zone-9999", "date-two-digits"),
            "5 new: when received / when received / when received / when received / when received",
            also(dated),
        ),
        Row(
            10,
            "body empty, only HTML, only a picture, only an invitation",
            corpus("body-blank-phone", "html-table", "body-only-picture", "body-only-invitation"),
            "4 new: no text / Item; Pieces Toner; 2 Pa / no text / Invitation: Meeting",
            also(text),
        ),
        Row(
            11,
            "script, base, form; remote pixels; " + ("20 MB" if full else "1 MB") + " of nested tables",
            (*corpus("html-hostile", "html-remote-content"), head("Tables") + b"Content-Type: text/html\n\n" + tables),
            "3 new: safe / safe / safe, original kept",
            also(harmless),
        ),
        Row(
            12,
            "multipart without an end, without a boundary; header without a blank line",
            corpus("multipart-unclosed", "multipart-no-boundary", "header-no-blank-line"),
            "3 new: The text (1 said) / Found anyway (1 said) / The text follows at once (1 said)",
            also(lambda entry: f"{text(entry)} ({len(entry.defects)} said)"),
        ),
        Row(
            13,
            "1,000 levels; 200,000 empty parts; 100,000 blank lines first",
            (
                nested,
                head("Parts") + b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\n" * 200_000,
                b"\n" * 100_000 + raw("Blank", b"late\n"),
            ),
            "3 new: no text, original.eml / no text, original.eml / late, no files",
            also(lambda entry: f"{text(entry)}, {files(entry)}"),
        ),
        Row(
            14,
            "messages within messages within messages",
            corpus("message-three-deep", "message-in-message"),
            "2 new: outer_one.eml / Inner_ a_b.eml, old.eml",
            also(files),
        ),
        Row(
            15,
            "winmail.dat with HTML and files; one with only a text",
            corpus("winmail-html-in-rtf", "winmail-only-text"),
            "2 new: Grüße €5 < привет bold n, pic.png, Übersicht 2026.txt / Hello from Exchange, no files",
            also(lambda entry: f"{text(entry)}, {files(entry)}"),
        ),
        Row(
            16,
            "S/MIME opaque, clear, encrypted; PGP encrypted",
            corpus("smime-opaque-signed", "smime-clear-signed", "smime-encrypted", "pgp-encrypted"),
            "4 new: Opaque but readable: grü / signed text / no text / no text",
            also(text),
        ),
        Row(
            17,
            "names: continued, climbing, reserved, 500 long, none, equal, mislabelled",
            corpus("attachment-names", "attachment-name-in-type-only"),
            "2 new: 15 names, safe and different + 2 names, safe and different",
            lambda judged: (
                f"{counts(judged)}: "
                + " + ".join(f"{len(files(one.shown).split(', '))} names, safe and different" for one in judged)
            ),
        ),
        Row(
            18,
            "base64 with junk; quoted-printable cut; uuencode; yEnc",
            corpus("base64-junk", "quoted-printable-odd", "uuencode-in-text", "transfer-encodings-odd"),
            "4 new: Hello, world!, no files / half Ã=XX = and soft= en, no files / Here they are: and the o, héllo.txt, cut.bin / binary text, u.bin, y.bin",
            also(lambda entry: f"{text(entry)}, {files(entry)}"),
        ),
        Row(
            19,
            "ZIP bomb; empty file and .exe as .pdf; a file of " + ("40 MB" if full else "4 MB"),
            (
                *corpus("attachment-zip-bomb", "attachment-empty-and-disguised"),
                head("Large") + base64_part("application/octet-stream; name=large.bin", file),
            ),
            "3 new: bomb.zip 4,990 / empty.txt 0, invoice.pdf 4 / header only",
            also(sizes),
        ),
        Row(
            20,
            "30 inline logos, twice",
            (*logos, *corpus("related-thirty-logos")),
            "2 new: 30 files / 30 files",
            also(lambda entry: f"{len(entry.attachments)} files"),
        ),
        Row(
            21,
            "a line of " + ("2 MB" if full else "200 kB") + "; bare CR; mixed line ends; dots and From",
            (
                raw("Line", b"a" * (200_000 * scale) + b"\n"),
                *corpus("lines-bare-cr", "lines-mixed", "lines-dots-and-from"),
            ),
            f"4 new: {min(200_000 * scale, 1_000_000):,} / 7 / 33 / 48",
            also(lambda entry: f"{len(entry.text):,}"),
        ),
        Row(
            22,
            "out of office (Exchange, Gmail), bounces (Postfix, Exchange), receipt, list, suppressing human",
            corpus(
                "auto-reply-exchange",
                "auto-reply-gmail-vacation",
                "report-postfix",
                "report-exchange-online",
                "report-read-outlook",
                "list-precedence-human",
                "human-with-suppress-header",
            ),
            "none / none / created / created / none / created / created",
            lambda judged: " / ".join(one.outcome for one in judged),
        ),
        Row(
            23,
            "our own mark; delivered to us twice",
            (
                raw("Ours", b"x\n", f"{OWN_MARK}: support"),
                raw("Circle", b"x\n", "Delivered-To: help@example.org", "Delivered-To: help@example.org"),
            ),
            "2 no ticket",
        ),
        Row(
            24,
            "forged References; tag of no ticket; two tags of none",
            (forged, raw("[T-0000-0000] x"), raw("[T-0000-0000] [T-1111-1111] x")),
            "3 new: not joined / no such ticket / no such ticket",
            lambda judged: (
                counts(judged)
                + ": "
                + " / ".join(
                    "not joined" if any("takes no replies" in one for one in each.shown.evidence) else "no such ticket"
                    for each in judged
                )
            ),
        ),
        Row(25, "the same mail twice in the folder", (twice, twice), "2 new"),
        Row(
            26,
            f"the folder {FOLDER_ON_THE_WIRE}; a body of nothing",
            (b"\r\n", raw("In a folder with an umlaut")),
            "2 new",
        ),
        Row(27, "gone between listing and fetching (as a dropped UIDL, a 404)", (raw("Vanishes"),), "1 gone"),
        Row(28, "killed after the ticket was made, before the ledger knew", (raw("Killed amid this"),), "1 new"),
        Row(
            29,
            "meeting request, NDR, signed item, as Exchange writes them",
            corpus("calendar-outlook", "report-exchange-without-original", "smime-opaque-by-name"),
            "3 new",
        ),
        Row(30, "all of it once more: the next run", (), "0 taken up"),
    ]


def seen(dovecot: Dovecot, azurite: Azurite, *, full: bool) -> list[tuple[Row, str]]:
    """Every row with what became of its mails, after a run that is killed, the one that finishes, and one more."""
    real = Real(dovecot, azurite, f"t{uuid.uuid4().hex[:12]}")
    dovecot.create_folder(real.user, FOLDER_ON_THE_WIRE)
    table = rows(full=full)
    table.sort(key=lambda row: row.number != 28)  # the kill is to hit the first batch
    for row in table:
        dovecot.append(real.user, FOLDER_ON_THE_WIRE, list(row.mails))
    table.sort(key=lambda row: row.number)
    real.job(server={"folder": FOLDER}, on_success={"mark_as_read": True}, max_message_mb=25 if full else 3)
    _vanish(real, dovecot, real.user)
    real.requests.at("write tickets", 1, lambda: real.requests.at("write jobs", 1, _die))
    try:
        real.run()
    except Killed:
        pass
    else:
        raise AssertionError("the run was to be killed")
    _finish(real)
    again = _finish(real)
    judged = _judged(real, sum(len(row.mails) for row in table))
    found: list[tuple[Row, str]] = []
    order = sorted(table, key=lambda row: row.number != 28)
    of_row = {}
    at = 0
    for row in order:
        of_row[row.number] = judged[at : at + len(row.mails)]
        at += len(row.mails)
    for row in table:
        shown = f"{again.received} taken up" if row.number == 30 else row.look(of_row[row.number])
        found.append((row, shown))
    return found


def _finish(real: Real) -> RunReport:
    """A run that comes through: on a busy machine the emulator may drop a connection, which ends a run."""
    report = real.later()
    for _ in range(4):
        if report.outcome is RunOutcome.COMPLETED:
            break
        report = real.later()
    assert report.outcome is RunOutcome.COMPLETED, report.comments
    return report


def _die() -> None:
    raise Killed


def _vanish(real: Real, dovecot: Dovecot, user: User) -> None:
    """A person removes one message once it was listed."""

    def expunge() -> None:
        for stored in dovecot.messages(user, FOLDER_ON_THE_WIRE):
            if b"Subject: Vanishes" in stored.data[:500]:
                dovecot.expunge(user, stored.uid, FOLDER_ON_THE_WIRE)

    real.requests.at("write jobs", 2, expunge)


def _judged(real: Real, count: int) -> list[Judged]:
    """What the ledger and the tickets say of each message, in the order of its UIDs."""
    by_uid = {int(row["item"].partition(".")[2]): row for row in real.tables.rows("jobs", "msg:")}
    return [_of_row(real, by_uid.get(uid)) for uid in range(1, count + 1)]


def _of_row(real: Real, row: dict[str, Any] | None) -> Judged:
    if row is None:
        return Judged("gone")
    if not row["ticket_id"]:
        return Judged(
            "gone" if row["stage"] == "done" and not row["reason"] else "none" if row["reason"] else row["stage"]
        )
    ticket = real.storage.tickets.ticket(row["ticket_id"])
    assert ticket
    key = MessageKey("support", row["mailbox"], row["item"], row["generation"])
    (entry,) = [one for one in ticket.entries if key.digest.startswith(one.entry_id)]
    return Judged(row["action"], entry=entry)


def main() -> None:
    """Print the table; exit code 1 where a row is not as expected."""
    full = "--full" in sys.argv[1:]
    with Azurite() as azurite, Dovecot() as dovecot:
        found = seen(dovecot, azurite, full=full)
    lines = [
        f"| {row.number} | {row.what} | {row.expected} | {'the same' if shown == row.expected else shown} |"
        for row, shown in found
    ]
    table = "\n".join(["| | input | expected | seen |", "|---|---|---|---|", *lines]) + "\n"
    print(table, end="")
    if full:
        PAGE.write_text(_HEAD + table, "utf-8")
    if any(shown != row.expected for row, shown in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
