"""What goes wrong on the way into an Exchange mailbox, each in its own sentence."""

import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.connectors.ews import open_mailbox
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.model import Disposition
from tests.connectors.ews_jobs import open_exchange, open_patiently, request, settings_of
from tests.contract.mailbox import UNREAD, listed, mail
from tests.servers.ews import Busy, CutOff, Drip, Exchange, Page, Status
from tests.servers.ews_accounts import Person
from tests.servers.ews_fixture import MAILBOX, OWNER, PASSWORD, exchange, exchange_authority
from tests.servers.ews_soap import SoapFault
from tests.servers.tls import Authority

__all__ = ["exchange", "exchange_authority"]


def fault(server: Exchange, authority: Authority, **fields: Any) -> JobError:
    """What opening the mailbox raises; it names server or mailbox and never tells the password."""
    with pytest.raises(JobError) as caught:
        open_exchange(server, authority, **fields)
    text = str(caught.value)
    assert server.host in text or "mailbox" in text
    assert PASSWORD not in text
    return caught.value


def test_a_wrong_password_ends_it_at_once(exchange: Exchange, exchange_authority: Authority) -> None:
    """One try, told apart from throttling, which Exchange also answers with 401."""
    found = fault(exchange, exchange_authority, password="another")
    assert isinstance(found, AuthFailed)
    assert "refused the sign-in" in found.what
    assert "'mailbox'" in found.remedy
    assert exchange.heard == []
    assert exchange.connections == 1


def test_a_way_to_sign_in_that_is_not_offered_is_named(exchange: Exchange, exchange_authority: Authority) -> None:
    """And so is what is offered."""
    found = fault(exchange, exchange_authority, authentication="ntlm")
    assert isinstance(found, AuthFailed)
    assert "takes no sign-in by ntlm; it offers Basic" in found.what


@pytest.mark.parametrize("password", ["", "line\n"])
def test_a_secret_that_is_no_password_is_not_sent(
    exchange: Exchange, exchange_authority: Authority, password: str
) -> None:
    """Nobody is asked with it."""
    with pytest.raises(ConfigInvalid, match="no usable password"):
        open_exchange(exchange, exchange_authority, password=password)
    assert exchange.connections == 0


def test_an_unknown_mailbox_is_named(exchange: Exchange, exchange_authority: Authority) -> None:
    """With the hint that it may have moved to the cloud."""
    found = fault(exchange, exchange_authority, mailbox="nobody@example.com")
    assert isinstance(found, ConfigInvalid)
    assert "nobody@example.com" in found.what
    assert "exchange_online" in found.remedy


@pytest.mark.parametrize(
    ("access", "remedy"), [("delegate", "Add-MailboxPermission"), ("impersonation", "ApplicationImpersonation")]
)
def test_a_missing_right_says_what_to_grant(
    exchange: Exchange, exchange_authority: Authority, access: str, remedy: str
) -> None:
    """For each of the two ways into somebody else's mailbox."""
    exchange.people["CORP\\service"] = Person(PASSWORD, "service@example.com")
    found = fault(exchange, exchange_authority, username="CORP\\service", access=access)
    assert isinstance(found, ConfigInvalid)
    assert remedy in found.remedy


@pytest.mark.parametrize("access", ["delegate", "impersonation"])
def test_one_service_account_opens_many_mailboxes(
    exchange: Exchange, exchange_authority: Authority, access: str
) -> None:
    """Each job sees the mailbox that it names, and no other."""
    addresses = {MAILBOX, "sales@example.com"}
    rights = {"full_access": addresses} if access == "delegate" else {"may_act_for": addresses}
    exchange.people["service@corp"] = Person(PASSWORD, **rights)  # type: ignore[arg-type] # one of two sets
    for address in addresses:
        exchange.add_mailbox(address).deliver(mail(f"to-{address}"))
    for address in addresses:
        with open_exchange(
            exchange, exchange_authority, username="service@corp", access=access, mailbox=address
        ) as mailbox:
            assert listed(mailbox) == [f"to-{address}"]
    assert {one.acts_for for one in exchange.heard} == (addresses if access == "impersonation" else {""})


def test_a_mailbox_that_shows_no_inbox_is_one_without_rights(exchange: Exchange, exchange_authority: Authority) -> None:
    """What servers call "not found" there means that this account may not see it."""
    del exchange.mailboxes[MAILBOX].folders["inbox"]
    found = fault(exchange, exchange_authority, access="delegate")
    assert isinstance(found, ConfigInvalid)
    assert "Add-MailboxPermission" in found.remedy


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (Status(403), ConfigInvalid, "EwsEnabled"),
        (Status(302, (("Location", "https://elsewhere.example.com/owa"),)), ConfigInvalid, "password was not sent"),
        (
            Status(302, (("Location", "/ews/genericerrorpage.htm?aspxerrorpath=/ews/exchange.asmx"),)),
            Unavailable,
            "302",
        ),
        (Status(200), ConfigInvalid, "does not answer as Exchange Web Services"),
        (Status(500), Unavailable, "HTTP 500"),
        (SoapFault("ErrorMailboxStoreUnavailable"), Unavailable, "ErrorMailboxStoreUnavailable"),
        (SoapFault("ErrorAccountDisabled"), AuthFailed, "does not let"),
        (SoapFault("ErrorNobodyKnows"), ConfigInvalid, "does not answer as"),
    ],
)
def test_an_odd_answer_has_its_own_sentence(
    exchange: Exchange, exchange_authority: Authority, status: Status | SoapFault, kind: type, words: str
) -> None:
    """Each with the class that says what to do, and without the body that came with it."""
    exchange.script("GetFolder", status)
    found = fault(exchange, exchange_authority)
    assert isinstance(found, kind)
    assert words in str(found)
    assert "<html>" not in str(found)


