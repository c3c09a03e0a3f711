"""Stand-ins of the systems that have presets: the part of each API that is used.

They follow what was read of the vendors' pages and sources, which the presets name; docs/target-webhook.md says what of it
could not be read. What a stand-in does not know it answers with 500 and counts as a fault of the test.
"""

import base64
import html
import json
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.servers.web_api import ApiAnswer, ApiRequest, WebApi

SECRET = "k3y-of-the-vendor"


@dataclass
class Record:
    """A ticket; its texts, and the files of each."""

    subject: str
    texts: list[str]
    files: list[list[tuple[str, bytes]]] = field(default_factory=lambda: [[]])
    reference: str = ""
    closed: bool = False

    def add(self, text: str, files: list[tuple[str, bytes]] | None = None) -> None:
        """A reply."""
        self.texts.append(text)
        self.files.append(files or [])


class Vendor(WebApi):
    """Tickets by number."""

    preset: ClassVar[str]
    values: ClassVar[dict[str, Any]] = {}
    sign_in: ClassVar[dict[str, Any]] = {"method": "header", "prefix": "Bearer ", "secret": "vendor"}
    authorization: ClassVar[str] = f"Bearer {SECRET}"

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[int, Record] = {}

    def block(self) -> dict[str, Any]:
        """The ``target`` block of a job."""
        return {
            "type": "webhook",
            "preset": self.preset,
            "url": self.url + self.root,
            "values": self.values,
            "sign_in": self.sign_in,
            "allow_private": True,
        }

    root: ClassVar[str] = ""

    def answer(self, request: ApiRequest) -> ApiAnswer:
        """See `WebApi.answer`."""
        if not self.knows(request):
            return ApiAnswer(401, {"message": "unauthorized"})
        found = self.serve(request, request.path.removeprefix(self.root).strip("/").split("/"))
        assert found is not None, f"No such call: {request.method} {request.path} {dict(request.query)}"
        return found

    def knows(self, request: ApiRequest) -> bool:
        """Whether the caller has signed in."""
        return request.headers.get("authorization") == self.authorization

    @abstractmethod
    def serve(self, request: ApiRequest, parts: list[str]) -> ApiAnswer | None:
        """The part of the API that is known."""

    def name(self, number: int) -> str:
        """The ticket's id, as people use it."""
        return str(number)

    def number(self, name: str) -> int | None:
        """The reverse; None for none."""
        return next((number for number in self.records if self.name(number) == name), None)

    def make(self, record: Record) -> int:
        """A new one."""
        number = len(self.records) + 1
        self.records[number] = record
        return number

    def holding(self, text: str) -> list[int]:
        """Where a text stands in a ticket, or is its reference."""
        return [
            n
            for n, one in self.records.items()
            if text and (text in one.reference or any(text in t for t in one.texts))
        ]


