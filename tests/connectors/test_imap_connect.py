"""What goes wrong on the way to an IMAP server, each in its own sentence."""

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.connectors.imap import open_mailbox
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from tests.connectors.imap_jobs import PASSWORD, open_dovecot, open_scripted, request, settings_of
from tests.servers.dovecot import Dovecot
from tests.servers.scripted_imap import ScriptedImap, Step, capable, opened, signed_in
from tests.servers.tls import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A CA that only ``ca_file`` makes known."""
    return Authority(tmp_path)


def fault(server: ScriptedImap, **fields: Any) -> JobError:
    """What opening the mailbox raises; it never tells the password."""
    with pytest.raises(JobError) as caught:
        open_scripted(server, **fields)
    assert server.host in str(caught.value) or "secret" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("name", "expired", "trusted", "kind", "words"),
    [
        ("mail.example.com", False, True, ConfigInvalid, "another host name"),
        ("127.0.0.1", True, True, Unavailable, "expired"),
        ("127.0.0.1", False, False, ConfigInvalid, "ca_file"),
    ],
)
@pytest.mark.parametrize("security", ["tls", "starttls_if_available"])
def test_a_bad_certificate_ends_it_before_the_password(
    authority: Authority, *, security: str, name: str, expired: bool, trusted: bool, kind: type, words: str
) -> None:
    """Wrong name, expired, unknown CA: each says so; STARTTLS that is offered must hold, or nothing goes on."""
    upgrade = [capable("STARTTLS"), Step("STARTTLS", then="starttls")]
    talk: Sequence[Step] = [] if security == "tls" else upgrade
    certificate = authority.issue(name, expired=expired)
    with ScriptedImap(talk, tls=certificate, at_once=security == "tls") as server:
        ca_file = str(authority.ca_file) if trusted else None
        found = fault(server, security=security, ca_file=ca_file)
    assert isinstance(found, kind)
    assert words in str(found)
    assert not [line for line in server.heard if "LOGIN" in line]


def test_plain_text_on_the_tls_port_is_recognised(dovecot: Dovecot) -> None:
    """The port and the mode do not fit: the sentence names both."""
    with pytest.raises(ConfigInvalid) as caught:
        open_dovecot(dovecot, dovecot.new_mailbox(), port=dovecot.imap_port)
    assert "does not answer with TLS" in caught.value.what
    assert "143" in caught.value.remedy


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_is_none_says_so(tmp_path: Path, content: bytes | None) -> None:
    """Missing, empty or nonsense: before anything is dialled."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigInvalid, match=r"ca\.pem"):
        open_mailbox(request(settings_of(ca_file=str(path))))


def test_a_refused_connection_names_host_and_port() -> None:
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port} cannot be reached"):
        open_mailbox(request(settings_of(host="127.0.0.1", port=port)))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "ü" * 70])
def test_an_unknown_host_says_so(host: str) -> None:
    """A name that DNS does not know, or that cannot be one."""
    with pytest.raises(Unavailable, match="cannot be resolved"):
        open_mailbox(request(settings_of(host=host)))


def test_missing_starttls_ends_it_before_the_password() -> None:
    """``starttls`` never goes on in plain text."""
    with ScriptedImap([capable()]) as server:
        found = fault(server, security="starttls")
    assert isinstance(found, ConfigInvalid)
    assert "STARTTLS" in found.what
    assert server.heard == ["CAPABILITY", "LOGOUT"]


def test_starttls_if_available_goes_on_without() -> None:
    """That is what it was allowed for."""
    with (
        ScriptedImap([*signed_in(), opened()]) as server,
        open_scripted(server, security="starttls_if_available") as mailbox,
    ):
        assert mailbox.identity.endswith("/INBOX")
    assert [line.split()[0] for line in server.heard] == ["CAPABILITY", "LOGIN", "EXAMINE", "LOGOUT"]


