"""The embedded `table` target's tickets on Table and Blob Storage.

A batch goes out as few transactions. Whatever keeps one from passing (a message that was delivered before a crash, an
id that another message has) makes its members go one by one, each looking up its own answer first.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from shared.errors import MessageError, Refused, Unavailable
from shared.model import (
    Action,
    Clock,
    Create,
    Delivered,
    Message,
    StoredAttachment,
    Ticket,
    TicketEntry,
    TicketStatus,
    TicketSummary,
)
from shared.ports import NewTicket
from shared.storage import ticket_rows as rows
from shared.storage.blobs import Container
from shared.storage.keys import prefix_end, write_time
from shared.storage.limits import TRANSACTION_ENTITIES, wire_bytes
from shared.storage.table import Row, RowConflict, Table, Write

#: Azure takes less than 4 MiB; the reckoning is to the safe side already.
_TRANSACTION_BYTES = 3_900_000
_UPLOADS = 4
_TRIES = 20


@dataclass(frozen=True, slots=True)
class _Content:
    """What of a message went to blobs."""

    attachments: str
    #: Parts that are too long for a property, and where they are.
    blobs: Mapping[str, str]


class TableTicketStore:
    """See `shared.ports.TicketStore`."""

    def __init__(self, table: Table, blobs: Container, clock: Clock) -> None:
        self._table = table
        self._blobs = blobs
        self._clock = clock

    def add(self, additions: Sequence[NewTicket]) -> Sequence[Delivered | MessageError]:
        """See the port. Blobs first: a ticket never names an attachment that is not there."""
        contents = self._upload(additions)
        tickets = self._tickets({_modified(addition) for addition in additions} - {""})
        answers: dict[int, Delivered | MessageError] = {}
        for group in self._groups(additions, contents, tickets):
            try:
                self._table.write(*(write for _, writes, _ in group for write in writes))
                answers.update({index: answer for index, _, answer in group})
            except RowConflict:
                for index, _, _ in group:
                    answers[index] = self._add_alone(additions[index], contents[index])
        for index in range(len(additions)):
            if index not in answers:
                answers[index] = self._add_alone(additions[index], contents[index])
        return [answers[index] for index in range(len(additions))]

    def summaries(self, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        """See the port. One request for each."""
        return {ticket_id: rows.read_summary(row) for ticket_id, row in self._tickets(ticket_ids).items()}

    def ticket(self, ticket_id: str) -> Ticket | None:
        """See the port."""
        row = self._tickets([ticket_id]).get(ticket_id)
        if row is None:
            return None
        # Mail tells whole seconds only: within one of them, what was added first is the older one.
        lines = sorted(self._lines(ticket_id), key=lambda line: str(line["added"]))
        entries = sorted(map(self._entry, lines), key=lambda entry: entry.date)
        return rows.read_ticket(row, entries)

    def page(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        job_id: str | None = None,
        status: TicketStatus | None = None,
        requester: str | None = None,
        changed_since: datetime | None = None,
    ) -> tuple[list[Ticket], str | None]:
        """See the port. The cursor is the key of the last line shown."""
        values = {"job_id": job_id, "status": status and status.value, "updated": write_time(changed_since)}
        given = {name: value for name, value in values.items() if value}
        lines = self._table.rows(
            rows.PARTITION,
            f"{cursor}\x20" if cursor and cursor.startswith("recent:") else "recent:",
            "recent;",
            where=" and ".join(f"{name} {'ge' if name == 'updated' else 'eq'} @{name}" for name in given),
            values=given,
            # A requester is found by looking at each.
            size=None if requester else limit + 1,
        )
        found = list(islice((line for line in lines if _is_from(line, requester)), limit + 1))
        shown = [rows.read_ticket(line) for line in found[:limit]]
        return shown, found[limit - 1]["RowKey"] if len(found) > limit else None

    def set_open(self, ticket_id: str, *, is_open: bool) -> Ticket | None:
        """See the port. Two requests."""
        status = TicketStatus.OPEN if is_open else TicketStatus.CLOSED
        for _ in range(_TRIES):
            row = self._tickets([ticket_id]).get(ticket_id)
            if row is None or row["status"] == status.value:
                return rows.read_ticket(row) if row else None
            changes = {"status": status.value, "merged_into": "", "updated": write_time(self._clock())}
            with suppress(RowConflict):
                self._table.write(*_changed(row, changes))
                return rows.read_ticket({**row, **changes})
        raise Unavailable("The ticket keeps changing.")

    def merge(self, ticket_id: str, into: str) -> Ticket | None:
        """See the port. One transaction over both tickets."""
        for _ in range(_TRIES):
            row, other = self._tickets([ticket_id]).get(ticket_id), self._present(into)
            if row is None or other is None or other["ticket_id"] == ticket_id:
                return None
            updated = write_time(self._clock())
            merged = {"status": TicketStatus.MERGED.value, "merged_into": other["ticket_id"], "updated": updated}
            people = [*rows.read_people(other["participants"]), *rows.read_people(row["participants"])]
            links = list(dict.fromkeys([*json.loads(other["links"]), ticket_id]))
            taken = {"participants": rows.write_people(people), "links": json.dumps(links), "updated": updated}
            with suppress(RowConflict):
                self._table.write(*_changed(row, merged), *_changed(other, taken))
                return rows.read_ticket({**row, **merged})
        raise Unavailable("The tickets keep changing.")

    def attachment(self, ticket_id: str, entry_id: str, index: int) -> tuple[StoredAttachment, Iterator[bytes]] | None:
        """See the port."""
        for line in self._lines(ticket_id):
            if line["entry_id"] == entry_id:
                attachments = self._entry(line).attachments
                if 0 <= index < len(attachments):
                    data = self._blobs.stream(attachments[index].blob)
                    return (attachments[index], data) if data is not None else None
        return None

    # --- adding -------------------------------------------------------------------------------------------------------

    def _upload(self, additions: Sequence[NewTicket]) -> list[_Content]:
        uploads: dict[str, bytes] = {}
        contents = [self._content(addition, uploads) for addition in additions]
        if uploads:
            with ThreadPoolExecutor(_UPLOADS) as pool:
                list(pool.map(lambda item: self._blobs.put(*item), uploads.items()))
        return contents

    def _content(self, addition: NewTicket, uploads: dict[str, bytes]) -> _Content:
        message, folder = addition.delivery.message, addition.delivery.key.digest
        attachments = []
        for attachment in message.attachments:
            # By content, so that the same picture in one mail is kept once, and storing it again is harmless.
            path = f"{folder}/{attachment.sha256}"
            uploads[path] = attachment.data
            attachments.append(
                StoredAttachment(
                    name=attachment.name,
                    content_type=attachment.content_type,
                    size=len(attachment.data),
                    sha256=attachment.sha256,
                    blob=path,
                    content_id=attachment.content_id,
                    inline=attachment.inline,
                )
            )
        listed = rows.write_attachments(attachments)
        paths = {}
        fields = rows.write_fields(addition.delivery.decision.fields)
        long = {"text": message.text, "html": message.html, "attachments": listed, "fields": fields}
        for part, value in long.items():
            if value is not None and rows.is_long(value):
                paths[part] = f"{folder}/{part}"
                uploads[paths[part]] = value.encode("utf-8", "replace")
        return _Content(listed, paths)

    def _groups(
        self, additions: Sequence[NewTicket], contents: Sequence[_Content], tickets: Mapping[str, Row]
    ) -> Iterator[list[tuple[int, list[Write], Delivered]]]:
        """Pack the additions into transactions. A second change of one ticket waits for a transaction of its own."""
        group: list[tuple[int, list[Write], Delivered]] = []
        size = operations = 0
        taken: set[str] = set()
        for index, addition in enumerate(additions):
            modified = _modified(addition)
            if modified and modified not in tickets:
                continue
            answer = _answer(addition, modified or addition.ticket_ids[0])
            digest = addition.delivery.key.digest
            if taken & {answer.ticket_id, digest}:
                continue
            writes = self._writes(addition, contents[index], answer, tickets.get(modified))
            weight = sum(wire_bytes(write.row) for write in writes)
            if group and (operations + len(writes) > TRANSACTION_ENTITIES or size + weight > _TRANSACTION_BYTES):
                yield group
                group, size, operations, taken = [], 0, 0, set()
            group.append((index, writes, answer))
            taken |= {answer.ticket_id, digest}
            size += weight
            operations += len(writes)
        if group:
            yield group

    def _writes(self, addition: NewTicket, content: _Content, answer: Delivered, ticket: Row | None) -> list[Write]:
        delivery, now = addition.delivery, self._clock()
        entry = rows.entry_row(
            delivery,
            answer,
            now,
            attachments=content.attachments,
            blobs=content.blobs,
        )
        inserts = [Write("insert", rows.done_row(delivery, answer)), Write("insert", entry)]
        if ticket is None:
            made = rows.ticket_row(delivery, answer.ticket_id, now)
            return [*inserts, Write("insert", made), Write("insert", rows.recent_row(made))]
        changes = {
            "updated": write_time(now),
            "participants": rows.write_people(_joined(ticket, delivery.message)),
        }
        return [*inserts, *_changed(ticket, changes)]

    def _add_alone(self, addition: NewTicket, content: _Content) -> Delivered | MessageError:
        """One message on its own: look for the answer that it got already, then try its ids one after the other."""
        ids = list(addition.ticket_ids)
        modified = _modified(addition)
        for _ in range(_TRIES):
            done = self._table.get(rows.PARTITION, rows.done_key(addition.delivery.key.digest))
            if done:
                return rows.read_answer(done)
            ticket = self._tickets([modified]).get(modified) if modified else None
            if modified and ticket is None:
                return Refused(f"Ticket {modified} does not exist any more.")
            answer = _answer(addition, modified or ids[0])
            try:
                self._table.write(*self._writes(addition, content, answer, ticket))
            except RowConflict:
                if not modified and self._tickets([ids[0]]) and len(ids) > 1:
                    ids.pop(0)
                continue
            return answer
        raise Unavailable("The tickets table keeps changing under this message.")

    # --- reading ------------------------------------------------------------------------------------------------------

    def _tickets(self, ticket_ids: Collection[str]) -> dict[str, Row]:
        found = {ticket_id: self._table.get(rows.PARTITION, rows.ticket_key(ticket_id)) for ticket_id in ticket_ids}
        return {ticket_id: row for ticket_id, row in found.items() if row}

    def _present(self, ticket_id: str) -> Row | None:
        """The ticket that stands for ``ticket_id`` by now; None where there is none."""
        passed: set[str] = set()
        while row := self._tickets([ticket_id]).get(ticket_id):
            if row["status"] != TicketStatus.MERGED.value or ticket_id in passed:
                return row
            passed.add(ticket_id)
            ticket_id = row["merged_into"]
        return None

    def _lines(self, ticket_id: str) -> Iterator[Row]:
        prefix = rows.entry_prefix(ticket_id)
        return self._table.rows(rows.PARTITION, prefix, prefix_end(prefix))

    def _entry(self, line: Row) -> TicketEntry:
        paths = {part: line.get(f"{part}_blob", "") for part in ("text", "html", "attachments", "fields")}
        blobs = {part: self._blobs.read(path) for part, path in paths.items() if path}
        return rows.read_entry(line, {part: data.decode() for part, data in blobs.items() if data is not None})


def _changed(ticket: Row, changes: Mapping[str, str]) -> Iterator[Write]:
    """Changes of a ticket, in its own row, which must be as it was read, and in its line of listings."""
    yield Write("merge", {**rows.keys(ticket["RowKey"]), **changes}, ticket["etag"])
    yield Write("merge", {**rows.keys(rows.recent_key(ticket["ticket_id"], ticket["created"])), **changes})


def _is_from(line: Row, requester: str | None) -> bool:
    if requester is None:
        return True
    who = rows.read_ticket(line).requester
    return who is not None and who.email.lower() == requester.lower()


def _joined(ticket: Row, message: Message) -> list[str]:
    """Who takes part after this message: its sender and the requester before all, should the list grow too long."""
    known = rows.read_people(ticket["participants"])
    joining = rows.people(message)
    return [*known[:1], *joining[:1], *known[1:], *joining[1:]]


def _modified(addition: NewTicket) -> str:
    """The ticket that the addition modifies, or an empty text."""
    decision = addition.delivery.decision
    return "" if isinstance(decision, Create) else decision.ticket_id


def _answer(addition: NewTicket, ticket_id: str) -> Delivered:
    return Delivered(ticket_id, Action.MODIFIED if _modified(addition) else Action.CREATED)