class ServiceNow(Vendor):
    """Table API and Attachment API."""

    preset = "servicenow"

    def __init__(self) -> None:
        super().__init__()
        #: Whether the table has the field correlation_id.
        self.correlates = True

    def name(self, number: int) -> str:
        """See `Vendor`."""
        return f"INC{number:07}"

    def sys_id(self, number: int) -> str:
        """32 hex digits."""
        return f"{number:032x}"

    def serve(self, request: ApiRequest, parts: list[str]) -> ApiAnswer | None:  # noqa: PLR0911 (one for each call)
        """See `Vendor`."""
        match request.method, parts:
            case "POST", ["api", "now", "table", "incident"]:
                body = request.json
                reference = body["correlation_id"] if self.correlates else ""
                number = self.make(Record(body["short_description"], [body["description"]], reference=reference))
                return ApiAnswer(201, {"result": self._view(number, request)})
            case "GET", ["api", "now", "table", "incident"]:
                found = [self._view(n, request) for n in self._queried(request.query["sysparm_query"])]
                return ApiAnswer(200, {"result": found[: int(request.query["sysparm_limit"])]})
            case "PATCH", ["api", "now", "table", "incident", sys_id]:
                if int(sys_id, 16) not in self.records:
                    return self._no_record()
                self.records[int(sys_id, 16)].add(request.json["comments"])
                return ApiAnswer(200, {"result": {"sys_id": sys_id}})
            case "GET", ["api", "now", "table", "sys_journal_field"]:
                asked = re.fullmatch(
                    r"element_id=(\w+)\^element=comments\^valueLIKE(\w+)", request.query["sysparm_query"]
                )
                assert asked
                texts = self.records[int(asked[1], 16)].texts[1:]
                return ApiAnswer(200, {"result": [{"value": text} for text in texts if asked[2] in text]})
            case _, ["api", "now", "attachment", *rest]:
                return self._attachment(request, rest)
        return None

    def _queried(self, query: str) -> list[int]:
        """An invalid part of a query is ignored, and what the rest finds is returned."""
        key, _, value = query.partition("=")
        known: dict[str, Callable[[int], str]] = {"number": self.name}
        if self.correlates:
            known["correlation_id"] = lambda n: self.records[n].reference
        return [n for n in self.records if key not in known or known[key](n) == value]

    def _attachment(self, request: ApiRequest, rest: list[str]) -> ApiAnswer | None:
        match request.method, rest:
            case "POST", ["file"]:
                # The parameters, and the header too, are mandatory.
                if {"table_name", "table_sys_id", "file_name"} - set(request.query) or not request.headers.get(
                    "content-type"
                ):
                    return ApiAnswer(400, {"error": {"message": "Missing parameter"}, "status": "failure"})
                number = int(request.query["table_sys_id"], 16)
                if request.query["table_name"] != "incident" or number not in self.records:
                    return self._no_record()
                self.records[number].files[-1].append((request.query["file_name"], request.body))
                return ApiAnswer(201, {"result": {"file_name": request.query["file_name"]}})
            case "GET", []:
                asked = re.fullmatch(r"table_sys_id=(\w+)\^file_name=(.*)", request.query["sysparm_query"])
                assert asked
                names = [name for files in self.records[int(asked[1], 16)].files for name, _ in files]
                return ApiAnswer(200, {"result": [{"file_name": name} for name in names if name == asked[2]]})
        return None

    @staticmethod
    def _no_record() -> ApiAnswer:
        return ApiAnswer(404, {"error": {"message": "No Record found"}, "status": "failure"})

    def _view(self, number: int, request: ApiRequest) -> dict[str, str]:
        record = self.records[number]
        view = {"sys_id": self.sys_id(number), "number": self.name(number)}
        view["active"] = "false" if record.closed else "true"
        if self.correlates:
            view["correlation_id"] = record.reference
        return {name: view[name] for name in request.query["sysparm_fields"].split(",") if name in view}


