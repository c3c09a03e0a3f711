"""What a failed exchange with an EWS server means for the job, in plain words.

Response codes: learn.microsoft.com/exchange/client-developer/web-service-reference/responsecode. The texts that come
with them are not passed on: the code says it all, and a text may quote a message.
"""

import re
from collections.abc import Iterator
from datetime import timedelta

from exchangelib import errors as ews
from requests import Response
from spnego.exceptions import SpnegoError

from shared.connectors._ews_account import Account
from shared.connectors._ews_network import Lost, network_fault
from shared.connectors._ews_text import readable
from shared.errors import AuthFailed, ConfigInvalid, JobError, MessageError, MessageGone, Unavailable, Unreadable

_BUSY = (ews.ErrorServerBusy, ews.ErrorExceededConnectionCount, ews.ErrorTooManyObjectsOpened)
_NO_SUCH_MAILBOX = (
    ews.ErrorNonExistentMailbox,
    ews.ErrorMissingEmailAddress,
    ews.ErrorMissingInformationEmailAddress,
    ews.ErrorInvalidSmtpAddress,
    ews.ErrorInvalidUserPrincipalName,
)
_MAY_NOT_IMPERSONATE = (
    ews.ErrorImpersonateUserDenied,
    ews.ErrorImpersonationDenied,
    ews.ErrorImpersonationFailed,
    ews.ErrorInvalidExchangeImpersonationHeaderData,
)
_ACCOUNT_UNUSABLE = (ews.ErrorAccountDisabled, ews.ErrorPasswordExpired, ews.ErrorPasswordChangeRequired)
_TOO_OLD = (
    ews.ErrorInvalidServerVersion,
    ews.ErrorIncorrectSchemaVersion,
    ews.ErrorInvalidSchemaVersionForMailboxVersion,
)
#: There is nothing under this id any more: moved, removed, or the mailbox was made anew.
_GONE = (ews.ErrorItemNotFound, ews.ErrorInvalidIdMalformed)

_USUAL_ADDRESS = "service_url is usually https://<server>/EWS/Exchange.asmx."
_CHECK_ADDRESS = "Check the SMTP address; a mailbox that has moved to Exchange Online needs type 'exchange_online'."

_DIAGNOSIS = re.compile(r'reason="([^"]*)"')
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][\w-]*)(?=\s|,|$)")


class Busy(Unavailable):
    """The server asks us to stay away for a while; ``retry_after`` is None where it does not say for how long."""


class HttpAnswer(ews.TransportError):  # type: ignore[misc] # the SDK is untyped
    """An HTTP status that is not an EWS answer."""

    def __init__(self, response: Response) -> None:
        self.status = response.status_code
        super().__init__(f"HTTP {self.status}")
        wait = response.headers.get("Retry-After", "")
        self.retry_after = timedelta(seconds=int(wait)) if wait.isdecimal() and len(wait) < 7 else None
        self.schemes = ", ".join(dict.fromkeys(_SCHEME.findall(response.headers.get("WWW-Authenticate", ""))))
        # Exchange says here what is wrong with a token; Exchange Online says why EWS is closed.
        found = _DIAGNOSIS.search(response.headers.get("x-ms-diagnostics", ""))
        self.diagnosis = readable(found[1]) if found else ""
        self.location = response.headers.get("Location", "")


def job_fault(fault: Exception, account: Account, doing: str, *, signed_in: bool) -> JobError:
    """The error of ours for whatever exchangelib raised; a 401 after the sign-in is the server's mood, not ours."""
    if isinstance(fault, HttpAnswer):
        return _http_fault(fault, account, doing, signed_in=signed_in)
    if isinstance(fault, (PermissionError, SpnegoError)):
        return AuthFailed(
            f"{account.host} did not go through with the NTLM sign-in of {account.username}.",
            remedy="Check that NTLM is enabled for the EWS directory of the server, or use authentication 'basic'.",
        )
    for cause in _causes(fault):
        if isinstance(cause, OSError):
            return network_fault(cause, account.host, doing)
    if isinstance(fault, ews.ResponseMessageError):
        return _answered_fault(fault, account, doing)
    if signed_in:
        return Lost(f"{account.host} gave an answer that makes no sense (while {doing}).")
    return ConfigInvalid(f"{account.service_url} does not answer as Exchange Web Services do.", remedy=_USUAL_ADDRESS)


def busy(account: Account, doing: str, *, wait: timedelta | None = None) -> Busy:
    """The server asks us to stay away, for ``wait`` where it says so."""
    return Busy(
        f"{account.host} is busy and asks us to come back later (while {doing}).",
        remedy="If it stays so, have the throttling policy of the account looked at.",
        retry_after=wait,
    )


def _answered_fault(fault: Exception, account: Account, doing: str) -> JobError:
    if isinstance(fault, _BUSY):
        wait = getattr(fault, "back_off", None)
        return busy(account, doing, wait=timedelta(seconds=wait) if wait else None)
    code = type(fault).__name__
    who, host, mailbox = account.username, account.host, account.mailbox
    known: list[tuple[tuple[type[Exception], ...], JobError]] = [
        (
            _MAY_NOT_IMPERSONATE,
            ConfigInvalid(f"{who} may not act for {mailbox} on {host} ({code}).", remedy=account.rights_remedy),
        ),
        (_NO_SUCH_MAILBOX, ConfigInvalid(f"{host} has no mailbox {mailbox} ({code}).", remedy=_CHECK_ADDRESS)),
        (
            (ews.ErrorAccessDenied,),
            ConfigInvalid(
                f"{who} may not do that in the mailbox {mailbox} (while {doing}).", remedy=account.rights_remedy
            ),
        ),
        (
            _ACCOUNT_UNUSABLE,
            AuthFailed(f"{host} does not let {who} in ({code}).", remedy="Have the account looked at."),
        ),
        (
            _TOO_OLD,
            ConfigInvalid(
                f"{host} speaks no version of EWS that we know.", remedy="Exchange 2010 SP2 or newer is needed."
            ),
        ),
    ]
    for classes, error in known:
        if isinstance(fault, classes):
            return error
    return Unavailable(f"{host} answered {code} (while {doing}).")


