"""Exchange Online by Exchange Web Services, while it lasts: what a job says about a mailbox, and how it is opened."""

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationInfo, field_validator

from shared.connectors._dial import https_endpoint
from shared.connectors._ews_account import Account, open_account
from shared.connectors._ews_text import SMTP_ADDRESS, checked_folder
from shared.connectors._exchange_identity import mailbox_identity, refused_target
from shared.model import Disposition
from shared.ports import Connector, Endpoint, Opening, OpenRequest, ServerSettings
from shared.signin.entra import CLOUDS, CloudName, EntraSignIn, credential_for, token

if TYPE_CHECKING:
    from shared.connectors._ews_mailbox import EwsMailbox

#: Microsoft removes EWS from Exchange Online on this day, without exceptions.
END = date(2027, 4, 1)

#: Below the root of Exchange Online in each cloud, for which the tokens are: one must not be sent anywhere else.
_PATH = "/EWS/Exchange.asmx"


def ews_online_is_over(today: date) -> bool:
    """Whether EWS is gone from Exchange Online: from then on no new job may be saved with it."""
    return today >= END


class ExchangeOnlineEwsSettings(ServerSettings):
    """A mailbox in Exchange Online, reached by EWS as an application that acts for its owner."""

    type: Literal["exchange_online"]
    api: Literal["ews"]
    cloud: CloudName = Field(default="global", description="usgov is GCC High, usgovhigh is DoD; GCC is global.")
    mailbox: str = Field(pattern=SMTP_ADDRESS, max_length=320, description="SMTP address of the mailbox.")
    folder: str = Field(
        default="Inbox",
        min_length=1,
        max_length=1000,
        description="From a well-known folder or the top: Inbox/Support.",
    )
    sign_in: EntraSignIn

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

    @property
    def service_url(self) -> str:
        """The address of EWS, which follows from the cloud."""
        return CLOUDS[self.cloud].outlook + _PATH

    def identity(self) -> str:
        """See `ServerSettings.identity`."""
        return mailbox_identity(self.mailbox, self.folder)

    def refuses(self, disposition: Disposition) -> str:
        """See `ServerSettings.refuses`."""
        return refused_target(self.mailbox, self.folder, disposition.move_to)

    def address(self) -> str:
        """See `ServerSettings.address`."""
        return self.mailbox

    def secret_names(self) -> frozenset[str]:
        """See `ServerSettings.secret_names`."""
        return self.sign_in.secret_names()

    def endpoint_to_reach(self) -> Endpoint:
        """See `ServerSettings.endpoint_to_reach`."""
        return https_endpoint(self.service_url)

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
        username="The application",
        sign_in_remedy=(
            "Check the tenant, the cloud, and that the application has the application permission 'Office 365 Exchange "
            "Online: full_access_as_app' with admin consent."
        ),
        online=True,
        ca_file=ca_file,
    )


def _tokens(request: OpenRequest) -> Callable[[], str]:
    """Access tokens of the job's application, each valid when it is given."""
    settings: ExchangeOnlineEwsSettings = request.settings
    cloud = CLOUDS[settings.cloud]
    credential = credential_for(settings.sign_in, request.secrets, cloud)
    return lambda: token(credential, cloud.outlook_scope)


def open_mailbox(request: OpenRequest) -> "EwsMailbox":
    """Sign in and find the folder. Raises `ConfigInvalid`, `AuthFailed` or `Unavailable`."""
    settings: ExchangeOnlineEwsSettings = request.settings
    request.begins(Opening.SIGN_IN)
    account = account_of(settings, _tokens(request), service_url=settings.service_url)
    return open_account(account, request)


CONNECTOR = Connector(kind="exchange_online", settings=ExchangeOnlineEwsSettings, open=open_mailbox)