class Jira(Vendor):
    """Jira Service Management Cloud."""

    preset = "jira-service-management"
    values: ClassVar[dict[str, Any]] = {"service_desk": "10", "request_type": "25"}
    sign_in: ClassVar[dict[str, Any]] = {"method": "basic", "username": "me@x.example", "password_secret": "vendor"}
    authorization = "Basic " + base64.b64encode(f"me@x.example:{SECRET}".encode()).decode()

    def __init__(self) -> None:
        super().__init__()
        self.uploads: dict[str, tuple[str, bytes]] = {}

    def name(self, number: int) -> str:
        """See `Vendor`."""
        return f"HELP-{number}"

    def serve(self, request: ApiRequest, parts: list[str]) -> ApiAnswer | None:  # noqa: PLR0911 (one for each call)
        """See `Vendor`."""
        match request.method, parts:
            case "POST", ["rest", "servicedeskapi", "servicedesk", "10", "attachTemporaryFile"]:
                assert request.headers["x-atlassian-token"] == "no-check"
                ((name, filename, data),) = request.parts
                assert name == "file"
                upload = f"temp{len(self.uploads)}"
                self.uploads[upload] = (str(filename), data)
                return ApiAnswer(
                    201, {"temporaryAttachments": [{"temporaryAttachmentId": upload, "fileName": filename}]}
                )
            case "POST", ["rest", "servicedeskapi", "request"]:
                body = request.json
                assert (body["serviceDeskId"], body["requestTypeId"]) == ("10", "25")
                if "@" in body.get("raiseOnBehalfOf", ""):
                    return ApiAnswer(400, {"errorMessage": "raiseOnBehalfOf is an account id."})
                fields = body["requestFieldValues"]
                number = self.make(Record(fields["summary"], [fields["description"]]))
                return ApiAnswer(201, {"issueId": str(number), "issueKey": self.name(number)})
            case "GET", ["rest", "api", "3", "search", "jql"]:
                found = re.fullmatch(r'description ~ "(\w+)"', request.query["jql"])
                assert found
                return ApiAnswer(200, {"issues": [{"key": self.name(number)} for number in self.holding(found[1])]})
            case "GET", ["rest", "api", "2", "issue", name, "comment"]:
                known = self.number(name)
                assert known
                assert request.query["orderBy"] == "-created"
                newest = self.records[known].texts[:0:-1][: int(request.query["maxResults"])]
                return ApiAnswer(200, {"comments": [{"body": text} for text in newest]})
            case _, ["rest", "servicedeskapi", "request", name, *rest]:
                known = self.number(name)
                if known is None:
                    return ApiAnswer(404, {"errorMessage": "The request does not exist."})
                return self._request(request, self.records[known], rest)
        return None

    def _request(self, request: ApiRequest, record: Record, rest: list[str]) -> ApiAnswer | None:
        match request.method, rest:
            case "GET", []:
                status = {"statusCategory": "DONE" if record.closed else "NEW"}
                return ApiAnswer(200, {"currentStatus": status, "reporter": {"emailAddress": "ann@customer.example"}})
            case "POST", ["comment"]:
                record.add(request.json["body"])
                return ApiAnswer(201, {"id": "1"})
            case "POST", ["attachment"]:
                files = [self.uploads.pop(one) for one in request.json["temporaryAttachmentIds"]]
                assert files, "Nothing to attach."
                record.files[-1] += files
                record.add(request.json["additionalComment"]["body"])
                return ApiAnswer(201, {})
        return None


class Zammad(Vendor):
    """Tickets and articles."""

    preset = "zammad"
    values: ClassVar[dict[str, Any]] = {"group": "Users"}
    sign_in: ClassVar[dict[str, Any]] = {"method": "header", "prefix": "Token token=", "secret": "vendor"}
    authorization = f"Token token={SECRET}"

    def serve(self, request: ApiRequest, parts: list[str]) -> ApiAnswer | None:  # noqa: PLR0911 (one for each call)
        """See `Vendor`."""
        match request.method, parts:
            case "POST", ["api", "v1", "tickets"]:
                body = request.json
                assert (body["group"], body["customer_id"]) == ("Users", "guess:ann@customer.example")
                if refusal := self._refusal(body["article"]):
                    return ApiAnswer(422, {"error": refusal})
                number = self.make(Record(body["title"], [body["article"]["body"]], [self._files(body["article"])]))
                return ApiAnswer(201, {"id": number, "number": f"3{number:04}"})
            case "GET", ["api", "v1", "tickets", "search"]:
                # Without Elasticsearch the query is a text to look for, as it is.
                found = self.holding(request.query["query"])
                if request.query.get("expand") == "true":
                    return ApiAnswer(200, [{"id": n, "number": f"3{n:04}"} for n in found])
                return ApiAnswer(200, {"tickets": found, "tickets_count": len(found), "assets": {}})
            case "GET", ["api", "v1", "tickets", name]:
                known = self.number(name)
                if known is None:
                    return ApiAnswer(404, {"error": "No such object"})
                state = "closed" if self.records[known].closed else "open"
                return ApiAnswer(200, {"id": known, "number": f"3{known:04}", "state": state})
            case "POST", ["api", "v1", "ticket_articles"]:
                record = self.records.get(request.json["ticket_id"])
                if record is None:
                    return ApiAnswer(404, {"error": "Couldn't find Ticket"})
                if refusal := self._refusal(request.json):
                    return ApiAnswer(422, {"error": refusal})
                record.add(request.json["body"], self._files(request.json))
                return ApiAnswer(201, {"id": 1})
            case "GET", ["api", "v1", "ticket_articles", "by_ticket", name]:
                return ApiAnswer(200, [{"body": text} for text in self.records[int(name)].texts])
        return None

    @staticmethod
    def _refusal(article: dict[str, Any]) -> str:
        """What is wrong with an article, or nothing."""
        if not article.get("body"):
            return 'Need at least article: { body: "some text" }'
        for index, one in enumerate(article["attachments"]):
            if missing := {"mime-type", "filename", "data"} - set(one):
                return f"Attachment needs '{min(missing)}' param for attachment with index '{index}'"
        return ""

    @staticmethod
    def _files(article: dict[str, Any]) -> list[tuple[str, bytes]]:
        assert article["type"] == "web"
        return [(one["filename"], base64.b64decode(one["data"], validate=True)) for one in article["attachments"]]


