"""Tickets in any system with an HTTP API: what a job says of it.

A preset brings the requests for a known system; whatever it says, the job may say otherwise.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from shared.ports import TargetKind, TargetRequest, TargetSettings
from shared.signin.entra import SecretName
from shared.targets._presets import preset, preset_names
from shared.targets._templates import Template
from shared.targets._webhook_sign_in import SignIn
from shared.targets._webhook_steps import Program, Read, Step

if TYPE_CHECKING:
    from shared.targets._webhook_target import WebhookTarget

_HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,60}$")]
_Value = str | int | bool


class WebhookSettings(TargetSettings):
    """A system that is called over HTTP."""

    type: Literal["webhook"]
    url: str = Field(
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        max_length=1000,
        description="What the paths of requests go behind.",
    )
    preset: str | None = Field(default=None, description="The requests for a known system: see docs/target-webhook.md.")
    sign_in: SignIn | None = None
    headers: dict[_HeaderName, Template] = Field(default={})
    secret_headers: dict[_HeaderName, SecretName] = Field(default={}, description="Header -> name of a secret.")
    signature_secret: SecretName | None = Field(
        default=None, description="Sign every request with this secret, as Standard Webhooks has it (HMAC-SHA256)."
    )
    idempotency_header: _HeaderName | None = "Idempotency-Key"
    values: dict[str, _Value] = Field(default={}, description="What templates know as values.name.")
    create: list[Step] | None = Field(default=None, description="The requests that make a ticket, in their order.")
    modify: list[Step] | None = Field(default=None, description="The requests that add a reply to one.")
    read: Read | None = None
    allow_private: bool = Field(default=False, description="Requests may go to private addresses.")
    ca_file: str | None = Field(default=None, description="PEM file with the CAs to trust in place of the usual ones.")
    timeout_seconds: int = Field(default=30, ge=1, le=120)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.preset is not None and self.preset not in preset_names():
            raise ValueError(f"There is no preset {self.preset!r}. There are {', '.join(preset_names())}.")
        program = self.program
        if not program.create or not program.modify:
            raise ValueError("Name a preset, or say in create and modify which requests to make.")
        if not any("ticket_id" in step.keep for step in program.create):
            raise ValueError("No step of create keeps ticket_id: say where in the answer the ticket's id is.")
        if missing := sorted(name for name, value in self.all_values.items() if value is None):
            raise ValueError(f"The preset {self.preset!r} needs {', '.join(missing)} in values.")
        if unknown := sorted(set(self.values) - set(program.values)) if self.preset else []:
            raise ValueError(f"The preset {self.preset!r} knows no {', '.join(unknown)} in values.")
        return self

    @property
    def program(self) -> Program:
        """The preset's requests, with what the job says otherwise."""
        base = preset(self.preset) if self.preset else Program()
        mine = {name: part for name in ("create", "modify", "read") if (part := getattr(self, name)) is not None}
        return base.model_copy(update={**mine, "headers": {**base.headers, **self.headers}})

    @property
    def all_values(self) -> Mapping[str, Any]:
        """The preset's, with the job's."""
        return {**(preset(self.preset).values if self.preset else {}), **self.values}

    def scope(self) -> str:
        """Jobs with the same address continue each other's tickets."""
        parts = urlsplit(self.url)
        return f"webhook:{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"

    def secret_names(self) -> frozenset[str]:
        """See `TargetSettings.secret_names`."""
        mine = {*self.secret_headers.values(), *([self.signature_secret] if self.signature_secret else [])}
        return frozenset(mine) | (self.sign_in.secret_names() if self.sign_in else frozenset())

    def warnings(self) -> tuple[str, ...]:
        """See `TargetSettings.warnings`."""
        found = []
        if unsure := [
            f"{name} ({number})"
            for name, steps in (("create", self.program.create), ("modify", self.program.modify))
            for number, step in enumerate(steps, start=1)
            if not (step.lookup or step.repeatable) and step.request.method != "GET"
        ]:
            found.append(
                f"target: {', '.join(unsure)} can be done twice where an answer gets lost, unless the other system "
                f"heeds {self.idempotency_header or 'a key of its own'}: give the step a lookup, or say repeatable."
            )
        if self.url.startswith("http://"):
            found.append("target: what is sent to http:// can be read on its way, secrets included. Use https://.")
        return tuple(found)

    def is_ticket_id(self, text: str) -> bool:
        """Whether a text can be a ticket's id at all; nothing else is asked for there."""
        return re.fullmatch(self.program.ticket_id, text) is not None


def open_target(request: TargetRequest) -> "WebhookTarget":
    """Ready to call; nothing is sent yet."""
    from shared.targets._webhook_calls import Where
    from shared.targets._webhook_target import WebhookTarget

    settings: WebhookSettings = request.settings
    where = Where(
        url=settings.url.rstrip("/"),
        sign_in=settings.sign_in,
        secret_headers=settings.secret_headers,
        signature_secret=settings.signature_secret,
        idempotency_header=settings.idempotency_header,
        allow_private=settings.allow_private,
        ca_file=settings.ca_file,
        timeout=float(settings.timeout_seconds),
    )
    return WebhookTarget(request, settings.program, where, values=settings.all_values)


TARGET = TargetKind(kind="webhook", settings=WebhookSettings, open=open_target)
