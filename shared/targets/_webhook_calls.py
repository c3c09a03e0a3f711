"""What a `webhook` target sends and gets, and where to: plain data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.targets._webhook_sign_in import OAuth2, SignIn

#: Of a multipart body: field, and file name (None: no file), content, content type.
Part = tuple[str, tuple[str | None, bytes, str | None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes = field(repr=False)

    @property
    def document(self) -> Any:
        """The body as JSON, or None."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return None

    @property
    def garbled(self) -> bool:
        """Whether it says yes with something that is no JSON: a page of a proxy, an answer that was cut short."""
        return self.status < 300 and bool(self.body) and self.document is None and self.body.strip() != b"null"


@dataclass(frozen=True, slots=True)
class Call:
    """A request, ready but for sign-in and signature."""

    #: What it is about, for errors: "create a ticket".
    doing: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    files: list[Part] | None = field(default=None, repr=False)
    content: bytes | None = field(default=None, repr=False)
    #: For Idempotency-Key and the signature.
    key: str = ""


@dataclass(frozen=True, slots=True)
class Where:
    """Where a target is, and how to get in."""

    url: str
    sign_in: SignIn | None
    secret_headers: Mapping[str, str]
    signature_secret: str | None
    idempotency_header: str | None
    allow_private: bool
    ca_file: str | None
    timeout: float

    @property
    def tls(self) -> bool:
        """Whether any request needs certificates, which take a while to load."""
        token_url = self.sign_in.token_url if isinstance(self.sign_in, OAuth2) else ""
        return any(url.startswith("https") for url in (self.url, token_url))
