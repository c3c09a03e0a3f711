"""The seam to the sign-in: everything that the Graph connector asks of it is one token credential."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from shared.connectors._graph_clouds import CLOUDS, CloudName
from shared.ports import Secrets, Settings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


class EntraSignIn(Settings):
    """An app registration with a client secret: stands in for ``shared.signin.entra`` until that is there."""

    method: Literal["client_secret"]
    tenant_id: str = Field(min_length=1, max_length=253, description="Tenant that holds the mailbox: id or domain.")
    client_id: str = Field(min_length=1, max_length=64, description="Application (client) id of the app registration.")
    client_secret: str = Field(min_length=1, max_length=127, description="The name of the secret, not its value.")

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that a sign-in asks for."""
        return frozenset({self.client_secret})


def credential_for(sign_in: EntraSignIn, secrets: Secrets, cloud: CloudName) -> "TokenCredential":
    """Whatever gives tokens for this sign-in. Imports azure-identity; asks nobody for a token yet."""
    from azure.identity import ClientSecretCredential

    secret = secrets.get(sign_in.client_secret)
    authority = CLOUDS[cloud].authority
    return ClientSecretCredential(sign_in.tenant_id, sign_in.client_id, secret, authority=authority)
