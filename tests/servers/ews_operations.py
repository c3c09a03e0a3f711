"""The operations of the EWS simulator. Each is as strict as its page in the reference says:
learn.microsoft.com/exchange/client-developer/web-service-reference/<name>-operation.
"""

import base64
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.servers.ews_items import (
    check_id,
    extended_uri,
    folder_shape,
    in_order,
    item_id,
    item_shape,
    matches,
    read_ids,
    write_folder,
    write_item,
)
from tests.servers.ews_soap import (
    TYPES,
    ItemFault,
    SoapFault,
    attributes,
    children,
    choice,
    el,
    local,
    number,
    response,
    schema_fault,
    tag,
    txt,
)
from tests.servers.ews_store import WELL_KNOWN, Folder, Item, Mailbox

T = TypeVar("T")

#: Builds from which SuppressReadReceipts is known (updateitem, deleteitem: "introduced in Exchange Server 2013 SP1").
_2013_SP1 = (15, 0, 847)


@dataclass(frozen=True)
class Caller:
    """Who asks: the owner of ``own``, with full access to ``others``, or acting as the owner of ``acts_for``."""

    own: str = ""
    others: frozenset[str] = frozenset()
    acts_for: str = ""
    may_write: bool = True

    def may_open(self, address: str) -> bool:
        """Whether that mailbox is open to the caller."""
        return address == self.acts_for if self.acts_for else address == self.own or address in self.others


