"""Who may do what: every route for every role, and whose word counts."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from dev.access_table import PAGE, page
from shared.api.access import ROLES, Role, caller_of
from shared.api.app import routes
from shared.api.problems import Problem
from shared.api.services import Access
from tests.api.world import World, problem

ON = Access(entra=True, platform=True)
ROLE_TYPE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"


def principal(*roles: str, **fields: Any) -> dict[str, str]:
    """The header that the platform sets for a person with these roles."""
    claims = [{"typ": ROLE_TYPE, "val": role} for role in roles]
    claims += [{"typ": OBJECT_ID, "val": "0b1c"}, {"typ": "preferred_username", "val": "ann@corp.example"}]
    said = {"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": ROLE_TYPE, **fields}
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(said).encode()).decode()}


def addresses() -> list[tuple[str, str, str]]:
    """Name, method and an address of every route of the app."""
    return [(name, method, path.replace("{", "").replace("}", "")) for name, method, path in routes()]


def ask(world: World, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Send a request that lacks everything but the caller."""
    return world.client.request(method, path, headers=headers or {})


async def ask_all(app: ASGIApp) -> list[dict[str, int]]:
    """The statuses that every route gives to callers of all kinds. In this process, since there are so many."""
    callers = {role: principal(role) for role in ("reader", "operator", "admin")} | {"none": principal(), "nobody": {}}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        return [
            {
                caller: (await client.request(method, path, headers=headers)).status_code
                for caller, headers in callers.items()
            }
            for _, method, path in addresses()
        ]


def test_every_route_and_every_role(world: World) -> None:
    """Below its role 403, from its role on whatever the route itself says; without a caller 401."""
    world.serve(access=ON)
    found = {name for name, _, _ in routes()}
    described = world.client.get("/api/openapi.json", headers=principal("reader")).json()["paths"].values()
    assert found == {operation["operationId"] for item in described for operation in item.values()} | {"read_openapi"}
    assert found == set(ROLES), "each route says which role it takes, and nothing else does"
    granted = {}
    for (name, _, _), answers in zip(addresses(), asyncio.run(ask_all(world.switch.app)), strict=True):
        assert (answers.pop("nobody") == 401) == (ROLES[name] is not Role.ANYBODY), name
        assert not set(answers.values()) & {401, 500}, name
        granted[name] = [role for role, status in answers.items() if status != 403]
    everybody = ["reader", "operator", "admin", "none"]
    expected = {
        Role.ANYBODY: everybody,
        Role.READER: everybody[:3],
        Role.OPERATOR: everybody[1:3],
        Role.ADMIN: ["admin"],
    }
    assert granted == {name: expected[role] for name, role in ROLES.items()}


def test_what_changes_something_takes_more_than_reading(world: World) -> None:
    """No role table makes a reader of somebody who changes; a preview alone is a POST that changes nothing."""
    changing = {name for name, method, _ in routes() if method != "GET"}
    assert {name for name in changing if ROLES[name] <= Role.READER} == {"preview_schedule"}
    assert {name for name, method, _ in routes() if method == "GET" and ROLES[name] is Role.ANYBODY} == {"read_health"}


def test_a_function_key_is_enough_by_default(world: World) -> None:
    """The platform has checked it; a header that pretends to be a principal is not looked at."""
    assert ask(world, "GET", "/api/jobs").status_code == 200
    assert ask(world, "GET", "/api/jobs", principal()).status_code == 200


def test_the_header_counts_only_while_the_platform_guards_it(world: World) -> None:
    """The setting alone lets nobody in, whatever the header says; health stays open."""
    world.serve(access=Access(entra=True, platform=False))
    body = problem(ask(world, "GET", "/api/jobs", principal("admin")), 401, "sign-in-required")
    assert "authentication is off" in body["detail"]
    assert ask(world, "GET", "/api/health").status_code == 200


def test_a_refusal_says_which_role_is_missing_and_does_nothing(world: World) -> None:
    """The body is not even read."""
    world.serve(access=ON)
    answer = world.client.post("/api/jobs", content=b"{", headers=principal("operator"))
    assert "app role admin" in problem(answer, 403, "role-missing")["detail"]
    assert world.storage.writes == ()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "not base64 !",
        base64.b64encode(b"not json").decode(),
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b'{"auth_typ": "aad"}').decode(),
        base64.b64encode(b'{"auth_typ": "aad", "claims": {}}').decode(),
        base64.b64encode(b"[" * 100_000).decode(),
    ],
    ids=lambda text: text[:20],
)
def test_a_header_that_is_none(header: str) -> None:
    """Nobody is known."""
    with pytest.raises(Problem) as caught:
        caller_of(ON, {"X-MS-CLIENT-PRINCIPAL": header})
    assert caught.value.kind.status == 401


@pytest.mark.parametrize("provider", ["google", "", None, "AAD"])
def test_another_providers_roles_do_not_count(provider: str | None) -> None:
    """Only those of Microsoft Entra are ours to give."""
    with pytest.raises(Problem) as caught:
        caller_of(ON, principal("admin", auth_typ=provider))
    assert caught.value.kind.status == 401


def test_who_it_is() -> None:
    """The highest of its roles; the object id; a name for people, or the app's id."""
    ann = caller_of(ON, principal("reader", "operator", "Admin", "owner"))
    assert (ann.role, ann.id, ann.name) == (Role.OPERATOR, "0b1c", "ann@corp.example")
    claims = [{"typ": "roles", "val": "admin"}, {"typ": "oid", "val": "2d"}, {"typ": "appid", "val": "pipe"}, 7, {}]
    app = caller_of(ON, principal(claims=claims))
    assert (app.role, app.id, app.name) == (Role.ADMIN, "2d", "pipe")
    assert caller_of(ON, principal(claims=[{"typ": ["roles"], "val": {}}])).role is Role.ANYBODY


def test_the_document_says_how_to_sign_in(world: World) -> None:
    """By key, or by token where that is asked for; health needs neither."""
    assert world.client.get("/api/openapi.json").json()["security"] == [{"key": []}]
    world.serve(access=ON)
    document = world.client.get("/api/openapi.json", headers=principal("reader")).json()
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["paths"]["/api/health"]["get"]["security"] == []


def test_the_page_shows_the_table_of_the_code(world: World) -> None:
    """`python -m dev.access_table` writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()
