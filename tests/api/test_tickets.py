"""Tickets and their attachments over HTTP."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.downloads import disposition, safe_type
from shared.errors import MessageError
from shared.model import Attachment, Delivered
from tests.api.world import World, problem
from tests.builders import make_attachment, make_message, make_new_ticket, make_reply


def add(world: World, uid: int = 1, *, job_id: str = "support", attachments: tuple[Attachment, ...] = ()) -> str:
    """Let a message become a ticket, and give the ticket's id."""
    ticket = make_new_ticket(uid, job_id, message=make_message(uid, attachments=attachments))
    return ticket_id(world.storage.tickets.add([ticket])[0])


def ticket_id(answer: Delivered | MessageError) -> str:
    """The id of a ticket that was made."""
    assert isinstance(answer, Delivered)
    return answer.ticket_id


def test_a_ticket_is_read_with_its_entries(world: World) -> None:
    """Everything that a service desk shows: who, what, when, why, and where the files are."""
    found = add(world, attachments=(make_attachment("plan.txt", b"12345"),))
    world.clock.advance(timedelta(minutes=1))
    world.storage.tickets.add([make_reply(2, found)])
    body = world.client.get(f"/api/tickets/{found}").json()
    first, second = body["entries"]
    assert (body["subject"], body["status"], body["job_id"]) == ("Printer 1 is on fire", "open", "support")
    assert body["requester"] == {"email": "ann@customer.example", "name": "Ann"}
    assert body["participants"] == ["ann@customer.example", "support@mail.example"]
    assert (first["action"], second["action"]) == ("created", "modified")
    assert second["evidence"] == ["Its subject names the ticket."]
    (attachment,) = first["attachments"]
    assert (attachment["name"], attachment["size"]) == ("plan.txt", 5)
    assert world.client.get(attachment["href"]).content == b"12345"


def test_an_entry_shows_what_is_new_in_it_first(world: World) -> None:
    """What was written this time, the signature and what is quoted stand apart; all of it is there as well."""
    found = add(world)
    text = "It works.\n\n-- \nAnn\n\nOn 19 Nov 2026 Desk <desk@example.org> wrote:\n> Try again."
    reply = make_reply(2, found)
    message = replace(reply.delivery.message, text=text)
    world.storage.tickets.add([replace(reply, delivery=replace(reply.delivery, message=message))])
    entry = world.client.get(f"/api/tickets/{found}").json()["entries"][1]
    assert (entry["new_text"], entry["signature"]) == ("It works.", "-- \nAnn")
    assert entry["history"] == "On 19 Nov 2026 Desk <desk@example.org> wrote:\n> Try again."
    assert entry["text"] == text
    assert list(entry).index("new_text") < list(entry).index("text")


def test_tickets_are_listed_newest_first_in_pages_and_by_job(world: World) -> None:
    """Every ticket comes once, without its entries; job_id narrows, and travels in the Link header."""
    for uid in range(5):
        add(world, uid, job_id="support" if uid % 2 else "sales")
        world.clock.advance(timedelta(minutes=1))
    subjects, address = [], "/api/tickets?limit=2&job_id=sales"
    while address:
        answer = world.client.get(address)
        subjects += [item["subject"] for item in answer.json()["items"]]
        assert all("entries" not in item for item in answer.json()["items"])
        address = answer.links["next"]["url"] if "next" in answer.links else ""
    assert subjects == [f"Printer {uid} is on fire" for uid in (4, 2, 0)]
    assert len(world.client.get("/api/tickets").json()["items"]) == 5


def test_an_unknown_ticket_or_attachment_is_404(world: World) -> None:
    """Ids that are not there, and indexes that cannot be, are 404."""
    found = add(world, attachments=(make_attachment(),))
    entry = world.client.get(f"/api/tickets/{found}").json()["entries"][0]["id"]
    for path in ("/T-0", f"/{found}/entries/x/attachments/0", f"/{found}/entries/{entry}/attachments/1"):
        problem(world.client.get(f"/api/tickets{path}"), 404, "not-found")
    for index in ("-1", "x", "1e9", "99999999999999999999"):
        problem(world.client.get(f"/api/tickets/{found}/entries/{entry}/attachments/{index}"), 404, "not-found")


def test_a_large_attachment_comes_whole(world: World) -> None:
    """Bytes in many chunks arrive as they were; an empty one too."""
    data = bytes(range(256)) * 1000
    found = add(world, attachments=(make_attachment("a.bin", data), make_attachment("b.bin", b"")))
    first, second = world.client.get(f"/api/tickets/{found}").json()["entries"][0]["attachments"]
    assert world.client.get(first["href"]).content == data
    assert world.client.get(second["href"]).content == b""


