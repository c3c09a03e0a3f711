"""Puts the parts together, once per worker process and only when first needed."""

import logging
from functools import cache
from typing import TYPE_CHECKING

from functions.settings import AppSettings, read_settings
from shared.storage.open import Account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.core.credentials import TokenCredential

    from shared.begin import Services
    from shared.expiry import ExpiryCheck
    from shared.ports import Secrets, SecretStore
    from shared.reindex import Reindexing
    from shared.storage import Storage
    from shared.storage.audit import TableAudit
    from shared.storage.endings import TableEndings
    from shared.storage.seeds import TableSeeds
    from shared.storage.table import Table

# The SDKs log every request at INFO, addresses and tokens of pages included; what matters is in our own errors.
for _chatty in ("azure", "httpx"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)


@cache
def settings() -> AppSettings:
    """The app settings of this process."""
    return read_settings()


@cache
def account() -> Account:
    """The storage account: by connection string locally, by identity in Azure."""
    app = settings()
    if app.storage_connection:
        return Account(connection_string=app.storage_connection)
    return Account(table_url=app.table_url, blob_url=app.blob_url, queue_url=app.queue_url, credential=credential())


@cache
def credential() -> "TokenCredential":
    """The app's own identity: the user-assigned one that is named, else whatever the environment offers."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    client_id = settings().identity_client_id
    return ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()


def reindexing(timers: "Mapping[str, str]") -> "Reindexing":
    """What has the platform register the jobs' timers anew; ``timers`` are those of this process."""
    from shared.reindex import Reindexing
    from shared.storage.open import utc_now
    from shared.storage.timer_table import open_timer_table

    app = settings()
    site = None
    if app.reindex_site:
        from shared.arm import PUBLIC, Site

        site = Site(app.reindex_site, credential(), arm_url=app.arm_url or PUBLIC)
    return Reindexing(timers, app.max_timers, open_timer_table(account(), app.prefix), site, utc_now)


@cache
def storage() -> "Storage":
    """The storage of this process."""
    from shared.storage import open_storage

    app = settings()
    return open_storage(account(), prefix=app.prefix, lease_seconds=app.lease_seconds)


@cache
def vault() -> "SecretStore | None":
    """The key vault, where there is one."""
    app = settings()
    if not app.key_vault:
        return None
    from shared.storage.key_vault import KeyVaultSecrets
    from shared.storage.open import utc_now

    return KeyVaultSecrets(app.key_vault, credential(), utc_now, max_age=app.secret_age)


def _table(name: str) -> "Table":
    from shared.storage.table import Table

    return Table(account().tables().get_table_client(f"{settings().prefix}{name}"))


@cache
def endings() -> "TableEndings":
    """What is known of secrets that end soon."""
    from shared.storage.endings import TableEndings

    return TableEndings(_table("jobs"))


def seeds() -> "TableSeeds":
    """Which jobs the deployment has brought already."""
    from shared.storage.seeds import TableSeeds

    return TableSeeds(_table("jobs"))


@cache
def audit() -> "TableAudit":
    """Who changed what."""
    from shared.storage.audit import TableAudit

    return TableAudit(_table("audit"), settings().audit_days)


@cache
def expiry() -> "ExpiryCheck":
    """What looks for secrets that end soon."""
    from shared.expiry import ExpiryCheck
    from shared.storage.open import utc_now

    return ExpiryCheck(storage().jobs, secrets(), vault(), endings(), utc_now)


@cache
def secrets() -> "Secrets":
    """Where this process finds secrets."""
    kept = vault()
    if kept:
        return kept
    from shared.storage.local_secrets import LocalSecrets

    return LocalSecrets(settings().secrets, settings().secrets_file)


@cache
def services() -> "Services":
    """What runs need."""
    from shared.begin import Services
    from shared.storage.open import utc_now

    kept = storage()
    return Services(
        jobs=kept.jobs,
        threads=kept.threads,
        tickets=kept.tickets,
        receipts=kept.receipts,
        outbox=kept.outbox,
        queue=kept.queue,
        secrets=secrets(),
        clock=utc_now,
        budget=settings().run_budget,
    )
