"""Secrets and certificates that end soon: found, said as often as promised, and shown by the API."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dev.azurite import Azurite
from shared.api.records import check_job, save
from shared.expiry import EVERY, ExpiryCheck, endings
from shared.model import Ending
from shared.storage import Storage, open_storage
from shared.storage.endings import TableEndings
from shared.storage.open import Account
from shared.storage.table import Table
from tests.api.world import World, make_job, problem
from tests.builders import NOW
from tests.fakes.clock import FakeClock
from tests.fakes.secrets import FakeSecrets
from tests.signin.identities import new_pair

DAY = timedelta(days=1)


class App:
    """Jobs and endings in real tables, secrets in a fake vault, a clock to move."""

    def __init__(self, azurite: Azurite, prefix: str) -> None:
        account = Account(connection_string=azurite.connection_string)
        self.clock = FakeClock(NOW)
        self.storage: Storage = open_storage(account, prefix=prefix, clock=self.clock)
        self.requests = 0
        self.endings = TableEndings(
            Table(account.tables(raw_request_hook=self._count).get_table_client(f"{prefix}jobs"))
        )
        self.vault = FakeSecrets()

    def _count(self, _: object) -> None:
        self.requests += 1

    def job(self, job_id: str, *, enabled: bool = True, **server: Any) -> None:
        """Store a job with these server settings besides the usual ones."""
        config = make_job(id=job_id, enabled=enabled)
        config["server"] |= server
        if "sign_in" in server:
            del config["server"]["password_secret"]
        save(self.storage.jobs, check_job(config), before=None, now=NOW)

    def process(self) -> ExpiryCheck:
        """A process that looks."""
        return ExpiryCheck(self.storage.jobs, self.vault, self.vault, self.endings, self.clock)

    def found(self) -> list[Ending]:
        """What is found now, whether or not it is time to look."""
        records, _ = self.storage.jobs.page(limit=100)
        return endings(records, self.vault, self.vault, self.clock())


@pytest.fixture
def app(azurite: Azurite, prefix: str) -> App:
    """An app without jobs."""
    return App(azurite, prefix)


def certificate(**fields: str) -> dict[str, str]:
    """A sign-in with a certificate."""
    return {"method": "certificate", "tenant_id": "t", "client_id": "c", **fields}


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The events that were told since this was asked last."""
    names = [event for record in caplog.records if (event := getattr(record, "event", ""))]
    caplog.clear()
    return names


