"""The EWS requests of this connector and what we read from their answers.

Elements stand in the order of the schema, which servers insist on. Reference of each operation and element:
learn.microsoft.com/exchange/client-developer/web-service-reference/ews-operations-in-exchange.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchangelib.util import MNS, TNS, create_element

from shared.connectors._ews_text import instant_of
from shared.model import Disposition

#: Our mark on a message: a named property that nobody else has, since its set is a GUID of ours. Moves keep it.
_STAMP = {"PropertySetId": "aa00fe2f-d719-436d-bcc6-80447a341323", "PropertyName": "MessageKey"}
#: Whose elements have a read flag.
_MESSAGES = frozenset({"Message", "MeetingMessage", "MeetingRequest", "MeetingResponse", "MeetingCancellation"})
#: FindFolder answers with these for folders that hold mail.
_MAIL_FOLDER = "Folder"
#: followupFlagged.
_FLAGGED = "2"


@dataclass(frozen=True, slots=True)
class Item:
    """One item as the server tells of it. What was not asked for is None or empty."""

    id: str
    change_key: str = ""
    #: The name of its element: what kind of item it is to EWS.
    kind: str = "Message"
    item_class: str = ""
    size: int | None = None
    received: datetime | None = None
    read: bool = False
    folder_id: str = ""
    stamp: str = ""
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """A mail folder, and how many items it holds."""

    id: str
    name: str
    total: int


def element(name: str, *children: Any, text: str = "", **attributes: str) -> Any:
    """``m:Name`` or ``t:Name`` with children, text or attributes."""
    made = create_element(name, attrs=attributes or None)
    made.extend(children)
    if text:
        made.text = text
    return made


def folder_id(ews_id: str) -> Any:
    """A folder by its id."""
    return element("t:FolderId", Id=ews_id)


def well_known(name: str, mailbox: str) -> Any:
    """A well-known folder of ``mailbox``, which need not be the account's own."""
    owner = element("t:Mailbox", element("t:EmailAddress", text=mailbox))
    return element("t:DistinguishedFolderId", owner, Id=name)


def get_folder(folder: Any) -> Any:
    """GetFolder: id, name and number of items."""
    return element("m:GetFolder", _folder_shape(), element("m:FolderIds", folder))


def get_rights(folder: Any) -> Any:
    """GetFolder: what the account may do in it."""
    shape = element("m:FolderShape", element("t:BaseShape", text="IdOnly"), _fields("folder:EffectiveRights"))
    return element("m:GetFolder", shape, element("m:FolderIds", folder))


def find_folders(parent: Any, offset: int, *, deep: bool = False) -> Any:
    """FindFolder: the folders right below ``parent``, or all that are below it."""
    view = element("m:IndexedPageFolderView", MaxEntriesReturned="500", Offset=str(offset), BasePoint="Beginning")
    way = "Deep" if deep else "Shallow"
    return element("m:FindFolder", _folder_shape(), view, element("m:ParentFolderIds", parent), Traversal=way)


def find_unread(folder: Any, offset: int, page: int) -> Any:
    """FindItem: unread items, oldest first."""
    return _find_items([folder], _equal(_field("message:IsRead"), "false"), offset, page)


def find_stamped(folders: Sequence[Any], stamps: Iterable[str]) -> Any:
    """FindItem: items that bear one of these marks of ours; one response message for each folder."""
    wanted = [_equal(element("t:ExtendedFieldURI", **_STAMP, PropertyType="String"), stamp) for stamp in stamps]
    return _find_items(folders, wanted[0] if len(wanted) == 1 else element("t:Or", *wanted), 0, 1_000)


def sync_items(folder: Any, state: str) -> Any:
    """SyncFolderItems: what changed since ``state``; all there is when that is empty."""
    return element(
        "m:SyncFolderItems",
        _item_shape(),
        element("m:SyncFolderId", folder),
        *([element("m:SyncState", text=state)] if state else []),
        element("m:MaxChangesReturned", text="512"),
        element("m:SyncScope", text="NormalItems"),
    )


def get_items(ids: Iterable[str]) -> Any:
    """GetItem: the facts of `Item`, and the folder that each is in."""
    return element("m:GetItem", _item_shape("item:ParentFolderId", "item:Categories", "message:IsRead"), _item_ids(ids))


def get_mime(ids: Iterable[str]) -> Any:
    """GetItem: the whole messages as MIME."""
    shape = element("m:ItemShape", element("t:BaseShape", text="IdOnly"), element("t:IncludeMimeContent", text="true"))
    return element("m:GetItem", shape, _item_ids(ids))


