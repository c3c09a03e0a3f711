"""A job as a row: the one mapping that everybody uses who saves jobs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.records import check_job, merge, record_of, stored_form
from shared.jobs import load_job
from tests.api.world import make_job
from tests.builders import make_state

JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


def test_a_stored_job_is_read_back_as_it_was() -> None:
    """The stored form loses nothing, and storing it again gives the same revision."""
    job = check_job(make_job(schedule={"pattern": {"type": "weekly", "days": ["friday", "monday"]}}))
    record = record_of(job, make_state())
    assert load_job(record) == job
    assert record_of(load_job(record), make_state()).revision == record.revision


def test_another_config_is_another_revision() -> None:
    """Every change of a config changes its revision."""
    one, other = (record_of(check_job(make_job(max_attempts=count)), make_state()) for count in (5, 6))
    assert one.revision != other.revision


def test_the_stored_form_is_canonical() -> None:
    """Sorted, compact, and readable by people whose names are not ASCII."""
    form = stored_form(check_job(make_job(name="Größe")))
    assert json.dumps(json.loads(form), ensure_ascii=False, sort_keys=True, separators=(",", ":")) == form
    assert "Größe" in form


@pytest.mark.parametrize(
    ("stored", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_is_that_of_the_rfc(stored: Any, patch: Any, merged: Any) -> None:
    """The test cases of RFC 7396, appendix A."""
    assert merge(stored, patch) == merged


@given(stored=JSON, patch=JSON)
def test_merging_twice_is_merging_once(stored: Any, patch: Any) -> None:
    """A patch can be sent again, and what it says is what is there afterwards."""
    once = merge(stored, patch)
    assert merge(once, patch) == once