class Glpi(Vendor):
    """apirest.php."""

    preset = "glpi"
    root = "/apirest.php"
    sign_in: ClassVar[dict[str, Any]] = {
        "method": "session",
        "path": "/initSession",
        "prefix": "user_token ",
        "secret": "vendor",
    }

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[int, tuple[str, bytes]] = {}
        self.linked: dict[int, list[int]] = {}

    def knows(self, request: ApiRequest) -> bool:
        """See `Vendor`."""
        if request.path.endswith("/initSession"):
            return request.headers.get("authorization") == f"user_token {SECRET}"
        return request.headers.get("session-token") == "session-83af7e620c83a50a18d3eac2f6ed05a3"

    def serve(self, request: ApiRequest, parts: list[str]) -> ApiAnswer | None:  # noqa: PLR0911 (one for each call)
        """See `Vendor`."""
        match request.method, parts:
            case "GET", ["initSession"]:
                return ApiAnswer(200, {"session_token": "session-83af7e620c83a50a18d3eac2f6ed05a3"})
            case "POST", ["Ticket"]:
                body = request.json["input"]
                return ApiAnswer(201, {"id": self.make(Record(body["name"], [body["content"]])), "message": ""})
            case "GET", ["search", "Ticket"]:
                # 21 is the description, 2 the id (Ticket's search options).
                if request.query["criteria[0][field]"] != "21" or "criteria[0][searchtype]" not in request.query:
                    return ApiAnswer(400, ["ERROR", "Bad field ID in search criteria"])
                assert request.query["forcedisplay[0]"] == "2"
                found = self.holding(request.query["criteria[0][value]"])
                # Without a hit there is no "data" at all.
                rows = {"data": [{"2": n} for n in found]} if found else {}
                return ApiAnswer(200, {"totalcount": len(found), "count": len(found), **rows})
            case "POST", ["ITILFollowup"]:
                body = request.json["input"]
                assert body["itemtype"] == "Ticket"
                if body["items_id"] not in self.records:
                    return ApiAnswer(400, ["ERROR_GLPI_ADD", "You don't have permission to perform this action."])
                self.records[body["items_id"]].add(body["content"])
                return ApiAnswer(201, {"id": 1})
            case "POST", ["Document"]:
                (_, _, manifest), (field_name, filename, data) = request.parts
                assert json.loads(manifest)["input"]["_filename"] == [filename]
                assert field_name == "filename[0]"
                number = len(self.documents) + 1
                self.documents[number] = (str(filename), data)
                return ApiAnswer(201, {"id": number, "upload_result": {}})
            case "POST", ["Document_Item"]:
                body = request.json["input"]
                self.linked.setdefault(body["items_id"], []).append(body["documents_id"])
                self.records[body["items_id"]].files[-1].append(self.documents[body["documents_id"]])
                return ApiAnswer(201, {"id": 1})
            case "GET", ["Ticket", name, *rest]:
                return self._ticket(self.number(name), rest, request.query)
        return None

    def _ticket(self, number: int | None, rest: list[str], query: Mapping[str, str]) -> ApiAnswer | None:
        if number is None:
            return ApiAnswer(404, ["ERROR_ITEM_NOT_FOUND", "Item not found"])
        record = self.records[number]
        match rest:
            case []:
                return ApiAnswer(200, {"id": number, "status": 6 if record.closed else 1})
            case ["ITILFollowup"]:
                return self._page([{"content": text} for text in record.texts[1:]], query)
            case ["Document_Item"]:
                return self._page([{"documents_id": one} for one in self.linked.get(number, [])], query)
        return None

    @staticmethod
    def _page(rows: list[dict[str, Any]], query: Mapping[str, str]) -> ApiAnswer:
        """A range of the rows; one that begins behind the last is refused."""
        start, _, end = query.get("range", "0-49").partition("-")
        if int(start) > len(rows):
            return ApiAnswer(400, ["ERROR_RANGE_EXCEED_TOTAL", "Provided range exceed total count of data"])
        rows = rows[::-1] if query.get("order") == "DESC" else rows
        return ApiAnswer(200, rows[int(start) : int(end) + 1])


