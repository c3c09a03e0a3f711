"""Who changed what, when: a record of every request that changed something, and their listing.

The record is written once the change is made and before the caller is answered. Should that fail, the change stands,
and the log has an event that tells it.
"""

import logging
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.api.access import Caller, Role
from shared.api.context import Services
from shared.api.openapi import answers, fails
from shared.api.paging import DEFAULT_LIMIT, Cursor, Limit, page_answer, read_page
from shared.api.problems import PARAMETER_INVALID
from shared.api.services import ApiServices
from shared.api.views import View
from shared.errors import MailConnectorError
from shared.events import Event, tell
from shared.model import AuditRecord, Change

router = APIRouter(prefix="/audit", tags=["audit"])

_log = logging.getLogger(__name__)

#: What is sent with a method that changes things, and changes none.
LOOKS = frozenset({"preview_schedule", "test_job", "dry_run_job", "replay_message"})

#: What changes a config, or says the same as before: then there is nothing to record.
_CONFIGS = frozenset({"create_job", "put_job", "patch_job", "enable_job", "disable_job"})

#: What the present request has changed so far; endpoints add to it in their own threads.
_changes: ContextVar[list[Change]] = ContextVar("changes")


class CallerView(View):
    """Who it was."""

    id: str = Field(description="Object id in Microsoft Entra; empty for a function key.")
    name: str = Field(description="A user's name, or an app registration's id; or `function key`.")


class ChangeView(View):
    """One value that changed. Secrets stand in configs by name, so no value is one."""

    pointer: str = Field(description="JSON pointer of the value in the document; empty: a note.")
    before: Any = Field(description="null: there was none.")
    after: Any = Field(description="null: there is none any more.")


class AuditView(View):
    """One change."""

    at: datetime
    caller: CallerView
    action: str = Field(description="The operation, by its name in this document.")
    subject: str = Field(description="What was changed: the values in its address.")
    changes: list[ChangeView] = Field(description="What changed in the document, where it was one.")


class AuditPage(View):
    """Changes, the newest first."""

    items: list[AuditView]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


@router.get("", responses=answers(200, AuditPage, "A page of changes.", headers=("Link",)) | fails(PARAMETER_INVALID))
def list_audit(
    request: Request, services: Services, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> JSONResponse:
    """List what was changed, by whom and when, the newest first."""
    records, following = read_page(lambda: services.audit.page(limit=limit, cursor=cursor), cursor)
    return page_answer(request, [_view(record).body() for record in records], following)


def changed(before: Any, after: Any) -> None:
    """Note what a request changed in a document, from ``before`` to ``after`` (parsed JSON; None: there is none)."""
    found = _changes.get(None)
    if found is not None:
        found += _differences(before, after, "")


def noted(sentence: str) -> None:
    """Put a sentence into the record of the present request."""
    found = _changes.get(None)
    if found is not None:
        found.append(Change("", None, sentence))


class Audit:
    """ASGI middleware: writes the record of each request that changed something, before its answer leaves."""

    def __init__(self, app: ASGIApp, services: ApiServices) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        changes: list[Change] = []
        _changes.set(changes)

        async def send_once_recorded(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                await run_in_threadpool(self._record, scope, tuple(changes))
            await send(message)

        await self._app(scope, receive, send_once_recorded)

    def _record(self, scope: Scope, changes: tuple[Change, ...]) -> None:
        action = scope["route"].name
        if action in LOOKS or (action in _CONFIGS and not changes):
            return
        caller = scope.get("state", {}).get("caller", Caller(Role.ANYBODY))
        subject = "/".join(str(value) for value in scope.get("path_params", {}).values())
        subject = subject or next((str(change.after) for change in changes if change.pointer == "/id"), "")
        record = AuditRecord(self._services.clock(), caller.id, caller.name, action, subject, changes)
        try:
            self._services.audit.write(record)
        except MailConnectorError as fault:
            tell(_log, Event.AUDIT_UNWRITTEN, f"{action} of {subject!r} by {caller.id or 'a function key'}: {fault}")


def _differences(before: Any, after: Any, pointer: str) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from _differences(before.get(name), after.get(name), place)
    elif before != after:
        # A whole block that comes or goes is told value by value as well.
        if isinstance(before or after, Mapping) and not (before and after):
            yield from _differences(before or {}, after or {}, pointer)
        else:
            yield Change(pointer, before, after)


def _view(record: AuditRecord) -> AuditView:
    return AuditView(
        at=record.at,
        caller=CallerView(id=record.caller_id, name=record.caller_name),
        action=record.action,
        subject=record.subject,
        changes=[ChangeView(pointer=each.pointer, before=each.before, after=each.after) for each in record.changes],
    )
