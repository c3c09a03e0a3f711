"""POP3 mailboxes with a password: what a job says about one, and how it is opened."""

from functools import partial
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from shared.connectors._mail_server import MailServerSettings
from shared.connectors._pop_connection import PORTS, Connection, connect
from shared.connectors._pop_mailbox import PopMailbox
from shared.connectors._pop_sign_in import Authentication, sign_in
from shared.model import Disposition
from shared.ports import Connector, Opening, OpenRequest


class Pop3Settings(MailServerSettings):
    """A POP3 server (RFC 1939) and a user. A POP3 mailbox has one folder, and a message can only be deleted."""

    ports: ClassVar[tuple[int, int]] = PORTS
    starttls: ClassVar[Literal["imap4", "pop3"]] = "pop3"

    type: Literal["pop3"]
    password_secret: str = Field(min_length=1, max_length=127, description="The name of the secret, not the password.")
    authentication: Authentication = Field(
        default="auto", description="How the password is sent: what the server offers, AUTH PLAIN, USER/PASS, or APOP."
    )

    @model_validator(mode="after")
    def _apop_can_send_the_name(self) -> Self:
        if self.authentication == "apop" and " " in self.username:
            raise ValueError("APOP has no way to send a user name with a blank in it.")
        return self

    def identity(self) -> str:
        """See `ServerSettings.identity`."""
        return f"pop3:{self.place}/{self.user}"

    def secret_names(self) -> frozenset[str]:
        """See `ServerSettings.secret_names`."""
        return frozenset({self.password_secret})

    def warnings(self) -> tuple[str, ...]:
        """See `ServerSettings.warnings`."""
        return self.exposed("mail" if self.authentication == "apop" else "password and all mail")


def _sign_in(connection: Connection, *, request: OpenRequest) -> None:
    settings: Pop3Settings = request.settings
    secret = settings.password_secret
    request.begins(Opening.SIGN_IN)
    sign_in(connection, settings.username, request.secrets.get(secret), secret=secret, how=settings.authentication)
    request.begins(Opening.MAILBOX)


def open_mailbox(request: OpenRequest) -> PopMailbox:
    """Connect, sign in and list. Raises `ConfigInvalid`, `AuthFailed` or `Unavailable`."""
    settings: Pop3Settings = request.settings
    dial = partial(
        connect,
        host=settings.host,
        port=settings.effective_port,
        security=settings.security,
        ca_file=settings.ca_file,
        deadline=request.deadline,
        prove=partial(_sign_in, request=request),
    )
    return PopMailbox(dial, job_id=request.job_id, identity=settings.identity())


CONNECTOR = Connector(
    kind="pop3",
    settings=Pop3Settings,
    open=open_mailbox,
    fixed_disposition=Disposition(deleted=True, purge=True),
    keeps_bytes=True,
)
