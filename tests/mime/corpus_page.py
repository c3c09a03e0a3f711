"""Writes docs/mail-corpus.md: `python -m tests.mime.corpus_page`. A test holds the page to the corpus."""

import tomllib
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.mime.test_corpus import SOURCES, USUAL

PAGE = Path(__file__).parents[2] / "docs" / "mail-corpus.md"
_WIDTH = 70
_HEAD = """# The mail corpus

Made by `python -m tests.mime.corpus_page` from `tests/data/mail`; do not edit. Each mail stands there as `.eml` beside its
expectation, which the suite compares field by field. Unless a row says otherwise, the mail comes from Ann Example, has a
subject and a date, and nothing of it made no sense. docs/mime.md says how to add one.

{count} mails.

| mail | becomes |
|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = [
        f"| {source.stem} | {outcome(USUAL | tomllib.loads(source.with_suffix('.toml').read_text('utf-8')))} |"
        for source in SOURCES
    ]
    return _HEAD.format(count=len(SOURCES)) + "\n".join(rows) + "\n"


def outcome(expected: dict[str, Any]) -> str:
    """What a mail becomes, in one line."""
    said = [_quoted(expected["text"]) if expected["text"] else "no text"]
    if expected["subject"] == "(no subject)":
        said.append("no subject")
    if expected["sender"] != "Ann Example <ann@example.com>":
        said.append(f"from {_code(expected['sender'])}" if expected["sender"] else "no sender")
    if not expected["date"]:
        said.append("no date")
    if not expected["message_id"]:
        said.append("no Message-ID")
    if expected["html"]:
        said.append("safe HTML")
    if expected["attachments"]:
        said.append("attached: " + _files(expected["attachments"]))
    if report := expected["report"]:
        ends = ", ".join(f"{one['action']} {_code(one.get('address', ''))}" for one in report.get("recipients", []))
        said.append(f"a {report['kind']} report: {ends}")
    if sections := expected["sections"]:
        apart = [name for name in ("signature", "history") if sections[name]]
        said.append(f"new is {_quoted(sections['new'])}, apart from {' and '.join(apart)}")
    said += expected["defects"]
    return "; ".join(said).replace(".;", ";").removesuffix(".")


def _files(attachments: list[dict[str, Any]]) -> str:
    """Names, those of one type that follow each other counted."""
    groups = [[one["name"] for one in run] for _, run in groupby(attachments, key=lambda one: one["type"])]
    return ", ".join(_code(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else "") for names in groups)


def _quoted(text: str) -> str:
    flat = " ".join(text.split())
    return _code(flat if len(flat) <= _WIDTH else flat[: _WIDTH - 1] + "…")


def _code(text: str) -> str:
    """As code, so that nothing of a mail is taken for markup; without what would break the table."""
    flat = text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
    return "`" + flat.replace("`", "'").replace("|", "¦") + "`"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
