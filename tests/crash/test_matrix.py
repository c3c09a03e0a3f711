"""A short form of the crash matrix (``make crash-matrix`` is the whole)."""

from collections.abc import Iterator

import pytest

from dev.azurite import Azurite
from tests.crash.canary import UNDISTURBED, CanaryCells
from tests.crash.cell import Strike
from tests.crash.matrix import COLUMNS, cells_of, strike_all
from tests.servers.counterparts import Counterparts


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterparts]:
    """Every mail server."""
    with Counterparts(tmp_path_factory.mktemp("keys")) as running:
        yield running


@pytest.mark.parametrize("column", COLUMNS)
def test_nothing_is_lost_doubled_or_stuck(azurite: Azurite, servers: Counterparts, column: str) -> None:
    """A few points of each sort, others for each connector and target, so that together they are every third one."""
    with cells_of(azurite, servers, column) as cells:
        outcome = strike_all(cells, column, step=3 * len(COLUMNS), first=3 * COLUMNS.index(column), twice=1)
    assert outcome.faults == []
    assert len(outcome.killed) >= 3
    assert all(outcome.groups.values())


@pytest.fixture(scope="module")
def canaries(azurite: Azurite, servers: Counterparts) -> Iterator[CanaryCells]:
    """Mailboxes and jobs with canaries."""
    with CanaryCells(azurite, servers, prefix="canarycrash") as cells:
        yield cells


@pytest.mark.parametrize(
    "strikes",
    [
        (Strike("after note the canary 1"),),
        (Strike("after send the canary 1"),),
        (Strike("before send the canary 1", pause=True),),
        (UNDISTURBED, Strike("after note the canary 1")),
        (UNDISTURBED, Strike("after dispose 1")),
    ],
    ids=lambda strikes: ", ".join(map(str, strikes)),
)
def test_a_canary_is_never_a_ticket_nor_missed_for_a_kill(canaries: CanaryCells, strikes: tuple[Strike, ...]) -> None:
    """Killed or paused past its lease: at most one canary for each strike more than one, and all is well in the end."""
    assert canaries.faults(*strikes) == []
