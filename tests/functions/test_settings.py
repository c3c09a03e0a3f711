"""The app settings: what each says, what stands when it is left out, and what happens to nonsense."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from dev.settings_table import PAGE, page
from functions.settings import SETTINGS, read_settings


@pytest.fixture
def host_json(tmp_path: Path) -> Path:
    """A host.json of a test's own."""
    return tmp_path / "host.json"


def test_left_out_settings_have_the_documented_defaults() -> None:
    """docs/operations.md names the same ones."""
    settings = read_settings({})

    assert settings.prefix == "mailconnector"
    assert settings.max_timers == 500
    assert settings.lease_seconds == 90
    assert settings.storage_connection == ""
    assert settings.secrets_file == ""
    assert settings.secrets == {}


def test_the_page_lists_the_settings_that_there_are() -> None:
    """Those in the code, and no others; ``python -m dev.settings_table`` writes the table."""
    code = Path("functions/settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'env\.get\("(MAILCONNECTOR_[A-Z_]+)"', code))
    listed = {one.name for one in SETTINGS if one.name.startswith("MAILCONNECTOR_")}
    assert listed - {"MAILCONNECTOR_SECRET_<NAME>"} == read
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_setting_is_read() -> None:
    """By the names in the documentation; others are nobody's business."""
    settings = read_settings(
        {
            "AzureWebJobsStorage": "connection",
            "AzureWebJobsStorage__tableServiceUri": "https://table",
            "AzureWebJobsStorage__blobServiceUri": "https://blob",
            "AzureWebJobsStorage__queueServiceUri": "https://queue",
            "AzureWebJobsStorage__clientId": "identity",
            "MAILCONNECTOR_PREFIX": "test",
            "MAILCONNECTOR_MAX_TIMERS": "7",
            "MAILCONNECTOR_LEASE_SECONDS": "4.5",
            "MAILCONNECTOR_RUN_SECONDS": "30",
            "MAILCONNECTOR_AUDIT_DAYS": "30",
            "MAILCONNECTOR_AUTH": "entra",
            "WEBSITE_AUTH_ENABLED": "True",
            "MAILCONNECTOR_REINDEX_SITE": "/subscriptions/x",
            "MAILCONNECTOR_ARM_URL": "https://management.example",
            "MAILCONNECTOR_KEY_VAULT_URI": "https://box.vault.azure.net",
            "MAILCONNECTOR_KEY_VAULT_CACHE_SECONDS": "60",
            "MAILCONNECTOR_SECRETS_FILE": "secrets.json",
            "MAILCONNECTOR_SECRET_BOX": "hunter2",
            "PATH": "/bin",
        }
    )

    assert settings.storage_connection == "connection"
    assert (settings.table_url, settings.blob_url, settings.queue_url) == (
        "https://table",
        "https://blob",
        "https://queue",
    )
    assert (settings.identity_client_id, settings.prefix, settings.max_timers) == ("identity", "test", 7)
    assert (settings.lease_seconds, settings.run_budget) == (4.5, timedelta(seconds=30))
    assert (settings.entra, settings.platform_auth, settings.audit_days) == (True, True, 30)
    assert (settings.reindex_site, settings.arm_url) == ("/subscriptions/x", "https://management.example")
    assert (settings.key_vault, settings.secret_age) == ("https://box.vault.azure.net", timedelta(minutes=1))
    assert settings.secrets_file == "secrets.json"
    assert settings.secrets == {"MAILCONNECTOR_SECRET_BOX": "hunter2"}


@pytest.mark.parametrize("text", ["", "many", "0", "-3", "nan", "inf", "1e300"])
def test_a_number_that_is_none_falls_back(text: str) -> None:
    """A slip in one setting must not keep the app from starting."""
    absurd = dict.fromkeys(
        ("MAILCONNECTOR_MAX_TIMERS", "MAILCONNECTOR_LEASE_SECONDS", "MAILCONNECTOR_RUN_SECONDS"), text
    )

    assert read_settings(absurd) == read_settings({})


@pytest.mark.parametrize(
    ("time_out", "budget"),
    [
        ('"00:10:00"', timedelta(minutes=6)),
        ('"01:00:00"', timedelta(minutes=36)),
        ('"00:00:30"', timedelta(seconds=18)),
    ],
)
def test_a_run_ends_well_before_the_platform_kills_it(host_json: Path, time_out: str, budget: timedelta) -> None:
    """Six tenths of functionTimeout are for taking messages up."""
    host_json.write_text(f'{{"functionTimeout": {time_out}}}')

    assert read_settings({}, host_json=host_json).run_budget == budget


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"functionTimeout": "-1"}', '{"functionTimeout": 5}', "no JSON"])
def test_without_a_time_out_the_shortest_of_all_plans_counts(host_json: Path, text: str) -> None:
    """Five minutes, whatever host.json says instead of a time span, or none at all."""
    if text:
        host_json.write_text(text)

    assert read_settings({}, host_json=host_json).run_budget == timedelta(minutes=3)


def test_the_budget_is_that_of_our_own_host_json() -> None:
    """The file beside function_app.py is read."""
    assert read_settings({}).run_budget == timedelta(minutes=6)


def test_settings_do_not_show_secrets() -> None:
    """They may be logged or end in a traceback."""
    assert "hunter2" not in repr(read_settings({"MAILCONNECTOR_SECRET_BOX": "hunter2"}))


@pytest.mark.parametrize(("text", "entra"), [("", False), ("function_key", False), ("Entra ", True), ("enrta", True)])
def test_a_slip_in_the_way_to_sign_in_lets_nobody_in(text: str, entra: bool) -> None:  # noqa: FBT001 - a parameter
    """What is not the default means roles, and the platform's sign-in is off unless it says so itself."""
    settings = read_settings({"MAILCONNECTOR_AUTH": text})

    assert (settings.entra, settings.platform_auth) == (entra, False)
