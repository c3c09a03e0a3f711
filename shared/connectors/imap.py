"""IMAP4 mailboxes with a password or a token: what a job says about one, and how it is opened."""

import unicodedata
from collections.abc import Mapping
from functools import partial
from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from shared.connectors._imap_connection import Connection, connect
from shared.connectors._imap_mailbox import ImapMailbox
from shared.connectors._imap_text import normal_folder
from shared.ports import Connector, OpenRequest, ServerSettings
from shared.signin.entra import CLOUDS, AnyEntraSignIn, Cloud, CloudName
from shared.signin.google import GOOGLE, Google
from shared.signin.mail import MailSignIn, mail_login

_TLS_PORT, _PLAIN_PORT = 993, 143
_INSECURE = frozenset({"starttls_if_available", "none"})


class Imap4Settings(ServerSettings):
    """An IMAP4rev1 server (RFC 3501), a user, and one of that user's folders."""

    type: Literal["imap4"]
    host: str = Field(
        pattern=r"^[^\s/@\[\]]+$", max_length=253, description="Name or address of the server, no scheme."
    )
    port: int | None = Field(default=None, ge=1, le=65535, description="Left out: 993 with tls, else 143.")
    allow_insecure: bool = Field(default=False, description="Allow the two modes that may send mail in plain text.")
    security: Literal["tls", "starttls", "starttls_if_available", "none"] = Field(
        default="tls", description="TLS from the start, STARTTLS or nothing, STARTTLS if offered, or plain text."
    )
    username: str = Field(min_length=1, max_length=320)
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
    ca_file: str | None = Field(
        default=None, min_length=1, description="PEM file with the CAs to trust in place of the system's."
    )

    @field_validator("security")
    @classmethod
    def _insecure_only_on_purpose(cls, security: str, info: ValidationInfo) -> str:
        if security in _INSECURE and not info.data.get("allow_insecure"):
            raise ValueError(
                f"With security {security!r} the password and the mail may cross the network in plain text. "
                "Use 'tls' or 'starttls', or set allow_insecure to true if that network is your own."
            )
        return security

    @field_validator("username", "folder")
    @classmethod
    def _printable(cls, text: str) -> str:
        if not text.isprintable() or not text.strip():
            raise ValueError("Use printable characters only.")
        return text

    @model_validator(mode="after")
    def _ca_file_has_a_use(self) -> Self:
        if self.ca_file and self.security == "none":
            raise ValueError("ca_file has no use with security 'none': there is no certificate to check.")
        return self

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.password_secret is None) == (self.sign_in is None):
            raise ValueError("Give either password_secret or sign_in, and not both.")
        if self.cloud != "global" and not isinstance(self.sign_in, AnyEntraSignIn):
            raise ValueError("cloud has a use only together with sign_in for Exchange Online.")
        return self

    @property
    def effective_port(self) -> int:
        """The port that is dialled."""
        return self.port or (_TLS_PORT if self.security == "tls" else _PLAIN_PORT)

    def identity(self) -> str:
        """See `ServerSettings.identity`. The two standard ports are one server: changing to TLS changes nothing."""
        host = self.host.lower().rstrip(".")
        place = host if self.effective_port in {_TLS_PORT, _PLAIN_PORT} else f"{host}:{self.effective_port}"
        user = unicodedata.normalize("NFC", self.username).casefold().replace("%", "%25").replace("/", "%2F")
        return f"imap4:{place}/{user}/{normal_folder(self.folder)}"

    def secret_names(self) -> frozenset[str]:
        """See `ServerSettings.secret_names`."""
        return self.sign_in.secret_names() if self.sign_in else frozenset({str(self.password_secret)})

    def warnings(self) -> tuple[str, ...]:
        """See `ServerSettings.warnings`."""
        key = "token" if self.sign_in else "password"
        if self.security == "none":
            return (f"The {key} and all mail travel between the app and {self.host} in plain text.",)
        if self.security == "starttls_if_available":
            return (f"Whoever can change traffic to {self.host} can have {key} and mail sent in plain text.",)
        return ()


def _sign_in(
    connection: Connection, *, request: OpenRequest, clouds: Mapping[CloudName, Cloud], google: Google
) -> None:
    settings: Imap4Settings = request.settings
    if settings.sign_in is None:
        secret = str(settings.password_secret)
        connection.sign_in(settings.username, request.secrets.get(secret), secret=secret)
        return
    login = mail_login(
        settings.sign_in,
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


CONNECTOR = Connector(kind="imap4", settings=Imap4Settings, open=open_mailbox)
