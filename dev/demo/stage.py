"""What the demo is played on: storage, a mail server, the function app in a local host, and a client of its API."""

import os
import smtplib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import httpx

from dev.azurite import Azurite
from dev.demo.letters import SUPPORT, Letter
from dev.demo.story import NotSeen
from dev.host.process import PROJECT, HostProcess
from dev.mailserver import MailServer

#: How long a mailbox stays held by a run that was killed. Short, so that nobody waits; in Azure it is 90.
LEASE_SECONDS = 5
_PATIENCE = 30

#: What local.settings.json or the environment may say, but not here.
_UNSET = ("MAILCONNECTOR_SECRETS_FILE", "MAILCONNECTOR_MAX_TIMERS", "MAILCONNECTOR_RUN_SECONDS")


@dataclass(frozen=True, slots=True)
class Lying:
    """One message as it lies in a folder."""

    uid: int
    #: Without ``\\Recent``, which belongs to a session.
    flags: frozenset[str]
    sender: str
    subject: str

    @property
    def read(self) -> bool:
        r"""Whether it has ``\Seen``."""
        return r"\Seen" in self.flags


class Stage:
    """Everything that was started. `open_stage` makes one and clears it away."""

    def __init__(self, azurite: Azurite, mail: MailServer, host: HostProcess) -> None:
        self.azurite = azurite
        self.mail = mail
        self.host = host

    # --- the API

    def call(self, method: str, path: str, body: object = None, *, expect: int = 200) -> Any:
        """The JSON answer of the API. Raises `NotSeen` when the status is another one than was expected."""
        answer = self.fetch(method, path, body)
        if answer.status_code != expect:
            raise NotSeen(f"{method} {path} answers {expect}: it was {answer.status_code}, {answer.text[:500]}")
        return answer.json() if answer.content else None

    def fetch(self, method: str, path: str, body: object = None) -> httpx.Response:
        """The answer as it came."""
        with httpx.Client(base_url=self.host.url, timeout=_PATIENCE, trust_env=False) as client:
            return client.request(method, path, json=body)

    def tickets(self, job_id: str) -> list[dict[str, Any]]:
        """All tickets of a job with their entries, oldest first."""
        listed = self.call("GET", f"/api/tickets?job_id={job_id}&limit=200")["items"]
        return [self.call("GET", f"/api/tickets/{ticket['id']}") for ticket in reversed(listed)]

    # --- the mailbox

    def send(self, letter: Letter) -> None:
        """By SMTP, into INBOX."""
        with smtplib.SMTP(self.mail.host, self.mail.smtp_port, timeout=_PATIENCE) as smtp:
            smtp.sendmail(letter.sender, [SUPPORT], letter.raw)

    def put(self, *letters: Letter, folder: str = "INBOX") -> None:
        """By IMAP4 APPEND, byte for byte."""
        self.mail.append(*(letter.raw for letter in letters), folder=folder)

    def lying(self, folder: str = "INBOX") -> list[Lying]:
        """The folder as another mail program sees it."""
        with self.mail.client(None) as client:
            client.select_folder(folder)
            found = client.fetch(client.search(), ["FLAGS", "BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)]"])
        return [_lying(uid, data) for uid, data in sorted(found.items())]


def _lying(uid: int, data: dict[bytes, Any]) -> Lying:
    header = data[b"BODY[HEADER.FIELDS (FROM SUBJECT)]"].decode("utf-8", "replace").splitlines()
    fields = dict(line.partition(": ")[::2] for line in header if ": " in line)
    flags = frozenset(flag.decode() for flag in data[b"FLAGS"]) - {r"\Recent"}
    return Lying(uid, flags, _readable(fields.get("From", "")), _readable(fields.get("Subject", "")))


def _readable(text: str) -> str:
    if not text.isascii():
        return text
    try:
        return str(make_header(decode_header(text)))
    except (ValueError, LookupError):
        return text


@contextmanager
def open_stage(app_dir: Path = PROJECT) -> Iterator[Stage]:
    """Start everything on free ports; end it, and remove what it wrote, however the block is left.

    Raises `ChildFailed` or `AzuriteFault` with the last words of what did not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo-")))
        azurite = stack.enter_context(Azurite(in_memory=True))
        mail = stack.enter_context(MailServer(user=SUPPORT))
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "MAILCONNECTOR_PREFIX": "demo",
            "MAILCONNECTOR_LEASE_SECONDS": str(LEASE_SECONDS),
            "MAILCONNECTOR_SECRET_SUPPORT_MAILBOX": mail.password,
            **dict.fromkeys(_UNSET, ""),
            **_direct(),
        }
        host = stack.enter_context(HostProcess(app_dir, settings=settings, events=folder / "events.jsonl"))
        yield Stage(azurite, mail, host)


def _direct() -> dict[str, str]:
    # No proxy stands between us and this machine, whatever the environment says.
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(filter(None, ["127.0.0.1", known])))
