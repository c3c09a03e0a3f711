"""The Mailbox contract over IMAP4 and POP3 on a second, different server: Cyrus."""

from dataclasses import replace

import pytest

from tests.contract.mail_servers import POP3, ImapWorld, PopWorld
from tests.contract.mailbox import MailboxContract, World
from tests.servers.cyrus import Cyrus, cyrus

__all__ = ["cyrus"]


class _CyrusPopWorld(PopWorld):
    """Its UIDLs are ``UIDVALIDITY.UID`` without leading zeros."""

    abilities = replace(
        POP3,
        items_sort=False,
        locks_others_out="While a POP3 session is open, Cyrus has everybody wait who wants to remove a message.",
    )


class TestCyrusImapMailbox(MailboxContract):
    """IMAP4 on Cyrus, over TLS."""

    @pytest.fixture
    def world(self, cyrus: Cyrus) -> World:
        """A mailbox of its own on the server of the session."""
        return ImapWorld(cyrus)


class TestCyrusPopMailbox(MailboxContract):
    """POP3 on Cyrus, over TLS."""

    @pytest.fixture
    def world(self, cyrus: Cyrus) -> World:
        """A mailbox of its own on the server of the session."""
        return _CyrusPopWorld(cyrus)
