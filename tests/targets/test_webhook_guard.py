"""Where a `webhook` target may go: judged by address, at the moment of connecting."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from shared.errors import ConfigInvalid
from shared.targets._webhook_guard import is_allowed
from shared.targets._webhook_target import WebhookTarget
from shared.targets.webhook import WebhookSettings
from tests.builders import NOW
from tests.contract.target_world import ids, new
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage
from tests.servers.tracker import TOKEN, Tracker, tracker_block
from tests.servers.web_api import ApiAnswer
from tests.targets.requests import make_target_request
from tests.targets.test_webhook import where_of

NEVER = [
    "169.254.169.254",  # where clouds hand out credentials
    "169.254.1.1",
    "168.63.129.16",  # Azure's platform
    "fe80::1",
    "fe80::1%eth0",
    "0.0.0.0",  # noqa: S104 (nothing is bound to it)
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]
PRIVATE = ["10.0.0.1", "172.16.5.4", "192.168.1.1", "127.0.0.1", "::1", "fd00::1", "100.64.0.1", "::ffff:10.0.0.1"]
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", NEVER)
def test_never(address: str) -> None:
    """Link-local and platform addresses, also those written into an IPv6 one, whatever the job says."""
    assert not is_allowed(address, allow_private=False)
    if address != "255.255.255.255":
        assert not is_allowed(address, allow_private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_only_where_the_job_says_so(address: str) -> None:
    """Private, loopback, and those of carriers."""
    assert not is_allowed(address, allow_private=False)
    assert is_allowed(address, allow_private=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_ones_always(address: str) -> None:
    """The internet."""
    assert is_allowed(address, allow_private=False)


class Names:
    """A resolver that answers each question with the next of its answers."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, _port: int) -> Sequence[str]:
        """The next answer; the last one for ever."""
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def _target(block: dict[str, Any], names: Names) -> WebhookTarget:
    settings = WebhookSettings.model_validate(block)
    clock = FakeClock(NOW)
    request = make_target_request(settings, FakeStorage(clock), clock=clock, tracker_token=TOKEN)
    return WebhookTarget(
        request, settings.program, where_of(settings), values=settings.all_values, resolve=names, pause=_never
    )


def _never(seconds: float) -> None:
    raise AssertionError(seconds)


@contextmanager
def _listening() -> Iterator[tuple[int, list[object]]]:
    """A port of this machine, and the connections to it that were made."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        made: list[object] = []
        yield server.getsockname()[1], made
        try:
            connection, _ = server.accept()
        except BlockingIOError:
            return
        made.append(connection)
        connection.close()


def test_a_name_of_a_private_address_is_not_called() -> None:
    """The error names the host, its address and the setting; no connection is made."""
    with _listening() as (port, made):
        block = tracker_block(f"http://tracker.example:{port}", allow_private=False)
        with pytest.raises(ConfigInvalid, match="allow_private") as told:
            _target(block, Names(["127.0.0.1"])).apply([new(1)])
        assert "127.0.0.1" in str(told.value)
    assert made == []


def test_a_number_in_the_url_is_judged_too() -> None:
    """In whatever way it is written: the system's resolver turns it into an address first."""
    for host in ("127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"):
        settings = WebhookSettings.model_validate(tracker_block(f"http://{host}:9", allow_private=False))
        clock = FakeClock(NOW)
        request = make_target_request(settings, FakeStorage(clock), clock=clock, tracker_token=TOKEN)
        target = WebhookTarget(request, settings.program, where_of(settings), values={})
        with pytest.raises(ConfigInvalid, match="allow_private"):
            target.apply([new(1)])


def test_a_name_that_moves_between_two_questions_reaches_nothing() -> None:
    """Judged and connected is the same address: there is no second question whose answer could differ."""
    with Tracker() as tracker, _listening() as (port, made):
        names = Names(["127.0.0.1"], ["169.254.169.254"])
        target = _target(tracker_block(f"http://tracker.example:{tracker.port}"), names)
        ids(target.apply([new(1)]))
        assert names.asked == ["tracker.example"]
        assert tracker.requests[0].headers["host"] == f"tracker.example:{tracker.port}"
        other = _target(tracker_block(f"http://tracker.example:{port}"), names)
        with pytest.raises(ConfigInvalid):
            other.apply([new(2)])
    assert made == []


def test_of_several_addresses_only_allowed_ones_are_tried() -> None:
    """The first that answers."""
    with Tracker() as tracker:
        names = Names(["169.254.169.254", "127.0.0.2", "127.0.0.1"])
        ids(_target(tracker_block(f"http://tracker.example:{tracker.port}"), names).apply([new(1)]))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    """Neither to a private address nor anywhere else: our secrets are not for the next one."""
    with Tracker() as tracker, _listening() as (port, made):
        tracker.instead = ApiAnswer(status, None, {"Location": f"http://127.0.0.1:{port}/"})
        with pytest.raises(ConfigInvalid, match="somewhere else"):
            _target(tracker_block(tracker.url), Names(["127.0.0.1"])).apply([new(1)])
        assert len(tracker.requests) == 1
    assert made == []
