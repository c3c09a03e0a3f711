"""Mail in, issues out: a job on Dovecot with Roundup as its target, whose worker is killed by SIGKILL on its way."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from dev.azurite import Azurite
from shared.model import Clock
from shared.storage import Storage
from tests.crash.cell import Cells, Strike
from tests.crash.scene import Scene
from tests.run.real import Tables
from tests.servers.counterparts import Counterpart, Counterparts
from tests.servers.roundup import PASSWORD, Roundup
from tests.targets.roundup_world import roundup_block


class _RoundupSide:
    """See `tests.run.target_sides.TargetSide`: read from Roundup's own database."""

    def __init__(self, roundup: Roundup) -> None:
        self._roundup = roundup
        self.block: Mapping[str, Any] = roundup_block(roundup)

    def made(self, name: str) -> tuple[Counter[str], Counter[str]]:
        """See `TargetSide`."""
        issues = [one for one in self._roundup.issues().values() if one.title.startswith(f"{name} ")]
        texts = [said.content for one in issues for said in one.messages]
        entries = Counter(found[1] for text in texts if (found := re.search(r"The text of (.*)\.", text)))
        return Counter(one.title for one in issues), entries


class _RoundupScene(Scene):
    """The scene whose tickets are issues."""

    side: ClassVar[_RoundupSide]

    def __init__(self, name: str, mailbox: Counterpart, storage: Storage, tables: Tables, clock: Clock) -> None:
        mailbox.given = {**mailbox.given, "secret tracker": PASSWORD}
        super().__init__(name, mailbox, storage, tables, clock, target=self.side)


@pytest.fixture(scope="module")
def cells(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    """Dovecot, Azurite, Roundup."""
    with Roundup(tmp_path_factory.mktemp("roundup")) as roundup, Counterparts(tmp_path_factory.mktemp("keys")) as mail:
        _RoundupScene.side = _RoundupSide(roundup)
        with Cells(azurite, mail, "imap4", prefix="roundup", scene=_RoundupScene) as running:
            yield running


def test_killed_on_its_way_nothing_is_lost_or_doubled(cells: Cells) -> None:
    """Two questions, a reply, one of our own and one that cannot be read, killed at some steps of the delivery.

    The next run completes: two issues, three messages, the originals as the job wants them.
    """
    points, undisturbed = cells.points()
    assert undisturbed.faults == ()
    last = len(points) - 1 - points[::-1].index("after deliver 2")
    way = points[points.index("before deliver 1") : last + 1]
    within = [point for point in way if "storage" in point or "deliver" in point]
    assert len(within) > 12
    for point in within[1::9]:
        verdict = cells.strike(Strike(point))
        assert verdict.struck == 1, point
        assert verdict.faults == (), point