@pytest.mark.parametrize(
    ("greeting", "kind", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", Unavailable, "greeting"),
        (b"* BYE too busy now\r\n", Unavailable, "too busy now"),
        (b"\r\n", Unavailable, "greeting"),
        (b"", Unavailable, "in time"),
        (b"* OK half a line", Unavailable, "in time"),
    ],
)
def test_a_bad_greeting_is_unavailable(greeting: bytes, kind: type, words: str) -> None:
    """Nonsense, a farewell, or silence: the server is not there for us now."""
    with ScriptedImap([], greeting=greeting) as server:
        found = fault(server, seconds=0.5 if words == "in time" else 30)
    assert isinstance(found, kind)
    assert words in found.what


def test_a_greeting_that_signs_us_in_is_refused() -> None:
    """PREAUTH is what a man in the middle would say to get around STARTTLS (RFC 9051 section 11.1)."""
    with ScriptedImap([capable("STARTTLS")], greeting=b"* PREAUTH welcome\r\n") as server:
        found = fault(server, security="starttls")
    assert isinstance(found, ConfigInvalid)
    assert "PREAUTH" in found.what


def test_a_server_that_never_finishes_is_cut_off() -> None:
    """One octet now and then keeps every read alive; the limit of the whole exchange ends it all the same."""
    began = time.monotonic()
    with ScriptedImap([Step("CAPABILITY", "* CAPABILITY ", then="drip")]) as server:
        found = fault(server, seconds=0.7)
    assert isinstance(found, Unavailable)
    assert "in time" in found.what
    assert time.monotonic() - began < 10


def test_no_time_left_means_no_connection() -> None:
    """A run whose time is up dials nobody."""
    with pytest.raises(Unavailable, match="time of the run"):
        open_mailbox(request(settings_of(), seconds=-1))


@pytest.mark.parametrize(
    ("answer", "then", "kind", "words"),
    [
        ("{tag} NO [AUTHENTICATIONFAILED] Invalid credentials\r\n", "go on", AuthFailed, "Invalid credentials"),
        ("{tag} NO [EXPIRED] password expired\r\n", "go on", AuthFailed, "expired"),
        (f'{{tag}} BAD I do not like LOGIN u "{PASSWORD}"\r\n', "go on", AuthFailed, "(the password)"),
        ("{tag} NO [UNAVAILABLE] backend is away\r\n", "go on", Unavailable, "backend is away"),
        ("{tag} NO [LIMIT] too many connections\r\n", "go on", Unavailable, "too many"),
        ("* BYE maintenance\r\n", "close", Unavailable, "maintenance"),
        ("", "close", Unavailable, "lost while signing in"),
    ],
)
def test_a_failed_sign_in_tells_no_from_not_now(answer: str, then: Any, kind: type, words: str) -> None:
    """Only a real refusal counts as one: a lost connection or a busy server must not back off for hours."""
    with ScriptedImap([capable(), Step("LOGIN ", answer, then=then)]) as server:
        found = fault(server)
    assert isinstance(found, kind)
    assert words in str(found)


def test_a_server_that_forbids_passwords_gets_none() -> None:
    """LOGINDISABLED (RFC 3501 section 6.2.3) without another way ends it before the password."""
    with ScriptedImap([capable("LOGINDISABLED")]) as server:
        found = fault(server)
    assert isinstance(found, ConfigInvalid)
    assert server.heard == ["CAPABILITY", "LOGOUT"]


@pytest.mark.parametrize("password", ["", "two\r\nlines", "nul\x00"])
def test_a_password_that_cannot_travel_is_not_sent(password: str) -> None:
    """A line end within it would be a command of its own."""
    with ScriptedImap([capable()]) as server:
        found = fault(server, password=password)
    assert isinstance(found, ConfigInvalid)
    assert "'mailbox'" in found.what


def test_a_missing_secret_closes_the_connection() -> None:
    """The store's own error comes through."""
    with ScriptedImap([capable()]) as server, pytest.raises(ConfigInvalid, match="no secret 'other'"):
        open_scripted(server, password_secret="other")
    assert server.heard == ["CAPABILITY", "LOGOUT"]
