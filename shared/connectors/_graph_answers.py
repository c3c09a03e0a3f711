"""What Microsoft Graph answers and what that means for a run: pure, by status and code alone, never by its words."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable

#: "Not now": asked again after a while (https://learn.microsoft.com/graph/errors, .../graph/throttling).
BUSY = frozenset({429, 502, 503, 504, 509})
#: Worth another try, but may be about one message alone. 424: what it depended on failed; 409 and 412: somebody else
#: changed the message meanwhile; 500: anything.
AGAIN = BUSY | {408, 409, 412, 424, 500}

#: Permissions by which messages can be read.
READING = frozenset({"Mail.Read", "Mail.ReadWrite"})

#: The message is not there, or never was under this id in this mailbox.
_GONE = frozenset({"ErrorItemNotFound", "itemNotFound", "ErrorInvalidIdMalformed", "ErrorInvalidMailboxItemId"})
_NO_USER = frozenset({"ErrorInvalidUser", "Request_ResourceNotFound", "ResourceNotFound", "ErrorNonExistentMailbox"})
_NO_MAILBOX = frozenset(
    {
        "MailboxNotEnabledForRESTAPI",
        "MailboxNotSupportedForRESTAPI",
        "MailboxNotHostedInExchangeOnline",
        "ErrorMailboxNotEnabledForRESTAPI",
        "RESTAPINotEnabledForComponentSharedMailbox",
    }
)
#: https://learn.microsoft.com/graph/delta-query-overview: the state is gone, so the whole has to be listed again.
_STATE_LOST = frozenset(
    {"syncStateNotFound", "SyncStateNotFound", "syncStateInvalid", "SyncStateInvalid", "resyncRequired"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, be it to a request of its own or to one within a batch."""

    status: int
    #: Parsed JSON where it was JSON, else bytes; within a batch, text.
    body: Any = None
    #: Seconds that Graph asks us to wait.
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked for."""
        return 200 <= self.status < 300

    @property
    def codes(self) -> frozenset[str]:
        """The error's code and those of the errors within it."""
        return frozenset(str(error["code"]) for error in self._errors() if error.get("code"))

    @property
    def gone(self) -> bool:
        """Whether it says that the message is not there. A mailbox that is not there says something else."""
        return bool(self.codes & _GONE)

    @property
    def state_lost(self) -> bool:
        """Whether a delta token has no meaning (any more)."""
        return self.status == 410 or bool(self.codes & _STATE_LOST)

    @property
    def about_mailbox(self) -> bool:
        """Whether it concerns the sign-in or the mailbox as a whole, whatever was asked."""
        return self.status in {401, 403} or bool(self.codes & (_NO_USER | _NO_MAILBOX))

    def _errors(self) -> Iterator[Mapping[str, Any]]:
        error = self.body.get("error") if isinstance(self.body, dict) else None
        while isinstance(error, dict):
            yield error
            error = error.get("innerError") or error.get("innererror")

    def __str__(self) -> str:
        outer = next(self._errors(), {})
        return " ".join(f"{self.status} {outer.get('code') or ''}".split())


def answer_of(status: int, headers: Mapping[str, str], body: Any, now: datetime) -> Answer:
    """An answer as it came, its body still bytes where it has a request of its own."""
    named = {name.lower(): str(value) for name, value in headers.items()}
    if isinstance(body, bytes) and "json" in named.get("content-type", ""):
        try:
            body = json.loads(body)
        except ValueError:
            body = None
    return Answer(status, body, _seconds(named.get("retry-after", ""), now))


def _seconds(text: str, now: datetime) -> float | None:
    """Retry-After as RFC 9110 section 10.2.3 has it: seconds, or a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests go, for the sentences about them."""

    mailbox: str
    #: Root of Graph, which is also the audience of its tokens.
    root: str


def busy(answer: Answer, doing: str, place: Place) -> Unavailable:
    """Graph asks us to stay away, or is not well."""
    what = "is throttling this app" if answer.status == 429 else "is not available"
    pause = None if answer.retry_after is None else timedelta(seconds=answer.retry_after)
    return Unavailable(
        f"Microsoft Graph {what} for mailbox {place.mailbox!r} ({answer}, while {doing}).", retry_after=pause
    )


def refusal(
    answer: Answer, doing: str, place: Place, *, changing: bool, roles: frozenset[str] = frozenset()
) -> JobError:
    """What a person must know about an answer that ends the run. ``roles``: the permissions that the token names."""
    mailbox = repr(place.mailbox)
    if answer.status == 401:
        return AuthFailed(
            f"Microsoft Graph does not accept the app's token for mailbox {mailbox} ({answer}).",
            remedy=f"Check tenant and cloud of the job: the token must be made by the tenant that holds the mailbox, "
            f"for {place.root}. If they are right, see whether the app or its service principal was disabled.",
        )
    if answer.codes & _NO_MAILBOX:
        return ConfigInvalid(
            f"{mailbox} has no mailbox in Exchange Online that Graph can open ({answer}).",
            remedy="Give the user an Exchange Online licence, or wait until a new mailbox is ready. For a mailbox on "
            "an Exchange server of your own use server type 'exchange'.",
        )
    if answer.codes & _NO_USER:
        return ConfigInvalid(
            f"The tenant has no mailbox {mailbox} ({answer}).",
            remedy="Check the spelling: the primary SMTP address, the user principal name or the user's object id. "
            "Check also that the sign-in is for the mailbox's own tenant.",
        )
    if answer.status == 403:
        return _denied(answer, doing, mailbox, changing=changing, roles=roles)
    if answer.status in AGAIN:
        return busy(answer, doing, place)
    return Unavailable(
        f"Microsoft Graph gave an answer for mailbox {mailbox} that makes no sense here ({answer}, while {doing})."
    )


def may_not_send(answer: Answer, place: Place) -> AuthFailed:
    """The app may not send as the mailbox: reading and writing it is another permission."""
    return AuthFailed(
        f"The app may not send mail from mailbox {place.mailbox!r} ({answer}).",
        remedy="Assign it 'Application Mail.Send' in Exchange (RBAC for Applications) with a management scope that "
        "holds this mailbox, or consent to Mail.Send in Entra, which allows it for every mailbox. A change takes up to "
        "two hours to be effective. With a sender of its own, the mailbox also needs the right to send as that.",
    )


def _denied(answer: Answer, doing: str, mailbox: str, *, changing: bool, roles: frozenset[str]) -> AuthFailed:
    if changing:
        return AuthFailed(
            f"The app may read mailbox {mailbox} but not change it ({answer}, while {doing}).",
            remedy="Give it the role 'Application Mail.ReadWrite' (RBAC for Applications) or the permission "
            "Mail.ReadWrite, or have the job leave messages as they are.",
        )
    if consented := sorted(roles & READING):
        return AuthFailed(
            f"The app may not open mailbox {mailbox} ({answer}), although its token has {', '.join(consented)}.",
            remedy="An application access policy of the tenant leaves this mailbox out (Test-ApplicationAccessPolicy "
            "-AppId <application id> -Identity <mailbox>): have it changed; or replace policy and consent by the role "
            "'Application Mail.ReadWrite' in Exchange with a management scope that holds this mailbox.",
        )
    return AuthFailed(
        f"The app may not open mailbox {mailbox} ({answer}): its token names no permission for mail, and no role in "
        "Exchange (RBAC for Applications) reaches this mailbox.",
        remedy="Assign it 'Application Mail.ReadWrite' in Exchange with a management scope that holds this mailbox, "
        "or consent to Mail.ReadWrite in Entra, which opens every mailbox. A change takes up to two hours to be "
        "effective.",
    )
