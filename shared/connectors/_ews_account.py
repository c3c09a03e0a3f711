"""Whose mailbox is opened where, and as whom: plain data, so that naming it loads no SDK."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shared.ports import OpenRequest

if TYPE_CHECKING:
    from shared.connectors._ews_mailbox import EwsMailbox


@dataclass(frozen=True, slots=True)
class Account:
    """One mailbox on one EWS endpoint, and the account that signs in."""

    #: ``https://host/EWS/Exchange.asmx``
    service_url: str
    #: SMTP address.
    mailbox: str
    authentication: Literal["basic", "ntlm", "bearer"]
    #: The password, or a token that is valid now; asked for before each request, so a token can be a fresh one.
    credential: Callable[[], str]
    access: Literal["own", "delegate", "impersonation"]
    #: Who signs in, as people know it: a user name, or the application.
    username: str
    #: What a person checks when the sign-in is refused.
    sign_in_remedy: str
    #: Exchange Online, where other switches decide than on-premises.
    online: bool = False
    ca_file: str | None = None

    @property
    def host(self) -> str:
        """Host, and port where it is not the usual one."""
        return self.service_url.split("/")[2]

    @property
    def impersonates(self) -> bool:
        """Whether the requests act as the mailbox's owner."""
        return self.access == "impersonation"

    @property
    def rights_remedy(self) -> str:
        """What to grant so that this account may open this mailbox."""
        if self.online:
            return (
                "Grant the application 'Office 365 Exchange Online: full_access_as_app' with admin consent, or by RBAC "
                "for Applications the role 'Application EWS.AccessAsApp' over this mailbox."
            )
        if self.access == "impersonation":
            return (
                f"Assign the role ApplicationImpersonation to {self.username} for this mailbox: "
                "New-ManagementRoleAssignment -Role ApplicationImpersonation -User <account> "
                "-CustomRecipientWriteScope <scope>."
            )
        if self.access == "delegate":
            return (
                f"Give {self.username} full access: Add-MailboxPermission -Identity {self.mailbox} -User <account> "
                "-AccessRights FullAccess; or use access 'impersonation'."
            )
        return f"With access 'own' the account must be the owner of {self.mailbox}; else use 'delegate'."


def open_account(account: Account, request: OpenRequest) -> "EwsMailbox":
    """The mailbox of ``account``, at the ``folder`` of the settings. Here the SDK is loaded.

    Raises `ConfigInvalid`, `AuthFailed` or `Unavailable`.
    """
    from shared.connectors._ews_mailbox import EwsMailbox
    from shared.connectors._ews_wire import Wire

    settings = request.settings
    wire = Wire(account, request.deadline, begins=request.begins)
    return EwsMailbox(wire, folder=settings.folder, job_id=request.job_id, identity=settings.identity())
