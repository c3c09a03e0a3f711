"""Signing in to IMAP4, POP3 and SMTP with a token: SASL XOAUTH2, and what a mail server means when it refuses one.

XOAUTH2: developers.google.com/workspace/gmail/imap/xoauth2-protocol, and for Exchange Online
learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth.
"""

import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from shared.errors import AuthFailed, ConfigInvalid, JobError
from shared.ports import Secrets
from shared.signin.entra import (
    Certificate,
    ClientSecret,
    Cloud,
    ManagedIdentity,
    WorkloadIdentity,
    claims_in,
    credential_for,
    token,
)
from shared.signin.google import GOOGLE, SCOPE, Google, GoogleRefreshToken, GoogleServiceAccount, forget, google_token

AnyMailSignIn = (
    ManagedIdentity | ClientSecret | Certificate | WorkloadIdentity | GoogleServiceAccount | GoogleRefreshToken
)
#: How a job signs in to a mailbox with a token, told apart by ``method``.
MailSignIn = Annotated[AnyMailSignIn, Field(discriminator="method")]

Protocol = Literal["IMAP4", "POP3", "SMTP"]
#: Application permissions of Office 365 Exchange Online, and the switch of the mailbox (Set-CASMailbox).
_ROLES: Mapping[Protocol, str] = {"IMAP4": "IMAP.AccessAsApp", "POP3": "POP.AccessAsApp", "SMTP": "SMTP.SendAsApp"}
_SWITCHES: Mapping[Protocol, str] = {
    "IMAP4": "-ImapEnabled $true",
    "POP3": "-PopEnabled $true",
    "SMTP": "-SmtpClientAuthenticationDisabled $false",
}

#: Exchange Online says what is wrong in brackets, also in an answer that begins with OK:
#: ``OK [Error="UserDisabled" AuthResult=27 Proxy=... Service=Imap4] AUTHENTICATE completed.``
_EXCHANGE_ERROR = re.compile(r'\[(?:[^\]]*\s)?Error="?([A-Za-z0-9:_-]+)')
#: Enhanced status code of Exchange Online: ``535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is
#: disabled for the Mailbox.``
_SMTP_OFF = "5.7.139"
_NOT_CONNECTED = "authenticated but not connected"
#: Gmail: ``[ALERT] Your account is not enabled for IMAP use.``, ``[ALERT] IMAP access is disabled for your domain.``
_GMAIL_OFF = re.compile(r"not enabled for (?:IMAP|POP)|(?:IMAP|POP) access is disabled", re.IGNORECASE)
#: Octets of what is sent that are enough to know it again in what comes back.
_TRACE = 24


def xoauth2_string(user: str, access_token: str) -> str:
    """What the client says in SASL XOAUTH2, before base64."""
    return f"user={user}\x01auth=Bearer {access_token}\x01\x01"


def failure_in(challenge: bytes) -> str:
    """What the server's failure challenge says, decoded from base64 already: ``status 401, scope https://...``.

    It is JSON at Google, Microsoft and Dovecot; anything else comes back as far as it can be read. Empty for nothing.
    """
    text = challenge.decode("utf-8", "replace").strip()
    try:
        told = json.loads(text)
    except ValueError:
        told = text
    if isinstance(told, dict):
        told = ", ".join(f"{name} {value}" for name, value in told.items() if name != "schemes")
    return " ".join("".join(mark if mark.isprintable() else " " for mark in str(told)).split())[:200]


@dataclass(slots=True)
class Dialogue:
    """The client's side of XOAUTH2: the string first, then an empty answer to the challenge that tells of a failure."""

    string: str = field(repr=False)
    #: What that challenge said; empty while there was none.
    failure: str = ""
    _begun: bool = False

    def answer(self, challenge: bytes) -> bytes:
        """What to say next, before base64; ``challenge`` is what the server said, after base64."""
        if not self._begun:
            self._begun = True
            return self.string.encode()
        self.failure = failure_in(challenge) or self.failure
        return b""


