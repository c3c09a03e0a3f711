"""Reaching a POP3 server and signing in: each failure has its own words, and no secret ever shows."""

import base64
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.connectors._pop_connection import Connection
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from tests.connectors.imap_jobs import PASSWORD
from tests.connectors.pop_jobs import PICKING, open_scripted, request, settings_of
from tests.servers.scripted_pop3 import OK, ScriptedPop3, Step, capable, listing, signed_in
from tests.servers.tls import Authority

PLAIN = base64.b64encode(f"\0u\0{PASSWORD}".encode()).decode()


def fault(server: ScriptedPop3, **options: Any) -> JobError:
    """The error with which opening the mailbox ends; never with the password in it."""
    with pytest.raises(JobError) as caught:
        open_scripted(server, **options)
    chain: BaseException | None = caught.value
    while chain:
        assert options.get("password", PASSWORD) not in str(chain)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    return caught.value


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"-ERR too busy now\r\n", "too busy now"),
        (b"HTTP/1.1 400 Bad Request\r\n", "greeting"),
        (b"\r\n", "greeting"),
        (b"", "in time"),
        (b"+OK half a line", "in time"),
        (b"+OK" + b"x" * 10_000 + b"\r\n", "greeting"),
    ],
)
def test_a_bad_greeting_is_unavailable(greeting: bytes, words: str) -> None:
    """Nonsense, a farewell, or silence: the server is not there for us now."""
    with ScriptedPop3([], greeting=greeting) as server:
        found = fault(server, seconds=1.5 if words == "in time" else 30)
    assert isinstance(found, Unavailable)
    assert words in found.what


def test_a_server_that_closes_at_once_is_unavailable() -> None:
    """No greeting at all."""
    with ScriptedPop3() as server:
        found = fault(server)
    assert isinstance(found, Unavailable)
    assert "greeting" in found.what


def test_a_server_that_never_finishes_is_cut_off() -> None:
    """One octet now and then keeps every read alive; the limit of the whole exchange ends it all the same."""
    began = time.monotonic()
    with ScriptedPop3([Step("CAPA", "+OK\r\n", then="drip")]) as server:
        found = fault(server, seconds=0.7)
    assert "in time" in found.what
    assert time.monotonic() - began < 10


def test_no_time_left_means_no_connection() -> None:
    """A run whose time is up dials nobody."""
    from shared.connectors.pop import open_mailbox

    with pytest.raises(Unavailable, match="time of the run"):
        open_mailbox(request(settings_of(), seconds=-1))


# --- TLS


@pytest.mark.parametrize("capabilities", [Step("CAPA", "-ERR what?\r\n"), capable("USER")])
def test_missing_stls_ends_it_before_the_password(capabilities: Step) -> None:
    """``starttls`` never goes on in plain text."""
    with ScriptedPop3([capabilities]) as server:
        found = fault(server, security="starttls")
    assert isinstance(found, ConfigInvalid)
    assert "STARTTLS" in found.what
    assert server.heard == ["CAPA"]


def test_starttls_if_available_goes_on_without() -> None:
    """That is what it was allowed for."""
    with ScriptedPop3([*signed_in(), *listing({})]) as server, open_scripted(server, security="starttls_if_available"):
        pass
    assert [line.split()[0] for line in server.heard][:4] == ["CAPA", "USER", "PASS", "CAPA"]


def test_what_is_slipped_in_before_tls_is_not_believed(tmp_path: Path) -> None:
    """An answer that a man in the middle sends along in plain text is not taken for one within TLS."""
    authority = Authority(tmp_path)
    slipped = "+OK\r\nSASL NONE\r\n.\r\n"
    steps = [capable("STLS"), Step("STLS", OK + slipped, "starttls"), *signed_in(), *listing({"a": 9})]
    with (
        ScriptedPop3(steps, tls=authority.issue()) as server,
        open_scripted(server, security="starttls", ca_file=str(authority.ca_file)) as mailbox,
    ):
        assert len(mailbox.candidates(PICKING).refs) == 1


def test_a_certificate_for_another_name_is_refused_before_the_password(tmp_path: Path) -> None:
    """The name is checked with STLS as with TLS."""
    authority = Authority(tmp_path)
    steps = [capable("STLS"), Step("STLS", OK, "starttls")]
    with ScriptedPop3(steps, tls=authority.issue("mail.example.com")) as server:
        found = fault(server, security="starttls", ca_file=str(authority.ca_file))
    assert isinstance(found, ConfigInvalid)
    assert "another host name" in found.what
    assert server.heard == ["CAPA", "STLS"]


# --- signing in


@pytest.mark.parametrize(
    ("offered", "how", "said"),
    [
        (["USER"], "auto", ["USER u", f"PASS {PASSWORD}"]),
        (["USER", "SASL PLAIN LOGIN"], "auto", ["AUTH PLAIN", PLAIN]),
        (["SASL PLAIN"], "plain", ["AUTH PLAIN", PLAIN]),
        (["USER", "SASL PLAIN"], "user", ["USER u", f"PASS {PASSWORD}"]),
        # The digest of RFC 1939 section 7's greeting with our password.
        (["USER"], "apop", ["APOP u 9f313ccb21a0ada72a1cc5ba66f560e6"]),
    ],
)
def test_each_way_to_sign_in_says_what_it_should(offered: list[str], how: str, said: list[str]) -> None:
    """``auto`` takes AUTH PLAIN where it is offered, else USER and PASS."""
    answers = [Step(".*", "+ \r\n" if line.startswith("AUTH") else OK) for line in said]
    steps = [capable(*offered), *answers, capable(), *listing({})]
    with ScriptedPop3(steps) as server, open_scripted(server, authentication=how):
        pass
    assert server.heard[1 : 1 + len(said)] == said