@pytest.mark.parametrize(
    ("declared", "sent"),
    [
        ("image/png", "image/png"),
        ("text/plain", "text/plain"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "application/octet-stream"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("application/xhtml+xml", "application/octet-stream"),
        ("text/javascript", "application/octet-stream"),
        ("text/html\r\nX-Evil: 1", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_no_attachment_is_ever_run_by_a_browser(world: World, declared: str, sent: str) -> None:
    """Whatever a stranger declares: a file to keep, in a sandbox, of no type that a browser would run."""
    part = make_attachment("page.html", b"<script>alert(1)</script>", content_type=declared)
    found = add(world, attachments=(part,))
    href = world.client.get(f"/api/tickets/{found}").json()["entries"][0]["attachments"][0]["href"]
    answer = world.client.get(href)
    assert answer.headers["content-type"] == sent
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plan.txt", "attachment; filename=\"plan.txt\"; filename*=UTF-8''plan.txt"),
        ("Größe €.pdf", "attachment; filename=\"Gr__e _.pdf\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%E2%82%AC.pdf"),
        ('a"b\r\nX: 1', "attachment; filename=\"a_b__X_ 1\"; filename*=UTF-8''a_b__X_%201"),
        ("../../etc/passwd", "attachment; filename=\"_.._etc_passwd\"; filename*=UTF-8''_.._etc_passwd"),
        ("in\u202efdp.exe", "attachment; filename=\"in_fdp.exe\"; filename*=UTF-8''in_fdp.exe"),
        ("\ud800.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''_.txt"),
        ("", "attachment; filename=\"attachment\"; filename*=UTF-8''attachment"),
        (" .. ", "attachment; filename=\"attachment\"; filename*=UTF-8''attachment"),
    ],
)
def test_file_names_are_safe(name: str, value: str) -> None:
    """RFC 6266: an ASCII name for old clients, the real one for the others, and nothing that leaves its place."""
    assert disposition(name) == value


@given(name=st.text())
def test_any_name_makes_a_header(name: str) -> None:
    """Every name gives one line of printable ASCII that ends where it should."""
    value = disposition(name)
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2


@given(declared=st.text())
def test_any_type_makes_a_header(declared: str) -> None:
    """Every declared type gives a well-formed one."""
    kind, _, rest = safe_type(declared).partition("/")
    assert kind.isascii()
    assert rest.isprintable()
    assert rest


def test_a_ticket_is_closed_opened_and_merged(world: World) -> None:
    """Each answers with the ticket as it is then, and leaves a record of who did it."""
    one, other = add(world, 1), add(world, 2)
    here = f"/api/tickets/{one}"
    assert world.client.post(f"{here}/close").json()["status"] == "closed"
    assert world.client.post(f"{here}/reopen").json()["status"] == "open"
    merged = world.client.post(f"{here}/merge", json={"into": other}).json()
    assert (merged["status"], merged["merged_into"]) == ("merged", other)
    assert world.client.get(here).json()["merged_into"] == other
    assert world.client.get(f"/api/tickets/{other}").json()["links"] == [one]
    problem(world.client.post(f"/api/tickets/{other}/merge", json={"into": one}), 409, "conflict")
    problem(world.client.post(f"{here}/merge", json={"into": "T-0"}), 404, "not-found")
    problem(world.client.post("/api/tickets/T-0/close"), 404, "not-found")
    problem(world.client.post(f"{here}/merge", json={}), 400, "config-invalid")


def test_tickets_are_listed_by_what_they_are_and_what_changed(world: World) -> None:
    """Filters narrow, travel in the Link header, and say what they do not understand."""
    ids = []
    for uid in range(4):
        ids.append(add(world, uid))
        world.clock.advance(timedelta(minutes=1))
    since = world.clock().isoformat()
    for one in ids[:3]:
        world.client.post(f"/api/tickets/{one}/close")
    found: list[str] = []
    address: httpx.URL | None = httpx.URL(
        "/api/tickets", params={"status": "closed", "changed_since": since, "limit": "2"}
    )
    while address:
        answer = world.client.get(address)
        found += [item["id"] for item in answer.json()["items"]]
        address = httpx.URL(answer.links["next"]["url"]) if "next" in answer.links else None
    assert found == ids[2::-1]
    listed = world.client.get("/api/tickets", params={"requester": "ANN@customer.example", "status": "open"}).json()
    assert [item["id"] for item in listed["items"]] == [ids[3]]
    for wrong in ({"status": "shut"}, {"changed_since": "yesterday"}, {"changed_since": "2026-11-23T12:00:00"}):
        problem(world.client.get("/api/tickets", params=wrong), 400, "parameter-invalid")
