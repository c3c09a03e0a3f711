"""What is new in a text, apart from what it quotes and from the signature; all three are kept.

Decided by lines, in one pass: marks that mail programs put above what they quote, in English, German, French, Spanish,
Dutch, Italian and Polish (Outlook, Exchange, Gmail, Apple Mail, Thunderbird, Yahoo), and quotation marks.

Ours because the library for it (mail-parser-reply) has to be told the languages, and its patterns take quadratic time;
docs/mime.md has the figures.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final


@dataclass(frozen=True, slots=True)
class Sections:
    """A text taken apart: each of its lines is in one of these, in its order."""

    #: What the sender wrote this time; with the quoted lines between, where the answers stand among them.
    new: str
    signature: str = ""
    #: What was quoted, with the line above that says of whom.
    history: str = ""


_LABELS: Final = {
    "from": "from von de van da od expéditeur mittente nadawca afzender",
    "date": "sent date gesendet datum envoyé enviado fecha verzonden inviato data wysłano wysłane",
    "to": "to an à para aan a do",
    "subject": "subject betreff objet asunto onderwerp oggetto temat",
    "cc": "cc kopie copie dw",
}
_CLASS: Final = {label: kind for kind, labels in _LABELS.items() for label in labels.split()}
_LABEL: Final = re.compile(r"\s{0,8}[*_]{0,3}([^\W\d_]{1,12})[*_]{0,3}(?: el)?[\s\u00a0]?:")
#: How far below "From:" the rest of such a header may stand, in lines.
_LABEL_LINES: Final = 8

_START: Final = re.compile(
    r"\s{0,4}(?:on|am|le|el|op|il|w dniu|dnia|em|den|\w{2,5}\.?,? \d|\d{1,4}[./-]\d)\b", re.IGNORECASE
)
_VERB: Final = re.compile(
    r"\b(?:wrote|schrieb|a \u00e9crit|escribi\u00f3|schreef|ha scritto|napisa\u0142a?|pisze)\b", re.IGNORECASE
)
_WROTE_LINES: Final = 4
_WROTE_CHARS: Final = 450
_WHEN_OR_WHO: Final = re.compile(r"[\d@]")

_RULE: Final = re.compile(r"\s*[-_=*]{5,}\s*")
_ORIGINAL: Final = re.compile(
    r"\s*[-_=*]{2,} ?(?:original message|urspr\u00fcngliche nachricht|original-?nachricht|message d.origine|"
    r"mensaje original|oorspronkelijk bericht|messaggio originale|wiadomo\u015b\u0107 oryginalna) ?[-_=*]{2,}\s*",
    re.IGNORECASE,
)
_ABOVE: Final = re.compile(
    r"\s*-{2,} (?:below this line is a copy|this is a copy of the message)[^\n]{0,100}|"
    r"\W*(?:please )?(?:type|write|enter|add)? ?(?:your )?(?:reply|respond|answer) above this line\W*",
    re.IGNORECASE,
)
_FORWARDED: Final = re.compile(
    r"\s*(?:[-_=*]{2,} ?(?:forwarded message|weitergeleitete nachricht|message transf\u00e9r\u00e9|mensaje reenviado|"
    r"forwarded by|doorgestuurd bericht|messaggio inoltrato|forwarded mail|przekazana wiadomo\u015b\u0107|"
    r"tre\u015b\u0107 przekazanej wiadomo\u015bci)[^\n]{0,100}"
    r"|begin forwarded message ?:|anfang der weitergeleiteten nachricht ?:|d\u00e9but du message (?:transf\u00e9r\u00e9"
    r"|r\u00e9exp\u00e9di\u00e9) ?:|inicio del mensaje reenviado ?:|begin doorgestuurd bericht ?:|inizio messaggio "
    r"inoltrato ?:|pocz\u0105tek przekazywanej wiadomo\u015bci ?:)\s*",
    re.IGNORECASE,
)
_FORWARD_SUBJECT: Final = re.compile(r"\s*(?:fwd?|wg|tr|rv|doorst|pd|inoltro?|i|enc) ?:", re.IGNORECASE)

_DASHES: Final = re.compile(r"--[ \u00a0]?")
_DEVICE: Final = re.compile(
    r"\s*(?:sent from (?:my|mail|outlook|yahoo)\b|get outlook for\b|gesendet von\b|von meinem .{1,40} gesendet|"
    r"envoy\u00e9 (?:de|depuis)\b|enviado desde\b|verzonden (?:vanaf|met|vanuit)\b|inviato da\w*\b|wys\u0142an[eo] z\b|"
    r"outlook f\u00fcr .{1,20} (?:herunterladen|beziehen)|t\u00e9l\u00e9charger outlook|obtener outlook|"
    r"outlook voor .{1,20} downloaden|scarica outlook|pobierz (?:aplikacj\u0119 )?outlook)[^\n]{0,80}",
    re.IGNORECASE,
)
_CLOSING: Final = re.compile(
    r"\s*(?:(?:with )?(?:(?:best|kind|kindest|warm|many) )?(?:regards|wishes|thanks)|thank you|thanks|thx|best|cheers|"
    r"yours (?:sincerely|faithfully|truly)|sincerely|(?:mit )?(?:freundlichen?|besten?|vielen?|herzlichen?|lieben?|"
    r"sch\u00f6nen?) (?:gr\u00fc(?:\u00df|ss)en?|gru(?:\u00df|ss)|dank)|gru(?:\u00df|ss)|mfg|lg|vg|"
    r"(?:bien )?cordialement|"
    r"(?:bien )?\u00e0 vous|salutations(?: distingu\u00e9es)?|merci(?: d.avance)?|bonne journ\u00e9e|"
    r"(?:un )?(?:cordial )?saludos?(?: cordial(?:es)?)?|atentamente|(?:muchas )?gracias|"
    r"met (?:vriendelijke|hartelijke) groet(?:en)?|(?:hartelijke )?groet(?:en|jes)?|mvg|bedankt|"
    r"(?:cordiali|distinti) saluti|saluti|grazie(?: mille)?|"
    r"z powa\u017caniem|pozdrawiam(?: serdecznie)?|pozdrowienia|dzi\u0119kuj\u0119)\s*[,.!]*\s*",
    re.IGNORECASE,
)
_SIGNATURE_LINES: Final = 40
_CLOSING_LINES: Final = 12


def sections(text: str, subject: str = "") -> Sections:
    """Take a readable text apart. ``subject`` tells a forward, whose original is the matter itself, from a reply."""
    lines = text.split("\n")
    quoted, rest, forwarded = _quoted(lines, forward=bool(_FORWARD_SUBJECT.match(subject)))
    own = lines[:rest]
    after = lines[rest:]
    runs = [(kind, [own[at] for at in run]) for kind, run in groupby(range(rest), key=lambda at: quoted[at])]
    runs = _without_blank_ends(runs)
    history: list[str] = []
    if runs and runs[-1][0]:
        history = runs.pop()[1]
    footer: list[str] = []
    if len(runs) > 1 and not runs[-1][0] and _is_footer(runs[-1][1]):
        footer = runs.pop()[1]
        history = runs.pop()[1] + history
    if len(runs) == 2 and runs[0][0]:  # the answer stands below all that it quotes
        history = runs.pop(0)[1] + history
    new = [line for _, run in runs for line in run]
    if forwarded:
        new, after = [*new, *history, *after], []
        history = []
        signature: list[str] = []
    else:
        new, signature = _without_signature(new)
    if not _any(new):
        new, signature = (signature, []) if _any(signature) else (lines, [])
        if new is lines:
            return Sections(text.strip("\n"))
    return Sections(_joined(new), _joined([*signature, *footer]), _joined([*history, *after]))


def _any(lines: Sequence[str]) -> bool:
    return any(line.strip() for line in lines)


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines).strip("\n")


def _quoted(lines: Sequence[str], *, forward: bool) -> tuple[list[bool], int, bool]:
    """Which lines are quoted; from which on all is history, or else forwarded; and whether it is forwarded."""
    quoted = [line.lstrip().startswith(">") for line in lines]
    for at, line in enumerate(lines):
        if quoted[at] or not line.strip():
            continue
        if _FORWARDED.fullmatch(line):
            return quoted, at, True
        if _ORIGINAL.fullmatch(line) or _ABOVE.fullmatch(line) or _is_header(lines, at):
            return quoted, _above(lines, at), forward
        if begin := _wrote(lines, at, quoted):
            quoted[at - begin + 1 : at + 1] = [True] * begin
            below = next((after for after in range(at + 1, len(lines)) if lines[after].strip()), len(lines))
            if below == len(lines) or not quoted[below]:
                return quoted, at - begin + 1, forward
    return quoted, len(lines), False


def _is_header(lines: Sequence[str], at: int) -> bool:
    """Whether the header of a quoted mail begins there, as Outlook writes it."""
    label = _LABEL.match(lines[at])
    if label is None or _CLASS.get(label[1].lower()) != "from":
        return False
    kinds = {
        _CLASS.get(match[1].lower()) for line in lines[at + 1 : at + _LABEL_LINES] if (match := _LABEL.match(line))
    }
    return len(kinds - {None, "from"}) >= 2


def _above(lines: Sequence[str], at: int) -> int:
    """A rule above belongs to what it is above of."""
    above = at - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    return above if above >= 0 and _RULE.fullmatch(lines[above]) else at


def _wrote(lines: Sequence[str], at: int, quoted: Sequence[bool]) -> int:
    """Over how many lines, up from there, a "... wrote:" goes; 0 where there is none."""
    if not lines[at].rstrip().endswith(":"):
        return 0
    joined = ""
    for count in range(1, _WROTE_LINES + 1):
        begin = at - count + 1
        if begin < 0 or quoted[begin] or not lines[begin].strip():
            return 0
        joined = f"{lines[begin].strip()} {joined}"
        if len(joined) > _WROTE_CHARS:
            return 0
        named = bool(_VERB.search(joined)) and bool(_WHEN_OR_WHO.search(joined))
        if named and (_START.match(joined) or (count == 1 and at + 1 < len(lines) and _quotes_below(lines, at))):
            return count
    return 0


def _quotes_below(lines: Sequence[str], at: int) -> bool:
    below = next((line for line in lines[at + 1 : at + 4] if line.strip()), "")
    return below.lstrip().startswith(">")


def _without_blank_ends(runs: list[tuple[bool, list[str]]]) -> list[tuple[bool, list[str]]]:
    """Runs of blank lines belong to what is before them."""
    out: list[tuple[bool, list[str]]] = []
    for kind, lines in runs:
        if out and (out[-1][0] == kind or not _any(lines)):
            out[-1][1].extend(lines)
        elif not out and not _any(lines):
            continue
        else:
            out.append((kind, list(lines)))
    return out


def _is_footer(lines: Sequence[str]) -> bool:
    first = next(line for line in lines if line.strip())
    return len(lines) <= _SIGNATURE_LINES and bool(_DASHES.fullmatch(first.rstrip("\r")) or _RULE.fullmatch(first))


def _without_signature(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lines before the signature, and those of it."""
    last = max((at for at, line in enumerate(lines) if line.lstrip().startswith(">")), default=-1)
    cut = len(lines)
    for at in range(max(last + 1, len(lines) - _SIGNATURE_LINES), len(lines)):
        if _DASHES.fullmatch(lines[at]):
            cut = at
            break
    for found, reach in ((_DEVICE, 5), (_CLOSING, _CLOSING_LINES)):
        filled = [at for at in range(last + 1, cut) if lines[at].strip()][-reach:]
        for at in filled:
            if found.fullmatch(lines[at]) and _any(lines[:at]) and not any(map(_is_sentence, lines[at + 1 : cut])):
                cut = at
                break
    return list(lines[:cut]), list(lines[cut:])


def _is_sentence(line: str) -> bool:
    """What follows "Thanks" and is one of these is no signature."""
    return line.rstrip().endswith((".", "?", "!")) and len(line.split(maxsplit=3)) > 3
