"""The app in two hosts at once, on one storage and one mail server, over one real minute.

::

    jobs that are there          hosts start        PUT fresh          every job           hosts are asked
    before the hosts: steady-*   (one timer each    PATCH moved        is due at           again by all hands,
    every minute, moved yearly   for those)         to every minute    the full minute     jobs are disabled

All waiting is done once; the tests look at what was seen.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from threading import Event
from typing import Any

import httpx
import pytest

from dev.azurite import Azurite
from dev.host.process import PROJECT, HostProcess
from dev.host.process import Event as HostEvent
from dev.mailserver import MailServer
from shared.api.records import check_job, save
from shared.ports import Deadline
from shared.schedule.cover import second_for
from shared.storage import open_storage
from tests.functions.worker import STATIC

PREFIX = "hostlife"
EVERY_MINUTE = {"frequency": {"type": "interval", "every": 1, "unit": "minutes"}}
AT_NEW_YEAR = {"pattern": {"type": "yearly", "month": "january", "day": 1}, **EVERY_MINUTE}
#: Jobs whose timers fire soon after the full minute, so that nobody waits long.
STEADY = tuple(islice((f"steady-{n}" for n in count() if second_for(f"steady-{n}") <= 12), 4))
LEFT_TO_THE_SWEEP = ("fresh", "moved")
#: The sweep comes within the minute; the rest is the queue's poll and the run.
ABOUT_A_MINUTE = timedelta(seconds=75)
#: Starting two hosts must be over by the full minute.
_START = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the scenario left to look at."""

    #: When each job became due for the first time since it was made or changed.
    first_due: Mapping[str, datetime]
    #: The newest occurrence that was claimed.
    last_occurrence: Mapping[str, datetime]
    runs: Mapping[str, list[dict[str, Any]]]
    tickets: Mapping[str, list[dict[str, Any]]]
    #: When fresh was made and moved was changed.
    changed: datetime
    events: tuple[list[HostEvent], list[HostEvent]]


@pytest.fixture(scope="module")
def seen(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """The scenario above."""
    folder = tmp_path_factory.mktemp("hosts")
    with ExitStack() as stack:
        mail = stack.enter_context(MailServer())
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "MAILCONNECTOR_PREFIX": PREFIX,
            "MAILCONNECTOR_SECRET_BOX": mail.password,
        }
        first, second = (HostProcess(PROJECT, settings=settings, events=folder / name) for name in ("a", "b"))
        minute = _full_minute_after(datetime.now(UTC) + _START)
        _store_jobs(azurite, mail, minute)
        with ThreadPoolExecutor() as pool:
            list(pool.map(stack.enter_context, (first, second)))
        changed = datetime.now(UTC)
        assert changed < minute, "The hosts took too long to start for this scenario."
        _put_message(mail, "fresh")
        fresh = _call(first, "PUT", "/api/jobs/fresh", _config(mail, "fresh", EVERY_MINUTE))
        moved = _call(second, "PATCH", "/api/jobs/moved", {"schedule": {"pattern": None}})
        first_due = {
            "fresh": _instant(fresh["state"]["next_due"]),
            "moved": _instant(moved["state"]["next_due"]),
            **dict.fromkeys(STEADY, minute),
        }
        _wait_for_runs(first, first_due)
        _all_hands((first, second))
        yield _look(first, second, first_due, changed)


def test_a_job_made_while_the_hosts_run_runs_without_a_restart(seen: Seen) -> None:
    """Within about a minute of its making it has run, though no host has a timer for it."""
    run = seen.runs["fresh"][-1]

    assert (run["outcome"], run["created"], run["trigger"]) == ("completed", 1, "sweep")
    assert _instant(run["started"]) - seen.changed < ABOUT_A_MINUTE
    assert _starts(seen) == [len(STEADY) + 2] * 2
    assert "job_fresh" not in {event.get("function") for events in seen.events for event in events}


def test_a_changed_schedule_counts_without_a_restart(seen: Seen) -> None:
    """The job's timers still stand at New Year; the sweep knows better."""
    run = seen.runs["moved"][-1]

    assert (run["outcome"], run["created"], run["trigger"]) == ("completed", 1, "sweep")
    assert _instant(run["started"]) - seen.changed < ABOUT_A_MINUTE


def test_each_job_that_was_there_ran_by_its_own_timer(seen: Seen) -> None:
    """The sweep leaves a job alone whose timer is only a little late."""
    assert {run["trigger"] for job_id in STEADY for run in seen.runs[job_id]} == {"timer"}


def test_two_hosts_run_each_occurrence_once(seen: Seen) -> None:
    """Both hosts fire the same timers at the same instants; every occurrence has one run, every message one ticket."""
    for job_id in STEADY:
        ours, theirs = ({each["scheduled"] for each in _calls(events, f"job_{job_id}")} for events in seen.events)
        assert len(ours & theirs) >= 1
    minutes = {
        job_id: (seen.last_occurrence[job_id] - due) // timedelta(minutes=1) + 1
        for job_id, due in seen.first_due.items()
    }
    assert {job_id: len(runs) for job_id, runs in seen.runs.items()} == minutes
    assert {run["outcome"] for runs in seen.runs.values() for run in runs} == {"completed"}
    assert {job_id: len(tickets) for job_id, tickets in seen.tickets.items()} == dict.fromkeys(seen.first_due, 1)


