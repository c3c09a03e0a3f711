"""Fixtures for tests on real storage: one Azurite per pytest process (so one per worker of pytest-xdist)."""

import uuid
from collections.abc import Iterator

import pytest

from dev.azurite import Azurite


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Azurite for the whole session. Never stop or pause it: a test that needs to starts an `Azurite` of its own."""
    with Azurite(in_memory=True) as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """The start of names for tables, queues and containers that no other test has: a letter, then hex digits."""
    return f"t{uuid.uuid4().hex[:12]}"
