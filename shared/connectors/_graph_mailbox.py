"""The Microsoft Graph form of the `Mailbox` port.

Messages are named by their immutable ids, which stay through every move within the mailbox. Marking as deleted moves
to Deleted Items; a purge touches only what is still there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self

from shared.connectors._graph_answers import Answer
from shared.connectors._graph_client import Call, Client
from shared.connectors._graph_clouds import Cloud
from shared.connectors._graph_fetch import Fetch, gone, message_path
from shared.connectors._graph_folder import open_folder
from shared.connectors._graph_listing import Row, arrived, changed, unread
from shared.connectors._graph_text import query
from shared.errors import ConfigInvalid, MessageError, MessageGone
from shared.model import Disposition, Listing, MessageKey, MessageRef, Pick, Picking
from shared.ports import Disposed, Fetched, Hindrance

#: https://learn.microsoft.com/graph/best-practices-concept#getting-minimal-responses: a whole message comes back else.
_BRIEF = "return=minimal"
#: A well-known name, which serves as an id too.
_DELETED = "deleteditems"


class GraphMailbox:
    """See `shared.ports.Mailbox`. Takes over ``client`` and closes it; looks for the folder at once."""

    def __init__(self, client: Client, cloud: Cloud, *, folder: str, job_id: str, identity: str) -> None:
        self._client = client
        self._cloud = cloud
        self._job_id = job_id
        self.identity = identity
        #: Ids of the folders that messages are moved to, by the paths that people gave them.
        self._targets: dict[str, str] = {}
        try:
            self._folder = open_folder(client, folder)
        except BaseException:
            client.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def candidates(self, picking: Picking) -> Listing:
        """See `Mailbox.candidates`. ``in_box`` is what the folder held when this session opened it."""
        if picking.pick is Pick.UNREAD:
            return Listing(tuple(map(self._ref, unread(self._client, self._folder))), self._folder.total)
        if not self._cloud.delta:
            rows = arrived(self._client, self._folder, picking.since)
            return Listing(tuple(map(self._ref, rows)), self._folder.total)
        rows, cursor = changed(self._client, self._folder, picking.since, picking.cursor)
        return Listing(tuple(map(self._ref, rows)), self._folder.total, cursor)

    def fetch(self, refs: Sequence[MessageRef], *, max_bytes: int) -> Iterator[Fetched]:
        """See `Mailbox.fetch`."""
        return Fetch(self._client, self._folder, identity=self.identity, max_bytes=max_bytes).answers(refs)

    def dispose(self, refs: Sequence[MessageRef], disposition: Disposition) -> Sequence[Disposed]:
        """See `Mailbox.dispose`. Acts wherever in the mailbox a person has put the message meanwhile."""
        answers = {ref: Disposed(ref, None if self._ours(ref) else gone(ref)) for ref in refs}
        target = _DELETED if disposition.deleted else self._target(disposition.move_to)
        if marks := _marks(disposition):
            categories = self._categories(_unhindered(answers), disposition.category)
            answers |= {ref: Disposed(ref, had) for ref, had in categories.items() if isinstance(had, MessageError)}
            change = partial(self._mark, marks=marks, categories=categories)
            answers |= self._change(_unhindered(answers), change, "marking messages")
        if target:
            moved = self._change(_unhindered(answers), partial(self._move, target=target), "moving messages")
            answers |= moved
            hindered = [ref for ref, one in moved.items() if one.error and not isinstance(one.error, MessageGone)]
            if hindered:
                # What is in the folder already may refuse to be moved there.
                place = self._target(_DELETED) if disposition.deleted else target
                answers |= {ref: Disposed(ref) for ref, there in self._is_in(hindered, place).items() if there is True}
        return [answers[ref] for ref in refs]

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        """See `Mailbox.purge`. What is not in Deleted Items any more was restored, or is gone: either way it is done.

        A person who restores a message between that look and its removal, some milliseconds, is too late.
        """
        answers = {ref: Disposed(ref) for ref in refs}
        marked: list[MessageRef] = []
        ours = [ref for ref in refs if self._ours(ref)]
        for ref, there in self._is_in(ours, self._target(_DELETED) if ours else "").items():
            if there is True:
                marked.append(ref)
            elif isinstance(there, MessageError):
                answers[ref] = Disposed(ref, there)
        for ref, answer in self._change(marked, self._remove, "purging messages").items():
            answers[ref] = Disposed(ref) if isinstance(answer.error, MessageGone) else Disposed(ref, answer.error)
        return [answers[ref] for ref in refs]

    def still_there(self, refs: Sequence[MessageRef]) -> frozenset[MessageKey]:
        """See `Mailbox.still_there`. Immutable ids stay through moves, so the whole mailbox counts."""
        ours = [ref for ref in refs if self._ours(ref)]
        calls = [Call(message_path(self._client, ref) + query(select="id")) for ref in ours]
        answers = self._client.batch(calls, "looking which messages are there")
        gone_keys = {ref.key for ref, answer in zip(ours, answers, strict=True) if answer.gone}
        return frozenset(ref.key for ref in refs) - gone_keys

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:
        """See `Mailbox.hindrances`. Rights that Exchange itself granted (RBAC for Applications) are in no token."""
        try:
            self._target(disposition.move_to)
        except ConfigInvalid as fault:
            return (Hindrance(fault.what, fault.remedy), *self.hindrances(replace(disposition, move_to="")))
        roles = self._client.roles()
        if not disposition.marks or "Mail.ReadWrite" in roles:
            return ()
        mailbox = self._client.place.mailbox
        if found := sorted(role for role in roles if role.startswith("Mail.Read")):
            return (
                Hindrance(
                    f"The app may read mailbox {mailbox!r} but not change it: its token has {', '.join(found)}, and "
                    "not Mail.ReadWrite.",
                    "Consent to Mail.ReadWrite in its place; or, with 'Application Mail.ReadWrite' in Exchange (RBAC "
                    "for Applications), take the consent in Entra away: permissions add up.",
                ),
            )
        return (
            Hindrance(
                f"Whether the app may change mailbox {mailbox!r} is laid down in Exchange (RBAC for Applications), and "
                "cannot be told without changing something.",
                f"Test-ServicePrincipalAuthorization -Resource {mailbox} must list 'Application Mail.ReadWrite'.",
                always=False,
            ),
        )

    def _mark(
        self,
        ref: MessageRef,
        *,
        marks: Mapping[str, Any],
        categories: Mapping[MessageRef, list[str] | MessageError],
    ) -> Call:
        had = categories.get(ref)
        body = {**marks, "categories": had} if isinstance(had, list) else dict(marks)
        return Call(message_path(self._client, ref), "PATCH", body, prefer=(_BRIEF,))

    def _categories(self, refs: Sequence[MessageRef], added: str) -> dict[MessageRef, list[str] | MessageError]:
        """What each message's categories are to be: a PATCH replaces all of them. Empty where none is to be added."""
        if not added or not refs:
            return {}
        doing = "looking at categories"
        calls = [Call(message_path(self._client, ref) + query(select="id,categories")) for ref in refs]

        def judge(ref: MessageRef, answer: Answer) -> list[str] | MessageError:
            if answer.ok and isinstance(answer.body, dict):
                return list(dict.fromkeys([*map(str, answer.body.get("categories") or ()), added]))
            return gone(ref) if answer.gone else _failed(ref, answer, doing)

        answers = self._client.batch(calls, doing)
        return {ref: judge(ref, answer) for ref, answer in zip(refs, answers, strict=True)}

    def _move(self, ref: MessageRef, *, target: str) -> Call:
        return Call(f"{message_path(self._client, ref)}/move", "POST", {"destinationId": target})

    def _remove(self, ref: MessageRef) -> Call:
        """For good where Graph can; elsewhere out of Deleted Items, from where administrators can still recover it."""
        path = message_path(self._client, ref)
        return Call(f"{path}/permanentDelete", "POST") if self._cloud.permanent_delete else Call(path, "DELETE")

    def _change(
        self, refs: Sequence[MessageRef], call: Callable[[MessageRef], Call], doing: str
    ) -> dict[MessageRef, Disposed]:
        answers = self._client.batch([call(ref) for ref in refs], doing)
        return {ref: _disposed(ref, answer, doing) for ref, answer in zip(refs, answers, strict=True)}

    def _target(self, path: str) -> str:
        """The id of the folder to move to; empty for none. Raises `ConfigInvalid` where there is no such folder."""
        if path and path not in self._targets:
            self._targets[path] = open_folder(self._client, path).id
        return self._targets[path] if path else ""

    def _is_in(self, refs: Sequence[MessageRef], folder: str) -> Mapping[MessageRef, bool | MessageError]:
        """Which of them are in the folder of this id itself; or why that is not known."""
        if not refs:
            return {}
        doing = "looking where messages are"
        calls = [Call(message_path(self._client, ref) + query(select="id,parentFolderId")) for ref in refs]

        def judge(ref: MessageRef, answer: Answer) -> bool | MessageError:
            if answer.ok and isinstance(answer.body, dict):
                return bool(answer.body.get("parentFolderId") == folder)
            return False if answer.gone else _failed(ref, answer, doing)

        answers = self._client.batch(calls, doing)
        return {ref: judge(ref, answer) for ref, answer in zip(refs, answers, strict=True)}

    def _ours(self, ref: MessageRef) -> bool:
        """Whether the ref is of this mailbox and folder, as far as its key tells."""
        return ref.key.mailbox == self.identity

    def _ref(self, row: Row) -> MessageRef:
        return MessageRef(MessageKey(self._job_id, self.identity, row.id), row.id, row.size, row.received)


def _marks(disposition: Disposition) -> dict[str, Any]:
    """What a PATCH says of them: https://learn.microsoft.com/graph/api/message-update. ``categories`` come on top."""
    marks: dict[str, Any] = {"isRead": True} if disposition.read else {}
    if disposition.flag:
        marks["flag"] = {"flagStatus": "flagged"}
    return {**marks, "categories": []} if disposition.category else marks


def _unhindered(answers: Mapping[MessageRef, Disposed]) -> list[MessageRef]:
    return [ref for ref, answer in answers.items() if answer.error is None]


def _disposed(ref: MessageRef, answer: Answer, doing: str) -> Disposed:
    if answer.ok:
        moved_to = answer.body.get("id") if isinstance(answer.body, dict) else None
        return Disposed(replace(ref, handle=str(moved_to)) if moved_to else ref)
    return Disposed(ref, gone(ref) if answer.gone else _failed(ref, answer, doing))


def _failed(ref: MessageRef, answer: Answer, doing: str) -> MessageError:
    return MessageError(f"Message {ref.key.item} was left as it is: Microsoft Graph answers {answer} ({doing}).")
