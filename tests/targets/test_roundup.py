"""The preset for Roundup on a real Roundup: what matters most of the contract; `make roundup` is the whole."""

from collections.abc import Iterator

import pytest

from tests.contract.target import TargetContract
from tests.contract.target_world import TargetWorld
from tests.servers.roundup import Roundup
from tests.targets.roundup_world import RoundupWorld


@pytest.fixture(scope="module")
def roundup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roundup]:
    """One tracker for all."""
    with Roundup(tmp_path_factory.mktemp("roundup")) as running:
        yield running


@pytest.fixture
def world(roundup: Roundup) -> TargetWorld:
    """No issue of this test yet."""
    return RoundupWorld(roundup)


def test_a_message_becomes_a_ticket(world: TargetWorld) -> None:
    """See the contract."""
    TargetContract().test_a_message_becomes_a_ticket(world)


def test_a_reply_is_added_to_its_ticket(world: TargetWorld) -> None:
    """See the contract."""
    TargetContract().test_a_reply_is_added_to_its_ticket(world)


def test_a_closed_ticket_is_closed(world: TargetWorld) -> None:
    """See the contract."""
    TargetContract().test_a_closed_ticket_is_closed(world)


@pytest.mark.parametrize("modifies", [False, True])
def test_killed_anywhere_nothing_is_lost_or_doubled(world: TargetWorld, *, modifies: bool) -> None:
    """See the contract."""
    TargetContract().test_killed_anywhere_nothing_is_lost_or_doubled(world, modifies=modifies)
