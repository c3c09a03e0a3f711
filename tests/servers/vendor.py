"""What the stand-ins of ticket systems have in common: tickets by number, and a sign-in."""

from abc import abstractmethod
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
