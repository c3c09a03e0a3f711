"""Access tokens for the Graph simulator: minted for tests, and checked as Graph checks them.

https://learn.microsoft.com/entra/identity-platform/access-tokens, .../access-token-claims-reference
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from azure.core.credentials import AccessToken

from tests.servers.graph_odata import GraphError

#: Graph goes by its address and by this id.
GRAPH_APP = "00000003-0000-0000-c000-000000000000"
TENANT = "5f1c8f9e-6a0f-4d0c-9a3e-0c6e4a1f7b11"
_READ = frozenset({"Mail.Read", "Mail.ReadWrite"})


@dataclass(slots=True)
class Tokens:
    """What the tenant's token service would sign, and what Graph accepts of it."""

    #: The Graph that tokens must be meant for.
    audience: str = "https://graph.microsoft.com"
    tenant: str = TENANT
    key: str = field(default_factory=lambda: secrets.token_hex(32))

    def mint(self, *, key: str = "", **claims: Any) -> str:
        """A token of an app that may read and write mail; ``claims`` are set in place of the right ones."""
        right = {
            "aud": self.audience,
            "tid": self.tenant,
            "roles": ["Mail.ReadWrite"],
            "exp": int(time.time()) + 3_600,
            "idtyp": "app",
        }
        return jwt.encode({**right, **claims}, key or self.key, algorithm="HS256")

    def check(self, authorization: str) -> Mapping[str, Any]:
        """The claims; a 401 as Graph words it where the token is not right."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token:
            raise _unauthorized("Access token is empty.")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token, self.key, algorithms=["HS256"], audience=[self.audience, GRAPH_APP]
            )
        except jwt.ExpiredSignatureError as exc:
            raise _unauthorized("Lifetime validation failed, the token is expired.") from exc
        except jwt.InvalidAudienceError as exc:
            raise _unauthorized("Access token validation failure. Invalid audience.") from exc
        except jwt.InvalidTokenError as exc:
            raise _unauthorized("Access token validation failure. Invalid signature.") from exc
        if claims.get("tid") != self.tenant:
            raise _unauthorized("Access token validation failure. The tenant is not that of the mailbox.")
        return claims


def demand_role(claims: Mapping[str, Any], *, changing: bool, sending: bool = False) -> None:
    """Application permissions: https://learn.microsoft.com/graph/permissions-reference#mailreadwrite and #mailsend."""
    roles = set(claims.get("roles", ()))
    needed = {"Mail.Send"} if sending else {"Mail.ReadWrite"} if changing else _READ
    if not roles & needed:
        raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def _unauthorized(message: str) -> GraphError:
    return GraphError(401, "InvalidAuthenticationToken", message, WWW_Authenticate='Bearer realm=""')


@dataclass(slots=True)
class FixedCredential:
    """A `TokenCredential` that gives tokens of ``tokens``, with ``claims`` in place of the right ones."""

    tokens: Tokens
    claims: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    #: What was asked for, each time.
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ARG002 - claims and the like, of no use here
        """A fresh token. The real service makes one for the audience that the scope names, and for no other."""
        self.asked.append(scopes)
        (scope,) = scopes
        claims = {"aud": scope.removesuffix("/.default"), **self.claims}
        return AccessToken(self.tokens.mint(key=self.key, **claims), int(time.time()) + 3_600)
