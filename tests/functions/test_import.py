"""Importing function_app: every job gets its timer, and nothing that storage does leaves the app without functions."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest
from azure.data.tables import TableServiceClient

from dev.azurite import Azurite
from dev.ports import free_ports
from functions import VERSION
from shared.api.records import check_job, save
from shared.schedule.cover import cover, second_for
from shared.schedule.model import read_schedule
from shared.storage import open_storage
from shared.storage.open import Account
from tests.builders import NOW, make_mailbox, make_record
from tests.functions.worker import PROJECT, STATIC, index_app
from tests.storage.http import Answer, account_at, answering, silent

#: After how many seconds the platform gives up on an import (Flex Consumption). The reading itself stops after 4, which
#: the log says; the rest is for machines that are busy with something else.
ALLOWED = 30

#: What only those may load who use it: the timers' cold start does not pay for it.
HEAVY = (
    "fastapi", "starlette", "imapclient", "exchangelib", "msgraph", "kiota_", "microsoft_kiota", "azure.identity",
    "azure.storage", "azure.keyvault", "nh3", "httpx", "poplib", "uvicorn", "re2", "filetype",
)  # fmt: skip


_SIGN_IN = {"method": "managed_identity"}
#: A job on every kind of server.
SERVERS: list[dict[str, Any]] = [
    {"type": "imap4", "host": "mail.example.com", "username": "a@example.com", "password_secret": "mailbox"},
    {"type": "pop3", "host": "mail.example.com", "username": "b@example.com", "password_secret": "mailbox"},
    {
        "type": "exchange",
        "service_url": "https://mail.example.com/EWS/Exchange.asmx",
        "mailbox": "c@example.com",
        "username": "CORP\\c",
        "password_secret": "mailbox",
    },
    {"type": "exchange_online", "mailbox": "d@example.com", "sign_in": _SIGN_IN},
    {
        "type": "exchange_online",
        "api": "ews",
        "mailbox": "e@example.com",
        "sign_in": _SIGN_IN,
    },
    {"type": "spool", "format": "maildir", "path": "/mail/archive"},
]


def expressions(count: int) -> dict[str, str]:
    """So many jobs with their timers' expressions, as the API would store them."""
    found = {}
    for number in range(count):
        job_id = f"job-{number:03}"
        schedule = read_schedule({"frequency": {"type": "interval", "every": 1 + number % 30}})
        covering = cover(schedule, second=second_for(job_id))
        assert covering
        found[job_id] = covering.expression
    return found


def settings(azurite: Azurite, prefix: str, **more: str) -> dict[str, str]:
    """The app settings for storage that answers."""
    return {"AzureWebJobsStorage": azurite.connection_string, "MAILCONNECTOR_PREFIX": prefix, **more}


def test_two_hundred_jobs_make_two_hundred_timers(azurite: Azurite, prefix: str) -> None:
    """Beside the static functions, each enabled job has a timer with its own expression; names and bindings are valid."""
    jobs = open_storage(connection_string=azurite.connection_string, prefix=prefix).jobs
    expected = expressions(200)
    jobs.create(make_record("disabled", enabled=False))
    jobs.create(make_record("ended", ncrontab=""))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda job: jobs.create(make_record(job[0], ncrontab=job[1])), expected.items()))

    indexed = index_app(settings(azurite, prefix))

    assert indexed.jobs == expected
    assert set(indexed.triggers) == STATIC | {f"job_{job_id}" for job_id in expected}
    assert all(not trigger["runOnStartup"] for trigger in indexed.triggers.values() if "schedule" in trigger)
    assert indexed.seconds < ALLOWED


