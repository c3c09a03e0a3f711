"""A job on Dovecot and Azurite, and looks at both that owe nothing to the code under test."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from azure.data.tables import TableServiceClient, UpdateMode

from dev.azurite import Azurite
from shared.api.records import check_job, save
from shared.begin import Services
from shared.errors import ConfigInvalid
from shared.model import Clock, JobRecord, RunReport, Trigger
from shared.run import run_job
from shared.storage import Storage, open_storage
from tests.servers.dovecot import Dovecot
from tests.servers.imap_host import User


@dataclass(frozen=True, slots=True)
class OneSecret:
    """See `shared.ports.Secrets`: the password of one mailbox."""

    password: str = field(repr=False)

    def get(self, name: str) -> str:
        """See the port."""
        if name != "mailbox":
            raise ConfigInvalid(f"There is no secret {name!r}.", remedy="Store it under this name.")
        return self.password


def job_document(dovecot: Dovecot, user: User, **config: Any) -> dict[str, Any]:
    """The config of a job on the INBOX of ``user``; ``config`` may change the ``server`` block in part."""
    block = {
        "type": "imap4",
        "host": dovecot.host,
        "port": dovecot.imaps_port,
        "username": user.name,
        "password_secret": "mailbox",
        "ca_file": str(dovecot.ca_file),
    }
    return {"id": "support", **config, "server": {**block, **config.get("server", {})}}


def services_of(storage: Storage, password: str, clock: Clock) -> Services:
    """What a run needs, with everything real."""
    return Services(
        jobs=storage.jobs,
        threads=storage.threads,
        tickets=storage.tickets,
        receipts=storage.receipts,
        outbox=storage.outbox,
        queue=storage.queue,
        secrets=OneSecret(password),
        clock=clock,
        budget=timedelta(minutes=3),
    )


class Ticking:
    """The machine's clock, which a test can set forward."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        """The present instant."""
        return datetime.now(UTC) + self._ahead

    def advance(self, by: timedelta) -> None:
        """Let ``by`` pass at once."""
        self._ahead += by


class Real:
    """One mailbox on Dovecot, one set of tables on Azurite, and the runs between them."""

    def __init__(self, dovecot: Dovecot, azurite: Azurite, prefix: str) -> None:
        self.dovecot = dovecot
        self.user = dovecot.new_mailbox()
        self.clock = Ticking()
        self.requests = Requests(prefix)
        self.tables = Tables(azurite, prefix)
        self.storage = open_storage(
            connection_string=azurite.connection_string,
            prefix=prefix,
            clock=self.clock,
            on_request=self.requests.count,
        )
        self.services = services_of(self.storage, self.user.password, self.clock)

    def job(self, **config: Any) -> None:
        """Store the job, due at once."""
        job = check_job(job_document(self.dovecot, self.user, **config))
        save(self.storage.jobs, job, before=None, now=self.clock())
        self.clock.advance(timedelta(minutes=5))

    def deliver(self, *messages: bytes, flags: str = "") -> None:
        """Put messages into the INBOX."""
        self.dovecot.append(self.user, "INBOX", list(messages), flags)

    def run(self, trigger: Trigger = Trigger.TIMER) -> RunReport:
        """One run that must have happened."""
        report = run_job("support", trigger, self.services)
        assert report is not None
        return report

    def later(self) -> RunReport:
        """One run after every back-off has passed."""
        self.clock.advance(timedelta(hours=7))
        return self.run(Trigger.MANUAL)

    def record(self) -> JobRecord:
        """The job's row."""
        record = self.storage.jobs.read("support")
        assert record is not None
        return record

    def flags(self) -> dict[str, str]:
        """The flags of what is in the INBOX, by subject, as another client sees them."""
        return {subject_of(stored.data): " ".join(sorted(stored.flags)) for stored in self.dovecot.messages(self.user)}


class Account(Protocol):
    """What says where storage is."""

    @property
    def connection_string(self) -> str:
        """As the SDKs take it."""
        ...


class Tables:
    """The rows of the tables, read with the SDK alone."""

    def __init__(self, account: Account, prefix: str) -> None:
        self._service = TableServiceClient.from_connection_string(account.connection_string)
        self._prefix = prefix

    def rows(self, table: str, begin: str, *, where: str = "") -> list[dict[str, Any]]:
        """Every row of ``table`` whose RowKey begins with ``begin``, which ends in a colon, and that fits ``where``."""
        end = begin.removesuffix(":") + ";"
        client = self._service.get_table_client(f"{self._prefix}{table}")
        condition = "RowKey ge @begin and RowKey lt @end" + (f" and {where}" if where else "")
        return [dict(row) for row in client.query_entities(condition, parameters={"begin": begin, "end": end})]

    def all(self, table: str) -> list[dict[str, Any]]:
        """Every row of ``table`` with its version."""
        client = self._service.get_table_client(f"{self._prefix}{table}")
        return [{**row, "etag": row.metadata["etag"]} for row in client.list_entities()]

    def touch(self, table: str, begin: str, *, where: str = "") -> None:
        """Change the version of these rows, and a column that nobody reads, as any other writer would."""
        client = self._service.get_table_client(f"{self._prefix}{table}")
        for row in self.rows(table, begin, where=where):
            client.update_entity({**row, "touched": "yes"}, mode=UpdateMode.MERGE)

    def subjects(self) -> list[str]:
        """The subject of every ticket."""
        return sorted(row["subject"] for row in self.rows("tickets", "ticket:"))


class Requests:
    """Counts the requests to storage, by what they do."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.kinds: Counter[str] = Counter()
        self._planned: dict[tuple[str, int], Callable[[], None]] = {}

    def at(self, kind: str, nth: int, act: Callable[[], None]) -> None:
        """Have ``act`` happen just before the ``nth`` request of this kind from now leaves."""
        self._planned[kind, self.kinds[kind] + nth] = act

    def count(self, request: Any) -> None:
        """What `open_storage` takes as ``on_request``."""
        http = request.http_request
        if http.url.endswith("$batch"):
            tables = {part.url for part in http.multipart_mixed_info[0][0].multipart_mixed_info[0]}
            (table,) = {name for url in tables for name in re.findall(rf"{self._prefix}([a-z]+)", url)}
            kind = f"write {table}"
        else:
            name = re.findall(rf"{self._prefix}-?([a-z]+)", http.url)
            kind = f"{http.method} {name[0] if name else http.url}"
        self.kinds[kind] += 1
        if act := self._planned.pop((kind, self.kinds[kind]), None):
            act()

    def clear(self) -> None:
        """Begin anew."""
        self.kinds.clear()


def subject_of(data: bytes) -> str:
    """The subject of a message as it lies in a mailbox."""
    found = re.search(rb"^Subject: (.*?)\r?$", data, re.MULTILINE)
    assert found
    return found[1].decode()