class RequestTracker(Vendor):
    """REST 2.0."""

    preset = "request-tracker"
    sign_in: ClassVar[dict[str, Any]] = {"method": "header", "prefix": "token ", "secret": "vendor"}
    authorization = f"token {SECRET}"

    def __init__(self) -> None:
        super().__init__()
        #: Of each reply, in their order.
        self.subjects: list[str] = []

    def serve(self, request: ApiRequest, parts: list[str]) -> ApiAnswer | None:  # noqa: PLR0911 (one for each call)
        """See `Vendor`."""
        match request.method, parts:
            case "POST", ["REST", "2.0", "ticket"]:
                return self._create(request.json)
            case "GET", ["REST", "2.0", "tickets"]:
                asked = re.fullmatch(r"CF\.\{Mail reference\} = '(\w+)'", request.query["query"])
                assert asked
                found = [n for n, one in self.records.items() if one.reference == asked[1]]
                return ApiAnswer(200, {"items": [self._item(n, request) for n in found]})
            case "GET", ["REST", "2.0", "ticket", name]:
                known = self.number(name)
                if known is None:
                    return ApiAnswer(404, {"message": "Not Found"})
                status = "resolved" if self.records[known].closed else "open"
                people = [{"type": "user", "id": "ann@customer.example"}]
                return ApiAnswer(200, {"id": known, "Status": status, "Requestor": people})
            case "POST", ["REST", "2.0", "ticket", name, "correspond"]:
                return self._correspond(self.records[int(name)], request.json)
            case "GET", ["REST", "2.0", "attachments"]:
                return ApiAnswer(200, {"items": self._attachments(request)})
        return None

    def _create(self, body: dict[str, Any]) -> ApiAnswer:
        if not body.get("Queue"):
            return ApiAnswer(400, {"message": "Could not create ticket. Queue not set"})
        if missing := self._missing(body["Attachments"]):
            return ApiAnswer(400, {"message": f"Field {missing} is required for each attachment in Attachments"})
        assert (body["Queue"], body["Requestor"]) == ("General", "ann@customer.example")
        reference = body["CustomFields"]["Mail reference"]
        number = self.make(Record(body["Subject"], [body["Content"]], [self._files(body)], reference))
        return ApiAnswer(201, {"type": "ticket", "id": str(number), "_url": f"{self.url}/REST/2.0/ticket/{number}"})

    def _correspond(self, record: Record, body: dict[str, Any]) -> ApiAnswer:
        if missing := self._missing(body["Attachments"]):
            return ApiAnswer(400, {"message": f"{missing} is a required field for each attachment in Attachments"})
        if body.get("Content") and not body.get("ContentType"):
            return ApiAnswer(400, {"message": "ContentType is a required field for application/json"})
        record.add(body["Content"], self._files(body))
        self.subjects.append(body["Subject"])
        return ApiAnswer(201, ["Correspondence added"])

    def _item(self, number: int, request: ApiRequest) -> dict[str, Any]:
        item: dict[str, Any] = {"type": "ticket", "id": str(number)}
        if request.query.get("fields") == "CustomFields":
            item["CustomFields"] = [{"name": "Mail reference", "values": [self.records[number].reference]}]
        return item

    def _attachments(self, request: ApiRequest) -> list[dict[str, str]]:
        """A JSON search; what it limits by a field that is none is ignored. Texts are not among the fields."""
        found = self.subjects
        for limit in json.loads(request.query["query"]):
            if limit["field"] == "Subject":
                assert limit["operator"] == "LIKE"
                found = [subject for subject in found if limit["value"] in subject]
        shown = request.query.get("fields") == "Subject"
        return [{"type": "attachment", "id": "9", **({"Subject": subject} if shown else {})} for subject in found]

    @staticmethod
    def _missing(attachments: list[dict[str, str]]) -> str:
        """The first field that is missing. Perl takes an empty text, and "0", for none."""
        wanted = ("FileName", "FileType", "FileContent")
        return next((name for one in attachments for name in wanted if one.get(name, "") in {"", "0"}), "")

    @staticmethod
    def _files(body: dict[str, Any]) -> list[tuple[str, bytes]]:
        """Perl decodes up to the first padding, so a single = is nothing."""
        assert body["ContentType"] == "text/plain"
        files = [(one["FileName"], one["FileContent"].partition("=")[0]) for one in body["Attachments"]]
        return [(name, base64.b64decode(text + "=" * (-len(text) % 4), validate=True)) for name, text in files]


