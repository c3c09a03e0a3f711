"""A plain ticket tracker with an API of its own: enough to try every part of the `webhook` target's programs on."""

import base64
from dataclasses import dataclass, field
from typing import Any

from tests.servers.web_api import ApiAnswer, ApiRequest, WebApi

TOKEN = "s3cret-token-of-the-tracker"


@dataclass
class Note:
    """One message within a ticket. ``key`` is what the connector wrote."""

    key: str
    text: str
    files: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass
class Ticket:
    """A ticket."""

    number: int
    subject: str
    requester: str
    notes: list[Note]
    status: str = "open"

    @property
    def view(self) -> dict[str, Any]:
        """As the API gives it."""
        return {
            "id": self.number,
            "uuid": f"uuid-{self.number}",
            "subject": self.subject,
            "status": self.status,
            "requester": {"email": self.requester},
            "notes": [{"key": note.key, "files": [name for name, _ in note.files]} for note in self.notes],
        }


class Tracker(WebApi):
    """Tickets by number; a note may carry its files, or have them sent after it, or name uploads."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.tickets: dict[int, Ticket] = {}
        self.uploads: dict[str, tuple[str, bytes]] = {}
        #: Subjects that it will not take.
        self.refuses: set[str] = set()
        #: What a sign-in must give, as the header has it.
        self.authorization = f"Bearer {TOKEN}"

    def answer(self, request: ApiRequest) -> ApiAnswer:  # noqa: PLR0911 (one for each route)
        """See `WebApi.answer`."""
        if request.headers.get("authorization") != self.authorization:
            return ApiAnswer(401, {"error": "Who are you?"})
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["uploads"]:
                ((_, name, data),) = request.parts
                number = str(len(self.uploads) + 1)
                self.uploads[number] = (str(name), data)
                return ApiAnswer(201, {"token": number})
            case "POST", ["tickets"]:
                return self._create(request.json)
            case "GET", ["tickets"]:
                found = [
                    one.view for one in self.tickets.values() if any(n.key == request.query["key"] for n in one.notes)
                ]
                return ApiAnswer(200, {"tickets": found})
            case "GET", ["tickets", number]:
                ticket = self._ticket(number)
                return ApiAnswer(200, ticket.view) if ticket else ApiAnswer(404, {"error": "No such ticket."})
            case "POST", ["tickets", number, "notes"]:
                return self._add(self._ticket(number), request.json)
            case "POST", ["tickets", number, "files"]:
                return self._attach(self._ticket(number), request)
        return ApiAnswer(404, {"error": f"Nothing is at {request.path}."})

    def _ticket(self, number: str) -> Ticket | None:
        return self.tickets.get(int(number.removeprefix("uuid-"))) if number.removeprefix("uuid-").isdecimal() else None

    def _create(self, document: dict[str, Any]) -> ApiAnswer:
        if document["subject"] in self.refuses:
            return ApiAnswer(422, {"error": "subject: not this one", "echo": TOKEN})
        number = len(self.tickets) + 1
        self.tickets[number] = Ticket(number, document["subject"], document["requester"], [self._note(document)])
        return ApiAnswer(201, self.tickets[number].view)

    def _add(self, ticket: Ticket | None, document: dict[str, Any]) -> ApiAnswer:
        if ticket is None:
            return ApiAnswer(404, {"error": "No such ticket."})
        ticket.notes.append(self._note(document))
        return ApiAnswer(201, {"note": len(ticket.notes)})

    def _note(self, document: dict[str, Any]) -> Note:
        files = [(one["name"], base64.b64decode(one["data"], validate=True)) for one in document.get("files", [])]
        files += [self.uploads[token] for token in document.get("uploads", [])]
        return Note(document["key"], document["text"], files)

    def _attach(self, ticket: Ticket | None, request: ApiRequest) -> ApiAnswer:
        assert ticket
        if request.headers["content-type"].startswith("multipart/"):
            fields = {name: data.decode() for name, filename, data in request.parts if filename is None}
            files = [(filename, data) for _, filename, data in request.parts if filename is not None]
            key = fields["key"]
        else:
            key, files = request.query["key"], [(request.query["name"], request.body)]
        note = next(one for one in ticket.notes if one.key == key)
        note.files += files
        return ApiAnswer(201, {"files": len(note.files)})


def _program(*, files: str) -> dict[str, Any]:
    """The requests for this tracker, with attachments inside, after or before the note."""
    note: dict[str, Any] = {"text": "{{ message.text }}", "key": "{{ key }}"}
    before: list[dict[str, Any]] = []
    after: list[dict[str, Any]] = []
    if files == "inline":
        note["files"] = {"$each": "attachments", "do": {"name": "{{ item.name }}", "data": "{{ item.base64 }}"}}
    if files == "uploads":
        upload = {"path": "/uploads", "multipart": {"files": {"file": "attachment"}}}
        before = [{"request": upload, "each": "attachments", "keep": {"tokens": "$.token"}, "repeatable": True}]
        note["uploads"] = {"$each": "kept.tokens", "do": "{{ item }}"}
    listed = {"method": "GET", "path": "/tickets", "query": {"key": "{{ key }}"}}
    if files in {"multipart", "content"}:
        body: dict[str, Any] = {"multipart": {"fields": {"key": "{{ key }}"}, "files": {"file": "attachment"}}}
        if files == "content":
            body = {"content": "attachment", "query": {"key": "{{ key }}", "name": "{{ attachment.name }}"}}
        known = {"request": listed, "rows": "$.tickets[*].notes[*]", "where": {"$.key": "{{ key }}", "$.files": "'{{ attachment.name }}'"}}  # fmt: skip
        attach = {"path": "/tickets/{{ ticket.id }}/files", **body}
        after = [{"request": attach, "each": "attachments", "lookup": known}]
    create = {
        "request": {
            "path": "/tickets",
            "json": {"subject": "{{ message.subject }}", "requester": "{{ message.sender.email }}", **note},
        },
        "keep": {"ticket_id": "$.id", "uuid": "$.uuid"},
        "lookup": {"request": listed, "rows": "$.tickets", "keep": {"ticket_id": "$.id", "uuid": "$.uuid"}},
    }
    modify = {
        "request": {"path": "/tickets/{{ ticket.uuid }}/notes", "json": note},
        "lookup": {"request": listed, "rows": "$.tickets"},
    }
    return {
        "create": [*before, create, *after],
        "modify": [*before, modify, *after],
        "read": {
            "request": {"method": "GET", "path": "/tickets/{{ ticket.id }}"},
            "keep": {"uuid": "$.uuid"},
            "status": "$.status",
            "closed": ["closed"],
            "participants": ["$.requester.email"],
        },
    }


def tracker_block(url: str, *, files: str = "inline", **changes: Any) -> dict[str, Any]:
    """The ``target`` block of a job on this tracker; its token is the secret ``tracker-token``."""
    return {
        "type": "webhook",
        "url": url,
        "sign_in": {"method": "header", "prefix": "Bearer ", "secret": "tracker-token"},
        "allow_private": True,
        **_program(files=files),
        **changes,
    }