class Operations:
    """One request of ``caller``."""

    def __init__(
        self, mailboxes: dict[str, Mailbox], caller: Caller, *, build: tuple[int, int, int], page: int, fraction: str
    ) -> None:
        self._mailboxes = mailboxes
        self._caller = caller
        self._build = build
        self._page = page
        self._fraction = fraction

    def perform(self, request: ET.Element) -> str:
        """The body of the answer."""
        known: dict[str, Callable[[ET.Element], list[str | ItemFault]]] = {
            "GetFolder": self._get_folder,
            "FindFolder": self._find_folder,
            "FindItem": self._find_item,
            "SyncFolderItems": self._sync,
            "GetItem": self._get_item,
            "UpdateItem": self._update_item,
            "MoveItem": self._move_item,
            "DeleteItem": self._delete_item,
        }
        name = local(request)
        if name not in known:
            raise SoapFault("ErrorInvalidRequest", f"This server has no operation {name}.")
        try:
            return response(name, known[name](request))
        except ItemFault as fault:
            return response(name, [fault])

    # --- folders -----------------------------------------------------------------------------------------------------

    def _get_folder(self, request: ET.Element) -> list[str | ItemFault]:
        attributes(request)
        parts = children(request, "FolderShape", "FolderIds")
        wanted = folder_shape(parts["FolderShape"])

        def one(element: ET.Element) -> str:
            mailbox, folder = self._folder(element)
            return el("m:Folders", write_folder(folder, mailbox, wanted, may_write=self._caller.may_write))

        return _each(parts["FolderIds"], one)

    def _find_folder(self, request: ET.Element) -> list[str | ItemFault]:
        deep = choice(attributes(request, "Traversal")["Traversal"], "Shallow", "Deep") == "Deep"
        parts = children(request, "FolderShape", "IndexedPageFolderView", "ParentFolderIds")
        wanted = folder_shape(parts["FolderShape"])
        offset, size = self._view(parts["IndexedPageFolderView"])

        def one(element: ET.Element) -> str:
            mailbox, parent = self._folder(element)
            found = mailbox.folders.values()
            below = [one for one in found if (parent in one.above if deep else one.parent is parent)]
            page = below[offset : offset + size]
            return _paged(
                "t:Folders",
                [write_folder(folder, mailbox, wanted, may_write=self._caller.may_write) for folder in page],
                len(below),
                offset,
            )

        return _each(parts["ParentFolderIds"], one)

    def _folder(self, element: ET.Element) -> tuple[Mailbox, Folder]:
        if element.tag == tag(TYPES, "FolderId"):
            wanted = attributes(element, "Id", "ChangeKey?")["Id"]
            check_id(wanted)
            for mailbox in self._open_mailboxes():
                for folder in mailbox.folders.values():
                    if folder.id == wanted:
                        return mailbox, folder
            raise ItemFault("ErrorItemNotFound")
        if element.tag != tag(TYPES, "DistinguishedFolderId"):
            raise schema_fault(f"There is no folder id {local(element)}.")
        name = choice(attributes(element, "Id")["Id"], *WELL_KNOWN, "archive", "outbox")
        owner = children(element, "Mailbox?", namespace=TYPES).get("Mailbox")
        # DistinguishedFolderId: without Mailbox it is the caller's own.
        address = self._caller.acts_for or self._caller.own
        if owner is not None:
            address = children(owner, "EmailAddress", namespace=TYPES)["EmailAddress"].text or ""
        if not address:
            raise ItemFault("ErrorMissingEmailAddress")
        if address not in self._mailboxes:
            raise ItemFault("ErrorNonExistentMailbox")
        if not self._caller.may_open(address):
            raise ItemFault("ErrorAccessDenied")
        mailbox = self._mailboxes[address]
        if name not in mailbox.folders:
            raise ItemFault("ErrorFolderNotFound")
        return mailbox, mailbox.folders[name]

    def _open_mailboxes(self) -> list[Mailbox]:
        return [mailbox for address, mailbox in self._mailboxes.items() if self._caller.may_open(address)]

    # --- lists -------------------------------------------------------------------------------------------------------

    def _find_item(self, request: ET.Element) -> list[str | ItemFault]:
        """The offset counts in the view as it is now, so it slides when items leave the view (how-to-perform-paged-
        searches-by-using-ews-in-exchange: results can change between pages).
        """
        choice(attributes(request, "Traversal")["Traversal"], "Shallow", "SoftDeleted", "Associated")
        parts = children(request, "ItemShape", "IndexedPageItemView", "Restriction?", "SortOrder?", "ParentFolderIds")
        shape = item_shape(parts["ItemShape"], whole=False)
        offset, size = self._view(parts["IndexedPageItemView"])

        def one(element: ET.Element) -> str:
            mailbox, folder = self._folder(element)
            view = [item for item in mailbox.items.values() if item.folder is folder]
            if "Restriction" in parts:
                (restriction,) = parts["Restriction"]
                view = [item for item in view if matches(item, restriction)]
            view = in_order(view, parts.get("SortOrder"))
            page = [write_item(item, shape, fraction=self._fraction) for item in view[offset : offset + size]]
            return _paged("t:Items", page, len(view), offset)

        return _each(parts["ParentFolderIds"], one)

    def _view(self, view: ET.Element) -> tuple[int, int]:
        """At most EWSFindCountLimit entries come in one page, whatever was asked for (ews-throttling-in-exchange)."""
        found = attributes(view, "MaxEntriesReturned?", "Offset", "BasePoint")
        choice(found["BasePoint"], "Beginning")
        size = number(found.get("MaxEntriesReturned", str(self._page)), 1, 2**31 - 1)
        return number(found["Offset"], 0, 2**31 - 1), min(size, self._page)

    def _sync(self, request: ET.Element) -> list[str | ItemFault]:
        parts = children(
            request, "ItemShape", "SyncFolderId", "SyncState?", "Ignore?", "MaxChangesReturned", "SyncScope?"
        )
        shape = item_shape(parts["ItemShape"], whole=False)
        # MaxSyncChangesReturnedType: 1 to 512.
        most = min(number(parts["MaxChangesReturned"].text or "", 1, 512), self._page)
        choice(parts["SyncScope"].text or "" if "SyncScope" in parts else "NormalItems", "NormalItems")
        (element,) = parts["SyncFolderId"]
        mailbox, folder = self._folder(element)
        since = _read_state(parts["SyncState"].text or "", folder) if "SyncState" in parts else 0
        changed = [item for item in mailbox.items.values() if item.folder is folder and item.changed > since]
        changed.sort(key=lambda item: item.changed)
        gone = [one for at, left, one in mailbox.departed if left is folder and at > since] if since else []
        page = changed[:most]
        state = page[-1].changed if len(page) < len(changed) else mailbox.now()
        changes = [
            el("t:Create" if item.created > since else "t:Update", write_item(item, shape, fraction=self._fraction))
            for item in page
        ]
        last = len(page) == len(changed)
        if last:
            changes += [el("t:Delete", el("t:ItemId", Id=one, ChangeKey="AQAAAA==")) for one in gone]
        answer = txt("m:SyncState", base64.b64encode(f"{folder.id} {state}".encode()).decode())
        return [answer + txt("m:IncludesLastItemInRange", "true" if last else "false") + el("m:Changes", *changes)]

    # --- items -------------------------------------------------------------------------------------------------------

    def _get_item(self, request: ET.Element) -> list[str | ItemFault]:
        attributes(request)
        parts = children(request, "ItemShape", "ItemIds")
        shape = item_shape(parts["ItemShape"], whole=True)

        def one(wanted: tuple[str, str]) -> str:
            _, item = self._item(wanted[0])
            return el("m:Items", write_item(item, shape, fraction=self._fraction))

        return _each(read_ids(parts["ItemIds"]), one)

    def _item(self, wanted: str) -> tuple[Mailbox, Item]:
        check_id(wanted)
        for mailbox in self._open_mailboxes():
            if wanted in mailbox.items:
                return mailbox, mailbox.items[wanted]
        raise ItemFault("ErrorItemNotFound")

    def _item_to_write(self, wanted: str) -> tuple[Mailbox, Item]:
        found = self._item(wanted)
        if not self._caller.may_write:
            raise ItemFault("ErrorAccessDenied")
        if found[1].refuses:
            raise ItemFault(found[1].refuses)
        return found

    def _receipts(self) -> tuple[str, ...]:
        return ("SuppressReadReceipts?",) if self._build >= _2013_SP1 else ()

    def _update_item(self, request: ET.Element) -> list[str | ItemFault]:
        asked = attributes(
            request,
            "ConflictResolution",
            "MessageDisposition?",
            "SendMeetingInvitationsOrCancellations?",
            *self._receipts(),
        )
        resolution = choice(asked["ConflictResolution"], "NeverOverwrite", "AutoResolve", "AlwaysOverwrite")
        parts = children(request, "SavedItemFolderId?", "ItemChanges")

        def one(change: ET.Element) -> str:
            inside = children(change, "ItemId", "Updates", namespace=TYPES)
            named = attributes(inside["ItemId"], "Id", "ChangeKey?")
            mailbox, item = self._item_to_write(named["Id"])
            # updateitem: "The MessageDisposition attribute is required for message items, including meeting messages".
            if "MessageDisposition" not in asked:
                raise ItemFault("ErrorMessageDispositionRequired")
            # updateitem-operation: the change key is needed unless conflicts are always overwritten.
            if resolution != "AlwaysOverwrite" and "ChangeKey" not in named:
                raise ItemFault("ErrorChangeKeyRequiredForWriteOperations")
            if resolution == "NeverOverwrite" and named["ChangeKey"] != item.change_key:
                raise ItemFault("ErrorIrresolvableConflict")
            was_read = item.read
            for update in inside["Updates"]:
                _set_field(item, update)
            if item.read and not was_read and item.wants_receipt and asked.get("SuppressReadReceipts") != "true":
                mailbox.receipts.append(item.subject)
            mailbox.touch(item)
            return el("m:Items", el(f"t:{item.kind}", item_id(item))) + el("m:ConflictResults", txt("t:Count", "0"))

        return _each(parts["ItemChanges"], one)

    def _move_item(self, request: ET.Element) -> list[str | ItemFault]:
        attributes(request)
        parts = children(request, "ToFolderId", "ItemIds", "ReturnNewItemIds?")
        (element,) = parts["ToFolderId"]
        target, folder = self._folder(element)

        def one(wanted: tuple[str, str]) -> str:
            mailbox, item = self._item_to_write(wanted[0])
            mailbox.move(item, folder)
            # moveitem-operation: no id comes back for a move to another mailbox.
            return el("m:Items", *([el(f"t:{item.kind}", item_id(item))] if target is mailbox else []))

        return _each(read_ids(parts["ItemIds"]), one)

    def _delete_item(self, request: ET.Element) -> list[str | ItemFault]:
        asked = attributes(
            request, "DeleteType", "SendMeetingCancellations?", "AffectedTaskOccurrences?", *self._receipts()
        )
        how = choice(asked["DeleteType"], "HardDelete", "SoftDelete", "MoveToDeletedItems")
        parts = children(request, "ItemIds")

        def one(wanted: tuple[str, str]) -> str:
            mailbox, item = self._item_to_write(wanted[0])
            if not item.read and item.wants_receipt and asked.get("SuppressReadReceipts") != "true":
                mailbox.receipts.append(item.subject)
            if how == "MoveToDeletedItems":
                mailbox.move(item, mailbox.trash)
            else:
                mailbox.remove(item)
            return ""

        return _each(read_ids(parts["ItemIds"]), one)


