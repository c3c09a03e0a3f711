"""The canary of a job: a message that it sends to its own mailbox, to see that mail comes through. Pure.

::

                 claimed, before it is sent        taken by the server
    (none out) ─────────────────────────▶ (out) ───────────────────────▶ (out, posted)
        ▲                                   │ its time passes              │         │ its time passes
        │◀──────── it never left ───────────┘                              │         ▼
        │◀─────────────────────── it came back: seen, delay ───────────────┘     missing: alarm
        └◀────────────── another is sent; whichever comes back in time ends the alarm ──┘

A canary is known by a header field that only the job can write: HMAC-SHA-256 (RFC 2104) over job, time and number.
Whatever else bears such a field is ordinary mail.
"""

import hashlib
import hmac
import re
import secrets as chance
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Final

from shared.errors import ConfigInvalid
from shared.model import CanaryState

#: The header field by which a canary is known. Microsoft Graph takes only names that begin with ``x-``.
HEADER: Final = "X-Mail-Connector-Canary"

#: Why the ledger has no ticket for it.
REASON: Final = "This message is a canary: the job sent it itself, to see that mail comes through."

#: A shorter key could be guessed.
_KEY_CHARACTERS = 16
#: Runs do not come to the second: a job that runs each hour sends one each hour.
_SLACK = timedelta(minutes=1)
#: Two clocks may differ by so much.
_SKEW = timedelta(minutes=5)
_MS = timedelta(milliseconds=1)
_STAMP = re.compile(
    r"t=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z);n=([0-9a-f]{16});h=([0-9a-f]{64})", re.ASCII | re.IGNORECASE
)


class _Policy(EmailPolicy):
    """Long fields stay whole, but words that have to be encoded are short (75 characters: RFC 2047 section 2)."""

    def fold_binary(self, name: str, value: str) -> bytes:
        """See `EmailPolicy.fold_binary`."""
        return super().fold_binary(name, value) if value.isascii() else _SHORT.fold_binary(name, value)


_SHORT: Final = EmailPolicy(linesep="\r\n", max_line_length=76)
_POLICY: Final = _Policy(linesep="\r\n", max_line_length=998)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a canary says of itself."""

    #: In UTC, to the millisecond.
    sent: datetime
    #: Tells it from every other of the job: 16 hex digits.
    number: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of our own, in plain text."""

    sender: str
    recipient: str
    subject: str
    text: str
    sent: datetime
    #: With its angle brackets.
    message_id: str
    #: Fields beside the usual ones.
    headers: Mapping[str, str] = field(repr=False)
    #: It answers another message, in the name of a program: it has to travel with every field of its header.
    answers: bool = False
    #: By SMTP its envelope has no sender (RFC 5321 section 4.5.5), so that nothing comes back.
    null_sender: bool = False

    def raw(self) -> bytes:
        """As it travels (RFC 5322), lines ending in CRLF; all ASCII, whatever the text."""
        message = EmailMessage(_POLICY)
        fields = {
            "From": self.sender,
            "To": self.recipient,
            "Subject": self.subject,
            "Date": format_datetime(self.sent, usegmt=True),
            "Message-ID": self.message_id,
            **self.headers,
        }
        for name, value in fields.items():
            message[name] = value
        message.set_content(self.text, cte=None if self.text.isascii() else "quoted-printable")
        return message.as_bytes()


