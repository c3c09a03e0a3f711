"""Exchange Online by Exchange Web Services, while it lasts: what a job says about a mailbox, and how it is opened."""

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationInfo, field_validator

from shared.connectors._ews_account import Account, open_account
from shared.connectors._ews_text import SMTP_ADDRESS, checked_folder, mailbox_identity
from shared.errors import AuthFailed, Unavailable
from shared.ports import Connector, OpenRequest, ServerSettings, Settings

if TYPE_CHECKING:
    from shared.connectors._ews_mailbox import EwsMailbox

#: Microsoft removes EWS from Exchange Online on this day, without exceptions.
END = date(2027, 4, 1)

#: For each cloud the EWS address, which is fixed (a token must not be sent anywhere else), the scope of a token for it,
#: and who gives it.
_SERVICE_URLS = {
    "global": "https://outlook.office365.com/EWS/Exchange.asmx",
    "usgov": "https://outlook.office365.us/EWS/Exchange.asmx",
    "usgovhigh": "https://webmail.apps.mil/EWS/Exchange.asmx",
    "china": "https://partner.outlook.cn/EWS/Exchange.asmx",
}
_SCOPES = {cloud: f"https://{url.split('/')[2]}/.default" for cloud, url in _SERVICE_URLS.items()}
_AUTHORITIES = {
    "global": "login.microsoftonline.com",
    "usgov": "login.microsoftonline.us",
    "usgovhigh": "login.microsoftonline.us",
    "china": "login.partner.microsoftonline.cn",
}


def ews_online_is_over(today: date) -> bool:
    """Whether EWS is gone from Exchange Online: from then on no new job may be saved with it."""
    return today >= END


class ClientSecret(Settings):
    """An application of the tenant, with a secret."""

    tenant_id: str = Field(pattern=r"^[A-Za-z0-9.-]+$", max_length=255, description="Directory (tenant) id or domain.")
    client_id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$", description="Application id.")
    client_secret: str = Field(min_length=1, max_length=127, description="The name of the secret, not the secret.")


class ExchangeOnlineEwsSettings(ServerSettings):
    """A mailbox in Exchange Online, reached by EWS as an application that acts for its owner."""

    type: Literal["exchange_online"]
    api: Literal["ews"]
    cloud: Literal["global", "usgov", "usgovhigh", "china"] = Field(default="global")
    mailbox: str = Field(pattern=SMTP_ADDRESS, max_length=320, description="SMTP address of the mailbox.")
    folder: str = Field(
        default="Inbox",
        min_length=1,
        max_length=1000,
        description="From a well-known folder or the top: Inbox/Support.",
    )
    sign_in: ClientSecret

    @field_validator("api")
    @classmethod
    def _not_after_its_end(cls, api: str, info: ValidationInfo) -> str:
        # The day is told by whoever saves a job (context={"today": ...}). What is stored stays readable for ever.
        today = (info.context or {}).get("today")
        if isinstance(today, date) and ews_online_is_over(today):
            raise ValueError(
                f"Exchange Web Services ended in Exchange Online on {END}. Use api 'graph': Microsoft Graph "
                "reaches the same mailboxes and folders."
            )
        return api

    @field_validator("folder")
    @classmethod
    def _folder_of_a_job(cls, path: str) -> str:
        return checked_folder(path)

    def identity(self) -> str:
        """See `ServerSettings.identity`."""
        return mailbox_identity(self.mailbox, self.folder)

    def secret_names(self) -> frozenset[str]:
        """See `ServerSettings.secret_names`."""
        return frozenset({self.sign_in.client_secret})

    def warnings(self) -> tuple[str, ...]:
        """See `ServerSettings.warnings`."""
        warning = (
            "Exchange Online blocks EWS by default since 2026-10-01, tenant by tenant, and removes it for good on "
            f"{END}. Change this job to api 'graph' before then."
        )
        return (warning,)


def account_of(
    settings: ExchangeOnlineEwsSettings, tokens: Callable[[], str], *, service_url: str, ca_file: str | None = None
) -> Account:
    """The mailbox at ``service_url``; ``tokens`` gives a token that is valid now."""
    return Account(
        service_url=service_url,
        mailbox=settings.mailbox,
        authentication="bearer",
        credential=tokens,
        access="impersonation",
        username=f"The application {settings.sign_in.client_id}",
        sign_in_remedy=(
            "Check the tenant, the cloud, and that the application has the application permission 'Office 365 Exchange "
            "Online: full_access_as_app' with admin consent."
        ),
        online=True,
        ca_file=ca_file,
    )


def _tokens(request: OpenRequest) -> Callable[[], str]:
    """Access tokens of the job's application: cached and refreshed ahead of time by azure-identity.

    This is the seam to the sign-in of all Entra applications: nothing else here knows how a token is made.
    """
    from azure.core.exceptions import AzureError, ClientAuthenticationError
    from azure.identity import ClientSecretCredential

    settings: ExchangeOnlineEwsSettings = request.settings
    sign_in, cloud = settings.sign_in, settings.cloud
    secret = request.secrets.get(sign_in.client_secret)
    credential = ClientSecretCredential(sign_in.tenant_id, sign_in.client_id, secret, authority=_AUTHORITIES[cloud])

    def token() -> str:
        try:
            return credential.get_token(_SCOPES[cloud]).token
        except ClientAuthenticationError as exc:
            raise AuthFailed(
                f"Microsoft Entra gives the application {sign_in.client_id} no token.",
                remedy=f"Check tenant, application id and the secret {sign_in.client_secret!r}, and when it expires.",
            ) from exc
        except AzureError as exc:
            raise Unavailable(f"{_AUTHORITIES[cloud]} did not answer as it should.") from exc

    return token


def open_mailbox(request: OpenRequest) -> "EwsMailbox":
    """Sign in and find the folder. Raises `ConfigInvalid`, `AuthFailed` or `Unavailable`."""
    settings: ExchangeOnlineEwsSettings = request.settings
    account = account_of(settings, _tokens(request), service_url=_SERVICE_URLS[settings.cloud])
    return open_account(account, request)


CONNECTOR = Connector(kind="exchange_online", settings=ExchangeOnlineEwsSettings, open=open_mailbox)