def _each(wanted: Iterable[T], one: Callable[[T], str]) -> list[str | ItemFault]:
    """An answer for each, in order; what is wrong with one does not touch the others."""

    def answer(each: T) -> str | ItemFault:
        try:
            return one(each)
        except ItemFault as fault:
            return fault

    return [answer(each) for each in wanted]


def _paged(name: str, page: Sequence[str], total: int, offset: int) -> str:
    end = offset + len(page)
    found = {"TotalItemsInView": str(total), "IncludesLastItemInRange": "true" if end >= total else "false"}
    return el("m:RootFolder", el(name, *page), IndexedPagingOffset=str(end), **found)


def _read_state(text: str, folder: Folder) -> int:
    try:
        owner, _, at = base64.b64decode(text, validate=True).decode().partition(" ")
        if owner == folder.id:
            return int(at)
    except ValueError:
        pass
    raise ItemFault("ErrorInvalidSyncStateData")


def _set_field(item: Item, update: ET.Element) -> None:
    """SetItemField: a path, and an item that holds just that property (ErrorUpdatePropertyMismatch)."""
    if update.tag != tag(TYPES, "SetItemField") or len(update) != 2:
        raise schema_fault(f"Updates has no {local(update)} like this.")
    path, holder = update
    if local(holder) not in {item.kind, "Item"} or len(holder) != 1:
        raise ItemFault("ErrorUpdatePropertyMismatch")
    (value,) = holder
    if path.tag == tag(TYPES, "FieldURI"):
        if choice(attributes(path, "FieldURI")["FieldURI"], "message:IsRead", "item:Categories") == "item:Categories":
            if value.tag != tag(TYPES, "Categories") or any(one.tag != tag(TYPES, "String") for one in value):
                raise ItemFault("ErrorUpdatePropertyMismatch")
            item.categories = [one.text or "" for one in value]
            return
        if value.tag != tag(TYPES, "IsRead"):
            raise ItemFault("ErrorUpdatePropertyMismatch")
        item.read = choice(value.text or "", "true", "false") == "true"
        return
    uri = extended_uri(path)
    inside = children(value, "ExtendedFieldURI", "Value", namespace=TYPES)
    if value.tag != tag(TYPES, "ExtendedProperty") or extended_uri(inside["ExtendedFieldURI"]) != uri:
        raise ItemFault("ErrorUpdatePropertyMismatch")
    text = inside["Value"].text or ""
    if uri["PropertyType"] == "Integer" and not text.isdecimal():
        raise ItemFault("ErrorInvalidExtendedPropertyValue")
    item.properties[uri.get("PropertySetId", ""), uri.get("PropertyName", uri.get("PropertyTag", ""))] = text
