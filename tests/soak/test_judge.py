"""The judge of the soak finds each thing that must not be, and nothing where all is well."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.soak.judge import OVERLAP, Found, Sent, Sort, Version, judge

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
SENT = (Sent("a", Sort.QUESTION, NOON), Sent("b", Sort.REPLY, NOON), Sent("c", Sort.OWN, NOON))
VERSIONS = (Version("gone", NOON - timedelta(hours=1)),)
GOOD = Found(tickets=["a"], entries=[("a", LATER), ("b", LATER)], parked=[], open=[], originals={"c": "read"})


def faults(versions: tuple[Version, ...] = VERSIONS, **found: Any) -> list[str]:
    """What is found where all is well but ``found``."""
    return judge("job", SENT, versions, "read", replace(GOOD, **found)).faults


def test_where_all_is_well_nothing_is_found() -> None:
    """A ticket for the question, an entry for the reply, nothing for our own mail."""
    verdict = judge("job", SENT, VERSIONS, "read", GOOD)
    assert (verdict.faults, verdict.created, verdict.modified) == ([], 1, 1)
    assert verdict.delays == [(NOON, 60.0), (NOON, 60.0)]


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        ({"entries": [("a", LATER)]}, "job: lost: no ticket has 'b'"),
        ({"entries": [*GOOD.entries, ("b", LATER)]}, "job: doubled: 2 entries for 'b', 1 due"),
        ({"tickets": ["a", "a"]}, "job: doubled: 2 tickets for 'a'"),
        ({"tickets": ["a", "b"]}, "job: apart: 'b' has a ticket of its own"),
        ({"entries": [*GOOD.entries, ("c", LATER)]}, "job: doubled: 1 entries for 'c', 0 due"),
        ({"entries": [*GOOD.entries, ("x", LATER)]}, "job: doubled: nobody sent 'x'"),
        ({"parked": ["a"]}, "job: stuck: parked: 'a'"),
        ({"open": ["7 (claimed)"]}, "job: stuck: open in the ledger: 7 (claimed)"),
        ({"held": True}, "job: stuck: the job is still held or due"),
        ({"originals": {"c": "read", "a": "read"}}, "job: original: 'a' is 'read', not 'gone'"),
        ({"originals": {"c": ""}}, "job: original: 'c' is 'untouched', not 'read'"),
    ],
)
def test_each_thing_that_must_not_be_is_found(found: dict[str, Any], fault: str) -> None:
    """One at a time."""
    assert faults(**found) == [fault]


def test_an_original_may_be_as_the_job_wanted_it_while_it_was_handled() -> None:
    """A version that was replaced before the message came does not count, but for a run that was under way."""
    before = Version("read", NOON - timedelta(hours=2), NOON - OVERLAP - timedelta(seconds=1))
    meanwhile = Version("read", NOON - timedelta(hours=2), NOON - OVERLAP)
    shown = {"c": "read", "a": "read", "b": "read"}
    assert faults((meanwhile, *VERSIONS), originals=shown) == []
    assert len(faults((before, *VERSIONS), originals=shown)) == 2
    assert faults((*VERSIONS, Version("read", LATER)), originals=shown) == []
    assert len(faults((*VERSIONS, Version("read", LATER + timedelta(seconds=1))), originals=shown)) == 2