def test_it_is_said_30_days_before_and_daily_from_7_days_before(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """Whichever process looks, and however often; what was renewed is said no more."""
    app.job("support")
    ends = datetime(NOW.year, NOW.month, NOW.day, 18, tzinfo=UTC) + 40 * DAY
    app.vault.put("support-mailbox", "x", expires=ends)
    processes = [app.process(), app.process()]
    told = []
    for days in (31, 30, 29, 8, 7, 6, 1, -1):
        app.clock.advance(ends - days * DAY - app.clock())
        processes[0].step()
        processes[1].step()
        app.clock.advance(timedelta(hours=5))
        app.process().step()
        told.append((days, events(caplog)))
    assert told == [
        (31, []),
        (30, ["secret_expiring"]),
        (29, []),
        (8, []),
        (7, ["secret_expiring"]),
        (6, ["secret_expiring"]),
        (1, ["secret_expiring"]),
        (-1, ["secret_expired"]),
    ]
    app.vault.put("support-mailbox", "y", expires=None)
    app.clock.advance(EVERY)
    processes[0].step()
    assert events(caplog) == []
    assert app.endings.read() == []


def test_the_sentence_names_the_jobs_and_the_day(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """And what to do, but no value."""
    for number in range(8):
        app.job(f"job-{number}")
    app.vault.put("support-mailbox", "hunter2", expires=datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC) + 20 * DAY)
    app.process().step()
    (line,) = caplog.messages
    assert "secret 'support-mailbox' ends at" in line
    assert "job-0, job-1, job-2, job-3, job-4 and 3 more" in line
    assert "Store a new one" in line
    assert "hunter2" not in caplog.text
    assert len(app.endings.read()[0].jobs) == 8


def test_a_certificate_ends_when_it_says_so(app: App, tmp_path: Path) -> None:
    """In a secret or a file, PEM or PKCS#12, with the vault's own expiry if that comes first."""
    now = datetime.now(UTC)
    app.clock.advance(now - NOW)
    pair, late = new_pair(days=10), new_pair(days=300)
    (tmp_path / "app.pem").write_text(pair.pem())
    app.vault.values |= {"pfx": pair.pfx_text(), "late": late.pem(), "none": "rubbish", "dated": late.pem()}
    app.vault.expires["dated"] = now + DAY
    for name in ("pfx", "late", "none", "dated", "lost"):
        app.job(f"job-{name}", sign_in=certificate(certificate_secret=name))
    app.job("job-file", sign_in=certificate(certificate_file=str(tmp_path / "app.pem")))
    app.job("off", enabled=False, sign_in=certificate(certificate_secret="pfx"))
    ends = pair.certificate.not_valid_after_utc
    assert app.found() == [
        Ending("dated", now + DAY, ("job-dated",)),
        Ending(str(tmp_path / "app.pem"), ends, ("job-file",), certificate=True),
        Ending("pfx", ends, ("job-pfx",), certificate=True),
    ]


def test_a_vault_that_does_not_tell_is_said(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """The sweep goes on; what was known stays."""
    app.job("support")
    app.vault.put("support-mailbox", "x", expires=NOW + DAY)
    process = app.process()
    process.step()
    known = app.endings.read()
    events(caplog)
    app.vault.away = True
    app.clock.advance(EVERY)
    process.step()
    assert events(caplog) == ["secrets_unchecked"]
    assert app.endings.read() == known != []


def test_between_two_looks_nothing_is_asked(app: App) -> None:
    """A process asks storage once for each six hours, the one that looks a little more."""
    app.process().step()
    process = app.process()
    app.requests = 0
    for _ in range(100):
        process.step()
        app.clock.advance(timedelta(minutes=3))
    assert app.requests == 1


def test_very_many_endings_stay_within_a_row(app: App) -> None:
    """What ends first is kept."""
    many = [
        Ending(f"secret-{number}", NOW + number * DAY, tuple(f"job-{n}" for n in range(200))) for number in range(500)
    ]
    turn = app.endings.take_turn(NOW)
    assert isinstance(turn, str)
    app.endings.keep(turn, many, NOW + EVERY)
    kept = app.endings.read()
    assert 100 < len(kept) < 500
    assert list(kept) == many[: len(kept)]


def test_who_is_late_writes_nothing(app: App) -> None:
    """One that was held up for ten minutes finds that another took over."""
    late = app.endings.take_turn(NOW)
    assert isinstance(late, str)
    assert isinstance(app.endings.take_turn(NOW + timedelta(minutes=9)), datetime)
    turn = app.endings.take_turn(NOW + timedelta(minutes=10))
    assert isinstance(turn, str)
    app.endings.keep(late, [Ending("old", NOW, ("a",))], NOW)
    assert app.endings.read() == []
    app.endings.keep(turn, [Ending("new", NOW, ("a",))], NOW)
    assert [ending.name for ending in app.endings.read()] == ["new"]


@pytest.fixture
def told(world: World, app: App) -> World:
    """The API with two jobs, of whose secrets one ends in a week."""
    world.serve(endings=app.endings)
    world.create()
    world.create(id="other", server=make_job(id="other")["server"] | {"password_secret": "fine"})
    turn = app.endings.take_turn(NOW)
    assert isinstance(turn, str)
    app.endings.keep(turn, [Ending("support-mailbox", NOW + 7 * DAY, ("support",))], NOW + EVERY)
    return world


def test_the_api_shows_what_ends(told: World) -> None:
    """Among the alarms, and among the warnings of the job; once it has ended, as that."""
    (alarm,) = told.client.get("/api/alarms").json()["items"]
    assert (alarm["job_id"], alarm["kind"], alarm["health"]) == ("support", "secret_expiring", "healthy")
    assert "in 7 days" in alarm["why"]
    assert alarm["why"] in told.client.get("/api/jobs/support").json()["warnings"]
    assert [len(job["warnings"]) for job in told.client.get("/api/jobs").json()["items"]] == [0, 1]
    told.clock.advance(8 * DAY)
    kinds = {(each["job_id"], each["kind"]) for each in told.client.get("/api/alarms").json()["items"]}
    assert ("support", "secret_expired") in kinds
    told.client.post("/api/jobs/support/disable")
    assert "support" not in {each["job_id"] for each in told.client.get("/api/alarms").json()["items"]}


def test_a_new_value_ends_the_alarm_at_once(told: World) -> None:
    """Whoever stored it does not wait for the next look; a fault of the body changes nothing."""
    problem(told.client.put("/api/secrets/support-mailbox", json={"value": ""}), 400, "config-invalid")
    assert len(told.client.get("/api/alarms").json()["items"]) == 1
    assert told.client.put("/api/secrets/Support-Mailbox", json={"value": "new"}).status_code == 200
    assert told.client.get("/api/alarms").json()["items"] == []