def message_fault(fault: Exception, item: str) -> MessageError:
    """The error of ours for what a server answered about one message."""
    if isinstance(fault, _GONE):
        return MessageGone(f"Message {item} is no longer where it was.")
    return Unreadable(f"The server answers {type(fault).__name__} for message {item}.")


def is_denial(answer: object) -> bool:
    """Whether we lack the right to do that to this message: a private one, say, or every one."""
    return isinstance(answer, ews.ErrorAccessDenied)


def is_job_fault(fault: Exception) -> bool:
    """Whether an answer about one message speaks of the server or of our rights instead, and so of all of them."""
    return isinstance(
        fault,
        (
            *_BUSY,
            *_MAY_NOT_IMPERSONATE,
            *_NO_SUCH_MAILBOX,
            ews.ErrorADUnavailable,
            ews.ErrorConnectionFailed,
            ews.ErrorInsufficientResources,
            ews.ErrorInternalServerTransientError,
            ews.ErrorMailboxFailover,
            ews.ErrorMailboxMoveInProgress,
            ews.ErrorMailboxStoreUnavailable,
            ews.ErrorTimeoutExpired,
        ),
    )


def _http_fault(fault: HttpAnswer, account: Account, doing: str, *, signed_in: bool) -> JobError:
    if fault.status == 401 and signed_in and account.authentication != "bearer":
        # A sign of throttling, or a password changed this minute: another try now could lock the account.
        return Unavailable(f"{account.host} refused a sign-in that it took before (while {doing}).")
    if fault.status == 401 or (fault.status == 403 and "token" in fault.diagnosis.lower()):
        return _sign_in_fault(fault, account)
    if fault.status == 403:
        return _closed_fault(fault, account)
    elsewhere = fault.status in {301, 302, 307, 308} and "genericerrorpage" not in fault.location.lower()
    if elsewhere or fault.status in {404, 405}:
        return _address_fault(fault, account)
    if fault.status in {429, 503}:
        return Busy(
            f"{account.host} answered HTTP {fault.status}: it is busy (while {doing}).", retry_after=fault.retry_after
        )
    return Lost(f"{account.host} answered HTTP {fault.status} (while {doing}).")


def _address_fault(fault: HttpAnswer, account: Account) -> ConfigInvalid:
    if fault.status in {404, 405}:
        return ConfigInvalid(f"{account.service_url} is not there (HTTP {fault.status}).", remedy=_USUAL_ADDRESS)
    return ConfigInvalid(
        f"{account.host} redirects EWS requests (HTTP {fault.status}); the password was not sent there.",
        remedy="Set service_url to the address of the server itself.",
    )


def _sign_in_fault(fault: HttpAnswer, account: Account) -> AuthFailed:
    reason = f": {fault.diagnosis}" if fault.diagnosis else ""
    wanted = {"bearer": "bearer", "ntlm": "ntlm", "basic": "basic"}[account.authentication]
    offered = fault.schemes.lower()
    if offered and wanted not in offered and not (wanted == "ntlm" and "negotiate" in offered):
        return AuthFailed(
            f"{account.host} takes no sign-in by {account.authentication}; it offers {fault.schemes}.",
            remedy="Set authentication to one that it offers, or have this one enabled for its EWS directory.",
        )
    return AuthFailed(
        f"{account.host} refused the sign-in of {account.username}{reason}.", remedy=account.sign_in_remedy
    )


def _closed_fault(fault: HttpAnswer, account: Account) -> ConfigInvalid:
    reason = f", {fault.diagnosis}" if fault.diagnosis else ""
    if account.online:
        return ConfigInvalid(
            f"Exchange Online refuses EWS for this tenant, this application or this mailbox (HTTP 403{reason}).",
            remedy=(
                "EWS is blocked by default since 2026-10-01 and ends on 2027-04-01: change the job to api 'graph'. To "
                "keep EWS until then: Set-OrganizationConfig -EwsEnabled $true -EwsAllowedAppIDs @{Add='<application "
                "id>'}, which takes up to 24 hours to take effect."
            ),
        )
    return ConfigInvalid(
        f"{account.host} refuses EWS to {account.username} (HTTP 403{reason}).",
        remedy=(
            f"Check Get-CASMailbox {account.mailbox} | fl Ews* and Get-OrganizationConfig | fl Ews*: EwsEnabled must "
            "not be False, and an allow list of programs must hold MailConnector."
        ),
    )


def _causes(fault: BaseException) -> Iterator[BaseException]:
    """Everything that ``fault`` was made from: the SDK and its HTTP libraries wrap errors in one another.

    Of two for the same trouble, the one nearest to the socket comes first.
    """
    seen: list[BaseException] = []
    todo: list[object] = [fault]
    while todo:
        one = todo.pop()
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            todo += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    # requests' own errors are OSErrors too, without anything to tell.
    plain = [one for one in seen if type(one).__module__ in {"builtins", "socket", "ssl"}]
    return iter([*reversed(plain), *reversed(seen)])
