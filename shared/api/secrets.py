"""Secrets: written and removed, never read. Which there are, when they expire, and which jobs name them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, Field, SecretStr, ValidationError

from shared.api.audit import changed
from shared.api.body import JsonBody
from shared.api.context import Services
from shared.api.faults import Fault, FaultsFound, read_as
from shared.api.openapi import answers, fails, takes
from shared.api.problems import (
    BODY_MALFORMED,
    BODY_TOO_LARGE,
    CONFIG_INVALID,
    CONTENT_TYPE,
    NO_VAULT,
    NOT_FOUND,
    SECRET_IN_USE,
    VAULT_REFUSED,
    Problem,
    not_found,
)
from shared.api.services import ApiServices
from shared.api.views import View
from shared.errors import ConfigInvalid
from shared.jobs import load_job
from shared.model import SecretInfo
from shared.ports import JobStore, SecretStore, Settings
from shared.signin.entra import SecretName

router = APIRouter(prefix="/secrets", tags=["secrets"])

_PAGE = 1_000
#: Octets: what Key Vault takes.
_LONGEST = 25 * 1024

_EXAMPLE = {"value": "the password itself", "expires": "2027-06-30T00:00:00Z"}


class SecretRequest(Settings):
    """A value to store."""

    value: SecretStr = Field(min_length=1, description="The value: a password, or PEM or base64 PKCS#12 text.")
    expires: AwareDatetime | None = Field(
        default=None, description="When it ends, with a time zone; alarms begin 30 days before. Left out: never."
    )


class _Name(Settings):
    """The name in the address, checked like one in a config."""

    name: SecretName


_SecretName = Annotated[str, Path(description="The name of the secret: letters, digits and hyphens.")]


class SecretView(View):
    """A secret, without its value."""

    name: str
    stored: bool = Field(description="Whether there is a value. A job that names a secret without one cannot run.")
    enabled: bool = Field(description="Switched off in the vault, it cannot be read.")
    expires: datetime | None = Field(description="When it ends; null: never, or not known.")
    changed: datetime | None = Field(description="When it was stored last, where that is known.")
    used_by: list[str] = Field(description="The ids of the jobs that name it.")


class SecretsView(View):
    """All secrets that are stored or named, in the order of their names."""

    items: list[SecretView]


@router.get("", responses=answers(200, SecretsView, "The secrets, without values.") | fails(VAULT_REFUSED))
def list_secrets(services: Services) -> SecretsView:
    """List the secrets that are stored or that jobs name. Reads every job. Never shows a value."""
    users = _users(services.jobs)
    if services.vault is None:
        return SecretsView(items=[_local(services, name, users[name]) for name in sorted(users)])
    with _vault_faults():
        stored = {secret.name.lower(): secret for secret in services.vault.known()}
    names = {name.lower(): name for name in users} | {key: secret.name for key, secret in stored.items()}
    by_key = _by_key(users)
    return SecretsView(items=[_view(names[key], stored.get(key), by_key.get(key, [])) for key in sorted(names)])


@router.put(
    "/{name}",
    responses=answers(200, SecretView, "The value is stored, and counts for all runs within minutes.")
    | fails(CONFIG_INVALID, BODY_MALFORMED, BODY_TOO_LARGE, CONTENT_TYPE, NO_VAULT, VAULT_REFUSED),
    openapi_extra=takes(SecretRequest, _EXAMPLE),
)
def put_secret(services: Services, name: _SecretName, body: JsonBody) -> JSONResponse:
    """Store a secret's value, new or in place of another. It can never be read back."""
    read_as(_Name, {"name": name})
    asked = read_as(SecretRequest, body)
    value = asked.value.get_secret_value()
    if len(value.encode()) > _LONGEST:
        raise FaultsFound([Fault("/value", f"Must have at most {_LONGEST // 1024} KiB.")])
    vault = _vault(services)
    with _vault_faults():
        stored = vault.put(name, value, expires=asked.expires)
    services.endings.forget(name)
    changed(None, {"value": "(a new one)", "expires": asked.expires and asked.expires.isoformat()})
    return JSONResponse(_view(stored.name, stored, _by_key(_users(services.jobs)).get(name.lower(), [])).body())


@router.delete(
    "/{name}",
    status_code=204,
    responses=answers(204, None, "It is removed; the vault keeps it for as long as its soft delete says.")
    | fails(NOT_FOUND, SECRET_IN_USE, NO_VAULT, VAULT_REFUSED),
)
def delete_secret(services: Services, name: _SecretName) -> Response:
    """Remove a secret that no job names."""
    read_as(_Name, {"name": name})
    vault = _vault(services)
    users = _by_key(_users(services.jobs, perhaps=name)).get(name.lower(), [])
    if users:
        jobs = ", ".join(repr(job) for job in users[:20])
        more = f" and {len(users) - 20} more" if len(users) > 20 else ""
        raise Problem(SECRET_IN_USE, f"Secret {name!r} is named by {jobs}{more}: have them name another one first.")
    with _vault_faults():
        removed = vault.delete(name)
    if not removed:
        raise not_found(f"There is no secret {name!r}.")
    return Response(status_code=204)


def _users(jobs: JobStore, *, perhaps: str = "") -> Mapping[str, list[str]]:
    """The ids of the jobs by the names of their secrets.

    What a config names that cannot be read (a hand in the table) cannot be told; it counts as a user of ``perhaps`` if
    that stands anywhere in it.
    """
    found: dict[str, list[str]] = defaultdict(list)
    records, cursor = jobs.page(limit=_PAGE)
    while True:
        for record in records:
            try:
                names = load_job(record).secret_names()
            except ValidationError:
                names = frozenset({perhaps} if perhaps and f'"{perhaps.lower()}"' in record.config.lower() else ())
            for name in names:
                found[name].append(record.job_id)
        if cursor is None:
            return found
        records, cursor = jobs.page(limit=_PAGE, cursor=cursor)


def _by_key(users: Mapping[str, list[str]]) -> Mapping[str, list[str]]:
    """The same by the names in lower case, as the vault compares them."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, jobs in users.items():
        found[name.lower()] += jobs
    return {key: sorted(jobs) for key, jobs in found.items()}


def _vault(services: ApiServices) -> SecretStore:
    if services.vault is None:
        raise Problem(
            NO_VAULT,
            "This app has no key vault: its secrets are in the environment or in a file, and are changed there. Set "
            "MAILCONNECTOR_KEY_VAULT_URI to have them in Azure Key Vault.",
        )
    return services.vault


@contextmanager
def _vault_faults() -> Iterator[None]:
    """Tell the caller, who may be the one to mend it, why the vault refused."""
    try:
        yield
    except ConfigInvalid as fault:
        raise Problem(VAULT_REFUSED, str(fault)) from fault


def _local(services: ApiServices, name: str, users: list[str]) -> SecretView:
    try:
        services.secrets.get(name)
    except ConfigInvalid:
        return _view(name, None, users)
    return _view(name, SecretInfo(name), users)


def _view(name: str, stored: SecretInfo | None, users: list[str]) -> SecretView:
    return SecretView(
        name=name,
        stored=stored is not None,
        enabled=stored is None or stored.enabled,
        expires=stored.expires if stored else None,
        changed=stored.changed if stored else None,
        used_by=users,
    )
