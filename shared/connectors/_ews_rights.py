"""What an account may do in an EWS folder, as far as the server tells (EffectiveRights in the EWS reference)."""

from collections.abc import Iterator

from exchangelib.util import TNS

from shared.connectors import _ews_calls as calls
from shared.connectors._ews_calls import Folder
from shared.connectors._ews_faults import job_fault
from shared.connectors._ews_wire import Wire
from shared.model import Disposition
from shared.ports import Hindrance


def hindrances(wire: Wire, folder: Folder, target: Folder | None, disposition: Disposition) -> Iterator[Hindrance]:
    """See `Mailbox.hindrances`. ``target``: where messages are moved; None where they stay."""
    if not disposition.marks:
        return
    # Our own key is written onto each message that is disposed of, so all of it needs the right to modify.
    wanted = [(folder, "Modify", "change messages"), *([(folder, "Delete", "remove messages")] if target else [])]
    for place, right, doing in [*wanted, *([(target, "CreateContents", "put messages")] if target else [])]:
        if not _has(wire, place, right):
            account = wire.account
            yield Hindrance(
                f"{account.username} may not {doing} in the folder {place.name!r} of {account.mailbox} "
                f"(it lacks the right {right}).",
                account.rights_remedy,
            )


def _has(wire: Wire, folder: Folder, right: str) -> bool:
    """Whether the account has it there; a server that does not say is trusted."""
    doing = "asking for our rights"
    (answer,) = wire.ask(doing, "GetFolder", calls.get_rights(calls.folder_id(folder.id)))
    if isinstance(answer, Exception):
        raise job_fault(answer, wire.account, doing, signed_in=True) from answer
    return (answer.findtext(f".//{{{TNS}}}{right}") or "true").strip() == "true"
