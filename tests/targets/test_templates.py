"""Templates and JSON paths of the `webhook` target: pure functions."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.errors import Refused
from shared.targets._json_path import JsonPath, find_all, find_first
from shared.targets._templates import Lazy, Template, render, render_body, render_path

DOCUMENT = {"a": [{"b": 1}, {"b": None}, {"b": "x"}], "c d": {"e": 0}, "n": None}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [DOCUMENT]),
        ("$.a[0].b", [1]),
        ("$.a[*].b", [1, None, "x"]),
        ("$.a[9].b", []),
        ("$['c d'].e", [0]),
        ("$.c.d", []),
        ("$.n.x", []),
        ("$.a.b", []),
    ],
)
def test_a_path_finds(path: str, found: list[Any]) -> None:
    """What is there; nothing where the document has another shape."""
    assert find_all(path, DOCUMENT) == found


def test_the_first_that_is_not_null() -> None:
    """Zero and an empty text are values."""
    assert find_first("$.a[*].b", DOCUMENT) == 1
    assert find_first("$['c d'].e", DOCUMENT) == 0
    assert find_first("$.n", DOCUMENT) is None


@pytest.mark.parametrize("path", ["", "a", "$a", "$.", "$..a", "$[a]", "$[-1]", "$.a[", "$['']", "$.a b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    """When the config is saved."""
    with pytest.raises(ValidationError):
        TypeAdapter(JsonPath).validate_python(path)


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_document_is_looked_through(document: Any) -> None:
    """No shape of an answer is a fault."""
    for path in ("$", "$.a[0]", "$[*][*]", "$['x'].y"):
        find_all(path, document)


@settings(deadline=None)
@given(st.text())
def test_a_value_is_never_read_as_a_template(text: str) -> None:
    """Nor does it end the JSON text that it stands in. Line ends may become plain ones."""
    body = {"a": "<{{ message.text }}>", "b": [{"$if": "{{ message.text }}", "then": "yes"}]}
    made = render_body(body, {"message": {"text": text}})
    assert made["a"].replace("\r\n", "\n").replace("\r", "\n") == f"<{text}>".replace("\r\n", "\n").replace("\r", "\n")
    assert made["b"] in ([], ["yes"])


@settings(deadline=None)
@given(st.text())
def test_a_value_stays_in_its_segment_of_a_path(text: str) -> None:
    """Whatever it is, also through a filter and out of a list."""
    context = {"message": {"text": text}, "links": [text]}
    for template in ("/a/{{ message.text }}/b", "/a/{{ message['text'] | append: '' }}/b", "/a/{{ links[0] }}/b"):
        made = render_path(template, context)
        assert made.isascii()
        assert made.count("/") == 3
        assert not set("?#\r\n ") & set(made)


def test_a_body_has_lists_choices_and_numbers() -> None:
    """What is left out is left out; null is null."""
    body = {
        "files": {"$each": "attachments", "do": {"name": "{{ item.name }}"}},
        "group": {"$json": "{{ values.group }}"},
        "none": {"$json": "{{ values.nothing }}"},
        "cc": {"$if": "{{ values.nothing }}", "then": "x"},
        "either": {"$if": "{{ values.nothing }}", "then": "x", "else": "y"},
        "fixed": [1, True, None],
    }
    context = {"attachments": [{"name": "a"}, {"name": "b"}], "values": {"group": 7}}
    assert render_body(body, context) == {
        "files": [{"name": "a"}, {"name": "b"}],
        "group": 7,
        "either": "y",
        "fixed": [1, True, None],
    }


@pytest.mark.parametrize("text", ["{{ message.text", "{% for x %}", "{{ message.text | nothing }}", "{{ os.system }}"])
def test_what_is_no_template_is_refused(text: str) -> None:
    """When the config is saved; so is what no template may know."""
    with pytest.raises(ValidationError):
        TypeAdapter(Template).validate_python(text)


def test_a_template_has_no_way_out() -> None:
    """Neither into Python nor into other files, nor into a loop without end."""
    context = {"message": {"text": "x"}}
    assert render("{{ message.__class__ }}{{ message.text.__class__ }}{{ message.text.upper }}", context) == ""
    for text in ("{% include 'x' %}", "{% render 'x' %}", "{% for a in (1..100000) %}{% for b in (1..100000) %}x{% endfor %}{% endfor %}"):  # fmt: skip
        with pytest.raises(Refused):
            render(text, context)


def test_what_is_dear_is_made_when_asked_for_and_once() -> None:
    """Base64 of a large file, or a blob for its link."""
    made: list[str] = []

    def make() -> str:
        made.append("once")
        return f"made {len(made)}"

    lazy = Lazy({"name": "a"}, url=make)
    assert render("{{ attachment.name }}", {"attachment": lazy}) == "a"
    assert made == []
    assert render("{{ attachment.url }}, {{ attachment.url }}", {"attachment": lazy}) == "made 1, made 1"
    assert sorted(lazy) == ["name", "url"]
    assert len(lazy) == 2
