"""What the tests of the connectors share."""

from tests.servers.dovecot import dovecot

__all__ = ["dovecot"]
