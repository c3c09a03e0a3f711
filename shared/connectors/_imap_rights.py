r"""What an account may do in an IMAP4 folder, as far as the server tells.

The rights are those of RFC 4314: ``s`` keeps ``\Seen``, ``t`` keeps ``\Deleted``, ``w`` keeps all other flags, ``e``
expunges; ``d`` of older servers (RFC 2086) is ``t`` and ``e``.
"""

import imaplib
from collections.abc import Iterator

from shared.connectors._imap_connection import Connection, Refusal
from shared.connectors._imap_folder import open_folder
from shared.connectors._imap_marks import flags_of, is_kept, target_of
from shared.errors import ConfigInvalid
from shared.model import Disposition
from shared.ports import Hindrance

_GRANT = "Give the account the right to do so, or have the job leave messages as they are."


def hindrances(connection: Connection, name: str, disposition: Disposition) -> Iterator[Hindrance]:
    r"""See `Mailbox.hindrances`. Leaves the folder called ``name`` open for reading.

    SELECT, beside which nothing tells what stays, takes ``\Recent`` from messages, as any mail program does.
    """
    if not disposition.marks:
        return
    lacking = list(_lacking(connection, name, disposition))
    yield from lacking
    if not lacking:
        yield from _not_kept(connection, name, disposition)
        open_folder(connection, name, writable=False)
    if disposition.move_to:
        try:
            target_of(connection, disposition.move_to)
        except ConfigInvalid as fault:
            yield Hindrance(fault.what, fault.remedy)
    if disposition.purges and not connection.ask(
        "asking for capabilities", connection.client.has_capability, "UIDPLUS"
    ):
        yield Hindrance(
            f"{connection.address} cannot expunge single messages (no UIDPLUS): a purge waits while anybody else's "
            "messages in the folder are marked as deleted.",
            "Have nobody else delete in this folder, or do not purge.",
            always=False,
        )


def _lacking(connection: Connection, name: str, disposition: Disposition) -> Iterator[Hindrance]:
    """By MYRIGHTS, where the server has it (RFC 4314 section 3.5)."""
    client = connection.client
    if not connection.ask("asking for capabilities", client.has_capability, "ACL"):
        return
    try:
        answer = connection.ask("asking for our rights", _my_rights, client, name)
    except Refusal as refusal:
        if refusal.temporary:
            raise
        return
    if answer is None:
        return
    wanted = [
        (disposition.read, "s", "mark messages as read"),
        (disposition.deleted, "td", "mark messages as deleted"),
        (disposition.purges, "ed", "expunge messages"),
        (disposition.flag, "w", "flag messages"),
        (bool(disposition.category), "w", "give messages a keyword"),
        (bool(disposition.move_to), "ed", "move messages away"),
    ]
    for asked, rights, doing in wanted:
        if asked and not set(rights) & set(answer):
            yield Hindrance(
                f"This account may not {doing} in the folder {name!r} on {connection.address} (it lacks the right "
                f"{rights[0]!r}, has {answer!r}).",
                _GRANT,
            )


def _my_rights(client: "object", name: str) -> str | None:
    """The letters; None where the answer makes no sense. The SDK has no method for it."""
    imap: imaplib.IMAP4 = client._imap  # type: ignore[attr-defined] # noqa: SLF001 - the only way to it
    quoted = client._normalise_folder(name)  # type: ignore[attr-defined] # noqa: SLF001 - as the SDK names folders
    kind, data = imap.myrights(quoted)
    if kind != "OK":
        return None
    words = data[-1].split() if data and isinstance(data[-1], bytes) else []
    return words[-1].decode("latin-1").strip('"') if words else None


def _not_kept(connection: Connection, name: str, disposition: Disposition) -> Iterator[Hindrance]:
    """By the answer to SELECT: READ-ONLY, or PERMANENTFLAGS without what is needed (RFC 3501 section 7.1)."""
    try:
        folder = open_folder(connection, name, writable=True)
    except ConfigInvalid as fault:
        yield Hindrance(fault.what, fault.remedy)
        return
    doings = {"\\Seen": "read", "\\Deleted": "deleted", "\\Flagged": "flagged"}
    for flag in flags_of(disposition):
        if not is_kept(folder, flag):
            yield Hindrance(
                f"{connection.address} does not keep it when messages in the folder {name!r} are marked as "
                f"{doings.get(flag, repr(flag))} (PERMANENTFLAGS without {flag}).",
                _GRANT,
            )
