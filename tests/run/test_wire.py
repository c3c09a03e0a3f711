"""Runs whose wire to the mail server goes bad: a small form of ``python -m tests.run.wire_cuts``."""

from collections.abc import Iterator

import pytest

from tests.run.wire_cuts import KINDS, Bench, Strain
from tests.servers.counterparts import Counterparts


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterparts]:
    """Every mail server."""
    with Counterparts(tmp_path_factory.mktemp("keys")) as running:
        yield running


@pytest.fixture(scope="module", params=KINDS)
def bench(servers: Counterparts, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One kind of them behind a wire."""
    with Bench(servers, request.param) as running:
        yield running


def test_a_cut_anywhere_loses_and_doubles_nothing(bench: Bench) -> None:
    """Six octets that the seed chooses: after clean runs each message has its one ticket, and its original its end."""
    result = bench.cut(6, seed=7)
    assert result.bad == []
    assert result.cuts == 6


#: One for each kind; the command tries them all on all.
_STRAINS = {
    "imap4": Strain("silence"),
    "pop3": Strain("silence", lasting=True),
    "ews": Strain("slow"),
    "graph": Strain("slow"),
}


def test_a_run_ends_although_the_server_does_not(bench: Bench) -> None:
    """Silent, or octet by octet from some point on: the run ends unfinished when its time is up, and others finish."""
    result = bench.strain(_STRAINS[bench.kind], 1, seed=7)
    assert (result.bad, result.failed) == ([], 1)
