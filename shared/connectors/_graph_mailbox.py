"""The Microsoft Graph form of the `Mailbox` port.

Messages are named by their immutable ids, which stay through every move within the mailbox. Marking as deleted moves
to Deleted Items; a purge touches only what is still there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from shared.connectors._graph_answers import Answer
from shared.connectors._graph_client import Call, Client
from shared.connectors._graph_clouds import Cloud
from shared.connectors._graph_fetch import Fetch, gone, message_path
from shared.connectors._graph_folder import open_folder, user_path
from shared.connectors._graph_listing import Row, arrived, changed, unread
from shared.connectors._graph_text import query
from shared.errors import MessageError, MessageGone
from shared.model import Disposition, Listing, MessageKey, MessageRef, Pick, Picking
from shared.ports import Disposed, Fetched, Hindrance

#: https://learn.microsoft.com/graph/best-practices-concept#getting-minimal-responses: a whole message comes back else.
_BRIEF = "return=minimal"


class GraphMailbox:
    """See `shared.ports.Mailbox`. Takes over ``client`` and closes it; looks for the folder at once."""

    def __init__(self, client: Client, cloud: Cloud, *, folder: str, job_id: str, identity: str) -> None:
        self._client = client
        self._cloud = cloud
        self._job_id = job_id
        self.identity = identity
        self._deleted_items = ""
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
        if disposition.read:
            answers |= self._change(_unhindered(answers), self._mark_read, "marking messages as read")
        if disposition.deleted:
            moved = self._change(_unhindered(answers), self._move, "moving messages to Deleted Items")
            answers |= moved
            hindered = [ref for ref, one in moved.items() if one.error and not isinstance(one.error, MessageGone)]
            # What is in Deleted Items already may refuse to be moved there.
            answers |= {ref: Disposed(ref) for ref, there in self._in_deleted_items(hindered).items() if there is True}
        return [answers[ref] for ref in refs]

    def purge(self, refs: Sequence[MessageRef]) -> Sequence[Disposed]:
        """See `Mailbox.purge`. What is not in Deleted Items any more was restored, or is gone: either way it is done.

        A person who restores a message between that look and its removal, some milliseconds, is too late.
        """
        answers = {ref: Disposed(ref) for ref in refs}
        marked: list[MessageRef] = []
        for ref, there in self._in_deleted_items([ref for ref in refs if self._ours(ref)]).items():
            if there is True:
                marked.append(ref)
            elif isinstance(there, MessageError):
                answers[ref] = Disposed(ref, there)
        for ref, answer in self._change(marked, self._remove, "purging messages").items():
            answers[ref] = Disposed(ref) if isinstance(answer.error, MessageGone) else Disposed(ref, answer.error)
        return [answers[ref] for ref in refs]

    def hindrances(self, disposition: Disposition) -> Sequence[Hindrance]:
        """See `Mailbox.hindrances`. Rights that Exchange itself granted (RBAC for Applications) are in no token."""
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

    def _mark_read(self, path: str) -> Call:
        return Call(path, "PATCH", {"isRead": True}, prefer=(_BRIEF,))

    def _move(self, path: str) -> Call:
        return Call(f"{path}/move", "POST", {"destinationId": "deleteditems"})

    def _remove(self, path: str) -> Call:
        """For good where Graph can; elsewhere out of Deleted Items, from where administrators can still recover it."""
        return Call(f"{path}/permanentDelete", "POST") if self._cloud.permanent_delete else Call(path, "DELETE")

    def _change(
        self, refs: Sequence[MessageRef], call: Callable[[str], Call], doing: str
    ) -> dict[MessageRef, Disposed]:
        calls = [call(message_path(self._client, ref)) for ref in refs]
        answers = self._client.batch(calls, doing)
        return {ref: _disposed(ref, answer, doing) for ref, answer in zip(refs, answers, strict=True)}

    def _in_deleted_items(self, refs: Sequence[MessageRef]) -> Mapping[MessageRef, bool | MessageError]:
        """Which of them are in Deleted Items itself; or why that is not known."""
        if not refs:
            return {}
        if not self._deleted_items:
            path = f"{user_path(self._client.place.mailbox)}/mailFolders/deleteditems"
            self._deleted_items = str(self._client.get(path + query(select="id"), "looking for Deleted Items")["id"])
        doing = "looking where messages are"
        calls = [Call(message_path(self._client, ref) + query(select="id,parentFolderId")) for ref in refs]

        def judge(ref: MessageRef, answer: Answer) -> bool | MessageError:
            if answer.ok and isinstance(answer.body, dict):
                return bool(answer.body.get("parentFolderId") == self._deleted_items)
            return False if answer.gone else _failed(ref, answer, doing)

        answers = self._client.batch(calls, doing)
        return {ref: judge(ref, answer) for ref, answer in zip(refs, answers, strict=True)}

    def _ours(self, ref: MessageRef) -> bool:
        """Whether the ref is of this mailbox and folder, as far as its key tells."""
        return ref.key.mailbox == self.identity

    def _ref(self, row: Row) -> MessageRef:
        return MessageRef(MessageKey(self._job_id, self.identity, row.id), row.id, row.size, row.received)


def _unhindered(answers: Mapping[MessageRef, Disposed]) -> list[MessageRef]:
    return [ref for ref, answer in answers.items() if answer.error is None]


def _disposed(ref: MessageRef, answer: Answer, doing: str) -> Disposed:
    if answer.ok:
        moved_to = answer.body.get("id") if isinstance(answer.body, dict) else None
        return Disposed(replace(ref, handle=str(moved_to)) if moved_to else ref)
    return Disposed(ref, gone(ref) if answer.gone else _failed(ref, answer, doing))


def _failed(ref: MessageRef, answer: Answer, doing: str) -> MessageError:
    return MessageError(f"Message {ref.key.item} was left as it is: Microsoft Graph answers {answer} ({doing}).")