def test_an_address_without_ews_says_so(exchange: Exchange, exchange_authority: Authority) -> None:
    """Another path of the same server, another program on the port."""
    base = exchange.url.removesuffix("/EWS/Exchange.asmx")
    found = fault(exchange, exchange_authority, service_url=f"{base}/owa")
    assert isinstance(found, ConfigInvalid)
    assert "is not there" in found.what
    exchange.pages["/hello"] = Page(Status(200, body=b"<html><body>Welcome!</body></html>"), open=True)
    assert "does not answer as" in fault(exchange, exchange_authority, service_url=f"{base}/hello").what


def test_a_server_of_2010_is_spoken_to_in_its_own_version(exchange_authority: Authority) -> None:
    """And it is not asked for what it does not know (SuppressReadReceipts)."""
    people = {OWNER: Person(PASSWORD, MAILBOX)}
    with Exchange(exchange_authority.issue(), build=(14, 3, 123), schemes={"basic"}, people=people) as server:
        server.add_mailbox(MAILBOX).deliver(mail("one"))
        with open_exchange(server, exchange_authority) as mailbox:
            refs = mailbox.candidates(UNREAD).refs
            (done,) = mailbox.dispose(refs, Disposition(read=True, deleted=True))
            assert [one.error for one in mailbox.purge([done.ref])] == [None]


def test_a_server_that_is_too_old_says_so(exchange: Exchange, exchange_authority: Authority) -> None:
    """After every version has been tried."""
    exchange.script("GetFolder", *[SoapFault("ErrorInvalidServerVersion")] * 20)
    found = fault(exchange, exchange_authority)
    assert isinstance(found, ConfigInvalid)
    assert "no version of EWS" in found.what
    assert len(exchange.heard) < 20


# --- the network -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expired", "trusted", "kind", "words"),
    [
        ("mail.example.com", False, True, ConfigInvalid, "another host name"),
        ("127.0.0.1", True, True, Unavailable, "expired"),
        ("127.0.0.1", False, False, ConfigInvalid, "ca_file"),
    ],
)
def test_a_bad_certificate_ends_it_before_the_password(
    exchange_authority: Authority, *, name: str, expired: bool, trusted: bool, kind: type, words: str
) -> None:
    """Wrong name, expired, unknown CA: each says so, and nobody is asked anything."""
    people = {OWNER: Person(PASSWORD, MAILBOX)}
    with Exchange(exchange_authority.issue(name, expired=expired), schemes={"basic"}, people=people) as server:
        server.add_mailbox(MAILBOX)
        found = fault(server, exchange_authority, ca_file=str(exchange_authority.ca_file) if trusted else None)
    assert isinstance(found, kind)
    assert words in str(found)
    assert server.heard == []


def test_the_environment_changes_nothing(
    exchange: Exchange, exchange_authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A CA bundle or a proxy that is meant for other programs is not ours."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "none.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with open_exchange(exchange, exchange_authority) as mailbox:
        assert listed(mailbox) == []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(exchange_authority.ca_file))
    assert "not trusted" in fault(exchange, exchange_authority, ca_file=None).what


def test_certificates_do_not_leak_between_jobs(
    exchange: Exchange, exchange_authority: Authority, tmp_path: Path
) -> None:
    """Same server, same account, in one process at once: each job trusts what it was told to, and only that."""
    stranger = Authority(tmp_path)
    outcomes: dict[int, list[str]] = {}
    together = threading.Barrier(6)

    def work(number: int) -> None:
        together.wait()
        for _ in range(5):
            try:
                with open_exchange(exchange, stranger if number % 2 else exchange_authority) as mailbox:
                    outcomes.setdefault(number, []).append(f"in {mailbox.candidates(UNREAD).in_box}")
            except ConfigInvalid as refused:
                outcomes.setdefault(number, []).append("not trusted" if "not trusted" in refused.what else str(refused))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {number: ["not trusted" if number % 2 else "in 0"] * 5 for number in range(6)}


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
        open_mailbox(request(settings_of(service_url=f"https://127.0.0.1:{port}/EWS/Exchange.asmx")))


