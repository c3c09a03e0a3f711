"""Every kind of mail server in one process that is killed: a small form of ``python -m tests.run.kill_each``."""

from pathlib import Path

from dev.azurite import Azurite
from tests.run.kill_each import run_and_kill
from tests.servers.counterparts import KINDS, Counterparts


def test_one_process_with_every_connector_may_be_killed(azurite: Azurite, prefix: str, tmp_path: Path) -> None:
    """Two kills over 120 messages for each job, which are two batches: one ticket each, every original as its job wants it."""
    with Counterparts(tmp_path) as servers:
        results = run_and_kill(azurite, servers, prefix=prefix, messages=120, kills=2)
    assert [one for one in results if not one.exact] == []
    assert [one.kind for one in results] == list(KINDS)
    assert all(one.kills for one in results)
