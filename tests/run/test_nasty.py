"""The thirty nasty inputs, small."""

from dev.azurite import Azurite
from tests.run import nasty
from tests.servers.dovecot import Dovecot


def test_thirty_nasty_inputs_end_as_expected(dovecot: Dovecot, azurite: Azurite) -> None:
    """Thirty rows through a real server in one run that is killed and finished: none lost, none doubled, none stops another."""
    found = nasty.seen(dovecot, azurite, full=False)
    assert [(row.number, shown) for row, shown in found] == [(row.number, row.expected) for row, _ in found]
    assert [row.number for row, _ in found] == list(range(1, 31))
