"""The worker is killed (SIGKILL) again and again on its way from Dovecot to Azurite, and nothing is lost or doubled.

The full size, 2,000 messages and ten kills: ``python -m tests.run.kill_2000``.
"""

from collections.abc import Mapping

import pytest

from dev.azurite import Azurite
from tests.run.kill_2000 import Plan, faults_of, run_and_kill
from tests.servers.dovecot import Dovecot


@pytest.mark.parametrize(
    "handling",
    [
        {"mark_as_read": True},
        {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True},
    ],
    ids=["read", "purge"],
)
def test_a_worker_may_be_killed_at_any_moment(dovecot: Dovecot, azurite: Azurite, handling: Mapping[str, bool]) -> None:
    """Four kills over 150 messages: one ticket each, every original as configured, nobody parked, others' mail as it was."""
    plan = Plan(messages=150, kills=4, steps=22, handling=handling)
    result = run_and_kill(dovecot, azurite, plan)
    assert faults_of(plan, result) == []
    assert result.runs["died"] >= 1
