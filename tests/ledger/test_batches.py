"""Who is claimed together: a message that kills the worker must not take the same company along for ever."""

from hypothesis import given
from hypothesis import strategies as st

from shared.ledger import LedgerEntry, batches
from shared.model import MessageRef
from tests.builders import make_entry, make_ref

Todo = list[tuple[MessageRef, LedgerEntry | None]]


def todo(attempts: list[int | None]) -> Todo:
    """Messages that were claimed this often before; None: never seen."""
    return [
        (make_ref(uid), None if times is None else make_entry(uid, attempts=times))
        for uid, times in enumerate(attempts)
    ]


@given(st.lists(st.none() | st.integers(0, 20), max_size=300))
def test_everyone_comes_once_and_nobody_twice(attempts: list[int | None]) -> None:
    """Every message is in one batch, with its own entry, and no batch is empty or over 98."""
    given_in = todo(attempts)
    groups = list(batches(given_in))
    assert all(1 <= len(group) <= 98 for group in groups)
    assert sorted((pair for group in groups for pair in group), key=lambda pair: pair[0].key) == given_in


@given(st.lists(st.none() | st.integers(0, 20), max_size=300))
def test_company_shrinks_with_attempts(attempts: list[int | None]) -> None:
    """A message that was claimed once before has at most nine others with it, and one claimed more often none."""
    for group in batches(todo(attempts)):
        tried = max(entry.attempts if entry else 0 for _, entry in group)
        assert tried == 0 or len(group) <= (10 if tried == 1 else 1)


def test_suspicious_last() -> None:
    """Those of a run that did not end go first: fresh ones may answer them. The longer a past is, the later."""
    groups = list(batches(todo([3, None, 1, 0, 2, 1, None])))
    assert [[ref.handle for ref, _ in group] for group in groups] == [["2", "5"], ["1", "3", "6"], ["4"], ["0"]]


def test_many_fresh_ones_fill_transactions() -> None:
    """Fresh messages go 98 at a time, oldest first."""
    groups = list(batches(todo([None] * 250)))
    assert [len(group) for group in groups] == [98, 98, 54]
    assert [ref.handle for group in groups for ref, _ in group] == [str(uid) for uid in range(250)]
