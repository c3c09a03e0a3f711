"""Runs whose wire to the mail server is cut: a small form of ``python -m tests.run.wire_cuts``."""

from collections.abc import Iterator

import pytest

from tests.run.wire_cuts import KINDS, cut_often
from tests.servers.counterparts import Counterparts


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterparts]:
    """Every mail server."""
    with Counterparts(tmp_path_factory.mktemp("keys")) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_anywhere_loses_and_doubles_nothing(servers: Counterparts, kind: str) -> None:
    """Six octets that the seed chooses: after clean runs each message has its one ticket, and its original its end."""
    result = cut_often(servers, kind, cuts=6, seed=7)
    assert result.bad == []
    assert result.cuts == 6