def test_the_static_functions_are_bound_as_documented(azurite: Azurite, prefix: str) -> None:
    """Routes, methods, who may call them, the queue, and the sweep's minute."""
    triggers = index_app(settings(azurite, prefix)).triggers

    api, health = triggers["http_api"], triggers["health"]
    assert (api["route"], str(api["authLevel"]).lower()) == ("api/{*path}", "function")
    assert {str(method).upper() for method in api["methods"]} == {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
    assert (health["route"], str(health["authLevel"]).lower()) == ("api/health", "anonymous")
    assert {str(method).upper() for method in health["methods"]} == {"GET", "HEAD"}
    queue = triggers["run_queue"]
    assert (queue["queueName"], queue["connection"]) == (f"{prefix}-runs", "AzureWebJobsStorage")
    assert triggers["sweep"]["schedule"] == "5 * * * * *"


@contextmanager
def refusing() -> Iterator[Account]:
    """A port on which nobody listens."""
    yield account_at(*free_ports(1))


def saying(status: int, body: bytes, **headers: str) -> Callable[[], AbstractContextManager[Account]]:
    """A server that gives every request this answer."""
    return lambda: answering(lambda _: Answer(status, body, **headers))


@pytest.mark.parametrize(
    "storage",
    [
        pytest.param(refusing, id="refused"),
        pytest.param(silent, id="hanging"),
        pytest.param(partial(silent, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), id="hanging in an answer"),
        pytest.param(partial(silent, b"220 mail.example ESMTP\r\n"), id="another protocol"),
        pytest.param(saying(500, b"<error/>"), id="500"),
        pytest.param(saying(503, b"", Retry_After="3600"), id="503 with a long pause"),
        pytest.param(saying(403, b'{"odata.error": {"code": "AuthorizationFailure"}}'), id="403"),
        pytest.param(saying(200, b""), id="empty"),
        pytest.param(saying(200, b"\x00\xff garbage {"), id="garbage"),
        pytest.param(saying(200, b"<html>Sign in</html>", Content_Type="text/html"), id="a page of HTML"),
        pytest.param(saying(200, b"42"), id="a number"),
        pytest.param(saying(200, b'{"value": ["x", null, 1]}'), id="rows that are no rows"),
    ],
)
def test_whatever_storage_does_the_static_functions_are_there(
    storage: Callable[[], AbstractContextManager[Account]],
) -> None:
    """In time, without raising, and with the event in the log by which an operator notices."""
    with storage() as account:
        indexed = index_app({"AzureWebJobsStorage": account.connection_string})

    assert set(indexed.triggers) == STATIC
    assert indexed.seconds < ALLOWED
    assert "timers_unread" in indexed.log


def test_rows_that_make_no_sense_become_no_timers() -> None:
    """Nor do they keep the static functions away, or a job that does make sense."""
    timer = {"ncrontab": "7 * * * * *", "enabled": True}
    rows = [
        {"RowKey": 7, "ncrontab": ["*"], "enabled": True},
        {"RowKey": "job:", **timer},
        {"RowKey": "job:line\n", **timer},
        {"RowKey": "job:\x00\ud800", **timer},
        {"RowKey": "job:long-expression", "ncrontab": "0-59/0 " * 5000, "enabled": True},
        {"RowKey": "job:good", **timer},
        # No table gives a row without a key; what came before it counts.
        {"RowKey": None, "ncrontab": None, "enabled": None},
    ]
    with saying(200, json.dumps({"value": rows}).encode())() as account:
        indexed = index_app({"AzureWebJobsStorage": account.connection_string})

    assert indexed.jobs == {"good": "7 * * * * *"}
    assert set(indexed.triggers) == STATIC | {"job_good"}


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="nothing is set"),
        pytest.param({"AzureWebJobsStorage": "no connection string"}, id="a connection string that is none"),
        pytest.param({"AzureWebJobsStorage__tableServiceUri": "not a URL"}, id="an address that is none"),
        pytest.param(
            {"AzureWebJobsStorage__tableServiceUri": "https://t.invalid", "AZURE_AUTHORITY_HOST": "http://a b"},
            id="an authority that is none",
        ),
        pytest.param(
            {"AzureWebJobsStorage__tableServiceUri": "https://t.invalid", "AzureWebJobsStorage__clientId": "x"},
            id="an identity that is none",
        ),
        pytest.param({"MAILCONNECTOR_MAX_TIMERS": "inf", "MAILCONNECTOR_RUN_SECONDS": "1e300"}, id="absurd numbers"),
    ],
)
def test_whatever_is_set_the_static_functions_are_there(environment: dict[str, str]) -> None:
    """App settings that make no sense do not take the config API with them."""
    indexed = index_app(environment)

    assert set(indexed.triggers) == STATIC
    assert indexed.seconds < ALLOWED


