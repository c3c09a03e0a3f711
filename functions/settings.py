"""The app settings: the only place that reads the environment."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

#: The share of the platform's time-out in which a run takes messages up; the rest is for finishing what it holds.
_SHARE = 0.6
#: What the platform allows where host.json does not say (the shortest of all plans).
_PLATFORM_TIMEOUT = timedelta(minutes=5)
#: No setting means so much, and what is more may not fit a time span: the import would raise.
_ABSURD = 1e9


@dataclass(frozen=True, slots=True)
class Setting:
    """An app setting as operators know it; docs/operations.md lists them all."""

    name: str
    #: As text; empty where there is none.
    default: str
    meaning: str


SETTINGS = (
    Setting("AzureWebJobsStorage", "", "connection string of the storage account (local use)"),
    Setting(
        "AzureWebJobsStorage__tableServiceUri",
        "",
        "service addresses, where an identity signs in; likewise `__blobServiceUri`, `__queueServiceUri`",
    ),
    Setting("AzureWebJobsStorage__clientId", "", "client id of the user-assigned identity"),
    Setting(
        "MAILCONNECTOR_PREFIX",
        "mailconnector",
        "what the names of tables, containers and queue begin with: lower-case letters and digits",
    ),
    Setting("MAILCONNECTOR_MAX_TIMERS", "500", "how many jobs get a timer of their own; the sweep runs those above it"),
    Setting("MAILCONNECTOR_LEASE_SECONDS", "90", "how long a mailbox stays held by a run that died"),
    Setting(
        "MAILCONNECTOR_RUN_SECONDS",
        "six tenths of `functionTimeout` in host.json",
        "how long a run takes messages up before it leaves the rest to a continuation",
    ),
    Setting("MAILCONNECTOR_AUTH", "function_key", "`entra`: callers sign in, and need [app roles](access.md)"),
    Setting("MAILCONNECTOR_AUDIT_DAYS", "400", "how long it is kept [who changed what](access.md#who-changed-what)"),
    Setting(
        "MAILCONNECTOR_REINDEX_SITE",
        "",
        "resource id of this site, so that the app may restart itself for new timers: [timers anew](reindex.md)",
    ),
    Setting(
        "MAILCONNECTOR_ARM_URL",
        "https://management.azure.com",
        "Azure Resource Manager of the cloud that the app is in",
    ),
    Setting(
        "MAILCONNECTOR_SEED_JOBS",
        "",
        "JSON array of jobs that the deployment brings: the first sweep makes each, and only once",
    ),
    Setting("MAILCONNECTOR_KEY_VAULT_URI", "", "address of the key vault that holds the [secrets](secrets.md)"),
    Setting("MAILCONNECTOR_KEY_VAULT_CACHE_SECONDS", "300", "how old a secret's value may be"),
    Setting("MAILCONNECTOR_SECRETS_FILE", "", 'JSON file `{"name": "value"}` with secrets, for local use'),
    Setting("MAILCONNECTOR_SECRET_<NAME>", "", "one secret, for local use: name in capitals, `-` written `_`"),
)


@dataclass(frozen=True, slots=True)
class AppSettings:
    """Settings of the app as a whole; those of a job are in its config."""

    #: Connection string of the storage account; empty where an identity is used.
    storage_connection: str
    table_url: str
    blob_url: str
    queue_url: str
    #: Client id of the user-assigned identity; empty for the system-assigned one.
    identity_client_id: str
    #: What the names of our tables, containers and queue begin with.
    prefix: str
    #: How many jobs get a timer of their own; those above it are run by the sweep.
    max_timers: int
    #: How long a mailbox stays held by a run that died, in seconds.
    lease_seconds: float
    #: How long a run takes messages up.
    run_budget: timedelta
    #: Callers sign in by Microsoft Entra; else by function key.
    entra: bool
    #: The platform's own sign-in stands in front of the app.
    platform_auth: bool
    #: How long it is kept who changed what.
    audit_days: int
    #: Resource id of the site that is restarted when jobs have no timer yet; empty: it is not.
    reindex_site: str
    #: Azure Resource Manager of the cloud that the app is in; empty for the global one.
    arm_url: str
    #: Jobs that come with the deployment, as a JSON array; empty for none.
    seed_jobs: str
    #: Address of the key vault that holds the secrets; empty: they are in the environment or a file.
    key_vault: str
    #: How old a secret's value may be.
    secret_age: timedelta
    #: A JSON file ``{"name": "value"}`` with secrets for local use; empty for none.
    secrets_file: str
    #: The variables that hold secrets for local use; never printed.
    secrets: Mapping[str, str] = field(repr=False)


def read_settings(environment: Mapping[str, str] | None = None, *, host_json: Path | None = None) -> AppSettings:
    """The settings as the environment has them. A number that is none falls back to its default."""
    env = os.environ if environment is None else environment
    storage = "AzureWebJobsStorage"
    return AppSettings(
        storage_connection=env.get(storage, ""),
        table_url=env.get(f"{storage}__tableServiceUri", ""),
        blob_url=env.get(f"{storage}__blobServiceUri", ""),
        queue_url=env.get(f"{storage}__queueServiceUri", ""),
        identity_client_id=env.get(f"{storage}__clientId", ""),
        prefix=env.get("MAILCONNECTOR_PREFIX", "mailconnector"),
        max_timers=int(_number(env.get("MAILCONNECTOR_MAX_TIMERS"), 500)),
        lease_seconds=_number(env.get("MAILCONNECTOR_LEASE_SECONDS"), 90),
        run_budget=_run_budget(env, host_json or Path(__file__).parent.parent / "host.json"),
        # What is not the default, however it is spelt, is meant to be stricter.
        entra=env.get("MAILCONNECTOR_AUTH", "").strip().lower() not in {"", "function_key"},
        platform_auth=env.get("WEBSITE_AUTH_ENABLED", "").strip().lower() == "true",
        audit_days=min(36_500, int(_number(env.get("MAILCONNECTOR_AUDIT_DAYS"), 400))),
        reindex_site=env.get("MAILCONNECTOR_REINDEX_SITE", ""),
        arm_url=env.get("MAILCONNECTOR_ARM_URL", ""),
        seed_jobs=env.get("MAILCONNECTOR_SEED_JOBS", ""),
        key_vault=env.get("MAILCONNECTOR_KEY_VAULT_URI", ""),
        secret_age=timedelta(seconds=_number(env.get("MAILCONNECTOR_KEY_VAULT_CACHE_SECONDS"), 300)),
        secrets_file=env.get("MAILCONNECTOR_SECRETS_FILE", ""),
        secrets={name: value for name, value in env.items() if name.startswith("MAILCONNECTOR_SECRET_")},
    )


def _run_budget(env: Mapping[str, str], host_json: Path) -> timedelta:
    asked = _number(env.get("MAILCONNECTOR_RUN_SECONDS"), 0)
    if asked > 0:
        return timedelta(seconds=asked)
    try:
        hours, minutes, seconds = json.loads(host_json.read_text())["functionTimeout"].split(":")
        platform = timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        platform = _PLATFORM_TIMEOUT
    return platform * _SHARE


def _number(text: str | None, default: float) -> float:
    try:
        number = float(text or default)
    except ValueError:
        return default
    return number if 0 < number < _ABSURD else default
