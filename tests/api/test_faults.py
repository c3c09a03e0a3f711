"""Faulty documents: every fault at once, at its place, in a sentence; nothing is stored, and nothing breaks."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.api.body import MAX_BODY
from shared.api.faults import Fault, FaultsFound, pointer
from shared.api.records import check_job
from tests.api.world import World, make_job, problem


def faults(document: Any) -> dict[str, str]:
    """What `check_job` finds, by pointer."""
    with pytest.raises(FaultsFound) as found:
        check_job(document)
    return {fault.pointer: fault.detail for fault in found.value.faults}


def server(**changes: Any) -> dict[str, Any]:
    """A config with another ``server`` block."""
    job = make_job()
    return {**job, "server": {**job["server"], **changes}}


def test_every_fault_is_listed_at_once_and_nothing_is_stored(world: World) -> None:
    """One answer names all that is wrong, wherever it stands."""
    config = server(port=0, folder=7, shade="red") | {
        "id": "Bad Id",
        "max_attempts": "many",
        "enabled": "perhaps",
        "pick": "some",
        "schedule": {"pattern": {"type": "weekly", "days": ["monday", "noday"]}, "time_zone": "Europe/Berln"},
    }
    del config["server"]["host"]
    body = problem(world.client.post("/api/jobs", json=config), 400, "config-invalid")
    found = {fault["pointer"]: fault["detail"] for fault in body["errors"]}
    assert set(found) == {
        "/id",
        "/server/host",
        "/server/port",
        "/server/folder",
        "/server/shade",
        "/max_attempts",
        "/enabled",
        "/pick",
        "/schedule/pattern/days/1",
        "/schedule/time_zone",
    }
    assert found["/server/host"] == "This field is required."
    assert found["/server/port"] == "Must be at least 1."
    assert found["/server/shade"] == "Unknown field."
    assert found["/enabled"] == "Must be true or false."
    assert found["/pick"] == "Must be 'unread' or 'new'."
    assert "Europe/Berlin" in found["/schedule/time_zone"]
    assert str(len(found)) in body["detail"]
    assert world.storage.writes == ()


@pytest.mark.parametrize(
    ("document", "place", "sentence"),
    [
        (server() | {"shedule": {}}, "/shedule", "Unknown field. Did you mean 'schedule'?"),
        (server(usrname="x"), "/server/usrname", "Unknown field."),
        (server(Folder="x") | {}, "/server/Folder", "Unknown field."),
        (server() | {"on_success": {"mark_as_red": True}}, "/on_success/mark_as_red", "Did you mean 'mark_as_read'?"),
        (server() | {"schedule": {"ncrontab": "61 * * * *"}}, "/schedule/ncrontab", "61"),
        (server() | {"schedule": {"ncrontab": "* * * * *", "time_zon": 1}}, "/schedule/time_zon", "'time_zone'"),
        (server() | {"schedule": {"pattern": {"type": "hourly"}}}, "/schedule/pattern", "daily, weekly"),
        (
            server() | {"schedule": {"frequency": {"type": "interval", "every": 0}}},
            "/schedule/frequency/every",
            "at least 1",
        ),
        (server() | {"schedule": {"pattern": {"type": "weekly"}}}, "/schedule/pattern/days", "required"),
        (server() | {"target": {"type": "table", "tabel": 1}}, "/target/tabel", "Unknown field."),
        (server() | {"name": ""}, "/name", "Must not be empty."),
        (server() | {"name": "x" * 101}, "/name", "Must have at most 100 characters."),
        (server() | {"name": ["x"]}, "/name", "Must be text."),
        (server() | {"server": "imap4"}, "/server", "Must be an object."),
        (server() | {"max_attempts": 1.5}, "/max_attempts", "Must be a whole number."),
        (server() | {"a/b~c": 1}, "/a~1b~0c", "Unknown field."),
        (server(security="none"), "/server/security", "allow_insecure"),
        (server(type="imap5"), "/server/type", "imap4"),
        ([], "", "Must be an object."),
        ("text", "", "Must be an object."),
        (None, "", "Must be an object."),
    ],
)
def test_a_fault_says_where_and_what(document: Any, place: str, sentence: str) -> None:
    """Pointers are places in the document that was sent, and the sentences help."""
    found = faults(document)
    assert list(found) == [place]
    assert sentence in found[place]


def test_a_password_in_a_config_is_refused_with_the_way_out() -> None:
    """Whoever writes a password is told where it belongs, and never sees it again."""
    for name in ("password", "Password", "passwd", "client_secret"):
        job = make_job()
        del job["server"]["password_secret"]
        job["server"][name] = "hunter2"
        found = faults(job)
        assert "'password_secret'" in found[f"/server/{name}"]
        assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{", "line 1, column 2"),
        (b'{"id": "a",}', "line 1"),
        (b'{"id": "a"} extra', "line 1, column 13"),
        (b'{"max_attempts": NaN}', "NaN"),
        (b'{"id": "a", "id": "b"}', "The field id is there twice"),
        (b'{"name": "\xff"}', "octet 10"),
        (b'{"name": "\\ud800"}', "half a character"),
        (b'{"a":' * 30_000 + b"1" + b"}" * 30_000, "nested"),
        (b'{"max_attempts": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_body_that_is_not_json_says_where(world: World, content: bytes, words: str) -> None:
    """Text that is not JSON, or that can be read in two ways, is a 400 and stores nothing."""
    answer = world.client.post("/api/jobs", content=content, headers={"Content-Type": "application/json"})
    assert words in problem(answer, 400, "body-malformed")["detail"]
    assert world.storage.writes == ()


def test_deep_nesting_that_json_can_read_is_a_fault(world: World) -> None:
    """A document that is deeper than any config is refused as such."""
    content = '{"id": ' + "[" * 300 + "]" * 300 + "}"
    answer = world.client.post("/api/jobs", content=content, headers={"Content-Type": "application/json"})
    problem(answer, 400, "config-invalid")


def test_a_byte_order_mark_is_forgiven(world: World) -> None:
    """Files that Windows tools write begin with one."""
    content = b"\xef\xbb\xbf" + json.dumps(make_job()).encode()
    answer = world.client.post("/api/jobs", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "sent", ["text/plain", "application/x-www-form-urlencoded", "application/merge-patch+json", ""]
)
def test_only_json_is_taken(world: World, sent: str) -> None:
    """Another content type, or none, is a 415 that names the right one."""
    answer = world.client.post("/api/jobs", content=json.dumps(make_job()), headers={"Content-Type": sent})
    assert "Content-Type: application/json" in problem(answer, 415, "content-type")["detail"]
    assert answer.headers["accept"] == "application/json"


def test_patch_says_which_types_it_takes(world: World) -> None:
    """Accept-Patch (RFC 5789) lists the merge patch first."""
    answer = world.client.patch("/api/jobs/support", content="{}", headers={"Content-Type": "text/plain"})
    problem(answer, 415, "content-type")
    assert answer.headers["accept-patch"] == "application/merge-patch+json, application/json"


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_large_is_not_read_to_its_end(world: World, told: bool) -> None:  # noqa: FBT001 - pytest
    """413, whether the client says the length beforehand or streams."""
    size = MAX_BODY + 1

    def stream() -> Any:
        yield b" " * size

    content = b" " * size if told else stream()
    answer = world.client.post("/api/jobs", content=content, headers={"Content-Type": "application/json"})
    problem(answer, 413, "body-too-large")


def test_thousands_of_faults_are_answered_in_bounds(world: World) -> None:
    """A hostile document gets a list of bounded length, soon."""
    config = make_job() | {f"field_{number}": 1 for number in range(5_000)}
    body = problem(world.client.post("/api/jobs", json=config), 400, "config-invalid")
    assert len(body["errors"]) == 501
    assert body["errors"][-1] == {"pointer": "", "detail": "And 4500 more faults."}


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted(
    {*make_job(), "schedule", "pick", "on_success", "on_reject", "target", "routing", "max_attempts", "state", "extra"}
)


@settings(max_examples=150, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(FIELDS), ANY_JSON, max_size=4), inner=ANY_JSON, deep=st.booleans())
def test_whatever_is_sent_is_a_job_or_a_list_of_faults(changes: dict[str, Any], inner: Any, *, deep: bool) -> None:
    """Any JSON is either a job, or refused with pointers whose parents are in the document; it never breaks."""
    document = {**make_job(), **changes}
    if deep and isinstance(document["server"], dict):
        document["server"] = {**document["server"], "port": inner, "extra": inner}
    try:
        check_job(document)
        found: tuple[Fault, ...] | None = None
    except FaultsFound as error:
        found = error.faults
    assert found != ()
    for fault in found or ():
        assert_in(document, fault)


def assert_in(document: Any, fault: Fault) -> None:
    """The place above ``fault`` must be one that the document has."""
    assert fault.detail
    here = document
    for part in fault.pointer.split("/")[1:-1]:
        name = part.replace("~1", "/").replace("~0", "~")
        here = here[int(name)] if isinstance(here, list) else here[name]
    assert isinstance(here, dict | list)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=ANY_JSON)
def test_any_json_over_http_is_a_400(world: World, document: Any) -> None:
    """Nothing that is not a job gets further than the check."""
    answer = world.client.put("/api/jobs/support", json=document)
    if answer.request.content:
        assert answer.status_code in {400, 415}, answer.text
    assert world.storage.writes == ()


def test_pointers_are_escaped() -> None:
    """RFC 6901 section 3: ~ and / within a name."""
    assert pointer("a/b", 0, "m~n") == "/a~1b/0/m~0n"


@pytest.mark.parametrize("api", [{}, {"api": "graph"}, {"api": "ews"}])
def test_a_misspelt_field_of_a_type_that_two_connectors_share_is_named(api: dict[str, str]) -> None:
    """Exchange Online is reached in two ways; the unknown field of either has its place and a near name."""
    server: dict[str, Any] = {"type": "exchange_online", "mailbox": "a@example.com", "foldr": "x", **api}
    server["sign_in"] = {"method": "managed_identity"}
    found = faults(make_job(server=server))
    assert found == {"/server/foldr": "Unknown field. Did you mean 'folder'?"}
