"""The whole contract of a target on a real Roundup: ``make roundup``."""

import pytest

from tests.contract.target import TargetContract
from tests.contract.target_world import TargetWorld
from tests.servers.roundup import Roundup
from tests.targets.roundup_world import RoundupWorld
from tests.targets.test_roundup import roundup

__all__ = ["TestRoundup", "roundup"]


class TestRoundup(TargetContract):
    """Its own server and database."""

    @pytest.fixture
    def world(self, roundup: Roundup) -> TargetWorld:
        """No issue of this test yet."""
        return RoundupWorld(roundup)
