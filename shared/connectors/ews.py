"""Exchange on-premises by Exchange Web Services: what a job says about a mailbox, and how it is opened."""

import re
from functools import cache, partial
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, field_validator, model_validator

from shared.connectors._dial import https_endpoint
from shared.connectors._ews_account import Account, open_account
from shared.connectors._ews_text import SMTP_ADDRESS, checked_folder
from shared.connectors._exchange_identity import mailbox_identity, refused_target
from shared.errors import ConfigInvalid
from shared.model import Disposition
from shared.ports import Connector, Endpoint, NoEndpoint, Opening, OpenRequest, ServerSettings

if TYPE_CHECKING:
    from shared.connectors._ews_mailbox import EwsMailbox


_SERVICE_URL = re.compile(r"https://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[1-9]\d{0,4})?/[A-Za-z0-9._~/-]*")


class ExchangeSettings(ServerSettings):
    """A mailbox on an Exchange server of one's own (2010 SP2 or newer), an account, and one folder."""

    type: Literal["exchange"]
    protocol: Literal["ews", "mapi"] = Field(default="ews", description="Only ews; mapi is refused, with the way out.")
    service_url: str | None = Field(
        default=None, max_length=500, description="https://<server>/EWS/Exchange.asmx; or set autodiscover."
    )
    autodiscover: bool = Field(
        default=False, description="Ask the mail domain for the address, in every run: one or two requests more."
    )
    mailbox: str = Field(pattern=SMTP_ADDRESS, max_length=320, description="SMTP address of the mailbox.")
    username: str = Field(min_length=1, max_length=320, description="DOMAIN\\user or user@domain.")
    password_secret: str = Field(min_length=1, max_length=127, description="The name of the secret, not the password.")
    authentication: Literal["ntlm", "basic"] = Field(default="ntlm", description="What the EWS directory accepts.")
    access: Literal["own", "delegate", "impersonation"] = Field(
        default="own",
        description="The account's own mailbox, one that it has full access to, or one that it acts for.",
    )
    folder: str = Field(
        default="Inbox",
        min_length=1,
        max_length=1000,
        description="From a well-known folder or the top: Inbox/Support.",
    )
    ca_file: str | None = Field(
        default=None, min_length=1, description="PEM file with the CAs to trust in place of the system's."
    )

    @field_validator("protocol")
    @classmethod
    def _no_mapi(cls, protocol: str) -> str:
        if protocol == "mapi":
            raise ValueError(
                "MAPI profiles are not supported: MAPI is deprecated and needs an Outlook on the machine. Use protocol "
                "'ews' for Exchange on-premises, or type 'exchange_online' with api 'graph' for Exchange Online. "
                "A profile with several accounts becomes several jobs, each with its own mailbox and account."
            )
        return protocol

    @field_validator("service_url")
    @classmethod
    def _https_only(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not _SERVICE_URL.fullmatch(url):
            raise ValueError(
                "Give the whole address, with https and nothing after it: https://<server>/EWS/Exchange.asmx."
            )
        return url

    @field_validator("username")
    @classmethod
    def _printable(cls, text: str) -> str:
        if not text.isprintable() or not text.strip():
            raise ValueError("Use printable characters only.")
        return text

    @field_validator("folder")
    @classmethod
    def _folder_of_a_job(cls, path: str) -> str:
        return checked_folder(path)

    @model_validator(mode="after")
    def _one_way_to_the_server(self) -> Self:
        if self.autodiscover == bool(self.service_url):
            raise ValueError("Give service_url, or set autodiscover to true: one of the two.")
        return self

    def identity(self) -> str:
        """See `ServerSettings.identity`. Neither the server's address nor the account is part of it."""
        return mailbox_identity(self.mailbox, self.folder)

    def refuses(self, disposition: Disposition) -> str:
        """See `ServerSettings.refuses`."""
        return refused_target(self.mailbox, self.folder, disposition.move_to)

    def address(self) -> str:
        """See `ServerSettings.address`."""
        return self.mailbox

    def secret_names(self) -> frozenset[str]:
        """See `ServerSettings.secret_names`."""
        return frozenset({self.password_secret})

    def endpoint_to_reach(self) -> Endpoint | NoEndpoint:
        """See `ServerSettings.endpoint_to_reach`."""
        if self.service_url is None:
            return NoEndpoint("Autodiscover tells the address of the server, as a part of the sign-in.")
        return https_endpoint(self.service_url, setting="service_url", ca_file=self.ca_file)


def _account(request: OpenRequest) -> Account:
    settings: ExchangeSettings = request.settings
    account = partial(
        Account,
        mailbox=settings.mailbox,
        authentication=settings.authentication,
        credential=cache(partial(_password, request)),
        access=settings.access,
        username=settings.username,
        sign_in_remedy=(
            f"Check the user name and the secret {settings.password_secret!r}, and that the account is not locked; "
            f"authentication is {settings.authentication!r}."
        ),
        ca_file=settings.ca_file,
    )
    if settings.service_url:
        return account(service_url=settings.service_url)
    from shared.connectors._ews_autodiscover import places, service_url

    return account(service_url=service_url(account, places(settings.mailbox), request.deadline))


def _password(request: OpenRequest) -> str:
    name: str = request.settings.password_secret
    password = request.secrets.get(name)
    if not password or not password.isprintable():
        raise ConfigInvalid(
            f"The secret {name!r} holds no usable password: it is empty or has a control character in it.",
            remedy="Store it again without a line end.",
        )
    return password


def open_mailbox(request: OpenRequest) -> "EwsMailbox":
    """Sign in and find the folder. Raises `ConfigInvalid`, `AuthFailed` or `Unavailable`."""
    request.begins(Opening.SIGN_IN)
    return open_account(_account(request), request)


CONNECTOR = Connector(kind="exchange", settings=ExchangeSettings, open=open_mailbox)