def new_stamp(now: datetime) -> Stamp:
    """A stamp that no other canary has."""
    return Stamp(now.astimezone(UTC).replace(microsecond=now.microsecond // 1000 * 1000), chance.token_hex(8))


def usable_key(key: str, *, secret: str) -> str:
    """``key``, the value of the secret called ``secret``. Raises `ConfigInvalid` where it could be guessed."""
    if len(key.strip()) < _KEY_CHARACTERS:
        raise ConfigInvalid(
            f"The secret {secret!r} is too short for the key of a canary.",
            remedy=f"Store at least {_KEY_CHARACTERS} random characters under that name.",
        )
    return key


def write_stamp(stamp: Stamp, job_id: str, key: str) -> str:
    """The value of the header field."""
    written = _time(stamp.sent)
    return f"t={written}; n={stamp.number}; h={_seal(written, stamp.number, job_id, key)}"


def read_stamp(text: str, job_id: str, key: str, *, now: datetime, max_age: timedelta) -> Stamp | None:
    """The stamp that the job itself has written, at most ``max_age`` ago; None for any other text whatever."""
    found = _STAMP.fullmatch("".join(text.split()))
    if not found:
        return None
    written, number, seal = found[1].upper(), found[2].lower(), found[3].lower()
    if not hmac.compare_digest(seal, _seal(written, number, job_id, key)):
        return None
    sent = datetime.fromisoformat(written)
    return Stamp(sent, number) if now - max_age <= sent <= now + _SKEW else None


def letter(stamp: Stamp, job_id: str, key: str, *, sender: str, recipient: str) -> Letter:
    """The canary itself. Other mail programs are told not to answer it (RFC 3834; MS-OXCMAIL 2.1.3.2.20)."""
    return Letter(
        sender=sender,
        recipient=recipient,
        subject=f"Canary of Mail Connector job {job_id}",
        text=(
            f"Mail Connector sent this to see that mail for the job {job_id} comes through.\n"
            "It makes no ticket, and the job tidies it away. Nobody has to read or answer it.\n"
        ),
        sent=stamp.sent,
        message_id=f"<canary-{stamp.number}@{recipient.rpartition('@')[2]}>",
        headers={
            HEADER: write_stamp(stamp, job_id, key),
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )


# --- what becomes of it ----------------------------------------------------------------------------------------------


def is_due(state: CanaryState, now: datetime, *, every: timedelta, allowed: timedelta) -> bool:
    """Whether another is to be sent: never while one is out that may still come back in time."""
    if state.sent is None:
        return True
    return now - state.sent > allowed if state.out else now - state.sent >= every - _SLACK


def claimed(state: CanaryState, stamp: Stamp, expected_by: datetime) -> CanaryState:
    """One is about to be sent. Written down first, so that a worker that dies sends one too few, never one too many."""
    return replace(state, sent=stamp.sent, out=stamp.number, expected_by=expected_by, posted=False, fault="")


def posted(state: CanaryState) -> CanaryState:
    """The server has taken it."""
    return replace(state, posted=True)


def unsent(state: CanaryState, why: str) -> CanaryState:
    """It could not be sent; or it was, and nobody knows."""
    return replace(state, fault=why)


def came_back(state: CanaryState, stamp: Stamp, now: datetime) -> CanaryState:
    """The one that is out came back; one that was given up on changes nothing."""
    if stamp.number != state.out:
        return state
    delay = max(timedelta(0), now - stamp.sent) // _MS * _MS
    return replace(state, out="", posted=False, expected_by=None, seen=now, delay=delay, missing_since=None, fault="")


def judged(state: CanaryState, began: datetime, allowed: timedelta) -> CanaryState:
    """After a run that ``began`` then, looked at all there was, and did not find it: whether it is missing.

    One that never left, because its run died, is not.
    """
    if state.missing_since or not state.out or state.sent is None or began - state.sent <= allowed:
        return state
    return replace(state, missing_since=state.sent + allowed) if state.posted or state.fault else state


def missing_sentence(state: CanaryState, now: datetime) -> str:
    """What is wrong, and what to do; empty where nothing is missing."""
    since = state.lacking_since(now)
    if since is None:
        return ""
    last = f"the last one came back at {state.seen:%Y-%m-%d %H:%M} UTC" if state.seen else "none ever came back"
    what = f"A canary should have come back by {since:%Y-%m-%d %H:%M} UTC and did not ({last})."
    if state.fault:
        return f"{what} The newest could not be sent: {state.fault}"
    return f"{what} Mail may not reach the mailbox: look for it where mail for its address is taken in and filtered."


def _time(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}Z"


def _seal(written: str, number: str, job_id: str, key: str) -> str:
    said = f"mail-connector-canary-1\n{job_id}\n{written}\n{number}"
    return hmac.new(key.encode("utf-8", "surrogatepass"), said.encode(), hashlib.sha256).hexdigest()