def test_one_bad_row_costs_no_other_job_its_timer(azurite: Azurite, prefix: str) -> None:
    """Ids that the platform refuses, ids that come twice and expressions that are none are left to the sweep."""
    storage = open_storage(connection_string=azurite.connection_string, prefix=prefix)
    storage.jobs.create(make_record("good", ncrontab="7 */5 * * * *"))
    rows: list[dict[str, Any]] = [
        {"RowKey": "job:UPPER"},
        {"RowKey": "job:a b"},
        {"RowKey": "job:" + "x" * 64},
        {"RowKey": "job:naïve"},
        {"RowKey": "job:-"},
        {"RowKey": "job:bad-time", "ncrontab": "61 * * * * *"},
        {"RowKey": "job:few-fields", "ncrontab": "* * *"},
        {"RowKey": "job:setting", "ncrontab": "%SOME_SETTING%"},
        {"RowKey": "job:a-number", "ncrontab": 7},
        {"RowKey": "job:on-text", "enabled": "true"},
        {"RowKey": "job:nothing", "ncrontab": None, "enabled": None},
    ]
    # Which of a pair counts is not for us to say, only that there is one timer.
    twins = [{"RowKey": "job:twin", "PartitionKey": part} for part in ("0", "a", "f")]
    with TableServiceClient.from_connection_string(azurite.connection_string) as tables:
        table = tables.get_table_client(f"{prefix}jobs")
        for row in [*rows, *twins]:
            whole = {"PartitionKey": "3", "ncrontab": "0 * * * * *", "enabled": True, "mailbox": make_mailbox(), **row}
            table.create_entity({name: value for name, value in whole.items() if value is not None})

    indexed = index_app(settings(azurite, prefix))

    assert indexed.jobs == {"good": "7 */5 * * * *", "twin": "0 * * * * *"}


def test_no_more_timers_than_the_setting_allows(azurite: Azurite, prefix: str) -> None:
    """MAILCONNECTOR_MAX_TIMERS counts; which jobs get them does not change from start to start."""
    jobs = open_storage(connection_string=azurite.connection_string, prefix=prefix).jobs
    for job_id in ("delta", "alpha", "charlie", "bravo"):
        jobs.create(make_record(job_id))

    indexed = index_app(settings(azurite, prefix, MAILCONNECTOR_MAX_TIMERS="2"))

    assert list(indexed.jobs) == ["alpha", "bravo"]


def test_the_import_loads_only_what_timers_need(azurite: Azurite, prefix: str) -> None:
    """No web framework, no mail client, no SDK but the tables' one, whatever kinds of jobs there are."""
    jobs = open_storage(connection_string=azurite.connection_string, prefix=prefix).jobs
    for number, server in enumerate(SERVERS):
        job = check_job({"id": f"kind-{number}", "server": server})
        save(jobs, job, before=None, now=NOW)

    indexed = index_app(settings(azurite, prefix))

    assert len(indexed.jobs) == len(SERVERS)
    modules = indexed.modules

    assert sorted(name for name in modules if name.startswith(HEAVY)) == []
    assert "azure.data.tables" in modules


def test_host_json_is_what_the_platform_takes() -> None:
    """The routes hold their own prefix, the time-out is one that every plan allows, and retries leave time to mend."""
    host = json.loads((PROJECT / "host.json").read_text())

    assert host["version"] == "2.0"
    assert re.fullmatch(r"00:(0\d|10):00", host["functionTimeout"])
    assert host["extensions"]["http"]["routePrefix"] == ""
    assert host["extensionBundle"]["version"] == "[4.*, 5.0.0)"
    queues = host["extensions"]["queues"]
    assert queues["maxDequeueCount"] >= 3
    assert queues["newBatchThreshold"] <= queues["batchSize"] <= 32


def test_the_version_is_that_of_the_project() -> None:
    """What the API shows and what pyproject.toml says cannot drift apart."""
    assert tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"] == VERSION
