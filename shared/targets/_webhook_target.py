"""Delivers messages by the requests of a job's program, so that a crash between any two of them doubles nothing.

A delivery is a row of groups: some requests that may be repeated (uploads that nothing refers to yet), then one that
counts. Before the one that counts is sent, the receipt says that it begins; after its answer, that it is done. Whoever
finds "begun" asks the other side whether it was done (the step's lookup) before doing it again.

::

    (uploads) ──▶ begun 0 ──▶ POST ticket ──▶ begun 1 ──▶ POST attachment ──▶ ... ──▶ done, with ticket and action
                     └ killed here: find it by our key, else do it
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from shared.errors import ConfigInvalid, MessageError, Refused, Stale, Unavailable
from shared.model import Action, Create, Delivered, Delivery, OutsideTicket, Receipt, TicketStatus, TicketSummary
from shared.ports import TargetRequest
from shared.targets._json_path import find_all, find_first
from shared.targets._outside import participants
from shared.targets._templates import render, render_body, render_path
from shared.targets._webhook_calls import Answer, Call, Part, Where
from shared.targets._webhook_context import context_of
from shared.targets._webhook_guard import Resolve, resolve
from shared.targets._webhook_http import Http
from shared.targets._webhook_steps import Lookup, Multipart, Program, Read, Request, Step

_OTHER = "Another worker handles the same message."
_ID = "ticket_id"


@dataclass(frozen=True, slots=True)
class _Move:
    """One request of a delivery. ``item`` is the place of its attachment, for a step with ``each``."""

    step: Step
    item: int | None = None


@dataclass(frozen=True, slots=True)
class _Group:
    """Requests that may be repeated, and the one that counts; None: none of them does."""

    before: tuple[_Move, ...]
    counts: _Move | None


@dataclass
class _Course:
    """A delivery under way."""

    delivery: Delivery
    action: Action
    ticket: Mapping[str, Any]
    kept: dict[str, Any] = field(default_factory=dict)
    #: How often the other side said no; the next try is another one to it, and has another Idempotency-Key.
    refusals: int = 0

    @property
    def ticket_id(self) -> str:
        """Known from the beginning for a reply, from an answer for a new ticket."""
        return str(self.ticket.get("id") or self.kept.get(_ID) or "")


class WebhookTarget:
    """See `shared.ports.Target`."""

    batch: ClassVar[int] = 16

    def __init__(
        self,
        request: TargetRequest,
        program: Program,
        where: Where,
        *,
        values: Mapping[str, Any],
        resolve: Resolve = resolve,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._program = program
        parts = urlsplit(where.url)
        #: The same for every message.
        self._settled = {"values": values, "target": {"url": where.url, "origin": f"{parts.scheme}://{parts.netloc}"}}
        self._receipts = request.receipts
        self._outbox = request.outbox
        self._scope = request.settings.scope()
        self._is_id = request.settings.is_ticket_id
        self._clock = request.deadline.clock
        self._deadline = request.deadline
        self._http = Http(where, request.secrets, request.deadline, resolve=resolve, pause=pause)

    def look_up(self, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        """See the port. One request for each, and one of storage."""
        wanted = [one for one in ticket_ids if self._is_id(one)]
        known = self._receipts.tickets(self._scope, wanted)
        found = {}
        for ticket_id in wanted:
            noted = known.get(ticket_id, OutsideTicket(ticket_id))
            if self._program.read is None:
                if ticket_id in known:
                    found[ticket_id] = TicketSummary(ticket_id, TicketStatus.OPEN, noted.participants)
            elif (row := self._read(self._program.read, noted)) is not None:
                found[ticket_id] = _summary(self._program.read, noted, row)
        return found

    def apply(self, deliveries: Sequence[Delivery]) -> Sequence[Delivered | MessageError]:
        """See the port."""
        return [self._deliver(delivery) for delivery in deliveries]

    # --- one delivery -------------------------------------------------------------------------------------------------

    def _deliver(self, delivery: Delivery) -> Delivered | MessageError:
        try:
            receipt = self._receipts.find(self._scope, delivery.key.digest) or Receipt(delivery.key.digest)
            if receipt.action:
                return Delivered(receipt.ticket_id, receipt.action)
            if receipt.begun or receipt.step:
                course = _resumed(delivery, receipt)
                receipt = self._settle_doubt(receipt, course)
                if receipt.begun or receipt.step:
                    return self._go_on(receipt, course)
            # Nothing was done, so what is decided now counts.
            course = self._course(delivery)
            course.refusals = receipt.facts.get("refusals", 0)
            return self._go_on(receipt, course)
        except MessageError as error:
            return error
        except Stale as stale:
            raise Unavailable(_OTHER) from stale

    def _course(self, delivery: Delivery) -> _Course:
        decision = delivery.decision
        if isinstance(decision, Create):
            return _Course(delivery, Action.CREATED, {})
        return _Course(delivery, Action.MODIFIED, self._ticket(decision.ticket_id))

    def _ticket(self, ticket_id: str) -> Mapping[str, Any]:
        """What templates know of an existing ticket. Raises `Refused` where there is none."""
        noted = self._receipts.tickets(self._scope, [ticket_id]).get(ticket_id) if self._is_id(ticket_id) else None
        if noted is None and self._program.read and self._is_id(ticket_id):
            row = self._read(self._program.read, OutsideTicket(ticket_id))
            if row is not None:
                return {**_facts(self._program.read.keep, row), "id": ticket_id}
        if noted is None:
            raise Refused(f"There is no ticket {ticket_id!r}.")
        return {**noted.facts, "id": ticket_id}

    def _settle_doubt(self, receipt: Receipt, course: _Course) -> Receipt:
        """Find out whether the step that has begun was done. What cannot be asked about is done again."""
        groups = self._groups(course)
        if not receipt.begun or receipt.step >= len(groups):
            return receipt
        move = groups[receipt.step].counts
        if move is None or move.step.lookup is None:
            return receipt
        lag = timedelta(seconds=move.step.lookup.lag_seconds)
        waited = self._clock() - receipt.since if receipt.since else lag
        row = self._find(move.step.lookup, course, move)
        if row is not None:
            _keep(move, _facts(move.step.lookup.keep, row), course)
            return self._done(receipt, course, groups)
        if waited < lag:
            raise Unavailable(
                "Whether a message has its ticket is not known yet: the answer was lost, and the search there may lag.",
                remedy="It is looked up again by itself.",
                retry_after=lag - waited,
            )
        return replace(receipt, begun=False)

    def _go_on(self, receipt: Receipt, course: _Course) -> Delivered:
        groups = self._groups(course)
        for group in groups[receipt.step :]:
            try:
                if not receipt.begun:
                    for move in group.before:
                        _keep(move, self._make(move, course), course)
                    if group.counts:
                        receipt = self._write(replace(receipt, begun=True), course)
                if group.counts:
                    _keep(group.counts, self._make(group.counts, course), course)
            except Refused:
                # It says that it was not done.
                course.refusals += 1
                self._write(replace(receipt, begun=False), course)
                raise
            receipt = self._done(receipt, course, groups)
        if not course.ticket_id:
            raise ConfigInvalid(
                "The answer to a new ticket has no id where the target looks for it.",
                remedy="Give the create step a keep with the JSON path of ticket_id.",
            )
        self._finish(receipt, course)
        return Delivered(course.ticket_id, course.action)

    def _finish(self, receipt: Receipt, course: _Course) -> None:
        if not receipt.etag:
            receipt = self._write(receipt, course)
        done = replace(receipt, begun=False, ticket_id=course.ticket_id, action=course.action, facts={})
        facts = {name: value for name, value in course.ticket.items() if name != "id"}
        if course.action is Action.CREATED:
            kept = course.kept.items()
            facts = {name: value for name, value in kept if name != _ID and isinstance(value, str | int)}
        noted = OutsideTicket(course.ticket_id, participants(course.delivery.message), facts)
        self._receipts.finish(self._scope, done, noted)

    def _done(self, receipt: Receipt, course: _Course, groups: Sequence[_Group]) -> Receipt:
        """Write down that a step is done, and that the next one begins where nothing comes before it.

        After the last one nothing is written: the end says both.
        """
        step = receipt.step + 1
        further = replace(receipt, step=step, begun=step < len(groups) and not groups[step].before)
        return further if step == len(groups) else self._write(further, course)

    def _write(self, receipt: Receipt, course: _Course) -> Receipt:
        wanted = replace(receipt, facts=_written(course))
        write = self._receipts.advance if receipt.etag else self._receipts.begin
        return write(self._scope, wanted)

    def _groups(self, course: _Course) -> list[_Group]:
        steps = self._program.create if course.action is Action.CREATED else self._program.modify
        groups, before = [], list[_Move]()
        about = {**context_of(course.delivery, self._outbox, None), **self._settled}
        for step in steps:
            if step.when is not None and not render(step.when, about).strip():
                continue
            count = len(course.delivery.message.attachments)
            moves = [_Move(step, item) for item in range(count)] if step.each else [_Move(step)]
            for move in moves:
                if step.repeatable:
                    before.append(move)
                else:
                    groups.append(_Group(tuple(before), move))
                    before = []
        return [*groups, _Group(tuple(before), None)] if before else groups

    # --- requests -----------------------------------------------------------------------------------------------------

    def _make(self, move: _Move, course: _Course) -> Mapping[str, Any]:
        """Send the request of a move: what of the answer is kept."""
        digest = course.delivery.key.digest
        place = self._place(move, course)
        key = f"{digest}-{place}" + (f"-{course.refusals}" if course.refusals else "")
        answer = self._send(move.step.request, self._context(course, move), _doing(course, move), key)
        if move.step.keep or move.step.expect:
            _refuse_garbled(answer, _doing(course, move))
        if wrong := [path for path, text in move.step.expect.items() if not _says(answer.document, path, text)]:
            raise self._http.refused(_doing(course, move), answer, f"{', '.join(wrong)} is not as it must be")
        facts = _facts(move.step.keep, answer.document)
        if missing := [name for name, value in facts.items() if value is None]:
            raise ConfigInvalid(
                f"The answer has nothing where the target looks for {', '.join(missing)}.",
                remedy="Correct the JSON path in keep.",
            )
        return facts

    def _place(self, move: _Move, course: _Course) -> str:
        """Which request of this delivery it is, the same each time."""
        steps = self._program.create if course.action is Action.CREATED else self._program.modify
        step = next(number for number, one in enumerate(steps) if one is move.step)
        return f"{step}" if move.item is None else f"{step}.{move.item}"

    def _find(self, lookup: Lookup, course: _Course, move: _Move) -> Any:
        """The row of what was done, or None."""
        context = self._context(course, move)
        answer = self._look(lookup.request, context, f"look for {_doing(course, move)}")
        wanted = {path: render(text, context) for path, text in lookup.where.items()}
        for found in find_all(lookup.rows, answer.document) if answer.status < 300 else []:
            for row in found if isinstance(found, list) else [found]:
                if all(_contains(find_all(path, row), text) for path, text in wanted.items()) and row:
                    return row
        return None

    def _read(self, read: Read, ticket: OutsideTicket) -> Any:
        """The ticket as the other side has it, or None."""
        context = {**self._settled, "ticket": {**ticket.facts, "id": ticket.ticket_id}}
        answer = self._look(read.request, context, f"read ticket {ticket.ticket_id}")
        if answer.status >= 300:
            return None
        row = find_first(read.rows, answer.document)
        return (row[0] if row else None) if isinstance(row, list) else row

    def _look(self, request: Request, context: Mapping[str, Any], doing: str) -> Answer:
        """Ask. What cannot be read is no "there is none": on such a word nothing may be created."""
        answer = self._send(request, context, doing, "")
        _refuse_garbled(answer, doing)
        return answer

    def _send(self, request: Request, context: Mapping[str, Any], doing: str, key: str) -> Answer:
        content = context["attachment"]["data"] if request.content else None
        typed = {"Content-Type": context["attachment"]["content_type"]} if request.content else {}
        headers = {name: render(text, context) for name, text in {**self._program.headers, **request.headers}.items()}
        return self._http.send(
            Call(
                doing=doing,
                method=request.method,
                path=render_path(request.path, context),
                query=_named(request.query, context),
                headers={**headers, **typed},
                json=render_body(request.json_body, context) if request.json_body is not None else None,
                form=_named(request.form, context) if request.form is not None else None,
                files=_parts(request.multipart, context) if request.multipart else None,
                content=content,
                key=key,
            )
        )

    def _context(self, course: _Course, move: _Move) -> Mapping[str, Any]:
        ticket = {**course.ticket, "id": course.ticket_id}
        about = context_of(course.delivery, self._outbox, move.item)
        return {**about, **self._settled, "ticket": ticket, "kept": course.kept}


def _named(texts: Mapping[str, str], context: Mapping[str, Any]) -> dict[str, str]:
    return {render(name, context): render(text, context) for name, text in texts.items()}


def _parts(multipart: Multipart, context: Mapping[str, Any]) -> list[Part]:
    fields: list[Part] = [
        (name, (None, text.encode("utf-8", "replace"), None))
        for name, text in _named(multipart.fields, context).items()
    ]
    return fields + [
        (name, (part["name"], part["data"], part["content_type"]))
        for name, which in multipart.files.items()
        for part in (context["attachments"] if which == "attachments" else [context["attachment"]])
    ]


def _doing(course: _Course, move: _Move) -> str:
    what = "create a ticket" if course.action is Action.CREATED else f"add to ticket {course.ticket_id}"
    return what if move.item is None else f"{what} (attachment {move.item + 1})"


def _written(course: _Course) -> Mapping[str, Any]:
    return {
        "action": course.action.value,
        "ticket": dict(course.ticket),
        "kept": course.kept,
        "refusals": course.refusals,
    }


def _resumed(delivery: Delivery, receipt: Receipt) -> _Course:
    facts = receipt.facts
    return _Course(delivery, Action(facts["action"]), facts["ticket"], dict(facts["kept"]), facts["refusals"])


def _refuse_garbled(answer: Answer, doing: str) -> None:
    if answer.garbled:
        raise Unavailable(
            f"The system answered something else than JSON to the request to {doing}.",
            remedy="It is tried again by itself; nothing is lost. If it lasts, look for a proxy in between that "
            "answers in its place.",
        )


def _facts(keep: Mapping[str, str], document: Any) -> dict[str, Any]:
    """A path with ``[*]`` gives a list."""
    return {name: (find_all if "[*]" in path else find_first)(path, document) for name, path in keep.items()}


def _keep(move: _Move, facts: Mapping[str, Any], course: _Course) -> None:
    for name, value in facts.items():
        if move.item is None:
            course.kept[name] = value
        else:
            before = list(course.kept.get(name, ()))
            course.kept[name] = [*before[: move.item], value]


def _says(document: Any, path: str, text: str) -> bool:
    return any(str(value).lower() == text.lower() for value in find_all(path, document))


def _contains(values: Sequence[Any], text: str) -> bool:
    """Numbers must be equal, whether they come as numbers or as texts: document 12 is not document 1."""
    shown = [value if isinstance(value, str) else str(value) for value in values]
    return bool(text) and any(text == one if text.isdecimal() and one.isdecimal() else text in one for one in shown)


def _summary(read: Read, noted: OutsideTicket, row: Any) -> TicketSummary:
    status = str(find_first(read.status, row)) if read.status else ""
    people = {str(one).lower() for path in read.participants for one in find_all(path, row) if one}
    closed = TicketStatus.CLOSED if status in read.closed else TicketStatus.OPEN
    return TicketSummary(noted.ticket_id, closed, noted.participants | people)
