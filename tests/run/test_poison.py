"""One message among a hundred that kills whoever reads it: nobody else is lost, and it ends parked with its reason.

``make poison`` does it with endless loops and memory without end as well.
"""

from dev.azurite import Azurite
from tests.run.poison_figures import BAD, MESSAGES, poisoned
from tests.servers.dovecot import Dovecot


def test_a_message_that_kills_its_readers_is_parked(dovecot: Dovecot, azurite: Azurite) -> None:
    """Two workers die of it, in ever smaller company. Then it is read apart, which only kills its reader, and parked."""
    figures = poisoned(dovecot, azurite, "exit", patience=120, budget=180)
    assert figures.ended == [1, 1, 0]
    assert figures.tickets[-1] == sorted(f"m{number}" for number in range(MESSAGES) if number != BAD)
    (parked,) = figures.parked
    assert parked.reason == "Reading it stopped a process of its own (exit status 1)."
    assert (parked.attempts, parked.subject, parked.has_raw) == (3, "", True)
    assert figures.copy == figures.sent
    assert figures.unread == [f"m{BAD}"]
