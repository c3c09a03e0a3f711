"""IMAP4 mailboxes with a password or a token: what a job says about one, and how it is opened."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from shared.connectors._imap_connection import Connection, connect
from shared.connectors._imap_mailbox import ImapMailbox
from shared.connectors._imap_text import normal_folder
from shared.connectors._mail_server import MailServerSettings
from shared.ports import Connector, Opening, OpenRequest
from shared.signin.entra import CLOUDS, AnyEntraSignIn, Cloud, CloudName
from shared.signin.google import GOOGLE, Google
from shared.signin.mail import AnyMailSignIn, MailSignIn, mail_login


class Imap4Settings(MailServerSettings):
    """An IMAP4rev1 server (RFC 3501), a user, and one of that user's folders."""

    ports: ClassVar[tuple[int, int]] = (993, 143)
    starttls: ClassVar[Literal["imap4", "pop3"]] = "imap4"

    type: Literal["imap4"]
    password_secret: str | None = Field(
        default=None, min_length=1, max_length=127, description="The name of the secret, not the password."
    )
    sign_in: MailSignIn | None = Field(
        default=None, description="With a token (XOAUTH2) in place of a password: Exchange Online or Google."
    )
    cloud: CloudName = Field(default="global", description="Of Exchange Online, where sign_in is for that.")
    folder: str = Field(
        default="INBOX", min_length=1, max_length=1000, description="Subfolders as INBOX/Support or INBOX.Support."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.password_secret is None) == (self.sign_in is None):
            raise ValueError("Give either password_secret or sign_in, and not both.")
        if self.cloud != "global" and not isinstance(self.sign_in, AnyEntraSignIn):
            raise ValueError("cloud has a use only together with sign_in for Exchange Online.")
        return self

    def identity(self) -> str:
        """See `ServerSettings.identity`."""
        user = self.user.replace("%", "%25").replace("/", "%2F")
        return f"imap4:{self.place}/{user}/{normal_folder(self.folder)}"

    def secret_names(self) -> frozenset[str]:
        """See `ServerSettings.secret_names`."""
        return self.sign_in.secret_names() if self.sign_in else frozenset({str(self.password_secret)})

    def warnings(self) -> tuple[str, ...]:
        """See `ServerSettings.warnings`."""
        return self.exposed("token and all mail" if self.sign_in else "password and all mail")


def _sign_in(
    connection: Connection, *, request: OpenRequest, clouds: Mapping[CloudName, Cloud], google: Google
) -> None:
    settings: Imap4Settings = request.settings
    request.begins(Opening.SIGN_IN)
    if settings.sign_in is None:
        secret = str(settings.password_secret)
        connection.sign_in(settings.username, request.secrets.get(secret), secret=secret)
    else:
        _sign_in_by_token(connection, settings, settings.sign_in, request=request, clouds=clouds, google=google)
    request.begins(Opening.MAILBOX)
    connection.enter()
    request.begins(Opening.FOLDER)


def _sign_in_by_token(
    connection: Connection,
    settings: Imap4Settings,
    sign_in: AnyMailSignIn,
    *,
    request: OpenRequest,
    clouds: Mapping[CloudName, Cloud],
    google: Google,
) -> None:
    login = mail_login(
        sign_in,
        user=settings.username,
        protocol="IMAP4",
        secrets=request.secrets,
        cloud=clouds[settings.cloud],
        google=google,
    )
    connection.sign_in_by_token(login)


def open_mailbox(
    request: OpenRequest, *, clouds: Mapping[CloudName, Cloud] = CLOUDS, google: Google = GOOGLE
) -> ImapMailbox:
    """Connect, sign in and open the folder for reading. Raises `ConfigInvalid`, `AuthFailed` or `Unavailable`."""
    settings: Imap4Settings = request.settings
    dial = partial(
        connect,
        host=settings.host,
        port=settings.effective_port,
        security=settings.security,
        ca_file=settings.ca_file,
        deadline=request.deadline,
        prove=partial(_sign_in, request=request, clouds=clouds, google=google),
    )
    return ImapMailbox(dial, folder=settings.folder, job_id=request.job_id, identity=settings.identity())


CONNECTOR = Connector(kind="imap4", settings=Imap4Settings, open=open_mailbox, keeps_bytes=True)