def get_headers(ids: Iterable[str]) -> Any:
    """GetItem: the header fields, and those properties that a message made inside Exchange may have instead."""
    fields = ("item:InternetMessageHeaders", "item:Subject", "item:DateTimeSent", "message:From")
    shape = element("m:ItemShape", element("t:BaseShape", text="IdOnly"), _fields(*fields, "message:InternetMessageId"))
    return element("m:GetItem", shape, _item_ids(ids))


def mark_items(changes: Iterable[tuple[Item, str]], disposition: Disposition, *, suppress_receipts: bool) -> Any:
    """UpdateItem: set our mark to the text beside each item, and what ``disposition`` asks for; answers no one."""
    options = {"SuppressReadReceipts": "true"} if suppress_receipts else {}
    return element(
        "m:UpdateItem",
        element("m:ItemChanges", *(_change(item, stamp, disposition) for item, stamp in changes)),
        ConflictResolution="AlwaysOverwrite",
        MessageDisposition="SaveOnly",
        SendMeetingInvitationsOrCancellations="SendToNone",
        **options,
    )


def move_items(ids: Iterable[str], folder: Any) -> Any:
    """MoveItem: answers with the new id of each."""
    return element("m:MoveItem", element("m:ToFolderId", folder), _item_ids(ids))


def delete_items(ids: Iterable[str], *, suppress_receipts: bool) -> Any:
    """DeleteItem: for good."""
    options = {"SuppressReadReceipts": "true"} if suppress_receipts else {}
    return element(
        "m:DeleteItem",
        _item_ids(ids),
        DeleteType="HardDelete",
        SendMeetingCancellations="SendToNone",
        AffectedTaskOccurrences="AllOccurrences",
        **options,
    )


def read_folder(answer: Any) -> Folder | None:
    """The folder in an element of its own; None for one that holds no mail (calendar, contacts, searches)."""
    found = answer.find(f"{{{TNS}}}FolderId")
    if _kind(answer) != _MAIL_FOLDER or found is None:
        return None
    return Folder(found.get("Id", ""), _text(answer, "DisplayName"), _number(_text(answer, "TotalCount")) or 0)


def may_modify(answer: Any) -> bool:
    """Whether the rights in an answer include changing items; a server that does not say is trusted."""
    return next(answer.iter(f"{{{TNS}}}Modify"), None) is None or answer.findtext(f".//{{{TNS}}}Modify") == "true"


def children(answer: Any, name: str) -> list[Any]:
    """What is inside the element ``name`` (``m:Folders``, ``t:Items``) anywhere within ``answer``."""
    prefix, _, plain = name.partition(":")
    found = next(answer.iter(f"{{{MNS if prefix == 'm' else TNS}}}{plain}"), None)
    return [] if found is None else list(found)


def page_end(answer: Any) -> tuple[bool, int]:
    """Whether a page is the last one, and the offset of the next."""
    root = answer.find(f"{{{MNS}}}RootFolder")
    if root is None:
        return True, 0
    return root.get("IncludesLastItemInRange", "true") != "false", _number(root.get("IndexedPagingOffset") or "") or 0


def changed_items(answer: Any) -> tuple[list[Item], str, bool]:
    """From SyncFolderItems: items made or changed, the next state, and whether that was all."""
    items = [
        read_item(change[0])
        for change in children(answer, "m:Changes")
        if _kind(change) in {"Create", "Update"} and len(change)
    ]
    state = answer.findtext(f"{{{MNS}}}SyncState") or ""
    return items, state, answer.findtext(f"{{{MNS}}}IncludesLastItemInRange") != "false"


def read_item(answer: Any) -> Item:
    """The facts of one item."""
    found, folder = answer.find(f"{{{TNS}}}ItemId"), answer.find(f"{{{TNS}}}ParentFolderId")
    stamp = answer.find(f"{{{TNS}}}ExtendedProperty")
    return Item(
        id="" if found is None else found.get("Id", ""),
        change_key="" if found is None else found.get("ChangeKey", ""),
        kind=_kind(answer),
        item_class=_text(answer, "ItemClass"),
        size=_number(_text(answer, "Size")),
        received=instant_of(_text(answer, "DateTimeReceived")),
        read=_text(answer, "IsRead") == "true",
        folder_id="" if folder is None else folder.get("Id", ""),
        stamp="" if stamp is None else _text(stamp, "Value"),
        categories=tuple((one.text or "").strip() for one in children(answer, "t:Categories")),
    )


def read_mime(answer: Any) -> bytes:
    """The message's bytes; empty where the server gives none, or none that can be decoded."""
    try:
        return base64.b64decode(_text(answer, "MimeContent"))
    except binascii.Error:
        return b""


