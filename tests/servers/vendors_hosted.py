"""Stand-ins of the systems that are services: ServiceNow, Jira Service Management, Freshdesk. See `tests.servers.vendors`."""

import base64
import re
from collections.abc import Callable
from typing import Any, ClassVar

from tests.servers.vendor import SECRET, Record, Vendor
from tests.servers.web_api import ApiAnswer, ApiRequest

#: Characters of a text in Jira.
_LONGEST = 32_767


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
            case "GET", ["api", "now", "table", "incident", sys_id]:
                # As a raw value, a journal field is empty. sys_journal_field shows nothing without a role of its own.
                shown = request.query.get("sysparm_display_value") == "true"
                comments = "\n\n".join(self.records[int(sys_id, 16)].texts[:0:-1]) if shown else ""
                return ApiAnswer(200, {"result": {"comments": comments}})
            case "GET", ["api", "now", "table", "sys_journal_field"]:
                return ApiAnswer(200, {"result": []})
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
                if len(fields["summary"]) > 255 or len(fields["description"]) > _LONGEST:
                    return ApiAnswer(400, {"errorMessage": "The text exceeds the allowed limit of 32,767 characters."})
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
                if len(request.json["body"]) > _LONGEST:
                    return ApiAnswer(400, {"errorMessage": "The text exceeds the allowed limit of 32,767 characters."})
                record.add(request.json["body"])
                return ApiAnswer(201, {"id": "1"})
            case "POST", ["attachment"]:
                files = [self.uploads.pop(one) for one in request.json["temporaryAttachmentIds"]]
                assert files, "Nothing to attach."
                record.files[-1] += files
                record.add(request.json["additionalComment"]["body"])
                return ApiAnswer(201, {})
        return None


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
                if refusal := self._refusal({"subject", "description", "email", "status", "priority"}, fields, files):
                    return refusal
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
                if refusal := self._refusal({"body"}, fields, files):
                    return refusal
                assert fields["private"] == "false"
                self.records[int(name)].add(fields["body"], files)
                return ApiAnswer(201, {"id": 1})
            case "GET", ["api", "v2", "tickets", name, "conversations"]:
                oldest = self.records[int(name)].texts[1:][: int(request.query.get("per_page", "30"))]
                return ApiAnswer(200, [{"body": text} for text in oldest])
        return None

    @staticmethod
    def _refusal(wanted: set[str], fields: dict[str, str], files: list[tuple[str, bytes]]) -> ApiAnswer | None:
        """What has a file name is no field."""
        wrong = [{"field": name, "code": "missing_field"} for name in sorted(wanted) if not fields.get(name)]
        if sum(len(data) for _, data in files) > 20 * 1024 * 1024:
            wrong.append({"field": "attachments", "code": "invalid_size"})
        return ApiAnswer(400, {"description": "Validation failed", "errors": wrong}) if wrong else None

    @staticmethod
    def _body(request: ApiRequest) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
        fields = {name: data.decode() for name, filename, data in request.parts if filename is None}
        files = [(filename, data) for name, filename, data in request.parts if filename and name == "attachments[]"]
        return fields, files
