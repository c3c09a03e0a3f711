"""Azurite is installed once, and serves as the fault tests need it."""

import threading
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError, ServiceResponseError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from dev.azurite import VERSION, Azurite, AzuriteFault, install
from dev.ports import free_ports

ENTITY = {"PartitionKey": "p", "RowKey": "r"}


def test_all_three_services_answer_to_the_connection_string(azurite: Azurite, prefix: str) -> None:
    """Tables, queues and blobs are there."""
    with TableServiceClient.from_connection_string(azurite.connection_string) as tables:
        tables.create_table(prefix).create_entity(ENTITY)
        assert tables.get_table_client(prefix).get_entity("p", "r") == ENTITY
    with QueueServiceClient.from_connection_string(azurite.connection_string) as queues:
        assert queues.create_queue(prefix).send_message("x").content == "x"
    with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
        blobs.create_container(prefix).upload_blob("b", b"x")
        assert blobs.get_blob_client(prefix, "b").download_blob().readall() == b"x"


def test_it_comes_back_on_its_ports_with_its_data() -> None:
    """After stop and start, the same client finds what it wrote."""
    with Azurite() as server:
        connection = server.connection_string
        with TableServiceClient.from_connection_string(connection) as tables:
            tables.create_table("things").create_entity(ENTITY)
            server.stop()
            server.start()
            assert tables.get_table_client("things").get_entity("p", "r") == ENTITY
        assert server.connection_string == connection


def test_while_paused_it_hangs_and_then_goes_on() -> None:
    """A paused server answers nothing until it is resumed."""
    with Azurite(in_memory=True) as server:
        limits = {"read_timeout": 0.2, "connection_timeout": 0.2, "retry_total": 0}
        with TableServiceClient.from_connection_string(server.connection_string, **limits) as tables:
            server.pause()
            with pytest.raises((ServiceResponseError, AzureError)):
                tables.create_table("things")
            server.resume()
        with TableServiceClient.from_connection_string(server.connection_string) as tables:
            assert [table.name for table in tables.list_tables()] in ([], ["things"])


def test_free_ports_are_different_ones() -> None:
    """Three servers get three ports, none of which clients are lent."""
    ports = free_ports(3)

    assert len(set(ports)) == 3
    assert all(1024 < port < 32768 for port in ports)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Node that is new enough, and an npm that keeps a log of its calls instead of going to the network."""
    tools = tmp_path / "bin"
    tools.mkdir()
    log = tmp_path / "npm.log"
    for name, script in {
        "node": "echo v24.0.0",
        "npm": f'echo "$@" >> {log}; cat {tmp_path}/refusal >&2 && exit 1; :',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    return log


def test_npm_is_called_once_however_many_install_at_once(tmp_path: Path, npm: Path) -> None:
    """Four installs at the same time, and one more later, make one call of npm."""
    home = tmp_path / "azurite"
    threads = [threading.Thread(target=install, args=(home,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    install(home)

    (call,) = npm.read_text().splitlines()
    assert f"azurite@{VERSION}" in call
    assert f"--prefix {home}" in call


def test_an_install_that_failed_says_what_npm_said_and_is_tried_again(tmp_path: Path, npm: Path) -> None:
    """No half-made install counts as done."""
    refusal = tmp_path / "refusal"
    refusal.write_text("no such registry")
    with pytest.raises(AzuriteFault, match=r"could not install Azurite(.|\n)*no such registry"):
        install(tmp_path / "azurite")
    refusal.unlink()

    install(tmp_path / "azurite")
    assert len(npm.read_text().splitlines()) == 2