def test_an_unknown_host_name_says_so() -> None:
    """A name that no resolver may ever know (RFC 6761)."""
    with pytest.raises(Unavailable, match="cannot be resolved"):
        open_mailbox(request(settings_of(service_url="https://mail.invalid/EWS/Exchange.asmx")))


def test_a_port_that_speaks_something_else_says_so() -> None:
    """A mail server greets in plain text."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def greet() -> None:
            connected, _ = listener.accept()
            with connected:
                connected.sendall(b"220 mail.example.com ESMTP ready, and a good deal more to say\r\n")
                connected.recv(1)

        greeter = threading.Thread(target=greet)
        greeter.start()
        with pytest.raises(ConfigInvalid, match="does not answer with TLS"):
            open_mailbox(request(settings_of(service_url=f"https://127.0.0.1:{port}/EWS/Exchange.asmx")))
        greeter.join()


# --- busy, slow, cut -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "waits"),
    [
        ([Busy(2_500)], [2.5]),
        ([Busy(0)], [1.0]),
        ([Busy()], [1.0]),
        ([Busy(0), Busy(0), Busy(0)], [1.0, 2.0, 4.0]),
        ([Status(503, (("Retry-After", "7"),))], [7.0]),
        ([SoapFault("ErrorInternalServerTransientError")], [1.0]),
    ],
)
def test_a_busy_server_is_asked_again_after_its_wait(
    exchange: Exchange, exchange_authority: Authority, faults: Sequence[Busy | Status | SoapFault], waits: list[float]
) -> None:
    """As long as it says, and never at once: "0" would be hammering."""
    exchange.mailboxes[MAILBOX].deliver(mail("one"))
    exchange.script("FindItem", *faults)
    waited: list[float] = []
    with open_patiently(exchange, exchange_authority, waited) as mailbox:
        assert listed(mailbox) == ["one"]
    assert waited == waits


def test_a_long_wait_is_left_to_the_next_run(exchange: Exchange, exchange_authority: Authority) -> None:
    """The run ends and tells how long to stay away; it does not sit there for it."""
    exchange.script("FindItem", Busy(290_000))
    waited: list[float] = []
    with (
        open_patiently(exchange, exchange_authority, waited) as mailbox,
        pytest.raises(Unavailable, match="busy") as caught,
    ):
        mailbox.candidates(UNREAD)
    assert caught.value.retry_after
    assert caught.value.retry_after.total_seconds() == 290
    assert waited == []


def test_a_server_that_stays_busy_ends_the_run(exchange: Exchange, exchange_authority: Authority) -> None:
    """The waits together are bounded, whatever it says each time."""
    exchange.script("FindItem", *[Busy(0)] * 50)
    waited: list[float] = []
    with open_patiently(exchange, exchange_authority, waited) as mailbox, pytest.raises(Unavailable):
        mailbox.candidates(UNREAD)
    assert 20 < sum(waited) <= 45


def test_no_wait_is_longer_than_the_run(exchange: Exchange, exchange_authority: Authority) -> None:
    """With ten seconds left, a wait of twelve is for the next run."""
    exchange.script("FindItem", Busy(12_000))
    waited: list[float] = []
    with open_patiently(exchange, exchange_authority, waited, seconds=10) as mailbox, pytest.raises(Unavailable):
        mailbox.candidates(UNREAD)
    assert waited == []


def test_a_refusal_after_the_sign_in_is_throttling(exchange: Exchange, exchange_authority: Authority) -> None:
    """Exchange says 401 when it has too much to do. It is not tried again: the password may just have been changed."""
    waited: list[float] = []
    with open_patiently(exchange, exchange_authority, waited) as mailbox:
        exchange.people[OWNER].password = "changed"
        with pytest.raises(Unavailable, match="refused a sign-in that it took before"):
            mailbox.candidates(UNREAD)
    assert waited == []
    assert exchange.operations() == ["GetFolder"]


def test_a_server_that_never_ends_its_answer_is_cut_off(exchange: Exchange, exchange_authority: Authority) -> None:
    """An octet now and then keeps every silence short; the exchange as a whole has a limit, and so has the run."""
    exchange.script("FindItem", Drip())
    with (
        open_exchange(exchange, exchange_authority, seconds=1.5) as mailbox,
        pytest.raises(Unavailable, match="did not finish listing unread messages in time"),
    ):
        mailbox.candidates(UNREAD)


def test_nothing_is_asked_when_the_time_is_up(exchange: Exchange, exchange_authority: Authority) -> None:
    """Not even the sign-in."""
    found = fault(exchange, exchange_authority, seconds=0)
    assert "time of the run was up" in found.what
    assert exchange.connections == 0


def test_a_cut_connection_ends_a_listing(exchange: Exchange, exchange_authority: Authority) -> None:
    """What is half there is not taken for the whole."""
    exchange.mailboxes[MAILBOX].deliver(mail("one"))
    exchange.script("FindItem", CutOff(done=True))
    with open_exchange(exchange, exchange_authority) as mailbox:
        with pytest.raises(Unavailable, match="lost while listing"):
            mailbox.candidates(UNREAD)
        assert listed(mailbox) == ["one"]
