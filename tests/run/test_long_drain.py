"""A full mailbox beside jobs that want their times: a small form of ``python -m tests.run.long_drain``."""

from tests.run.long_drain import BUDGET, drain


def test_a_full_mailbox_does_not_make_the_others_late() -> None:
    """It is drained over many runs, each behind what is due; the others wait for one of them at most."""
    result = drain(1_500, others=5, per_message=0.6)
    assert (result.tickets, result.doubled) == (1_500, 0)
    assert result.runs >= 4
    assert result.served_once == len(result.served) == result.occurrences
    assert result.longest_wait < 1.5 * BUDGET
