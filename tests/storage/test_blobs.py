"""A blob container on Azurite: what it costs in connections."""

import gc
import warnings

from azure.storage.blob import ContainerClient

from dev.azurite import Azurite
from shared.storage.blobs import Container


def test_an_empty_blob_leaves_no_connection_open(azurite: Azurite, prefix: str) -> None:
    """Whether it is read, only looked for or erased; parked messages without bytes have one."""
    container = Container(lambda: ContainerClient.from_connection_string(azurite.connection_string, f"{prefix}-blobs"))
    container.put("full", b"something")
    container.put("empty", b"")
    assert container.read("full") == b"something"
    gc.collect()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert container.read("empty") == b""
        assert container.stream("empty") is not None
        container.erase("empty", 0, 0)
        gc.collect()
    assert [str(one.message) for one in told] == []
