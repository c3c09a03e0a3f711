"""How folders, tickets, run records and schedules look on a terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from dev.demo.stage import Lying

_WIDTH = 92


def folder(lying: Sequence[Lying]) -> list[str]:
    """One line a message."""
    if not lying:
        return ["(empty)"]
    rows = [(str(each.uid), _flags(each), each.sender, each.subject) for each in lying]
    return _table([("uid", "flags", "from", "subject"), *rows])


def _flags(message: Lying) -> str:
    known = ["read" if message.read else "unread"]
    others = [flag.lstrip("\\").lower() for flag in sorted(message.flags - {r"\Seen"})]
    return " ".join(known + others)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    cut = [tuple(_short(cell, 44) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cut]


def _short(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def runs(records: Sequence[dict[str, Any]]) -> list[str]:
    """Run records with the columns of the incoming-mail log, then their comments."""
    head = ("started", "job", "by", "outcome", "in box", "received", "created", "updated", "purged", "errors", "took")
    rows = [
        (
            datetime.fromisoformat(record["started"]).strftime("%H:%M:%S"),
            record["job_id"],
            record["trigger"],
            record["outcome"],
            *(str(record[column]) for column in ("in_box", "received", "created", "updated", "purged", "errors")),
            f"{record['duration']:.1f} s" if record["duration"] is not None else "",
        )
        for record in records
    ]
    comments = [comment for record in records for comment in record["comments"]]
    return [*_table([head, *rows]), *(line for comment in comments for line in _wrapped("", comment))]


def ticket(shown: dict[str, Any]) -> Iterator[str]:
    """A ticket with its entries, as a person would read it."""
    yield f"{shown['id']}  {shown['subject']!r}, {shown['status']}, from {_who(shown['requester'])}"
    for number, entry in enumerate(shown["entries"], start=1):
        yield f"  entry {number}, by {_who(entry['sender'])}"
        for line in entry["text"].split("\n"):
            yield from (f"    | {part}".rstrip() for part in textwrap.wrap(line, _WIDTH) or [""])
        for attachment in entry["attachments"]:
            place = "inside the text" if attachment["inline"] else "attached"
            yield f"    file: {attachment['name']} ({attachment['content_type']}, {attachment['size']} octets, {place})"
        yield from _wrapped("    odd:  ", " ".join(entry["defects"]))
        yield from _wrapped("    why:  ", " ".join(entry["evidence"]))


def _who(address: dict[str, str] | None) -> str:
    if address is None:
        return "an unknown sender"
    return f"{address['name']} <{address['email']}>" if address["name"] else f"<{address['email']}>"


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=label, subsequent_indent=" " * len(label))


def schedule(preview: dict[str, Any]) -> Iterator[str]:
    """What the preview tells of a schedule."""
    yield preview["sentence"]
    yield f"the timer that serves it, in UTC: {preview['expression']}  (excess {preview['excess']:.2g})"
    for occurrence in preview["occurrences"]:
        utc, local = (datetime.fromisoformat(occurrence[name]) for name in ("utc", "local"))
        here = "" if utc.utcoffset() == local.utcoffset() else f"  = {local:%H:%M} there"
        yield f"  {utc:%a %Y-%m-%d %H:%M} UTC{here}{'  ' + occurrence['note'] if occurrence['note'] else ''}"
