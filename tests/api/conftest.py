"""One server for all tests of the API; each test has its own application behind it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api.world import Switch, World, serving


@pytest.fixture(scope="session")
def switch() -> Switch:
    """What the server serves."""
    return Switch()


@pytest.fixture(scope="session")
def client(switch: Switch) -> Iterator[httpx.Client]:
    """A client of the server."""
    with serving(switch) as found:
        yield found


@pytest.fixture
def world(client: httpx.Client, switch: Switch) -> World:
    """A fresh API, with nothing stored."""
    return World(client, switch)