def test_no_function_failed(seen: Seen) -> None:
    """Losing a race is not an error."""
    errors = [event for events in seen.events for event in events if event.get("error") or event["event"] == "poisoned"]

    assert errors == []
    assert {event["function"] for events in seen.events for event in events if "function" in event} >= STATIC - {
        "health"
    }


def test_the_sweep_tidies_up(azurite: Azurite, seen: Seen) -> None:
    """By now one of the hosts has done the housekeeping of the day, so there is nothing left to do for others."""
    storage = open_storage(connection_string=azurite.connection_string, prefix=PREFIX, clock=lambda: seen.changed)
    assert storage.housekeeping.tidy(Deadline(seen.changed + timedelta(minutes=1), lambda: seen.changed)) is None


# --- the scenario ----------------------------------------------------------------------------------------------------


def _full_minute_after(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _config(mail: MailServer, job_id: str, schedule: dict[str, Any]) -> dict[str, Any]:
    return {
        "server": {
            "type": "imap4",
            "host": mail.host,
            "port": mail.port,
            "username": mail.user,
            "password_secret": "box",
            "folder": job_id,
            "ca_file": str(mail.ca_file),
        },
        "schedule": schedule,
    }


def _put_message(mail: MailServer, job_id: str) -> None:
    with mail.client(None) as client:
        client.create_folder(job_id)
    head = f"From: ann@customer.example\r\nSubject: For {job_id}\r\nMessage-ID: <{job_id}@customer.example>\r\n\r\n"
    mail.append(head.encode() + b"Hello\r\n", folder=job_id)


def _store_jobs(azurite: Azurite, mail: MailServer, minute: datetime) -> None:
    """The jobs that are there before a host is; those that run each minute do so from ``minute`` on."""
    jobs = open_storage(connection_string=azurite.connection_string, prefix=PREFIX).jobs
    for job_id in (*STEADY, "moved"):
        _put_message(mail, job_id)
        schedule = AT_NEW_YEAR if job_id == "moved" else EVERY_MINUTE
        config = check_job({"id": job_id, **_config(mail, job_id, schedule)})
        save(jobs, config, before=None, now=minute - timedelta(seconds=1))


def _call(host: HostProcess, method: str, path: str, body: object = None) -> Any:
    headers = {"If-Match": "*"} if method == "PATCH" else {}
    kind = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
    answer = httpx.request(method, host.url + path, json=body, headers={**headers, **kind}, timeout=30)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def _wait_for_runs(host: HostProcess, first_due: Mapping[str, datetime]) -> None:
    """Until each job has a run that ended, at most about a minute after it was due."""
    deadline = max(first_due.values()) + ABOUT_A_MINUTE
    waiting = list(first_due)
    pause = Event()
    while waiting := [job_id for job_id in waiting if not _has_run(host, job_id)]:
        assert datetime.now(UTC) < deadline, f"{waiting} did not run: {host.output()}"
        pause.wait(0.5)


def _has_run(host: HostProcess, job_id: str) -> bool:
    return any(run["ended"] for run in _call(host, "GET", f"/api/jobs/{job_id}/runs?limit=5")["items"])


def _all_hands(hosts: tuple[HostProcess, ...]) -> None:
    """Everything that could run the jobs once more is called in both hosts, at once, and has ended."""
    names = ["sweep", *(f"job_{job_id}" for job_id in STEADY)]
    before = [len([event for event in host.events() if event["event"] == "ended"]) for host in hosts]
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(_call, host, "POST", f"/admin/functions/{name}") for name in names for host in hosts]
        for call in calls:
            call.result()
    for host, known in zip(hosts, before, strict=True):
        host.wait_for(lambda event: event["event"] == "ended", count=known + len(names))


def _look(first: HostProcess, second: HostProcess, first_due: Mapping[str, datetime], changed: datetime) -> Seen:
    """Disable every job, so that nothing moves any more, and look."""
    for job_id in first_due:
        _call(second, "POST", f"/api/jobs/{job_id}/disable")
    for host in (first, second):
        host.stop()
        assert host.events()[-1]["cut_off"] == []
    first.start()
    stored = {job_id: _call(first, "GET", f"/api/jobs/{job_id}") for job_id in first_due}
    return Seen(
        first_due=first_due,
        last_occurrence={job_id: _instant(job["state"]["last_occurrence"]) for job_id, job in stored.items()},
        runs={job_id: _call(first, "GET", f"/api/jobs/{job_id}/runs")["items"] for job_id in first_due},
        tickets={job_id: _call(first, "GET", f"/api/tickets?job_id={job_id}")["items"] for job_id in first_due},
        changed=changed,
        events=(_until_stopped(first.events()), _until_stopped(second.events())),
    )


def _until_stopped(events: list[HostEvent]) -> list[HostEvent]:
    return events[: [event["event"] for event in events].index("stopped")]


def _calls(events: list[HostEvent], function: str) -> list[HostEvent]:
    return [event for event in events if event["event"] == "ended" and event["function"] == function]


def _starts(seen: Seen) -> list[int]:
    """How many timers each start of a host has registered."""
    return [event["timer"] for events in seen.events for event in events if event["event"] == "ready"]
