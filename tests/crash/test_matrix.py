"""A short form of the crash matrix (``make crash-matrix`` is the whole)."""

from collections.abc import Iterator

import pytest

from dev.azurite import Azurite
from tests.crash.cell import Cells
from tests.crash.matrix import strike_all
from tests.servers.counterparts import KINDS, Counterparts


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterparts]:
    """Every mail server."""
    with Counterparts(tmp_path_factory.mktemp("keys")) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_doubled_or_stuck(azurite: Azurite, servers: Counterparts, kind: str) -> None:
    """Every eighteenth point, others for each connector: killed, paused, killed twice, reconciling, waited for."""
    with Cells(azurite, servers, kind, prefix=f"crash{KINDS.index(kind)}") as cells:
        outcome = strike_all(cells, kind, step=18, first=3 * KINDS.index(kind), twice=2)
    assert outcome.faults == []
    assert len(outcome.killed) >= 4
    assert all(outcome.groups.values())
