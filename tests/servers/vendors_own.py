"""Stand-ins of the systems that people run themselves: Zammad, GLPI, Request Tracker, Alloy. See `tests.servers.vendors`."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.servers.vendor import SECRET, Record, Vendor
from tests.servers.web_api import ApiAnswer, ApiRequest


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
