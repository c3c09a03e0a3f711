"""What a `webhook` job, or a preset, says of the requests: the models and nothing that sends one."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from shared.ports import Settings
from shared.targets._json_path import JsonPath
from shared.targets._templates import JsonBody, Template

_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]


def _is_relative(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("Begin the path with /: it goes behind the target's url.")
    return path


class Multipart(Settings):
    """A body as multipart/form-data."""

    fields: dict[Template, Template] = Field(default={})
    #: Field name -> which files.
    files: dict[str, Literal["attachment", "attachments"]] = Field(
        description="attachment: the one of this request (each); attachments: all of the message."
    )


class Request(Settings):
    """One HTTP request made from templates."""

    method: Literal["GET", "POST", "PUT", "PATCH"] = "POST"
    path: Annotated[Template, AfterValidator(_is_relative)]
    query: dict[Template, Template] = Field(default={})
    headers: dict[str, Template] = Field(default={})
    json_body: JsonBody = Field(default=None, alias="json", description="A JSON document whose texts are templates.")
    form: dict[Template, Template] | None = Field(default=None, description="application/x-www-form-urlencoded.")
    multipart: Multipart | None = None
    content: Literal["attachment"] | None = Field(default=None, description="The bytes of the attachment, as they are.")

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        bodies = [body for body in (self.json_body, self.form, self.multipart, self.content) if body is not None]
        if len(bodies) > 1:
            raise ValueError("A request has one of json, form, multipart and content.")
        if bodies and self.method == "GET":
            raise ValueError("A GET has no body.")
        return self


class Lookup(Settings):
    """How to find what a request did whose answer got lost, before it is made again."""

    request: Request
    rows: JsonPath = Field(default="$", description="The list to search through; or the one object to look at.")
    where: dict[JsonPath, Template] = Field(
        default={}, description="Path in a row -> a text that it contains, or a number that it is. None: the first row."
    )
    keep: dict[_Name, JsonPath] = Field(default={}, description="As in the step, within the row.")
    lag_seconds: int = Field(
        default=0, ge=0, le=3600, description="How long the system's search may be behind: nothing is repeated before."
    )


class Step(Settings):
    """One request of a delivery, or one for each attachment."""

    request: Request
    each: Literal["attachments"] | None = None
    when: Template | None = Field(
        default=None, description="The step is left out where this is blank. It may speak of the message alone."
    )
    expect: dict[JsonPath, str] = Field(
        default={}, description="What an answer must say, for a system that refuses with a 200: path -> text."
    )
    keep: dict[_Name, JsonPath] = Field(
        default={},
        description="What later templates need of the answer, as kept.name. A new ticket's id is kept as ticket_id. "
        "With each, a list of what the answers had.",
    )
    lookup: Lookup | None = None
    repeatable: bool = Field(
        default=False, description="Nothing is wrong with doing it twice: an upload that nothing refers to, a PUT."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.repeatable and self.lookup:
            raise ValueError("What is repeatable needs no lookup.")
        return self


class Read(Settings):
    """How to read a ticket: whether it is there, whether it is open, who takes part."""

    request: Request
    rows: JsonPath = Field(default="$", description="The ticket within the answer. Nothing there: no such ticket.")
    keep: dict[_Name, JsonPath] = Field(default={}, description="What templates need of it, as ticket.name.")
    status: JsonPath | None = None
    closed: list[str] = Field(default=[], description="What status may be for a ticket that takes no replies.")
    participants: list[JsonPath] = Field(default=[])


class Program(Settings):
    """All requests of one kind of system: what a preset holds, and what a job may change in part."""

    about: str = ""
    #: Pages of the vendor that this follows.
    sources: list[str] = Field(default=[])
    headers: dict[str, Template] = Field(default={})
    values: dict[_Name, str | int | bool | None] = Field(
        default={}, description="What templates know as values.name; null: the job must give it."
    )
    ticket_id: str = Field(default=r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", description="What ids look like.")
    create: list[Step] = Field(default=[])
    modify: list[Step] = Field(default=[])
    read: Read | None = None
