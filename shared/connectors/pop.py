"""POP3 mailboxes with a password: what a job says about one, and how it is opened."""

import unicodedata
from functools import partial
from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from shared.connectors._pop_connection import PORTS, Connection, connect
from shared.connectors._pop_mailbox import PopMailbox
from shared.connectors._pop_sign_in import Authentication, sign_in
from shared.model import Disposition
from shared.ports import Connector, OpenRequest, ServerSettings

_TLS_PORT, _PLAIN_PORT = PORTS
_INSECURE = frozenset({"starttls_if_available", "none"})


class Pop3Settings(ServerSettings):
    """A POP3 server (RFC 1939) and a user. A POP3 mailbox has one folder, and a message can only be deleted."""

    type: Literal["pop3"]
    host: str = Field(
        pattern=r"^[^\s/@\[\]]+$", max_length=253, description="Name or address of the server, no scheme."
    )
    port: int | None = Field(default=None, ge=1, le=65535, description="Left out: 995 with tls, else 110.")
    allow_insecure: bool = Field(default=False, description="Allow the two modes that may send mail in plain text.")
    security: Literal["tls", "starttls", "starttls_if_available", "none"] = Field(
        default="tls", description="TLS from the start, STARTTLS or nothing, STARTTLS if offered, or plain text."
    )
    username: str = Field(min_length=1, max_length=320)
    password_secret: str = Field(min_length=1, max_length=127, description="The name of the secret, not the password.")
    authentication: Authentication = Field(
        default="auto", description="How the password is sent: what the server offers, AUTH PLAIN, USER/PASS, or APOP."
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

    @field_validator("username")
    @classmethod
    def _printable(cls, text: str) -> str:
        if not text.isprintable() or not text.strip():
            raise ValueError("Use printable characters only.")
        return text

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.ca_file and self.security == "none":
            raise ValueError("ca_file has no use with security 'none': there is no certificate to check.")
        if self.authentication == "apop" and " " in self.username:
            raise ValueError("APOP has no way to send a user name with a blank in it.")
        return self

    @property
    def effective_port(self) -> int:
        """The port that is dialled."""
        return self.port or (_TLS_PORT if self.security == "tls" else _PLAIN_PORT)

    def identity(self) -> str:
        """See `ServerSettings.identity`. The two standard ports are one server: changing to TLS changes nothing."""
        host = self.host.lower().rstrip(".")
        place = host if self.effective_port in PORTS else f"{host}:{self.effective_port}"
        return f"pop3:{place}/{unicodedata.normalize('NFC', self.username).casefold()}"

    def secret_names(self) -> frozenset[str]:
        """See `ServerSettings.secret_names`."""
        return frozenset({self.password_secret})

    def warnings(self) -> tuple[str, ...]:
        """See `ServerSettings.warnings`."""
        key = "mail" if self.authentication == "apop" else "password and all mail"
        if self.security == "none":
            return (f"The {key} travel between the app and {self.host} in plain text.",)
        if self.security == "starttls_if_available":
            return (f"Whoever can change traffic to {self.host} can have the {key} sent in plain text.",)
        return ()


def _sign_in(connection: Connection, *, request: OpenRequest) -> None:
    settings: Pop3Settings = request.settings
    secret = settings.password_secret
    sign_in(connection, settings.username, request.secrets.get(secret), secret=secret, how=settings.authentication)


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
)
