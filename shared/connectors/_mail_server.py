"""What IMAP4, POP3 and SMTP say alike: where the server is, how the connection is secured, who the user is."""

import re
import unicodedata
from abc import ABC
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from shared.ports import Endpoint, OpenRequest, ServerSettings, Settings
from shared.signin.entra import AnyEntraSignIn, Cloud, CloudName
from shared.signin.google import Google
from shared.signin.mail import MailLogin, MailSignIn, Protocol, mail_login

#: A mail address in ASCII.
ADDRESS = re.compile(r"[!-?A-~]+@[!-?A-~]+")

_INSECURE = frozenset({"starttls_if_available", "none"})


class MailHost(Settings):
    """A server on a port, and a user of it who signs in with a password or a token."""

    #: With TLS from the start, and without.
    ports: ClassVar[tuple[int, int]]

    host: str = Field(
        pattern=r"^[^\s/@\[\]]+$", max_length=253, description="Name or address of the server, no scheme."
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Left out: the protocol's standard port, with or without TLS."
    )
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

    @field_validator("username", "folder", check_fields=False)
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

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        return self.sign_in.secret_names() if self.sign_in else frozenset({str(self.password_secret)})

    @property
    def effective_port(self) -> int:
        """The port that is dialled."""
        with_tls, without = self.ports
        return self.port or (with_tls if self.security == "tls" else without)

    def exposed(self, what: str) -> tuple[str, ...]:
        """The warnings about ``what`` ("password and all mail") that the security mode leaves open to others."""
        if self.security == "none":
            return (f"The {what} travel between the app and {self.host} in plain text.",)
        if self.security == "starttls_if_available":
            return (f"Whoever can change traffic to {self.host} can have the {what} sent in plain text.",)
        return ()


class MailServerSettings(MailHost, ServerSettings, ABC):
    """Where the mailbox of an IMAP4 or POP3 job is."""

    #: Whose STARTTLS it is.
    starttls: ClassVar[Literal["imap4", "pop3"]]

    def address(self) -> str:
        """See `ServerSettings.address`."""
        return self.username if ADDRESS.fullmatch(self.username) else ""

    @property
    def place(self) -> str:
        """The server within an identity. The two standard ports are one server: changing to TLS changes nothing."""
        host = self.host.lower().rstrip(".")
        return host if self.effective_port in self.ports else f"{host}:{self.effective_port}"

    @property
    def user(self) -> str:
        """The user within an identity, whatever the spelling."""
        return unicodedata.normalize("NFC", self.username).casefold()

    def endpoint_to_reach(self) -> Endpoint:
        """See `ServerSettings.endpoint_to_reach`."""
        by_mode: dict[str, Literal["at once", "none"]] = {"tls": "at once", "none": "none"}
        return Endpoint(
            host=self.host,
            port=self.effective_port,
            tls=by_mode.get(self.security, self.starttls),
            tls_optional=self.security == "starttls_if_available",
            ca_file=self.ca_file,
            setting="host",
            ports=self.ports,
        )


def token_login(
    request: OpenRequest, protocol: Protocol, *, clouds: Mapping[CloudName, Cloud], google: Google
) -> MailLogin | None:
    """The token with which the job signs in, or None where it has a password.

    Raises `AuthFailed`, `ConfigInvalid` or `Unavailable`.
    """
    settings: MailServerSettings = request.settings
    if settings.sign_in is None:
        return None
    return mail_login(
        settings.sign_in,
        user=settings.username,
        protocol=protocol,
        secrets=request.secrets,
        cloud=clouds[settings.cloud],
        google=google,
    )
