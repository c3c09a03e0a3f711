"""One line that says what a calendar part is about (RFC 5545, RFC 5546): mail programs often say it nowhere else."""

import re
from typing import Final

from shared.mime.text import one_line, shorten

_CHARS: Final = 100_000
_PART_CHARS: Final = 200
_FOLD: Final = re.compile(r"\n[ \t]")
_LINE: Final = re.compile(r'([A-Za-z0-9-]{1,40})((?:;[A-Za-z0-9-]{1,40}=(?:"[^"\n]*"|[^":;\n]*)){0,20}):(.*)')
_PARAMETER: Final = re.compile(r';([A-Za-z0-9-]{1,40})=(?:"([^"\n]*)"|([^":;\n]*))')
_INSTANT: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\d(Z?))?")
_ESCAPE: Final = re.compile(r"\\(.)")

_METHODS: Final = {
    "REQUEST": "Invitation",
    "CANCEL": "Cancelled",
    "COUNTER": "New time proposed",
    "DECLINECOUNTER": "Proposed time declined",
    "ADD": "Added to an invitation",
    "REPLY": "Reply to an invitation",
}
_ANSWERS: Final = {"ACCEPTED": "Accepted", "DECLINED": "Declined", "TENTATIVE": "Tentatively accepted"}

_Field = tuple[dict[str, str], str]


def summary(calendar: str) -> str:
    """``Invitation: Budget; 2026-11-20 10:00 to 11:00 (Europe/Berlin); Room 5; from Ann Example``, or ""."""
    method, event = _first_event(_FOLD.sub("", calendar[:_CHARS]))
    if not event:
        return ""
    what = _METHODS.get(method, "Event")
    if method == "REPLY":
        what = _ANSWERS.get(event.get("ATTENDEE", ({}, ""))[0].get("PARTSTAT", "").upper(), what)
    whom = "ATTENDEE" if method in ("REPLY", "COUNTER") else "ORGANIZER"
    parts = [_text(event, "SUMMARY") or "(no subject)", _when(event), _text(event, "LOCATION"), _who(event, whom)]
    return f"{what}: " + "; ".join(part for part in parts if part)


def _first_event(calendar: str) -> tuple[str, dict[str, _Field]]:
    """The method, and the first of each field of the first event or task."""
    method = ""
    event: dict[str, _Field] = {}
    inside: list[str] = []
    for line in calendar.split("\n"):
        match = _LINE.match(line)
        if match is None:
            continue
        name, value = match[1].upper(), match[3].strip()
        if name == "BEGIN":
            inside.append(value.upper())
        elif name == "END":
            if inside and inside.pop() in ("VEVENT", "VTODO"):
                break
        elif name == "METHOD" and not method:
            method = value.upper()
        elif inside[1:] in (["VEVENT"], ["VTODO"]) and name not in event:
            given = {one[1].upper(): one[2] or one[3] or "" for one in _PARAMETER.finditer(match[2])}
            event[name] = given, value
    return method, event


def _text(event: dict[str, _Field], name: str) -> str:
    value = event.get(name, ({}, ""))[1]
    plain = _ESCAPE.sub(lambda escaped: " " if escaped[1] in "nN" else escaped[1], value)
    return shorten(one_line(plain), _PART_CHARS)


def _who(event: dict[str, _Field], name: str) -> str:
    given, address = event.get(name, ({}, ""))
    who = one_line(given.get("CN") or re.sub(r"(?i)^mailto:", "", address))
    return f"from {shorten(who, _PART_CHARS)}" if who else ""


def _when(event: dict[str, _Field]) -> str:
    given, value = event.get("DTSTART", ({}, ""))
    start = _INSTANT.match(value)
    if start is None:
        return ""
    day, time = _instant(start)
    if not time:
        return f"{day}, all day{_repeats(event)}"
    zone = "UTC" if start[6] else one_line(given.get("TZID", ""))[:60]
    until = ""
    if end := _INSTANT.match(event.get("DTEND", ({}, ""))[1]):
        end_day, end_time = _instant(end)
        until = f" to {end_time if end_day == day else f'{end_day} {end_time}'}"
    return f"{day} {time}{until}" + (f" ({zone})" if zone else "") + _repeats(event)


def _instant(match: re.Match[str]) -> tuple[str, str]:
    return f"{match[1]}-{match[2]}-{match[3]}", f"{match[4]}:{match[5]}" if match[4] else ""


def _repeats(event: dict[str, _Field]) -> str:
    return ", repeats" if "RRULE" in event else ""
