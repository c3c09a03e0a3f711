"""How a `webhook` job signs in: what its settings say."""

from typing import Annotated, Literal

from pydantic import Field

from shared.ports import Settings
from shared.signin.entra import SecretName


class Basic(Settings):
    """A user and a password, or whatever a system wants in their places (RFC 7617)."""

    method: Literal["basic"]
    username: str = Field(default="", max_length=320)
    username_secret: SecretName | None = Field(default=None, description="In place of username, where that is a key.")
    password_secret: SecretName | None = Field(default=None, description="Left out: an empty password.")

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        return frozenset(name for name in (self.username_secret, self.password_secret) if name)


class Header(Settings):
    """A secret in a header, such as ``Authorization: Bearer ...``."""

    method: Literal["header"]
    header: str = Field(default="Authorization", pattern=r"^[A-Za-z0-9-]{1,60}$")
    prefix: str = Field(default="", max_length=60, description='Before the secret, such as "Bearer " with its space.')
    secret: SecretName

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        return frozenset({self.secret})


class OAuth2(Settings):
    """Client credentials (RFC 6749 section 4.4)."""

    method: Literal["oauth2"]
    token_url: str = Field(pattern=r"^https?://[^\s/?#]+[^\s#]*$", max_length=1000)
    client_id: str = Field(min_length=1, max_length=320)
    client_secret: SecretName
    scope: str = Field(default="", max_length=1000)
    client_auth: Literal["basic", "body"] = Field(default="basic", description="Where the client's secret goes.")

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        return frozenset({self.client_secret})


class Session(Settings):
    """A request that gives a token for the requests after it, as GLPI's initSession does."""

    method: Literal["session"]
    path: str = Field(pattern=r"^/", max_length=1000)
    verb: Literal["GET", "POST"] = "GET"
    header: str = Field(default="Authorization", pattern=r"^[A-Za-z0-9-]{1,60}$")
    prefix: str = Field(default="", max_length=60)
    secret: SecretName
    token: str = Field(default="$.session_token", description="JSON path of the token in the answer.")
    token_header: str = Field(default="Session-Token", pattern=r"^[A-Za-z0-9-]{1,60}$")

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a run will ask for."""
        return frozenset({self.secret})


SignIn = Annotated[Basic | Header | OAuth2 | Session, Field(discriminator="method")]
