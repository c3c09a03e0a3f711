"""The ways that fuzzing takes: functions of any bytes that may only return. Each checks what it is promised."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.mime import cms, intext, invitation, limits, parse, rtf, sections, structure, tnef
from shared.mime.markup import sanitise
from shared.mime.readable import readable
from shared.mime.reading import Reading
from shared.mime.text import clean
from shared.model import TicketStatus, TicketSummary
from shared.routing import (
    AttachmentSettings,
    Circumstances,
    Extraction,
    GuardSettings,
    RoutingSettings,
    Rule,
    refers_to,
    route,
    screen,
    take,
)
from shared.routing.extract import Kind
from tests.mime.promises import check, check_html, check_sections

SEEDS = Path(__file__).parent / "seeds"
MAIL = Path(__file__).parents[1] / "data" / "mail"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def parsing(data: bytes) -> None:
    """Bytes to a message."""
    check(parse(data), data)


def replies(data: bytes) -> None:
    """A text to what is new in it, its signature and its history."""
    subject, _, text = clean(data.decode("utf-8", "replace")).partition("\n")
    check_sections(sections(text, subject), text)


def html(data: bytes) -> None:
    """Tag soup to safe HTML, and that to readable text; cleaning it again changes nothing that matters."""
    safe = sanitise(data.decode("utf-8", "replace")[: limits.HTML_CHARS], Reading())
    check_html(safe)
    readable(safe)


def forms(data: bytes) -> None:
    """The forms within a part: the first octet says which, so that none hides behind base64."""
    kind, data = data[:1], data[1:]
    if kind == b"t":
        tnef.read(data)
    elif kind == b"l":
        rtf.decompress(data, 100_000)
    elif kind == b"r":
        rtf.read(data)
    elif kind == b"c":
        cms.read(data)
    elif kind == b"v":
        invitation.summary(data.decode("utf-8", "replace"))
    else:
        intext.extract(data)


def _extractions() -> tuple[Extraction, ...]:
    """A field of each kind, and each way of finding one."""
    ways: list[dict[str, Any]] = [
        {"between": {"after": ":"}},
        {"position": {"start": 2, "length": 20}},
        {"matches": r"(?P<value>[-+\d.,:TZ/ ]{1,40})", "decimal_comma": True, "time_zone": "Europe/Berlin"},
    ]
    return tuple(
        Extraction.model_validate({"field": f"f{kind}{at}", "kind": kind, **way})
        for kind in Kind
        for at, way in enumerate(ways)
    )


_EXTRACTIONS = _extractions()
_RULES = tuple(
    Rule.model_validate(rule)
    for rule in (
        {"name": "lists", "when": {"header": {"List-Id": []}}, "note": "A list.", "stop": False},
        {"name": "text", "when": {"body": [{"matches": r"(?i)un.?subscribe"}, "lottery"]}, "reject": "Not wanted."},
        {"name": "files", "when": {"attachment": {"name": ["*.exe"], "type": ["*/*"]}}, "fields": {"virus": True}},
        {"name": "forged", "when": {"authentication": {"dmarc": ["fail"], "spf": ["fail"]}}, "note": "Forged."},
    )
)


def routing(data: bytes) -> None:
    """Bytes to a decision: guards, rules, fields, attachments, then tickets in every state; each decision says why."""
    message = parse(data)
    circumstances = Circumstances(NOW, "*")
    screened = screen(message, GuardSettings(), _RULES, circumstances, _EXTRACTIONS)
    if screened.rejected:
        assert screened.rejected.reason
        return
    message = take(message, AttachmentSettings(deny=("*.exe",), max_file_mb=0.001)).message
    settings = RoutingSettings(outlook_threads=True, tag_suffix="" if len(data) % 2 else "]")
    reference = refers_to(message, settings)
    named = [*reference.ticket_ids, *reference.message_ids]
    threads = {one: f"T-{at % 3}" for at, one in enumerate(reference.message_ids)}
    states = list(TicketStatus)
    tickets = {
        one: TicketSummary(one, states[at % len(states)], frozenset({"ann@example.com"}))
        for at, one in enumerate([*named, "T-0", "T-1"])
    }
    decision = route(message, settings, reference=reference, threads=threads, tickets=tickets, screened=screened)
    assert decision.evidence


WAYS: dict[str, Callable[[bytes], None]] = {
    "parse": parsing,
    "html": html,
    "forms": forms,
    "replies": replies,
    "routing": routing,
}


def seeds(way: str) -> Iterator[bytes]:
    """Where to start: the corpus, and the inputs that once were found to be bad."""
    for path in sorted((SEEDS / way).glob("*")):
        yield path.read_bytes()
    for path in sorted(MAIL.glob("*.eml")):
        raw = path.read_bytes()
        if way in ("parse", "routing"):
            yield raw
        elif way == "replies":
            message = parse(raw)
            yield f"{message.subject}\n{message.text}".encode()
        else:
            yield from _of_parts(raw, way)


def _of_parts(raw: bytes, way: str) -> Iterator[bytes]:
    """What the parts of a mail hold, with their transfer encoding undone."""
    pending = [structure.read(raw, Reading())]
    while pending:
        part = pending.pop()
        pending += part.children
        data = part.decoded(Reading())
        if way == "html" and part.content_type == "text/html":
            yield data
        elif way == "forms" and (found := tnef.read(data)):
            yield b"t" + data
            if found.rtf:
                yield b"l" + found.rtf
                yield b"r" + (rtf.decompress(found.rtf, 100_000) or b"")
        elif way == "forms" and "pkcs7" in part.content_type:
            yield b"c" + data
        elif way == "forms" and "calendar" in part.content_type:
            yield b"v" + data
        elif way == "forms" and b"begin" in data:
            yield b"x" + data
