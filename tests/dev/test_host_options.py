"""host.json and the settings files, as the host reads them."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dev.host.options import HostFault, HostOptions, QueueOptions, load_settings, read_host_json, resolve


def read(folder: Path, document: Any) -> HostOptions:
    """The options of a host.json with this content."""
    path = folder / "host.json"
    path.write_text(json.dumps(document))
    return read_host_json(path)


def test_a_bare_host_json_gives_the_defaults_of_the_platform(tmp_path: Path) -> None:
    """What is not said is as in Azure."""
    assert read(tmp_path, {"version": "2.0"}) == HostOptions()


def test_every_setting_that_matters_is_read(tmp_path: Path) -> None:
    """Time-out, route prefix and queue settings."""
    queues = {
        "batchSize": 4,
        "maxDequeueCount": 3,
        "visibilityTimeout": "00:01:30",
        "maxPollingInterval": "00:00:02",
        "messageEncoding": "None",
    }
    options = read(
        tmp_path,
        {"functionTimeout": "1.02:03:04", "extensions": {"http": {"routePrefix": "/a/b/"}, "queues": queues}},
    )

    assert options == HostOptions(
        function_timeout=timedelta(days=1, hours=2, minutes=3, seconds=4),
        route_prefix="a/b",
        queues=QueueOptions(4, 2, 3, timedelta(seconds=90), timedelta(seconds=2), "none"),
    )


def test_minus_one_is_no_time_out(tmp_path: Path) -> None:
    """``"-1"`` is unbounded."""
    assert read(tmp_path, {"functionTimeout": "-1"}).function_timeout is None


@pytest.mark.parametrize(
    ("document", "words"),
    [({"functionTimeout": "soon"}, "'soon' in host.json is not a time span"), ([], "not a JSON object")],
)
def test_a_wrong_host_json_is_refused_in_words(tmp_path: Path, document: Any, words: str) -> None:
    """The fault is named."""
    with pytest.raises(HostFault, match=words):
        read(tmp_path, document)


def test_a_missing_host_json_says_what_to_do(tmp_path: Path) -> None:
    """The remedy is in the sentence."""
    with pytest.raises(HostFault, match="--app-dir"):
        read_host_json(tmp_path / "host.json")


def test_the_environment_wins_over_the_env_file_and_that_over_local_settings(tmp_path: Path) -> None:
    """Three places, one order."""
    local = tmp_path / "local.settings.json"
    local.write_text(json.dumps({"Values": {"A": "local", "B": "local", "C": "local"}}))
    env_file = tmp_path / "env"
    env_file.write_text("# a comment\nA=file\nB = a=b\n\n")
    environment = {"A": "environment"}

    load_settings(environment, local, env_file)

    assert environment == {"A": "environment", "B": "a=b", "C": "local"}


def test_settings_files_need_not_exist_unless_asked_for(tmp_path: Path) -> None:
    """No local.settings.json is fine; an --env file that is not there is a fault."""
    environment: dict[str, str] = {}
    load_settings(environment, tmp_path / "local.settings.json", None)
    assert environment == {}
    with pytest.raises(HostFault, match="does not exist"):
        load_settings(environment, tmp_path / "local.settings.json", tmp_path / "env")


def test_percent_signs_are_replaced_by_settings() -> None:
    """%NAME% is looked up, and a missing one is named."""
    assert resolve("%A%-%B%", {"A": "x", "B": "y"}) == "x-y"
    with pytest.raises(HostFault, match="setting C is not set"):
        resolve("%C%", {})
