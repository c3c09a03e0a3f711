"""The app as it is deployed, in a local host: it asks to be restarted, and its next process has the triggers synced."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx

from dev.azurite import Azurite
from dev.host.process import PROJECT, HostProcess
from dev.ports import free_ports
from shared.api.records import check_job, save
from shared.reindex import digest_of
from shared.storage import open_storage
from shared.storage.open import Account, utc_now
from shared.storage.timer_table import open_timer_table
from tests.servers.arm import SITE, Arm
from tests.servers.entra import Entra

EVERY_MINUTE = {"frequency": {"type": "interval", "every": 1, "unit": "minutes"}}


def test_from_a_new_job_to_its_timer(
    azurite: Azurite, prefix: str, in_azure: Arm, entra: Entra, tmp_path: Path
) -> None:
    """The test plays the platform: it calls the sweep, and restarts the host when the app asks for it."""
    settings = {
        "AzureWebJobsStorage": azurite.connection_string,
        "MAILCONNECTOR_PREFIX": prefix,
        "MAILCONNECTOR_REINDEX_SITE": SITE,
        "MAILCONNECTOR_ARM_URL": in_azure.url,
        **entra.environment,
        "REQUESTS_CA_BUNDLE": str(tmp_path / "both.pem"),
    }
    with HostProcess(PROJECT, settings=settings, events=tmp_path / "events") as host:
        sweep(host)
        make_due_job(azurite, prefix)
        sweep(host)
        host.wait_for(lambda event: event["event"] == "ended" and event["function"] == "run_queue")
        sweep(host)
        assert in_azure.done == ["syncfunctiontriggers", "restart"]
        host.stop()
        host.start()
        sweep(host)
        timers = [event["timer"] for event in host.events() if event["event"] == "ready"]
    assert in_azure.done == ["syncfunctiontriggers", "restart", "syncfunctiontriggers"]
    assert timers == [1, 2], "the sweep's, and then the job's as well"


def sweep(host: HostProcess) -> None:
    """Call the sweep once and wait for its end."""

    def ended() -> int:
        return sum(event["event"] == "ended" and event["function"] == "sweep" for event in host.events())

    before = ended()
    httpx.post(f"{host.url}/admin/functions/sweep").raise_for_status()
    host.wait_for(lambda event: event["event"] == "ended" and event["function"] == "sweep", count=before + 1)


def make_due_job(azurite: Azurite, prefix: str) -> None:
    """A job that is due by now, on a server that is not there; and a table whose timers have stood for an hour."""
    account = Account(connection_string=azurite.connection_string)
    server = {"type": "imap4", "host": "127.0.0.1", "port": free_ports(1)[0], "username": "a", "password_secret": "box"}
    job = check_job({"id": "support", "server": server, "schedule": EVERY_MINUTE})
    jobs = open_storage(account, prefix=prefix).jobs
    save(jobs, job, before=None, now=utc_now() - timedelta(minutes=5))
    record = jobs.read("support")
    assert record
    table = open_timer_table(account, prefix)
    wanted = digest_of({"support": record.ncrontab})
    assert table.write(replace(table.note(), wanted=wanted, since=utc_now() - timedelta(hours=1)))
