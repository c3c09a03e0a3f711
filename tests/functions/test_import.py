"""The import of function_app: what it registers, that nothing keeps it from loading, and what it leaves unloaded."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from dev.azurite import Azurite
from dev.ports import free_ports
from shared.storage import open_storage
from tests.builders import make_record
from tests.functions.worker import Indexed, index_app
from tests.storage.http import Answer, account_at, answering, silent

STATIC = {"health", "http_api", "run_queue", "sweep"}

#: Every one of these would be paid for by every cold start, whatever the function does.
HEAVY = ("azure.identity", "azure.storage", "exchangelib", "fastapi", "httpx", "imapclient", "kiota", "msgraph", "nh3",
         "poplib", "starlette")  # fmt: skip


@pytest.fixture
def index_with(azurite: Azurite, prefix: str) -> Callable[..., Indexed]:
    """Stores jobs, then imports function_app over them."""

    def index(*job_ids: str, settings: dict[str, str] | None = None, **columns: Any) -> Indexed:
        storage = open_storage(connection_string=azurite.connection_string, prefix=prefix)
        for job_id in job_ids:
            storage.jobs.create(make_record(job_id, **columns))
        return index_app(azurite.connection_string, MAILCONNECTOR_PREFIX=prefix, **(settings or {}))

    return index


def test_every_job_has_a_timer(index_with: Callable[..., Indexed]) -> None:
    """With 200 jobs there are 200 timers, each with its job's expression, and the static functions."""
    jobs = [f"job-{number}" for number in range(200)]
    indexed = index_with(*jobs, ncrontab="17 */5 * * * *")
    assert indexed.jobs == dict.fromkeys(jobs, "17 */5 * * * *")
    assert set(indexed.triggers) - {f"job_{job}" for job in jobs} == STATIC


def test_names_are_as_the_platform_wants_them(index_with: Callable[..., Indexed]) -> None:
    """Function names and binding names that the host would refuse would leave the app without functions."""
    longest = "a" * 63
    indexed = index_with("a", "a-b", longest)
    assert set(indexed.jobs) == {"a", "a-b", longest}
    for name, trigger in indexed.triggers.items():
        assert re.fullmatch(r"[a-z][a-z0-9_-]{0,127}", name)
        assert re.fullmatch(r"[A-Za-z0-9]+", trigger["name"])


def test_triggers_are_what_they_should_be(index_with: Callable[..., Indexed]) -> None:
    """The API wants a key, health does not; nothing runs at start-up; the queue is named after the prefix."""
    triggers = index_with("support").triggers
    assert (triggers["http_api"]["route"], triggers["http_api"]["authLevel"]) == ("api/{*path}", "FUNCTION")
    assert (triggers["health"]["route"], triggers["health"]["authLevel"]) == ("api/health", "ANONYMOUS")
    assert triggers["run_queue"]["queueName"].endswith("-runs")
    assert triggers["run_queue"]["connection"] == "AzureWebJobsStorage"
    assert triggers["sweep"]["schedule"] == "5 * * * * *"
    assert [name for name, trigger in triggers.items() if trigger.get("runOnStartup")] == []


def test_jobs_that_cannot_fire_have_no_timer(index_with: Callable[..., Indexed]) -> None:
    """A disabled job, and one whose schedule has ended, cost nothing."""
    assert index_with("off", enabled=False).jobs == {}
    assert index_with("over", ncrontab="", mailbox="other").jobs == {}


def test_the_number_of_timers_is_bounded(index_with: Callable[..., Indexed]) -> None:
    """Jobs above the setting are left to the sweep."""
    indexed = index_with("a", "b", "c", settings={"MAILCONNECTOR_MAX_TIMERS": "2"})
    assert set(indexed.jobs) == {"a", "b"}


def test_a_bad_expression_spoils_no_other_job(index_with: Callable[..., Indexed]) -> None:
    """What the host would drop without a word is left out with one."""
    index_with("bad", ncrontab="61 * * * * *")
    indexed = index_with("good", mailbox="other")
    assert set(indexed.jobs) == {"good"}
    assert "timer_unusable" in indexed.log


def test_bad_rows_spoil_nothing(prefix: str) -> None:
    """Rows that are no jobs (a hand in the table) are left out, and one that comes twice counts once."""
    rows = (
        b'{"value": [{"RowKey": "job:No Good!", "ncrontab": "1 * * * * *", "enabled": true},'
        b'{"RowKey": "job:good", "ncrontab": "1 * * * * *", "enabled": true},'
        b'{"RowKey": "job:text", "ncrontab": 7, "enabled": "yes"}, {"RowKey": "job:bare"}]}'
    )
    with answering(lambda _: Answer(200, rows)) as account:
        indexed = index_app(account.connection_string, MAILCONNECTOR_PREFIX=prefix)
    assert set(indexed.jobs) == {"good"}
    assert set(indexed.triggers) >= STATIC


@pytest.mark.parametrize("broken", ["500", "empty", "garbage", "html"])
def test_storage_that_answers_nonsense(broken: str, prefix: str) -> None:
    """Whatever comes back, the static functions are there."""
    answers = {
        "500": Answer(500, b""),
        "empty": Answer(200, b""),
        "garbage": Answer(200, b"\x00\xff garbage {"),
        "html": Answer(200, b"<html>login</html>"),
    }
    with answering(lambda _: answers[broken]) as account:
        indexed = index_app(account.connection_string, MAILCONNECTOR_PREFIX=prefix)
    assert set(indexed.triggers) == STATIC
    assert "timers_unread" in indexed.log
    assert indexed.seconds < 6


def test_storage_that_is_away(prefix: str) -> None:
    """A refused connection leaves the static functions, and says so."""
    indexed = index_app(account_at(free_ports(1)[0]).connection_string, MAILCONNECTOR_PREFIX=prefix)
    assert set(indexed.triggers) == STATIC
    assert "timers_unread" in indexed.log
    assert indexed.seconds < 6


def test_storage_that_never_answers(prefix: str) -> None:
    """The import is over within six seconds, whatever hangs."""
    with silent() as account:
        indexed = index_app(account.connection_string, MAILCONNECTOR_PREFIX=prefix)
    assert set(indexed.triggers) == STATIC
    assert "timers_unread" in indexed.log
    assert indexed.seconds < 6


def test_no_storage_setting_at_all() -> None:
    """An app that is not configured yet still has its functions, so that health can say so."""
    assert set(index_app("").triggers) == STATIC


def test_the_import_loads_nothing_heavy(index_with: Callable[..., Indexed]) -> None:
    """No web framework, no mail SDK, no Graph, no blobs or queues: each comes with the function that needs it."""
    indexed = index_with("support")
    assert indexed.jobs
    assert [module for module in indexed.modules if module.startswith(HEAVY)] == []