class Freshdesk(Vendor):
    """API v2."""

    preset = "freshdesk"
    sign_in: ClassVar[dict[str, Any]] = {"method": "basic", "username_secret": "vendor", "password_secret": "x"}
    authorization = "Basic " + base64.b64encode(f"{SECRET}:X".encode()).decode()

    def serve(self, request: ApiRequest, parts: list[str]) -> ApiAnswer | None:  # noqa: PLR0911 (one for each call)
        """See `Vendor`."""
        match request.method, parts:
            case "POST", ["api", "v2", "tickets"]:
                fields, files = self._body(request)
                assert (fields["email"], fields["status"], fields["priority"]) == ("ann@customer.example", "2", "1")
                reference = fields["custom_fields[cf_mail_reference]"]
                number = self.make(Record(fields["subject"], [fields["description"]], [files], reference))
                return ApiAnswer(201, {"id": number})
            case "GET", ["api", "v2", "search", "tickets"]:
                # In double quotes, and up to 512 characters.
                asked = re.fullmatch(r"\"cf_mail_reference:'(\w+)'\"", request.query["query"])
                assert asked
                found = [n for n, one in self.records.items() if one.reference == asked[1]]
                return ApiAnswer(200, {"total": len(found), "results": [{"id": n} for n in found]})
            case "GET", ["api", "v2", "tickets", name]:
                known = self.number(name)
                if known is None:
                    return ApiAnswer(404)
                requester = {"email": "ann@customer.example"}
                return ApiAnswer(
                    200, {"id": known, "status": 5 if self.records[known].closed else 2, "requester": requester}
                )
            case "POST", ["api", "v2", "tickets", name, "notes"]:
                fields, files = self._body(request)
                assert fields["private"] == "false"
                self.records[int(name)].add(fields["body"], files)
                return ApiAnswer(201, {"id": 1})
            case "GET", ["api", "v2", "tickets", name, "conversations"]:
                oldest = self.records[int(name)].texts[1:][: int(request.query.get("per_page", "30"))]
                return ApiAnswer(200, [{"body": text} for text in oldest])
        return None

    @staticmethod
    def _body(request: ApiRequest) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
        fields = {name: data.decode() for name, filename, data in request.parts if filename is None}
        files = [(filename, data) for name, filename, data in request.parts if filename and name == "attachments[]"]
        return fields, files