def read_headers(answer: Any) -> list[tuple[str, str]]:
    """The header fields, with what EWS knows besides put in front where the header does not have it."""
    fields = [
        (field.get("HeaderName", ""), (field.text or "").strip())
        for field in children(answer, "t:InternetMessageHeaders")
    ]
    have = {name.lower() for name, _ in fields}
    sender = answer.find(f"{{{TNS}}}From/{{{TNS}}}Mailbox")
    known = {
        "From": "" if sender is None else _address(sender),
        "Subject": _text(answer, "Subject"),
        "Date": _mail_date(_text(answer, "DateTimeSent")),
        "Message-ID": _text(answer, "InternetMessageId"),
    }
    return [(name, text) for name, text in known.items() if text and name.lower() not in have] + fields


def _address(sender: Any) -> str:
    address, name = _text(sender, "EmailAddress"), _text(sender, "Name").replace('"', "'")
    return f'"{name}" <{address}>' if name and address else address


def _mail_date(text: str) -> str:
    moment = instant_of(text)
    return f"{moment:%d} {_MONTHS[moment.month - 1]} {moment:%Y %H:%M:%S} +0000" if moment else ""


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _find_items(folders: Sequence[Any], restriction: Any, offset: int, page: int) -> Any:
    view = element("m:IndexedPageItemView", MaxEntriesReturned=str(page), Offset=str(offset), BasePoint="Beginning")
    order = element("t:FieldOrder", _field("item:DateTimeReceived"), Order="Ascending")
    return element(
        "m:FindItem",
        _item_shape(),
        view,
        element("m:Restriction", restriction),
        element("m:SortOrder", order),
        element("m:ParentFolderIds", *folders),
        Traversal="Shallow",
    )


def _change(item: Item, stamp: str, disposition: Disposition) -> Any:
    is_message = item.kind in _MESSAGES
    kind = f"t:{item.kind if is_message else 'Item'}"
    uri = element("t:ExtendedFieldURI", **_STAMP, PropertyType="String")
    again = element("t:ExtendedFieldURI", **_STAMP, PropertyType="String")
    mark = element("t:ExtendedProperty", again, element("t:Value", text=stamp))
    updates = [element("t:SetItemField", uri, element(kind, mark))]
    if disposition.read and is_message:
        read = element(kind, element("t:IsRead", text="true"))
        updates.append(element("t:SetItemField", _field("message:IsRead"), read))
    if disposition.category:
        names = dict.fromkeys([*item.categories, disposition.category])
        held = element(kind, element("t:Categories", *(element("t:String", text=name) for name in names)))
        updates.append(element("t:SetItemField", _field("item:Categories"), held))
    if disposition.flag:
        follow_up = element("t:ExtendedProperty", _follow_up(), element("t:Value", text=_FLAGGED))
        updates.append(element("t:SetItemField", _follow_up(), element(kind, follow_up)))
    which = element("t:ItemId", Id=item.id, ChangeKey=item.change_key)
    return element("t:ItemChange", which, element("t:Updates", *updates))


def _follow_up() -> Any:
    """PidTagFlagStatus ([MS-OXOFLAG] section 2.2.1.1): the element Flag is known from Exchange 2013 on alone."""
    return element("t:ExtendedFieldURI", PropertyTag="0x1090", PropertyType="Integer")


def _item_shape(*more: str) -> Any:
    fields = _fields("item:ItemClass", "item:Size", "item:DateTimeReceived", *more)
    fields.append(element("t:ExtendedFieldURI", **_STAMP, PropertyType="String"))
    return element("m:ItemShape", element("t:BaseShape", text="IdOnly"), fields)


def _folder_shape() -> Any:
    fields = _fields("folder:DisplayName", "folder:TotalCount")
    return element("m:FolderShape", element("t:BaseShape", text="IdOnly"), fields)


def _fields(*names: str) -> Any:
    return element("t:AdditionalProperties", *map(_field, names))


def _field(name: str) -> Any:
    return element("t:FieldURI", FieldURI=name)


def _equal(field: Any, value: str) -> Any:
    constant = element("t:FieldURIOrConstant", element("t:Constant", Value=value))
    return element("t:IsEqualTo", field, constant)


def _item_ids(ids: Iterable[str]) -> Any:
    return element("m:ItemIds", *(element("t:ItemId", Id=one) for one in ids))


def _kind(answer: Any) -> str:
    return str(answer.tag).rpartition("}")[2]


def _text(answer: Any, name: str) -> str:
    return (answer.findtext(f"{{{TNS}}}{name}") or "").strip()


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
