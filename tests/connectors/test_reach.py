"""The way to a server, step by step: what each step finds, and what it says when it fails."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from shared.connectors import Approach, Found
from shared.errors import ConfigInvalid, JobError, Unavailable
from shared.ports import Deadline, Endpoint, NoEndpoint
from tests.fakes.mailbox import FakeSettings
from tests.servers.scripted_imap import ScriptedImap, Step
from tests.servers.scripted_pop3 import ScriptedPop3
from tests.servers.scripted_pop3 import Step as PopStep
from tests.servers.tls import HOST, Authority

_IMAP_OFFER = Step("CAPABILITY$", "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK done\r\n")
_IMAP_STARTS = Step("STARTTLS$", "{tag} OK begin\r\n", "starttls")
_POP_OFFER = PopStep("CAPA$", "+OK\r\nUSER\r\nSTLS\r\n.\r\n")
_POP_STARTS = PopStep("STLS$", "+OK begin\r\n", "starttls")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A CA of the test's own."""
    return Authority(tmp_path)


def deadline(seconds: float = 30) -> Deadline:
    """That much time left."""
    return Deadline(datetime.now(UTC) + timedelta(seconds=seconds), lambda: datetime.now(UTC))


@contextmanager
def approach(port: int, tls: Literal["at once", "imap4", "pop3", "none"], **fields: Any) -> Iterator[Approach]:
    """An approach to a server of the test."""
    seconds = fields.pop("seconds", 30)
    endpoint = Endpoint(HOST, port, tls, setting="host", ports=(993, 143), **fields)
    one = Approach(endpoint, deadline(seconds))
    try:
        yield one
    finally:
        one.close()


def secured(port: int, tls: Literal["at once", "imap4", "pop3", "none"], **fields: Any) -> Found:
    """What the third step finds."""
    with approach(port, tls, **fields) as one:
        one.connect()
        return one.secure()


def test_tls_begins_by_starttls_in_imap4(authority: Authority) -> None:
    """Greeting, capabilities, STARTTLS; then the certificate is looked at."""
    with ScriptedImap([_IMAP_OFFER, _IMAP_STARTS], tls=authority.issue()) as server:
        found = secured(server.port, "imap4", ca_file=str(authority.ca_file))
    assert found.applies
    assert "certificate for 127.0.0.1 until" in found.detail


def test_tls_begins_by_stls_in_pop3(authority: Authority) -> None:
    """Greeting, CAPA, STLS; then the certificate is looked at."""
    with ScriptedPop3([_POP_OFFER, _POP_STARTS], tls=authority.issue()) as server:
        found = secured(server.port, "pop3", ca_file=str(authority.ca_file))
    assert found.applies
    assert "certificate for 127.0.0.1 until" in found.detail


def test_a_certificate_that_starttls_shows_is_read_although_it_is_refused(authority: Authority) -> None:
    """On a second connection, on which nothing else is said."""
    talk = [_IMAP_OFFER, _IMAP_STARTS]
    with (
        ScriptedImap(talk, talk, tls=authority.issue("other.example.com")) as server,
        approach(server.port, "imap4", ca_file=str(authority.ca_file)) as one,
    ):
        one.connect()
        with pytest.raises(ConfigInvalid, match="another host name"):
            one.secure()
        assert "is for other.example.com" in one.certificate
    assert set(server.heard) == {"CAPABILITY", "STARTTLS"}


@pytest.mark.parametrize("protocol", ["imap4", "pop3"])
def test_where_starttls_may_be_missing_plain_text_is_a_warning(protocol: Literal["imap4", "pop3"]) -> None:
    """As the job is set up; where it may not be missing, that ends the test."""
    silent = ScriptedImap if protocol == "imap4" else ScriptedPop3
    talk: Any = (
        Step("CAPABILITY", "* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n")
        if protocol == "imap4"
        else PopStep("CAPA", "-ERR what?\r\n")
    )
    with silent([talk], [talk]) as server:
        found = secured(server.port, protocol, tls_optional=True)
        with pytest.raises(ConfigInvalid, match="does not offer STARTTLS") as caught:
            secured(server.port, protocol)
    assert (found.applies, found.warning) == (False, "The connection stays in plain text.")
    assert "993" in caught.value.remedy


@pytest.mark.parametrize("protocol", ["imap4", "pop3"])
@pytest.mark.parametrize("greeting", [b"220 mail.example.com ESMTP\r\n", b"* BYE busy\r\n", b"-ERR busy\r\n"])
def test_a_server_that_greets_otherwise_is_another_one(protocol: Literal["imap4", "pop3"], greeting: bytes) -> None:
    """A wrong port, most of the time; nothing is said to it."""
    with (
        ScriptedImap([], greeting=greeting) as server,
        pytest.raises(ConfigInvalid, match="does not greet as") as caught,
    ):
        secured(server.port, protocol)
    assert "port" in caught.value.remedy
    assert server.heard == []


def test_starttls_that_is_offered_and_refused_is_no_plain_text() -> None:
    """Somebody in between could have it refused."""
    refuses = Step("STARTTLS$", "{tag} NO not now\r\n")
    with (
        ScriptedImap([_IMAP_OFFER, refuses]) as server,
        pytest.raises(Unavailable, match="refuses to begin"),
    ):
        secured(server.port, "imap4", tls_optional=True)


def test_a_server_that_says_nothing_is_waited_for_until_the_time_is_up() -> None:
    """As the TLS port of a server does to whoever waits for a greeting; the remedy names the usual port."""
    with (
        socket.create_server((HOST, 0)) as deaf,
        pytest.raises(Unavailable) as caught,
    ):
        secured(deaf.getsockname()[1], "imap4", seconds=0.5)
    assert "143" in caught.value.remedy


def test_a_server_that_hangs_up_is_lost() -> None:
    """Before it has said anything."""
    with ScriptedImap() as server, pytest.raises(Unavailable, match="was lost"):
        secured(server.port, "imap4")


def test_plain_text_has_no_certificate() -> None:
    """Nothing is asked for."""
    with socket.create_server((HOST, 0)) as deaf:
        assert not secured(deaf.getsockname()[1], "none").applies


@pytest.mark.parametrize("fixed", [True, False])
def test_whoever_cannot_set_the_address_is_not_told_to(authority: Authority, *, fixed: bool) -> None:
    """A fixed address with a wrong certificate means that somebody is in between."""
    with ScriptedImap([], [], tls=authority.issue("proxy.example.com"), at_once=True) as server:
        place = Endpoint(HOST, server.port, ca_file=str(authority.ca_file), setting="" if fixed else "service_url")
        one = Approach(place, deadline())
        one.connect()
        with pytest.raises(JobError) as caught:
            one.secure()
        one.close()
    assert ("proxy or firewall" if fixed else "Set service_url") in caught.value.remedy


def test_a_mailbox_without_a_network_has_nothing_to_reach() -> None:
    """Which is so unless its settings say otherwise."""
    found = FakeSettings().endpoint_to_reach()
    assert isinstance(found, NoEndpoint)
    assert "network" in found.why