class Alloy(Vendor):
    """API v2: workflow actions; every answer is 200 and says in itself whether it is one."""

    preset = "alloy-navigator"
    values: ClassVar[dict[str, Any]] = {"create_action": "12", "reply_action": "250"}

    def name(self, number: int) -> str:
        """See `Vendor`."""
        return f"T{number:06}"

    def block(self) -> dict[str, Any]:
        """See `Vendor.block`."""
        sign_in = {
            "method": "oauth2",
            "token_url": f"{self.url}/api/token",
            "client_id": "app",
            "client_secret": "vendor",
            "client_auth": "body",
        }
        return {**super().block(), "sign_in": sign_in}

    def knows(self, request: ApiRequest) -> bool:
        """See `Vendor`."""
        return request.path == "/api/token" or request.headers.get("authorization") == "Bearer token-of-alloy"

    def serve(self, request: ApiRequest, parts: list[str]) -> ApiAnswer | None:  # noqa: PLR0911 (one for each call)
        """See `Vendor`."""
        match request.method, parts:
            case "POST", ["api", "token"]:
                assert request.form == {"grant_type": "client_credentials", "client_id": "app", "client_secret": SECRET}
                return ApiAnswer(200, {"access_token": "token-of-alloy", "token_type": "bearer", "expires_in": 3600})
            case "POST", ["api", "v2"]:
                assert request.json["ActionId"] == "12"
                fields = request.json["Fields"]
                self.make(Record(fields["Summary"], [fields["Description"]], reference=fields["Mail_Reference"]))
                return self._said({"Succeed": True})
            case "GET", ["api", "v2", "Tickets"]:
                return self._said({"Data": [self._row(n, request) for n in self._found(request)]})
            case "POST", ["api", "v2", "object", name, "action", "250"]:
                number = self.number(name)
                if number is None:
                    return ApiAnswer(200, {"success": False, "errorCode": 7, "errorText": f"Object {name} not found."})
                self.records[number].add(request.json["Comment"])
                return self._said({"Succeed": True})
            case "GET", ["api", "v2", "Activities", name]:
                number = self.number(name)
                assert number
                return self._said({"Data": [["1", text] for text in self.records[number].texts[1:]]})
        return None

    def _found(self, request: ApiRequest) -> list[int]:
        if "Ticket" in request.query:
            number = self.number(request.query["Ticket"])
            return [number] if number else []
        return self.holding(request.query["Mail_Reference"])

    def _row(self, number: int, request: ApiRequest) -> list[str]:
        record = self.records[number]
        status = "Closed" if record.closed else "New"
        row = {"Ticket": self.name(number), "Status": status, "Mail_Reference": record.reference}
        return [row[name] for name in request.query["par_fields"].split(",")]

    @staticmethod
    def _said(found: dict[str, Any]) -> ApiAnswer:
        return ApiAnswer(200, {"success": True, "errorCode": 0, "errorText": "", "responseObject": found})


VENDORS: tuple[type[Vendor], ...] = (Alloy, Freshdesk, Glpi, Jira, RequestTracker, ServiceNow, Zammad)


def plain(text: str) -> str:
    """What a person wrote, of what the presets make of it: without the sender's line, markup and reference."""
    if text.startswith("<p>"):
        paragraphs = re.findall(r"<p>(.*?)</p>", text, re.DOTALL)
        return html.unescape(re.sub(r"<br ?/?>\n?", "\n", paragraphs[1]))
    text = re.sub(r"\n\n[\[(]\w+[\])]$", "", text)
    return re.sub(r"^From .* <.*>\n\n", "", text)