def test_a_server_without_capa_is_asked_the_old_way() -> None:
    """CAPA is younger than POP3: USER and PASS are tried."""
    none = Step("CAPA", "-ERR unknown\r\n")
    with (
        ScriptedPop3([none, Step("USER u$"), Step(f"PASS {PASSWORD}$"), none, *listing({"a": 1})]) as server,
        open_scripted(server) as mailbox,
    ):
        assert len(mailbox.candidates(PICKING).refs) == 1


@pytest.mark.parametrize("offered", [["UIDL"], ["SASL NTLM", "STLS"]])
def test_a_server_that_takes_no_passwords_gets_none(offered: list[str]) -> None:
    """Neither USER nor PLAIN among its capabilities ends it before the password."""
    with ScriptedPop3([capable(*offered)]) as server:
        found = fault(server)
    assert isinstance(found, ConfigInvalid)
    assert server.heard == ["CAPA"]


def test_apop_without_a_timestamp_says_so() -> None:
    """Nothing is sent to a server that cannot know it."""
    with ScriptedPop3([capable("USER")], greeting=b"+OK hello\r\n") as server:
        found = fault(server, authentication="apop")
    assert isinstance(found, ConfigInvalid)
    assert "APOP" in found.what
    assert server.heard == ["CAPA"]


@pytest.mark.parametrize(
    ("answer", "then", "kind", "words"),
    [
        ("-ERR [AUTH] Authentication failed.\r\n", "go on", AuthFailed, "Authentication failed"),
        ("-ERR\r\n", "go on", AuthFailed, "no reason given"),
        (f"-ERR I do not like {PASSWORD}\r\n", "go on", AuthFailed, "(the password)"),
        ("-ERR [IN-USE] maildrop is locked\r\n", "go on", Unavailable, "Another session holds the mailbox 'u'"),
        ("-ERR [SYS/TEMP] backend is away\r\n", "go on", Unavailable, "backend is away"),
        ("-ERR [SYS/PERM] corrupt\r\n", "go on", ConfigInvalid, "corrupt"),
        ("nonsense\r\n", "go on", Unavailable, "makes no sense"),
        ("+ what?\r\n", "go on", Unavailable, "makes no sense"),
        ("", "close", Unavailable, "lost while signing in"),
    ],
)
def test_a_failed_sign_in_tells_no_from_not_now(answer: str, then: Any, kind: type, words: str) -> None:
    """Only a real refusal counts as one: a locked mailbox or a busy server must not back off for hours."""
    with ScriptedPop3([capable("USER"), Step("USER"), Step("PASS", answer, then)]) as server:
        found = fault(server)
    assert type(found) is kind
    assert words in found.what


def test_a_refused_sign_in_says_which_secret_to_look_at() -> None:
    """And whom it was for."""
    with ScriptedPop3(
        [capable("SASL PLAIN"), Step("AUTH PLAIN", "+ \r\n"), Step(".*", "-ERR [AUTH] no\r\n")]
    ) as server:
        found = fault(server)
    assert isinstance(found, AuthFailed)
    assert "'u'" in found.what
    assert "'mailbox'" in found.remedy


def test_a_login_delay_is_kept_to() -> None:
    """The seconds that the server announced (RFC 2449 section 6.5) are how long the job stays away."""
    refused = Step("PASS", "-ERR [LOGIN-DELAY] minimum time between mail checks\r\n")
    with ScriptedPop3([capable("USER", "LOGIN-DELAY 900"), Step("USER"), refused]) as server:
        found = fault(server)
    assert isinstance(found, Unavailable)
    assert found.retry_after == timedelta(minutes=15)


@pytest.mark.parametrize("password", ["", "two\r\nlines", "nul\x00"])
def test_a_password_that_cannot_travel_is_not_sent(password: str) -> None:
    """A line end within it would be a command of its own."""
    with ScriptedPop3([capable("USER")]) as server, pytest.raises(ConfigInvalid, match="'mailbox'"):
        open_scripted(server, password=password)
    assert server.heard == ["CAPA"]


def test_a_sasl_dialogue_answers_each_challenge() -> None:
    """What XOAUTH2 needs: a first response, an answer to the challenge that explains a failure, then the refusal."""
    challenge = base64.b64encode(b'{"status":"401"}').decode()
    steps = [
        capable("SASL XOAUTH2"),
        Step("AUTH XOAUTH2$", "+ \r\n"),
        Step(base64.b64encode(b"first").decode(), f"+ {challenge}\r\n"),
        Step("$", "-ERR [AUTH] no\r\n"),
    ]
    heard: list[bytes] = []

    def respond(challenge: bytes) -> bytes:
        heard.append(challenge)
        return b"" if challenge else b"first"

    with ScriptedPop3(steps) as server:
        connection = Connection(server.host, server.port, request(settings_of()).deadline)
        connection.greet(None)
        with pytest.raises(Unavailable, match=r"\[AUTH\] no"):
            connection.authenticate("XOAUTH2", respond)
        connection.close()
    assert heard == [b"", b'{"status":"401"}']


@pytest.mark.parametrize(("challenge", "times"), [("+ no base64!\r\n", 1), ("+ \r\n", 6)])
def test_a_sasl_dialogue_without_end_is_left(challenge: str, times: int) -> None:
    """What is no base64, or the same question again and again, ends the connection."""
    with ScriptedPop3([capable("SASL PLAIN"), *[Step(".*", challenge)] * times]) as server:
        found = fault(server)
    assert isinstance(found, Unavailable)
    assert "makes no sense" in found.what
