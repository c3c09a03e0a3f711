"""Every .eml in tests/data/mail beside what it must become (.toml). A defect ever met in real mail adds a pair."""

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import pytest

from shared.mime import Sections, parse, sections
from shared.model import Message, Report

MAIL = Path(__file__).parents[1] / "data" / "mail"
SOURCES = sorted(MAIL.glob("*.eml"))

#: What most of the corpus has in common; an expectation names only what differs.
USUAL: dict[str, Any] = {
    "to": ["help@example.org"],
    "cc": [],
    "reply_to": [],
    "date": "2026-11-20T09:00:00+00:00",
    "message_id": "<m1@example.com>",
    "in_reply_to": [],
    "references": [],
    "html": "",
    "defects": [],
    "attachments": [],
    "report": {},
    "sections": {},
}


def seen(message: Message) -> dict[str, Any]:
    """A message in the form of an expectation."""
    return {
        "subject": message.subject,
        "sender": str(message.sender or ""),
        "to": [str(address) for address in message.to],
        "cc": [str(address) for address in message.cc],
        "reply_to": [str(address) for address in message.reply_to],
        "date": message.date.isoformat() if message.date else "",
        "message_id": message.message_id or "",
        "in_reply_to": list(message.in_reply_to),
        "references": list(message.references),
        "text": message.text,
        "html": message.html or "",
        "defects": list(message.defects),
        "attachments": [
            {"name": one.name, "type": one.content_type, "size": len(one.data)}
            | ({"content_id": one.content_id} if one.content_id else {})
            | ({"inline": True} if one.inline else {})
            for one in message.attachments
        ],
        "report": reported(message.report) if message.report else {},
        "sections": taken_apart(sections(message.text, message.subject)),
    }


def taken_apart(found: Sections) -> dict[str, str]:
    """The sections of a text; nothing where all of it is new."""
    if not found.signature and not found.history:
        return {}
    return {"new": found.new, "signature": found.signature, "history": found.history}


def reported(report: Report) -> dict[str, Any]:
    """A report in the form of an expectation; what it does not say is left out."""
    return _said(
        {
            "kind": str(report.kind),
            "message_id": report.message_id,
            "references": list(report.references),
            "subject": report.subject,
            "recipients": [
                _said(
                    {
                        "address": one.address,
                        "action": str(one.action),
                        "status": one.status,
                        "diagnostic": one.diagnostic,
                    }
                )
                for one in report.recipients
            ],
        }
    )


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_mail_becomes_what_is_expected(source: Path) -> None:
    """Each mail of the corpus gives exactly the fields, defects and attachments that its expectation names."""
    raw = source.read_bytes()
    message = parse(raw)
    assert seen(message) == USUAL | tomllib.loads(source.with_suffix(".toml").read_text("utf-8"))
    assert message.size == len(raw)
    assert message.sha256 == hashlib.sha256(raw).hexdigest()
    assert not message.header_only


def test_the_corpus_is_complete() -> None:
    """Every mail has its expectation, and every expectation its mail."""
    assert len(SOURCES) >= 150
    assert {source.stem for source in SOURCES} == {expected.stem for expected in MAIL.glob("*.toml")}


def test_the_page_tells_the_corpus() -> None:
    """docs/mail-corpus.md is what `python -m tests.mime.corpus_page` makes of the corpus today."""
    from tests.mime import corpus_page

    assert corpus_page.PAGE.read_text("utf-8") == corpus_page.page()


def test_made_mails_are_what_the_script_makes() -> None:
    """The mails that nobody types stand in the corpus as their script makes them."""
    from tests.mime.make_mail import MAILS, PACKED

    made = {name: make for name, make in MAILS.items() if name not in PACKED}
    assert [name for name, make in made.items() if (MAIL / f"{name}.eml").read_bytes() != make()] == []
