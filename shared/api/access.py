"""Who may do what. By default whoever has a function key may do everything; the platform checks the key.

With sign-in by Microsoft Entra the platform checks the token and hands the caller's claims on in a header, base64 of
``{"auth_typ", "claims": [{"typ", "val"}], "name_typ", "role_typ"}``
(learn.microsoft.com/azure/app-service/configure-authentication-user-identities). The platform removes that header from
what comes from outside, but only while its sign-in is on: else anybody could write it. So it counts only where the
app's setting and the platform's own flag both say so, and where just the setting does, nobody is let in.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from starlette.requests import Request

from shared.api.problems import ROLE_MISSING, SIGN_IN_REQUIRED, Problem
from shared.api.services import Access


class Role(IntEnum):
    """App roles, each of which includes those below it."""

    #: Without signing in.
    ANYBODY = 0
    READER = 1
    OPERATOR = 2
    ADMIN = 3


#: What each route asks for, by its name. One that is not here asks for `Role.ADMIN`; a test allows no such route.
ROLES: Mapping[str, Role] = {
    "read_health": Role.ANYBODY,
    **dict.fromkeys(
        (
            "read_openapi",
            "list_jobs",
            "read_job",
            "list_alarms",
            "list_runs",
            "read_run",
            "list_parked",
            "list_all_parked",
            "read_parked",
            "read_raw",
            "list_purged",
            "read_purged",
            "read_purged_raw",
            "preview_schedule",
            "list_secrets",
            "list_tickets",
            "read_ticket",
            "read_attachment",
            "why",
        ),
        Role.READER,
    ),
    **dict.fromkeys(
        (
            "test_job",
            "dry_run_job",
            "replay_message",
            "run_job_now",
            "retry_parked",
            "retry_many",
            "discard_parked",
            "discard_many",
            "reprocess_purged",
            "reprocess_many",
            "discard_purged",
            "close_ticket",
            "reopen_ticket",
            "merge_ticket",
        ),
        Role.OPERATOR,
    ),
    **dict.fromkeys(
        (
            "create_job",
            "put_job",
            "patch_job",
            "enable_job",
            "disable_job",
            "delete_job",
            "list_audit",
            "put_secret",
            "delete_secret",
        ),
        Role.ADMIN,
    ),
}

_ROLES: Mapping[str, Role] = {"reader": Role.READER, "operator": Role.OPERATOR, "admin": Role.ADMIN}

HEADER = "X-MS-CLIENT-PRINCIPAL"

#: Where Entra's roles may stand: as in the token, and as the platform's claims mapping writes it.
_ROLE_CLAIMS = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
_ID_CLAIMS = ("http://schemas.microsoft.com/identity/claims/objectidentifier", "oid")
_NAME_CLAIMS = ("preferred_username", "name", "appid", "azp")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, as far as that is known."""

    role: Role
    #: Object id of the person or app; empty where a function key was enough.
    id: str = ""
    #: For people to read: a user name, or the id of an app registration.
    name: str = "function key"


async def check_access(request: Request) -> None:
    """Let the caller in, or end the request with 401 or 403. Runs before anything else of a route does."""
    needed = ROLES.get(request.scope["route"].name, Role.ADMIN)
    if needed is Role.ANYBODY:
        return
    caller = caller_of(request.app.state.services.access, request.headers)
    if caller.role < needed:
        raise Problem(
            ROLE_MISSING,
            f"This takes the app role {needed.name.lower()}, or one above it. Have it assigned in Microsoft Entra, in "
            "Enterprise applications; a new token has it.",
        )
    request.state.caller = caller


def caller_of(access: Access, headers: Mapping[str, str]) -> Caller:
    """Who is calling. Raises the 401 problem where that must be known and is not."""
    if not access.entra:
        return Caller(Role.ADMIN)
    if not access.platform:
        raise Problem(
            SIGN_IN_REQUIRED,
            "MAILCONNECTOR_AUTH asks for sign-in by Microsoft Entra, but the platform's authentication is off, so "
            "nobody can be known. Switch it on for the site, or set MAILCONNECTOR_AUTH to function_key.",
        )
    principal = _principal(headers.get(HEADER, ""))
    if principal.get("auth_typ") != "aad":
        raise Problem(SIGN_IN_REQUIRED, "Sign in by Microsoft Entra: send a token for this app as a bearer token.")
    claims = [
        (claim["typ"], claim["val"])
        for claim in principal["claims"]
        if isinstance(claim, dict) and isinstance(claim.get("typ"), str) and isinstance(claim.get("val"), str)
    ]
    role_claims = (*_ROLE_CLAIMS, principal.get("role_typ"))
    held = [_ROLES[value] for typ, value in claims if typ in role_claims and value in _ROLES]
    first = dict(reversed(claims))
    names = (str(principal.get("name_typ")), *_NAME_CLAIMS)
    return Caller(
        max(held, default=Role.ANYBODY),
        id=next((first[typ] for typ in _ID_CLAIMS if typ in first), ""),
        name=next((first[typ] for typ in names if typ in first), ""),
    )


def _principal(header: str) -> Mapping[str, Any]:
    try:
        found = json.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("claims"), list) else {}
