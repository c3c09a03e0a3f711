"""What is POP3's own, on Dovecot: the ways to connect and sign in, and what leaving leaves behind."""

import logging

import pytest

from shared.errors import AuthFailed, ConfigInvalid, MessageGone
from shared.model import Disposition
from tests.connectors.pop_jobs import PICKING, open_dovecot
from tests.servers.dovecot import Dovecot
from tests.servers.imap_host import User

DELETED = Disposition(deleted=True, purge=True)
MAIL = b"Subject: hello\r\n\r\nbody\r\n"


@pytest.fixture
def user(dovecot: Dovecot) -> User:
    """An empty mailbox."""
    return dovecot.new_mailbox()


@pytest.mark.parametrize("security", ["tls", "starttls", "starttls_if_available", "none"])
def test_each_security_mode_reaches_the_mailbox(dovecot: Dovecot, user: User, security: str) -> None:
    """All four fetch the message that is there."""
    dovecot.append(user, "INBOX", MAIL)
    port = dovecot.pop3s_port if security == "tls" else dovecot.pop3_port
    ca_file = None if security == "none" else str(dovecot.ca_file)
    with open_dovecot(dovecot, user, port=port, security=security, allow_insecure=True, ca_file=ca_file) as mailbox:
        refs = mailbox.candidates(PICKING).refs
        assert [one.raw.data for one in mailbox.fetch(refs, max_bytes=100) if one.raw] == [MAIL]


def test_plain_text_on_the_tls_port_is_recognised(dovecot: Dovecot, user: User) -> None:
    """The port and the mode do not fit: the sentence names both, with the ports of POP3."""
    with pytest.raises(ConfigInvalid) as caught:
        open_dovecot(dovecot, user, port=dovecot.pop3_port)
    assert "does not answer with TLS" in caught.value.what
    assert "995" in caught.value.remedy
    assert "110" in caught.value.remedy


@pytest.mark.parametrize("how", ["auto", "plain", "user"])
@pytest.mark.parametrize("password", ["with space", 'quo"te\\s', "pässwörd€", " {0}*(%) "])
def test_any_password_is_sent_as_it_is(dovecot: Dovecot, password: str, how: str) -> None:
    """Quotes, blanks and letters beyond ASCII are no trouble."""
    user = dovecot.new_mailbox(password=password)
    with open_dovecot(dovecot, user, authentication=how) as mailbox:
        assert mailbox.candidates(PICKING).refs == ()


@pytest.mark.parametrize("how", ["plain", "user"])
def test_a_wrong_password_names_user_and_secret_but_not_itself(dovecot: Dovecot, user: User, how: str) -> None:
    """The sentence says whom the server refused and which secret to look at."""
    wrong = User(user.name, "wrong-password", "/")
    with pytest.raises(AuthFailed) as caught:
        open_dovecot(dovecot, wrong, authentication=how)
    assert user.name in str(caught.value)
    assert "'mailbox'" in str(caught.value)
    assert "wrong-password" not in str(caught.value)


def test_leaving_without_a_purge_deletes_nothing(dovecot: Dovecot, user: User) -> None:
    """After a mark, after a look, and after both: whatever the session did, its end does not commit."""
    dovecot.append(user, "INBOX", [MAIL, MAIL, MAIL])
    with open_dovecot(dovecot, user) as mailbox:
        refs = mailbox.candidates(PICKING).refs
        assert len(list(mailbox.fetch(refs, max_bytes=100))) == 3
    with open_dovecot(dovecot, user) as mailbox:
        assert [one.error for one in mailbox.dispose(refs, DELETED)] == [None] * 3
    with open_dovecot(dovecot, user) as mailbox:
        assert len(list(mailbox.fetch(refs, max_bytes=100))) == 3
        mailbox.dispose(refs[:1], DELETED)
    with open_dovecot(dovecot, user) as mailbox:
        assert mailbox.candidates(PICKING).refs == refs
    assert len(dovecot.messages(user)) == 3


def test_only_what_is_purged_is_deleted(dovecot: Dovecot, user: User) -> None:
    """A message that was marked but is not purged stays, and so does one that was only fetched."""
    dovecot.append(user, "INBOX", [b"Subject: %d\r\n\r\n" % number for number in range(3)])
    with open_dovecot(dovecot, user) as mailbox:
        refs = mailbox.candidates(PICKING).refs
        list(mailbox.fetch(refs, max_bytes=100))
        mailbox.dispose(refs[:2], DELETED)
        assert [one.error for one in mailbox.purge(refs[:1])] == [None]
    assert [one.data for one in dovecot.messages(user)] == [b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n"]


def test_a_session_after_the_purge_is_a_new_one(dovecot: Dovecot, user: User) -> None:
    """QUIT ends the session; whoever asks for more sees the mailbox as it is now."""
    dovecot.append(user, "INBOX", [MAIL])
    with open_dovecot(dovecot, user) as mailbox:
        refs = mailbox.candidates(PICKING).refs
        mailbox.purge(refs)
        dovecot.append(user, "INBOX", [MAIL, MAIL])
        listing = mailbox.candidates(PICKING)
        assert (len(listing.refs), listing.in_box) == (2, 2)
        assert not {ref.key for ref in listing.refs} & {ref.key for ref in refs}


def test_a_message_that_vanishes_during_the_session_is_gone(dovecot: Dovecot, user: User) -> None:
    """Dovecot lists it on, but cannot give it: that is no fault of the message, and its neighbours come."""
    dovecot.append(user, "INBOX", [MAIL, MAIL, MAIL])
    with open_dovecot(dovecot, user) as mailbox:
        refs = mailbox.candidates(PICKING).refs
        dovecot.expunge(user, dovecot.messages(user)[1].uid)
        assert [type(one.error) for one in mailbox.fetch(refs, max_bytes=100)] == [type(None), MessageGone, type(None)]


def test_long_lines_and_dots_come_as_they_were_sent(dovecot: Dovecot, user: User) -> None:
    """A line of 2 MB, and lines of dots."""
    long = b"Subject: long\r\n\r\n.\r\n..\r\n" + b"." * 2_000_000 + b"\r\n.x\r\n"
    dovecot.append(user, "INBOX", long)
    with open_dovecot(dovecot, user) as mailbox:
        (one,) = mailbox.fetch(mailbox.candidates(PICKING).refs, max_bytes=5_000_000)
    assert one.raw
    assert one.raw.data == long


def test_no_line_of_mail_and_no_password_is_logged(
    dovecot: Dovecot, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even with every logger at its most talkative."""
    caplog.set_level(logging.DEBUG)
    dovecot.append(user, "INBOX", MAIL)
    with open_dovecot(dovecot, user) as mailbox:
        refs = mailbox.candidates(PICKING).refs
        assert [one.raw.data for one in mailbox.fetch(refs, max_bytes=100) if one.raw] == [MAIL]
        mailbox.purge(refs)
    assert user.password not in caplog.text
    assert "hello" not in caplog.text
