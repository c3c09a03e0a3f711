"""The embedded mail server gives imapclient what the connector needs."""

import smtplib
import ssl
import threading
from collections.abc import Iterator

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from dev.mailserver import MailServer

RAW = b"Subject: =?utf-8?q?x=0A?=\r\nFrom: a\r\n\r\n8-bit \xff\xfe\r\n.\r\nno line end"
HIT = 5


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A server with an empty mailbox."""
    with MailServer() as running:
        yield running


def test_peek_gives_the_bytes_that_were_appended_and_leaves_them_unread(server: MailServer) -> None:
    """Bytes survive APPEND and BODY.PEEK[], which marks nothing."""
    first, second = server.append(RAW, b"Subject: two\r\n\r\n")
    (seen,) = server.append(RAW, flags=[rb"\Seen"])

    with server.client() as client:
        assert client.search(["UNSEEN", "UNDELETED"]) == [first, second]
        assert client.fetch([first], ["BODY.PEEK[]"])[first][b"BODY[]"] == RAW
        assert client.search(["UNSEEN"]) == [first, second]
        assert client.search(["SEEN"]) == [seen]


def test_uid_expunge_removes_only_the_named_messages(server: MailServer) -> None:
    """UIDPLUS is there: of two deleted messages, the one that is named goes."""
    ours, theirs, kept = server.append(RAW, RAW, RAW)

    with server.client() as client:
        assert b"UIDPLUS" in client.capabilities()
        client.add_flags([ours, theirs], [rb"\Deleted"])
        client.uid_expunge([ours])

        assert client.search() == [theirs, kept]
        assert client.search(["DELETED"]) == [theirs]
        assert rb"\Deleted" in client.get_flags([theirs])[theirs]


def test_a_message_can_be_moved_to_a_folder_with_a_non_ascii_name(server: MailServer) -> None:
    """MOVE and modified UTF-7 folder names work."""
    (uid,) = server.append(RAW)

    with server.client() as client:
        client.create_folder("Bücher/Übung")
        client.move([uid], "Bücher/Übung")
        assert client.search() == []
        assert client.folder_status("Bücher/Übung", ["MESSAGES"]) == {b"MESSAGES": 1}


def test_a_client_that_does_not_trust_the_authority_is_not_connected(server: MailServer) -> None:
    """The certificate is signed by the server's own authority and nobody else's."""
    with pytest.raises(ssl.SSLCertVerificationError):
        IMAPClient(server.host, server.port, ssl=True, timeout=HIT)


def test_a_wrong_password_is_refused(server: MailServer) -> None:
    """Signing in takes the right password."""
    trust = ssl.create_default_context(cafile=str(server.ca_file))
    with (
        IMAPClient(server.host, server.port, ssl=True, ssl_context=trust, timeout=HIT) as client,
        pytest.raises(LoginError),
    ):
        client.login(server.user, "wrong")


def test_mail_sent_by_smtp_lies_in_the_inbox_with_its_return_path(server: MailServer) -> None:
    """SMTP delivers into INBOX and keeps the envelope's sender."""
    with smtplib.SMTP(server.host, server.smtp_port, timeout=HIT) as smtp:
        smtp.sendmail("ann@example.org", ["support@example.com"], b"Subject: hello\r\n\r\n.dot\r\n")

    with server.client() as client:
        (uid,) = client.search(["UNSEEN"])
        raw = client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"]
    assert raw == b"Return-Path: <ann@example.org>\r\nSubject: hello\r\n\r\n.dot\r\n"


def test_a_held_command_waits_until_the_hold_ends(server: MailServer) -> None:
    """While STORE is held, flags stay as they are; afterwards the waiting command takes effect."""
    (uid,) = server.append(RAW)

    def mark() -> None:
        with server.client() as client:
            client.add_flags([uid], [rb"\Seen"])

    marking = threading.Thread(target=mark)
    with server.holding("STORE") as hold:
        marking.start()
        assert hold.reached.wait(HIT)
        with server.client() as client:
            assert client.search(["UNSEEN"]) == [uid]
    marking.join(HIT)
    with server.client() as client:
        assert client.search(["SEEN"]) == [uid]


def test_a_held_command_of_a_client_that_went_away_never_takes_effect(server: MailServer) -> None:
    """A client that is cut off while its STORE is held leaves the flags as they were."""
    (uid,) = server.append(RAW)

    with server.holding("STORE") as hold, server.client() as client:
        client._imap.send(b"A1 UID STORE %d +FLAGS (\\Seen)\r\n" % uid)
        assert hold.reached.wait(HIT)
        client.shutdown()
        with server.client() as other:
            other.noop()
    with server.client() as client:
        assert client.search(["UNSEEN"]) == [uid]


def test_the_server_stops_while_clients_are_connected() -> None:
    """Leaving the block ends open connections and frees the port."""
    with MailServer() as server:
        trust = ssl.create_default_context(cafile=str(server.ca_file))
        client = IMAPClient(server.host, server.port, ssl=True, ssl_context=trust, timeout=HIT)
        client.login(server.user, server.password)

    with pytest.raises((OSError, IMAPClient.Error)):
        client.noop()
    client.shutdown()
    with pytest.raises(OSError, match="refused"):
        IMAPClient(server.host, server.port, timeout=HIT)
