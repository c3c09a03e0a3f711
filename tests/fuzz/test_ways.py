"""The ways of the fuzzing over everything that it starts from, bad inputs of the past among them."""

import pytest

from tests.fuzz.ways import WAYS, seeds


@pytest.mark.parametrize("way", WAYS)
def test_a_way_returns_for_every_seed(way: str) -> None:
    """No seed raises, and each way has some."""
    count = 0
    for count, seed in enumerate(seeds(way), 1):  # noqa: B007 - counted
        WAYS[way](seed)
    assert count >= 5