@dataclass(frozen=True, slots=True)
class MailLogin:
    """One mailbox and a token for it."""

    user: str
    protocol: Protocol
    sign_in: AnyMailSignIn
    token: str = field(repr=False)
    #: Has the next token issued anew.
    forget: Callable[[], None] = field(repr=False)

    def dialogue(self) -> Dialogue:
        """For a client that is asked for its answers one by one."""
        return Dialogue(xoauth2_string(self.user, self.token))

    @property
    def line(self) -> str:
        """The one line that is sent after ``AUTH XOAUTH2``, in base64."""
        return base64.b64encode(xoauth2_string(self.user, self.token).encode()).decode()

    def refused(self, said: str, *, failure: str = "", address: str) -> JobError:
        """Why ``address`` did not take the token: ``said`` is its answer, ``failure`` what its challenge told.

        The token is not used again: whoever mends the cause does not have to wait until it ends.
        """
        self.forget()
        said, failure = self._clean(said), self._clean(failure)
        if closed := self.closed(said, address=address):
            return closed
        reasons = "; ".join(filter(None, (said, failure))) or "no reason given"
        what = f"{address} did not take the token for {self.user!r}: {reasons}."
        if self._google:
            return self._google_refusal(what, failure)
        return self._exchange_refusal(what)

    def closed(self, said: str, *, address: str) -> ConfigInvalid | None:
        """What is wrong with the mailbox where ``said`` tells that it is closed to us, though the token is good."""
        if self._google:
            return self._switched_off(address) if _GMAIL_OFF.search(said) else None
        if self.protocol == "SMTP" and _SMTP_OFF in said:
            return self._switched_off(address)
        found = _EXCHANGE_ERROR.search(said)
        error = found[1] if found else ""
        if "UserDisabled" in error or "ProtocolDisabled" in error:
            return self._switched_off(address)
        if "NoADRecipient" in error or "NoExchangePrincipal" in error:
            return ConfigInvalid(
                f"{address} knows no mailbox {self.user!r} in the tenant of this sign-in ({error}).",
                remedy="Give username the primary address of the mailbox, and check tenant_id.",
            )
        if error or _NOT_CONNECTED in said.lower():
            detail = f" ({error})" if error else ""
            return ConfigInvalid(
                f"{address} took the token but does not open the mailbox {self.user!r} to it{detail}.",
                remedy=f"{self._permission} Check also that {self.protocol} is switched on for it: "
                f"Set-CASMailbox {self.user} {_SWITCHES[self.protocol]}.",
            )
        return None

    def _switched_off(self, address: str) -> ConfigInvalid:
        if self._google:
            remedy = (
                f"Have {self.protocol} allowed in the Google Admin console (Gmail > End user access) and by the user."
            )
        else:
            switch = f"Set-CASMailbox {self.user} {_SWITCHES[self.protocol]}"
            remedy = f"In Exchange Online PowerShell: {switch}; it can take up to an hour to count."
        return ConfigInvalid(f"{self.protocol} is switched off for {self.user!r} on {address}.", remedy=remedy)

    def _exchange_refusal(self, what: str) -> AuthFailed:
        claims = claims_in(self.token)
        if claims and self._ended(claims):
            return AuthFailed(
                f"{what} It has expired.", remedy="Check the clock of the machine; the next run gets another token."
            )
        role = _ROLES[self.protocol]
        if claims and role not in claims.get("roles", ()):
            return AuthFailed(
                f"{what} It lacks the permission {role}.",
                remedy=f"Add the application permission {role} (Office 365 Exchange Online) to the app and have an "
                "administrator grant consent.",
            )
        return AuthFailed(what, remedy=f"{self._permission} A wrong object ID there looks just like this.")

    def _google_refusal(self, what: str, failure: str) -> AuthFailed:
        if failure.startswith("status 400"):
            return AuthFailed(
                what, remedy=f"The token is for another user than username, or was not consented for the scope {SCOPE}."
            )
        return AuthFailed(what, remedy="Check username; the next run gets another token.")

    @property
    def _permission(self) -> str:
        app = claims_in(self.token).get("appid") or self._client_id
        return (
            f"Register the app in Exchange Online PowerShell (New-ServicePrincipal -AppId {app} -ObjectId, with the "
            "object ID of its enterprise application) and let it into the mailbox (Add-MailboxPermission "
            f"{self.user} -User, with that object ID, -AccessRights FullAccess)."
        )

    @property
    def _client_id(self) -> str:
        return getattr(self.sign_in, "client_id", None) or "of the identity"

    @property
    def _google(self) -> bool:
        return isinstance(self.sign_in, GoogleServiceAccount | GoogleRefreshToken)

    @staticmethod
    def _ended(claims: Mapping[str, Any]) -> bool:
        ends = claims.get("exp")
        return isinstance(ends, int | float) and ends <= time.time()

    def _clean(self, text: str) -> str:
        """Nothing of an answer that repeats what was sent to it."""
        sent = (self.token[:_TRACE], self.line[:_TRACE])
        return "" if any(part and part in text for part in sent) else text


def mail_login(
    sign_in: AnyMailSignIn,
    *,
    user: str,
    protocol: Protocol,
    secrets: Secrets,
    cloud: Cloud,
    google: Google = GOOGLE,
) -> MailLogin:
    """A token for the mailbox ``user``, from the cache where it can be; ``cloud`` counts for Exchange Online alone.

    Raises `AuthFailed`, `ConfigInvalid` or `Unavailable`.
    """
    if isinstance(sign_in, GoogleServiceAccount | GoogleRefreshToken):
        found = google_token(sign_in, secrets, user, google)
        return MailLogin(user, protocol, sign_in, found, lambda: forget(sign_in, user, google))
    credential = credential_for(sign_in, secrets, cloud)
    return MailLogin(user, protocol, sign_in, token(credential, cloud.outlook_scope), credential.forget)
