"""POP3 mailboxes with a password or a token: what a job says about one, and how it is opened."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from shared.connectors._mail_server import MailServerSettings, token_login
from shared.connectors._pop_connection import PORTS, Connection, connect
from shared.connectors._pop_mailbox import PopMailbox
from shared.connectors._pop_sign_in import Authentication, sign_in, sign_in_by_token
from shared.model import Disposition
from shared.ports import Connector, Opening, OpenRequest
from shared.signin.entra import CLOUDS, Cloud, CloudName
from shared.signin.google import GOOGLE, Google


class Pop3Settings(MailServerSettings):
    """A POP3 server (RFC 1939) and a user. A POP3 mailbox has one folder, and a message can only be deleted."""

    ports: ClassVar[tuple[int, int]] = PORTS
    starttls: ClassVar[Literal["imap4", "pop3"]] = "pop3"

    type: Literal["pop3"]
    authentication: Authentication = Field(
        default="auto", description="How the password is sent: what the server offers, AUTH PLAIN, USER/PASS, or APOP."
    )

    @model_validator(mode="after")
    def _apop_can_send_the_name(self) -> Self:
        if self.authentication == "apop" and " " in self.username:
            raise ValueError("APOP has no way to send a user name with a blank in it.")
        if self.sign_in and self.authentication != "auto":
            raise ValueError("authentication is about passwords; leave it out together with sign_in.")
        return self

    def identity(self) -> str:
        """See `ServerSettings.identity`."""
        return f"pop3:{self.place}/{self.user}"

    def warnings(self) -> tuple[str, ...]:
        """See `ServerSettings.warnings`."""
        if self.sign_in:
            return self.exposed("token and all mail")
        return self.exposed("mail" if self.authentication == "apop" else "password and all mail")


def _sign_in(
    connection: Connection, *, request: OpenRequest, clouds: Mapping[CloudName, Cloud], google: Google
) -> None:
    settings: Pop3Settings = request.settings
    request.begins(Opening.SIGN_IN)
    if login := token_login(request, "POP3", clouds=clouds, google=google):
        sign_in_by_token(connection, login)
    else:
        secret = str(settings.password_secret)
        sign_in(connection, settings.username, request.secrets.get(secret), secret=secret, how=settings.authentication)
    request.begins(Opening.MAILBOX)


def open_mailbox(
    request: OpenRequest, *, clouds: Mapping[CloudName, Cloud] = CLOUDS, google: Google = GOOGLE
) -> PopMailbox:
    """Connect, sign in and list. Raises `ConfigInvalid`, `AuthFailed` or `Unavailable`."""
    settings: Pop3Settings = request.settings
    dial = partial(
        connect,
        host=settings.host,
        port=settings.effective_port,
        security=settings.security,
        ca_file=settings.ca_file,
        deadline=request.deadline,
        prove=partial(_sign_in, request=request, clouds=clouds, google=google),
    )
    return PopMailbox(dial, job_id=request.job_id, identity=settings.identity())


CONNECTOR = Connector(
    kind="pop3",
    settings=Pop3Settings,
    open=open_mailbox,
    fixed_disposition=Disposition(deleted=True, purge=True),
    keeps_bytes=True,
)
