"""The one read during the import of function_app: in time and without raising, whatever storage does."""

import json
import time
from typing import Any

import pytest

from dev.azurite import Azurite
from dev.ports import free_ports
from shared.model import TimerColumns
from shared.storage import open_storage
from shared.storage.keys import BUCKETS
from shared.storage.open import Account
from shared.storage.timer_index import read_timers
from tests.builders import make_record
from tests.storage.http import Answer, account_at, answering, silent

BUDGET = 0.5
#: For a machine that is busy with other things.
SLACK = 2.0

FINE = TimerColumns("support", "7 */5 * * * *", enabled=True)


def read(account: Account, *, seconds: float = BUDGET) -> list[TimerColumns]:
    """Read within the budget, and hold it to that."""
    began = time.monotonic()
    found = read_timers(account, "t", seconds=seconds)
    assert time.monotonic() - began < seconds + SLACK
    return found


def page(*rows: dict[str, Any]) -> Answer:
    """An answer with these rows."""
    return Answer(200, json.dumps({"value": list(rows)}).encode())


def row(job_id: str = "support", **columns: Any) -> dict[str, Any]:
    """A row as storage gives it."""
    return {"RowKey": f"job:{job_id}", "ncrontab": "7 */5 * * * *", "enabled": True, **columns}


def test_jobs_are_read_from_every_bucket(azurite: Azurite, prefix: str) -> None:
    """From real storage: all of them, enabled or not, and of the rows of a job only its own."""
    storage = open_storage(connection_string=azurite.connection_string, prefix=prefix)
    made = [make_record(f"job-{number}", enabled=number % 2 == 0) for number in range(40)]
    for record in made:
        storage.jobs.create(record)
    found = read_timers(Account(connection_string=azurite.connection_string), prefix, seconds=10)
    assert {one.job_id: (one.ncrontab, one.enabled) for one in found} == {
        record.job_id: (record.ncrontab, record.enabled) for record in made
    }
    assert len(found) == 40


def test_a_table_that_does_not_exist_has_no_jobs(azurite: Azurite, prefix: str) -> None:
    """The first start of an app: nothing to register, and nothing to complain about."""
    assert read_timers(Account(connection_string=azurite.connection_string), prefix, seconds=10) == []


def test_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens: nothing is found, and the log says who runs the jobs now."""
    assert read(account_at(*free_ports(1))) == []
    assert "the sweep runs the jobs" in caplog.text


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_hanging(words: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Connections are taken and nothing, or only a beginning, is ever said: given up when the time is up."""
    with silent(words) as account:
        assert read(account) == []
    assert "the sweep runs the jobs" in caplog.text


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 429, 500, 503])
def test_an_answer_that_is_no_success(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever its status says."""
    with answering(lambda _: Answer(status, b"No.")) as account:
        assert read(account) == []
    assert "timers_unread" in caplog.text


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"null", b"[]", b"7", b'{"value": 7}', b'{"value": [7, null]}', b'{"value": [{}]}', b"\xff"],
)
def test_a_body_that_is_no_table(body: bytes) -> None:
    """A success that makes no sense."""
    with answering(lambda _: Answer(200, body)) as account:
        assert read(account) == []


@pytest.mark.parametrize(
    "columns",
    [{"ncrontab": None}, {"ncrontab": 7}, {"enabled": "yes"}, {"enabled": None}, {"enabled": 1}, {"RowKey": 7}],
    ids=str,
)
def test_garbage_in_a_row_does_not_hide_the_others(columns: dict[str, Any]) -> None:
    """A hand in the table: text where there should be text, enabled only where it says exactly that."""
    with answering(lambda n: page(row("odd", **columns), row()) if n == 1 else page()) as account:
        odd, fine = read(account)
    assert fine == FINE
    assert isinstance(odd.job_id, str)
    assert isinstance(odd.ncrontab, str)
    assert odd.enabled == ("enabled" not in columns)


def test_what_was_read_counts_when_storage_fails_half_way(caplog: pytest.LogCaptureFixture) -> None:
    """The jobs of the first buckets get their timers, the sweep runs the others."""
    with answering(lambda n: page(row(f"job-{n}")) if n <= 5 else Answer(500)) as account:
        found = read(account)
    assert [one.job_id for one in found] == [f"job-{n}" for n in range(1, 6)]
    assert "timers_unread" in caplog.text


def test_each_bucket_is_asked_once() -> None:
    """Sixteen requests, however many jobs there are; no retries while the import stands still."""
    asked = []

    def answer(nth: int) -> Answer:
        asked.append(nth)
        return page()

    with answering(answer) as account:
        assert read(account) == []
    assert len(asked) == len(BUCKETS)


def test_settings_that_make_no_sense() -> None:
    """A connection string that is none is one more way to have no storage."""
    assert read(Account(connection_string="nonsense")) == []
    assert read(Account()) == []
